//! Random numbers that a seed makes again, on every machine and in every
//! version: a figure can be measured again with the same arrivals.

/// The generator `SplitMix64`: Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators" (OOPSLA 2014), with the constants of
/// Vigna's public-domain `splitmix64.c`. Not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts from a seed; any will do, zero too.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, 1; all 53 bits it can hold are random.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of the exponential distribution with mean 1, by the inverse of
    /// its distribution function. Finite and never negative.
    pub fn exponential(&mut self) -> f64 {
        // `uniform` may be 0 but not 1, so the logarithm is never taken of 0.
        -(-self.uniform()).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and standard deviation of many numbers.
    fn moments(mut next: impl FnMut() -> f64) -> (f64, f64) {
        let numbers: Vec<f64> = (0..100_000).map(|_| next()).collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn numbers_are_those_of_the_reference() {
        let mut random = SplitMix64::new(1_234_567);
        let expected: [u64; 5] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(expected.map(|_| random.next_u64()), expected);
    }

    #[test]
    fn uniform_numbers_fill_the_range_from_zero_to_one() {
        let mut random = SplitMix64::new(7);
        assert!((0..10_000).map(|_| random.uniform()).all(|x| (0.0..1.0).contains(&x)));
        let (mean, deviation) = moments(|| random.uniform());
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((deviation - 12.0_f64.sqrt().recip()).abs() < 0.01, "{deviation}");
    }

    #[test]
    fn exponential_numbers_have_mean_and_deviation_one() {
        let mut random = SplitMix64::new(7);
        assert!((0..10_000).map(|_| random.exponential()).all(|x| x >= 0.0 && x.is_finite()));
        let (mean, deviation) = moments(|| random.exponential());
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((deviation - 1.0).abs() < 0.02, "{deviation}");
    }
}
