//! What a figure is to reach: `<=1.5` or `>=0.9`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A bound on a figure, the bound itself included. It has the unit of the
/// figure it is held against; a ratio has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Goal {
    /// `<=`: smaller is better.
    AtMost(f64),
    /// `>=`: larger is better.
    AtLeast(f64),
}

/// Why a goal was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a goal (like <=1.5 or >=0.9)")]
pub struct GoalError {
    text: String,
}

impl Goal {
    /// Whether a figure reaches the goal. What is not a number never does.
    pub fn met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
        }
    }
}

impl FromStr for Goal {
    type Err = GoalError;

    fn from_str(text: &str) -> Result<Self, GoalError> {
        let bound = |sign: &str| {
            let bound: f64 = text.trim().strip_prefix(sign)?.trim().parse().ok()?;
            // Rust reads `inf` and `nan` as numbers; as bounds they mean nothing.
            bound.is_finite().then_some(bound)
        };
        let at_least = || bound(">=").map(Self::AtLeast);
        let goal = bound("<=").map(Self::AtMost).or_else(at_least);
        goal.ok_or_else(|| GoalError { text: text.to_owned() })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<={bound}"),
            Self::AtLeast(bound) => write!(f, ">={bound}"),
        }
    }
}

impl TryFrom<String> for Goal {
    type Error = GoalError;

    fn try_from(text: String) -> Result<Self, GoalError> {
        text.parse()
    }
}

impl From<Goal> for String {
    fn from(goal: Goal) -> Self {
        goal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_itself_is_met() {
        assert!(Goal::AtMost(1.5).met(1.5));
        assert!(!Goal::AtMost(1.5).met(1.500_001));
        assert!(Goal::AtLeast(0.9).met(0.9));
        assert!(!Goal::AtLeast(0.9).met(0.899_999));
    }

    #[test]
    fn what_is_not_a_number_meets_nothing() {
        assert!(!Goal::AtMost(1.5).met(f64::NAN));
        assert!(!Goal::AtLeast(0.9).met(f64::NAN));
    }

    #[test]
    fn reads_goals_and_refuses_the_rest() {
        assert_eq!("<=1.5".parse::<Goal>(), Ok(Goal::AtMost(1.5)));
        assert_eq!(" >= 0.9 ".parse::<Goal>(), Ok(Goal::AtLeast(0.9)));
        for bad in ["", "1.5", "<1.5", "=1.5", "<=", "<=x", "<=nan", ">=inf", "<=1e999", "<=5ms"] {
            assert!(bad.parse::<Goal>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(bound in -1e12_f64..1e12, at_most in any::<bool>()) {
            let goal = if at_most { Goal::AtMost(bound) } else { Goal::AtLeast(bound) };
            prop_assert_eq!(goal.to_string().parse::<Goal>(), Ok(goal));
        }
    }
}
