//! Chance by seed: the same seed, the same run.

/// A generator (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Die(u64);

impl Die {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by what is given, in order.
    pub fn of_text(seed: u64, text: &str) -> Self {
        let hash = text.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(hash)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
