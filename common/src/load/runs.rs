//! The numbers that are done, in little memory. Numbers are given out one
//! after the other and are done nearly so, so ranges of them take no more
//! memory for ten million than for ten.

use std::collections::BTreeMap;

/// A set of numbers, kept as ranges that do not touch.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// The first number of each range, and its last.
    ranges: BTreeMap<u64, u64>,
}

impl Runs {
    /// Whether a number is among them.
    pub fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number; tells whether it is new.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let before = self.ranges.range(..number).next_back().map(|(first, last)| (*first, *last));
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let after = number.checked_add(1).and_then(|next| self.ranges.remove(&next));
        self.ranges.insert(first, after.unwrap_or(number));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_in_a_row_take_one_range_in_any_order() {
        let mut runs = Runs::default();
        for number in (0..1000).step_by(2).chain((1..1000).step_by(2)) {
            assert!(runs.insert(number));
        }
        assert_eq!(runs.ranges, BTreeMap::from([(0, 999)]));
    }

    #[test]
    fn the_ends_of_the_range_of_numbers_are_numbers_too() {
        let mut runs = Runs::default();
        for number in [u64::MAX, 0, u64::MAX - 1] {
            assert!(runs.insert(number) && runs.contains(number));
            assert!(!runs.insert(number));
        }
        assert_eq!(runs.ranges, BTreeMap::from([(0, 0), (u64::MAX - 1, u64::MAX)]));
    }

    proptest! {
        #[test]
        fn it_is_the_same_as_a_plain_set(numbers in prop::collection::vec(0_u64..64, 0..120)) {
            let (mut runs, mut plain) = (Runs::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(runs.insert(number), plain.insert(number));
                for any in 0..66 {
                    prop_assert_eq!(runs.contains(any), plain.contains(&any));
                }
            }
        }
    }
}
