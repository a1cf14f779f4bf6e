//! How long a warm function is kept when nothing is asked of it. Pure: times
//! are arguments.

use crate::chain::KeepWarm;
use std::time::Duration;

/// How much the latest gap between two messages counts in their mean.
const WEIGHT: f64 = 0.25;

/// Nothing is let go sooner. A process starts within a millisecond or two: in
/// a chain whose functions all started anew, messages would come just as many
/// milliseconds apart, and none would ever be worth keeping.
const SHORTEST: Duration = Duration::from_secs(1);

/// When a function that is idle is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Never.
    Forever,
    /// Once nothing came for so long.
    For(Duration),
    /// At once.
    No,
}

/// A policy: told what happens, asked how long to keep.
pub trait KeepPolicy: std::fmt::Debug {
    /// A message came, so long after the one before it.
    fn arrived(&mut self, gap: Duration);
    /// A process was started and was ready after this time.
    fn booted(&mut self, boot: Duration);
    /// A call took this long.
    fn ran(&mut self, run: Duration);
    /// How long an idle process is to be kept, from the last arrival on.
    fn keep(&self) -> Keep;
}

/// The policy of that name.
pub fn policy(keep: KeepWarm) -> Box<dyn KeepPolicy> {
    match keep {
        KeepWarm::Always => Box::new(Fixed(Keep::Forever)),
        KeepWarm::Never => Box::new(Fixed(Keep::No)),
        KeepWarm::Adaptive => Box::new(Adaptive::default()),
    }
}

/// Always, or never.
#[derive(Debug)]
struct Fixed(Keep);

impl KeepPolicy for Fixed {
    fn arrived(&mut self, _gap: Duration) {}
    fn booted(&mut self, _boot: Duration) {}
    fn ran(&mut self, _run: Duration) {}
    fn keep(&self) -> Keep {
        self.0
    }
}

/// DIFFUSE's (section 4.1): keep while messages come faster than a function
/// boots and runs. The paper does not say how it measures; here the gaps are
/// averaged with more weight on late ones, and the silence since the last
/// message counts as a gap that is not over.
#[derive(Debug, Default)]
struct Adaptive {
    gap_s: Option<f64>,
    boot: Mean,
    run: Mean,
}

impl KeepPolicy for Adaptive {
    fn arrived(&mut self, gap: Duration) {
        let gap = gap.as_secs_f64();
        self.gap_s = Some(self.gap_s.map_or(gap, |mean| mean + WEIGHT * (gap - mean)));
    }

    fn booted(&mut self, boot: Duration) {
        self.boot.add(boot);
    }

    fn ran(&mut self, run: Duration) {
        self.run.add(run);
    }

    fn keep(&self) -> Keep {
        let worth = self.boot.seconds() + self.run.seconds();
        let mean = self.gap_s.unwrap_or(0.0);
        // The silence that would bring the mean up to what a start costs.
        let silence = if mean < worth { mean + (worth - mean) / WEIGHT } else { 0.0 };
        Keep::For(Duration::from_secs_f64(silence).max(SHORTEST))
    }
}

/// A mean of durations.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mean {
    total_s: f64,
    count: u64,
}

impl Mean {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        self.total_s += duration.as_secs_f64();
        self.count += 1;
    }

    /// Several, of which this is the mean.
    pub fn add_many(&mut self, mean: Duration, count: u64) {
        self.total_s += mean.as_secs_f64() * count as f64;
        self.count += count;
    }

    /// The mean, in seconds; zero of nothing.
    pub fn seconds(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.total_s / self.count as f64 }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn adaptive(gap: Duration, boot: Duration, run: Duration) -> Keep {
        let mut policy = policy(KeepWarm::Adaptive);
        policy.booted(boot);
        for _ in 0..50 {
            policy.arrived(gap);
            policy.ran(run);
        }
        policy.keep()
    }

    #[test]
    fn is_kept_while_messages_come_faster_than_it_starts() {
        let long = |keep| matches!(keep, Keep::For(time) if time > SHORTEST);
        assert!(long(adaptive(MS, 500 * MS, MS)));
        assert!(long(adaptive(600 * MS, 500 * MS, 300 * MS)));
        assert_eq!(adaptive(600 * MS, 500 * MS, MS), Keep::For(SHORTEST));
    }

    #[test]
    fn silence_counts_as_a_gap() {
        let Keep::For(silence) = adaptive(MS, 500 * MS, MS) else { panic!("it is kept") };
        // With that silence as the next gap the mean reaches boot and run.
        let mean = 0.001 + WEIGHT * (silence.as_secs_f64() - 0.001);
        assert!((mean - 0.501).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn always_and_never() {
        assert_eq!(policy(KeepWarm::Always).keep(), Keep::Forever);
        assert_eq!(policy(KeepWarm::Never).keep(), Keep::No);
    }
}
