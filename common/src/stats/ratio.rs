//! One subject against another, measured in turn, round by round.
//!
//! The ratio is taken within each round, and the median of these ratios is
//! what counts; not the ratio of the two medians. A machine drifts: it warms
//! up, changes its clock, has neighbours. What is near in time shares that
//! disturbance, so it falls out of a round's ratio; the medians of two series
//! may come from different moods of the machine.

use super::goal::Goal;
use super::median::Spread;
use std::fmt;

/// Ours divided by theirs: the median of the rounds, and the rounds at the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The median of the ratios of the rounds.
    pub median: f64,
    /// The smallest ratio of a round.
    pub min: f64,
    /// The largest ratio of a round.
    pub max: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

/// Why two series give no ratio.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RatioError {
    /// Rounds of one have no partner in the other.
    #[error("{ours} rounds cannot be compared with {theirs}")]
    Lengths {
        /// Rounds of the one.
        ours: usize,
        /// Rounds of the other.
        theirs: usize,
    },
    /// There is no round at all.
    #[error("there is no round to compare")]
    Empty,
    /// A round has a figure that is not a finite number above zero.
    #[error("round {round} has {ours} against {theirs}, which gives no ratio")]
    Figure {
        /// Which round, from 1.
        round: usize,
        /// Its figure of the one.
        ours: f64,
        /// Its figure of the other.
        theirs: f64,
    },
}

/// Whether a ratio reaches its goal, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The median reaches the goal.
    pub met: bool,
    /// Every single round says the same as the median.
    pub unanimous: bool,
}

impl Ratio {
    /// Compares two series in which `ours[i]` and `theirs[i]` were measured
    /// one after the other.
    ///
    /// # Errors
    /// [`RatioError`] when the series differ in length, are empty, or hold
    /// something other than finite numbers above zero.
    pub fn of(ours: &[f64], theirs: &[f64]) -> Result<Self, RatioError> {
        if ours.len() != theirs.len() {
            return Err(RatioError::Lengths { ours: ours.len(), theirs: theirs.len() });
        }
        let usable = |figure: f64| figure.is_finite() && figure > 0.0;
        let mut ratios = Vec::with_capacity(ours.len());
        for (index, (&ours, &theirs)) in ours.iter().zip(theirs).enumerate() {
            if !usable(ours) || !usable(theirs) {
                return Err(RatioError::Figure { round: index + 1, ours, theirs });
            }
            ratios.push(ours / theirs);
        }
        let Spread { min, median, max, .. } = Spread::of(&ratios).ok_or(RatioError::Empty)?;
        Ok(Self { median, min, max, rounds: ratios.len() })
    }

    /// Holds the ratio against a goal. The median decides; the rounds at the
    /// ends tell whether noise could have decided otherwise.
    pub fn verdict(&self, goal: Goal) -> Verdict {
        let met = goal.met(self.median);
        // All other rounds lie between these two, and a goal is a bound on one side.
        let unanimous = goal.met(self.min) == met && goal.met(self.max) == met;
        Verdict { met, unanimous }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.met, self.unanimous) {
            (true, true) => "met",
            (true, false) => "met, but not in every round",
            (false, true) => "missed",
            (false, false) => "missed, but not in every round",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_drift_that_both_share_falls_out() {
        // The machine is three times as slow in the end; ours is always 1.2 times theirs.
        let theirs = [100.0, 150.0, 200.0, 250.0, 300.0];
        let ours = theirs.map(|figure| figure * 1.2);
        let ratio = Ratio::of(&ours, &theirs).expect("rounds");
        for figure in [ratio.median, ratio.min, ratio.max] {
            assert!((figure - 1.2).abs() < 1e-9, "{ratio:?}");
        }
    }

    #[test]
    fn a_disturbed_round_is_shown_and_does_not_decide() {
        let ratio = Ratio::of(&[100.0, 900.0, 120.0], &[100.0; 3]).expect("rounds");
        assert_eq!(ratio, Ratio { median: 1.2, min: 1.0, max: 9.0, rounds: 3 });
        let verdict = ratio.verdict(Goal::AtMost(1.5));
        assert_eq!(verdict, Verdict { met: true, unanimous: false });
        assert_eq!(verdict.to_string(), "met, but not in every round");
    }

    #[test]
    fn a_verdict_is_unanimous_when_no_round_says_otherwise() {
        let ratio = Ratio { median: 1.2, min: 1.1, max: 1.3, rounds: 3 };
        let verdict = |goal| ratio.verdict(goal);
        assert_eq!(verdict(Goal::AtMost(1.3)), Verdict { met: true, unanimous: true });
        assert_eq!(verdict(Goal::AtMost(1.15)), Verdict { met: false, unanimous: false });
        assert_eq!(verdict(Goal::AtLeast(1.15)), Verdict { met: true, unanimous: false });
        assert_eq!(verdict(Goal::AtLeast(2.0)), Verdict { met: false, unanimous: true });
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let lengths = RatioError::Lengths { ours: 1, theirs: 2 };
        assert_eq!(Ratio::of(&[1.0], &[1.0, 2.0]), Err(lengths));
        assert_eq!(Ratio::of(&[], &[]), Err(RatioError::Empty));
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            for (ours, theirs) in [([1.0, bad], [1.0, 1.0]), ([1.0, 1.0], [1.0, bad])] {
                let result = Ratio::of(&ours, &theirs);
                assert!(matches!(result, Err(RatioError::Figure { round: 2, .. })), "{bad}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_median_lies_between_the_rounds_at_the_ends(
            rounds in prop::collection::vec((0.1_f64..1e6, 0.1_f64..1e6), 1..30)) {
            let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
            let ratio = Ratio::of(&ours, &theirs).expect("rounds");
            prop_assert!(ratio.min <= ratio.median && ratio.median <= ratio.max);
            prop_assert_eq!(ratio.rounds, ours.len());
        }
    }
}
