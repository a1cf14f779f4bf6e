//! Latencies, as many as come, in a memory that does not grow: an HDR
//! histogram (Gil Tene, hdrhistogram.org) of nanoseconds.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// Significant digits that are kept: a quantile is off by a thousandth at most.
const DIGITS: u8 = 3;

/// What takes longer is put with what takes this long: an hour. The range is
/// fixed, so that recording never takes memory in the midst of a measurement.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Latencies, or other durations of which there are many. About 270 KiB.
///
/// The smallest, the largest and the mean are exact; quantiles have three
/// significant digits and end at one hour.
#[derive(Clone)]
pub struct Latencies {
    buckets: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u128,
}

/// The usual figures of [`Latencies`], all zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// How many were recorded.
    pub count: u64,
    /// The smallest.
    pub min: Duration,
    /// The mean.
    pub mean: Duration,
    /// Half took no longer.
    pub p50: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// 999 of 1000 took no longer.
    pub p999: Duration,
    /// The largest.
    pub max: Duration,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        let buckets = Histogram::new_with_max(HIGHEST_NS, DIGITS)
            .unwrap_or_else(|_| unreachable!("an hour at 3 digits is allowed"));
        Self { buckets, min_ns: u64::MAX, max_ns: 0, sum_ns: 0 }
    }

    /// Takes one.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets.saturating_record(ns.min(HIGHEST_NS));
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
    }

    /// Takes all that another recorded.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same buckets, so each value goes where it was.
        for bucket in other.buckets.iter_recorded() {
            let ns = bucket.value_iterated_to().min(HIGHEST_NS);
            self.buckets.saturating_record_n(ns, bucket.count_at_value());
        }
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns += other.sum_ns;
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.len()
    }

    /// Whether none was recorded.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// What a share `q` of them, from 0 to 1, did not exceed; what is beyond
    /// these counts as the nearer of them. Zero where none was recorded.
    pub fn quantile(&self, q: f64) -> Duration {
        if self.is_empty() || q <= 0.0 {
            return self.min();
        }
        if q >= 1.0 {
            return self.max();
        }
        // A bucket answers with its upper edge, which may lie beyond all that was recorded.
        let ns = self.buckets.value_at_quantile(q).clamp(self.min_ns, self.max_ns);
        Duration::from_nanos(ns)
    }

    /// The mean, or zero where none was recorded.
    pub fn mean(&self) -> Duration {
        let mean_ns = self.sum_ns.checked_div(u128::from(self.count())).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean_ns).unwrap_or(u64::MAX))
    }

    /// The smallest, or zero where none was recorded.
    pub fn min(&self) -> Duration {
        if self.is_empty() { Duration::ZERO } else { Duration::from_nanos(self.min_ns) }
    }

    /// The largest, or zero where none was recorded.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The usual figures.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count(),
            min: self.min(),
            mean: self.mean(),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.max(),
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// The figures: tens of thousands of buckets tell nobody anything.
impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latencies").field(&self.percentiles()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn of(values: impl IntoIterator<Item = Duration>) -> Latencies {
        let mut latencies = Latencies::new();
        values.into_iter().for_each(|value| latencies.record(value));
        latencies
    }

    #[test]
    fn where_there_is_none_all_figures_are_zero() {
        assert_eq!(Latencies::new().percentiles(), Percentiles::default());
    }

    #[test]
    fn figures_of_a_thousand_are_right_to_three_digits() {
        let figures = of((1..=1000).map(Duration::from_millis)).percentiles();
        assert_eq!(figures.count, 1000);
        assert_eq!(figures.min, Duration::from_millis(1));
        assert_eq!(figures.mean, Duration::from_micros(500_500));
        assert_eq!(figures.max, Duration::from_secs(1));
        for (figure, ms) in [
            (figures.p50, 500.0),
            (figures.p90, 900.0),
            (figures.p99, 990.0),
            (figures.p999, 999.0),
        ] {
            let ratio = figure.as_secs_f64() * 1e3 / ms;
            assert!((ratio - 1.0).abs() < 1e-3, "{figure:?} for {ms} ms");
        }
    }

    #[test]
    fn what_exceeds_an_hour_is_counted_and_the_largest_stays_exact() {
        let mut latencies = of([Duration::from_millis(1); 9]);
        latencies.record(2 * HOUR);
        assert_eq!(latencies.count(), 10);
        assert_eq!(latencies.max(), 2 * HOUR);
        assert_eq!(latencies.quantile(1.0), 2 * HOUR);
        let near = latencies.quantile(0.95);
        assert!(near >= HOUR && near < HOUR.mul_f64(1.001), "{near:?}");
        latencies.record(Duration::MAX);
        assert_eq!(latencies.max(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_share_that_is_none_gives_the_nearer_end() {
        let latencies = of([Duration::from_nanos(3), Duration::from_nanos(9)]);
        assert_eq!(latencies.quantile(-1.0), Duration::from_nanos(3));
        assert_eq!(latencies.quantile(7.0), Duration::from_nanos(9));
    }

    proptest! {
        // A case looks at all buckets several times over.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn parts_merged_are_the_whole(
            left in prop::collection::vec(0_u64..5_000_000_000_000, 0..60),
            right in prop::collection::vec(0_u64..5_000_000_000_000, 0..60)) {
            let part = |values: &[u64]| of(values.iter().copied().map(Duration::from_nanos));
            let mut merged = part(&left);
            merged.merge(&part(&right));
            let whole = part(&[left, right].concat());
            prop_assert_eq!(merged.percentiles(), whole.percentiles());
        }

        #[test]
        fn a_larger_share_is_never_less(values in prop::collection::vec(any::<u64>(), 1..60),
            a in 0.0_f64..1.0, b in 0.0_f64..1.0) {
            let latencies = of(values.into_iter().map(Duration::from_nanos));
            prop_assert!(latencies.quantile(a.min(b)) <= latencies.quantile(a.max(b)));
            prop_assert!(latencies.quantile(a) >= latencies.min());
            prop_assert!(latencies.quantile(a) <= latencies.max());
        }
    }
}
