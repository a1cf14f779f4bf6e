//! The middle of a few rounds, and how far they spread. A mean would follow
//! the one round in which the machine did something else.

/// The median, or `None` of nothing: the one in the middle, or the mean of the
/// two there. Values are finite.
pub fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// Five figures of a series, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// A quarter is not above it.
    pub lower_quartile: f64,
    /// Half is not above it.
    pub median: f64,
    /// Three quarters are not above it.
    pub upper_quartile: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The figures of a series of finite values in any order, or `None` of an
    /// empty one.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            min,
            lower_quartile: at(&sorted, 0.25),
            median: at(&sorted, 0.5),
            upper_quartile: at(&sorted, 0.75),
            max,
        })
    }

    /// How wide the middle half of the series is.
    pub fn interquartile(&self) -> f64 {
        self.upper_quartile - self.lower_quartile
    }

    /// How wide the whole series is.
    pub fn range(&self) -> f64 {
        self.max - self.min
    }
}

/// The value below which a share `q` of a sorted, non-empty series lies, on
/// the line between its two neighbours: method 7 of Hyndman and Fan, "Sample
/// Quantiles in Statistical Packages" (1996), as most tools have it.
fn at(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(median(&[]), None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
        assert_eq!(median(&[-1.0, -3.0]), Some(-2.0));
    }

    #[test]
    fn one_disturbed_round_moves_the_range_and_not_the_middle() {
        let calm = Spread::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).expect("five");
        let disturbed = Spread::of(&[1.0, 2.0, 3.0, 4.0, 5000.0]).expect("five");
        assert_eq!(calm.median, disturbed.median);
        assert_eq!(calm.interquartile(), 2.0);
        assert_eq!(disturbed.interquartile(), 2.0);
        assert_eq!((calm.range(), disturbed.range()), (4.0, 4999.0));
    }

    proptest! {
        #[test]
        fn the_figures_are_in_order(values in prop::collection::vec(-1e9_f64..1e9, 1..40)) {
            let spread = Spread::of(&values).expect("some");
            prop_assert!(spread.min <= spread.lower_quartile);
            prop_assert!(spread.lower_quartile <= spread.median);
            prop_assert!(spread.median <= spread.upper_quartile);
            prop_assert!(spread.upper_quartile <= spread.max);
        }
    }
}
