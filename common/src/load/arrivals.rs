//! When each message is to be sent, computed beforehand: the offsets from the
//! start of a measurement. Pure; the same plan gives the same offsets.

use super::random::SplitMix64;
use std::iter::FusedIterator;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The highest rate: offsets have whole nanoseconds.
const RATE_MAX_PER_S: f64 = 1e9;

/// How arrivals lie in time. All kinds have the rate of the plan on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At even distances, the first at once.
    Constant,
    /// Independent of each other, as those of many users are: gaps are
    /// exponentially distributed. The first comes after a gap.
    Poisson,
    /// Several at the same moment, at even distances, the first at once.
    Burst {
        /// How many come together.
        size: NonZeroU32,
    },
}

/// How long a plan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many messages.
    Count(u64),
    /// All that are due before so much time has passed.
    Duration(Duration),
}

/// A load to be put on something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Messages in a second, above 0 and up to a thousand million.
    pub rate_per_s: f64,
    /// How they lie in time.
    pub arrivals: Arrivals,
    /// How long it goes on.
    pub extent: Extent,
    /// What chance starts from.
    pub seed: u64,
}

/// Why a plan cannot be carried out, or was not understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The rate is no number, not above zero or too high.
    #[error("a rate of {0}/s is not possible (above 0, up to {max}/s)", max = RATE_MAX_PER_S)]
    Rate(f64),
    /// The text names no kind of arrivals.
    #[error("`{0}` is no kind of arrivals (constant, poisson or burst:SIZE)")]
    Arrivals(String),
}

/// The offsets of a plan from its start, one for each message. They never
/// decrease.
#[derive(Debug, Clone)]
pub struct Schedule {
    plan: Plan,
    random: SplitMix64,
    /// How many offsets were given.
    given: u64,
    /// The last offset of Poisson arrivals, in seconds.
    elapsed_s: f64,
}

impl Plan {
    /// The offsets at which its messages are to be sent.
    ///
    /// # Errors
    /// [`PlanError::Rate`] when the rate is not above 0 or over its bound.
    pub fn schedule(&self) -> Result<Schedule, PlanError> {
        // Written so that what is no number is not possible either.
        let possible = self.rate_per_s > 0.0 && self.rate_per_s <= RATE_MAX_PER_S;
        if !possible {
            return Err(PlanError::Rate(self.rate_per_s));
        }
        let random = SplitMix64::new(self.seed);
        Ok(Schedule { plan: *self, random, given: 0, elapsed_s: 0.0 })
    }
}

impl Schedule {
    /// The offset of the next message, in seconds.
    fn next_offset_s(&mut self) -> f64 {
        let rate_per_s = self.plan.rate_per_s;
        match self.plan.arrivals {
            // From the number, not from the one before: adding up gaps would
            // add up their rounding, and the rate would drift.
            Arrivals::Constant => self.given as f64 / rate_per_s,
            Arrivals::Burst { size } => {
                let first_of_burst = self.given - self.given % u64::from(size.get());
                first_of_burst as f64 / rate_per_s
            }
            Arrivals::Poisson => {
                self.elapsed_s += self.random.exponential() / rate_per_s;
                self.elapsed_s
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if matches!(self.plan.extent, Extent::Count(count) if self.given >= count) {
            return None;
        }
        // A rate can be so low that the next is due after the end of all time.
        let offset = Duration::try_from_secs_f64(self.next_offset_s()).unwrap_or(Duration::MAX);
        if matches!(self.plan.extent, Extent::Duration(end) if offset >= end) {
            return None;
        }
        self.given += 1;
        Some(offset)
    }
}

/// Behind the end there are only offsets that are later still.
impl FusedIterator for Schedule {}

impl FromStr for Arrivals {
    type Err = PlanError;

    /// Reads `constant`, `poisson` and `burst:SIZE`.
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let error = || PlanError::Arrivals(text.to_owned());
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => {
                let size = text.strip_prefix("burst:").ok_or_else(error)?;
                Ok(Self::Burst { size: size.parse().map_err(|_| error())? })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(rate_per_s: f64, arrivals: Arrivals, extent: Extent) -> Plan {
        Plan { rate_per_s, arrivals, extent, seed: 7 }
    }

    fn offsets(plan: Plan) -> Vec<Duration> {
        plan.schedule().expect("a rate that is possible").collect()
    }

    fn burst(size: u32) -> Arrivals {
        Arrivals::Burst { size: NonZeroU32::new(size).expect("at least one") }
    }

    fn any_arrivals() -> impl Strategy<Value = Arrivals> {
        prop_oneof![Just(Arrivals::Constant), Just(Arrivals::Poisson), (1_u32..50).prop_map(burst)]
    }

    #[test]
    fn constant_arrivals_are_exactly_as_many_as_the_rate_says() {
        let half_minute = Extent::Duration(Duration::from_secs(30));
        let all = offsets(plan(2000.0, Arrivals::Constant, half_minute));
        assert_eq!(all.len(), 60_000);
        assert_eq!(all[0], Duration::ZERO);
        assert_eq!(all[1], Duration::from_micros(500));
        assert_eq!(all[59_999], Duration::from_micros(29_999_500));
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let mut schedule = plan(3.0, Arrivals::Constant, Extent::Count(u64::MAX))
            .schedule()
            .expect("a rate that is possible");
        assert_eq!(schedule.nth(300_000), Some(Duration::from_secs(100_000)));
    }

    #[test]
    fn bursts_come_together_and_keep_the_rate() {
        let all = offsets(plan(100.0, burst(4), Extent::Count(10)));
        let expected_ms = [0, 0, 0, 0, 40, 40, 40, 40, 80, 80];
        assert_eq!(all, expected_ms.map(Duration::from_millis));
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let all = offsets(plan(2000.0, Arrivals::Poisson, Extent::Count(100_000)));
        let starts = std::iter::once(&Duration::ZERO).chain(&all);
        let gaps: Vec<f64> = starts.zip(&all).map(|(a, b)| (*b - *a).as_secs_f64()).collect();
        let count = gaps.len() as f64;
        let mean_s = gaps.iter().sum::<f64>() / count;
        assert!((mean_s * 2000.0 - 1.0).abs() < 0.05, "mean gap {mean_s} s");
        let variance = gaps.iter().map(|gap| (gap - mean_s).powi(2)).sum::<f64>() / count;
        let variation = variance.sqrt() / mean_s;
        assert!((variation - 1.0).abs() < 0.05, "coefficient of variation {variation}");
    }

    #[test]
    fn poisson_arrivals_of_a_duration_are_about_as_many_as_the_rate_says() {
        let half_minute = Extent::Duration(Duration::from_secs(30));
        let count = offsets(plan(2000.0, Arrivals::Poisson, half_minute)).len();
        // Five standard deviations, the root of the mean.
        assert!(count.abs_diff(60_000) < 1225, "{count}");
    }

    #[test]
    fn a_rate_that_is_not_possible_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e9] {
            let made = plan(rate, Arrivals::Constant, Extent::Count(1)).schedule();
            assert!(matches!(made, Err(PlanError::Rate(_))), "{rate}");
        }
        let rare = offsets(plan(f64::MIN_POSITIVE, Arrivals::Constant, Extent::Count(2)));
        assert_eq!(rare, [Duration::ZERO, Duration::MAX]);
    }

    #[test]
    fn reads_kinds_of_arrivals() {
        assert_eq!("constant".parse::<Arrivals>(), Ok(Arrivals::Constant));
        assert_eq!("poisson".parse::<Arrivals>(), Ok(Arrivals::Poisson));
        assert_eq!("burst:50".parse::<Arrivals>(), Ok(burst(50)));
        for bad in ["", "Poisson", "burst", "burst:", "burst:0", "burst:-1", "burst:x"] {
            let error = bad.parse::<Arrivals>().expect_err("it is none");
            assert_eq!(error, PlanError::Arrivals(bad.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn offsets_are_sorted_and_exactly_as_many_as_asked_for(
            rate_per_s in 0.01_f64..1e6, arrivals in any_arrivals(), count in 0_u64..500,
            seed in any::<u64>()) {
            let plan = Plan { rate_per_s, arrivals, extent: Extent::Count(count), seed };
            let all = offsets(plan);
            prop_assert_eq!(all.len() as u64, count);
            prop_assert!(all.is_sorted());
        }

        #[test]
        fn the_same_seed_gives_the_same_schedule_and_another_does_not(seed in any::<u64>()) {
            let of = |seed| offsets(Plan {
                seed, ..plan(1000.0, Arrivals::Poisson, Extent::Count(20))
            });
            prop_assert_eq!(of(seed), of(seed));
            prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
        }

        #[test]
        fn a_duration_cuts_the_same_schedule(
            rate_per_s in 1.0_f64..1e4, arrivals in any_arrivals(), ms in 0_u64..100) {
            let end = Duration::from_millis(ms);
            let cut = offsets(plan(rate_per_s, arrivals, Extent::Duration(end)));
            let whole = plan(rate_per_s, arrivals, Extent::Count(u64::MAX)).schedule();
            let whole = whole.expect("a rate that is possible");
            let expected: Vec<Duration> = whole.take_while(|offset| *offset < end).collect();
            prop_assert_eq!(cut, expected);
        }
    }
}
