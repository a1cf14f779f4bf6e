//! Which messages are under way, and when they were planned: the books of a
//! closed loop, in which so many may be under way at once. An open loop keeps
//! the same books without a bound. Pure: told of every send and answer.

use super::runs::Runs;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Messages that were sent, by the number the sender gave each.
///
/// Little memory is taken if numbers are given in a row.
#[derive(Debug, Clone)]
pub struct Window {
    limit: NonZeroUsize,
    /// When each that is not answered was planned.
    in_flight: HashMap<u64, Duration>,
    answered: Runs,
    /// How many numbers `answered` holds.
    answers: u64,
    duplicates: u64,
    unknown: u64,
}

/// Why a message could not be entered as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// As many are under way as may be.
    #[error("{limit} messages are under way, more may not be")]
    Full {
        /// How many may be.
        limit: NonZeroUsize,
    },
    /// The number was given to another message before.
    #[error("message {id} was sent before")]
    Reused {
        /// The number.
        id: u64,
    },
}

impl Window {
    /// Nothing sent, and at most `limit` under way at once;
    /// [`NonZeroUsize::MAX`] for an open loop.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self {
            limit,
            in_flight: HashMap::new(),
            answered: Runs::default(),
            answers: 0,
            duplicates: 0,
            unknown: 0,
        }
    }

    /// Whether one more may be sent.
    pub fn has_room(&self) -> bool {
        self.in_flight.len() < self.limit.get()
    }

    /// Enters a message as sent. `planned` is the offset at which it was to be
    /// sent; in a closed loop that is when it was sent.
    ///
    /// # Errors
    /// [`WindowError`] when there is no room, or the number is not new; then
    /// nothing was entered.
    pub fn sent(&mut self, id: u64, planned: Duration) -> Result<(), WindowError> {
        if self.in_flight.contains_key(&id) || self.answered.contains(id) {
            return Err(WindowError::Reused { id });
        }
        if !self.has_room() {
            return Err(WindowError::Full { limit: self.limit });
        }
        self.in_flight.insert(id, planned);
        Ok(())
    }

    /// Enters an answer that came at the offset `now`; returns the latency
    /// since the message was planned. `None` if the message was answered
    /// before or never sent: that is counted, and is no latency.
    pub fn answered(&mut self, id: u64, now: Duration) -> Option<Duration> {
        let Some(planned) = self.in_flight.remove(&id) else {
            if self.answered.contains(id) {
                self.duplicates += 1;
            } else {
                self.unknown += 1;
            }
            return None;
        };
        self.answered.insert(id);
        self.answers += 1;
        Some(now.saturating_sub(planned))
    }

    /// How many are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Messages that were sent and not answered, in the order of their numbers.
    pub fn missing(&self) -> Vec<u64> {
        let mut missing: Vec<u64> = self.in_flight.keys().copied().collect();
        missing.sort_unstable();
        missing
    }

    /// How many were answered, each counted once.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// How many answers came for messages that were answered before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// How many answers came for messages that were never sent.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn window(limit: usize) -> Window {
        Window::new(NonZeroUsize::new(limit).expect("at least one"))
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let mut window = window(2);
        assert_eq!(window.sent(1, ms(0)), Ok(()));
        assert_eq!(window.sent(2, ms(0)), Ok(()));
        assert!(!window.has_room());
        let full = window.sent(3, ms(0)).expect_err("there is no room");
        assert_eq!(full.to_string(), "2 messages are under way, more may not be");
        assert_eq!(window.missing(), [1_u64, 2]);
        assert_eq!(window.answered(1, ms(5)), Some(ms(5)));
        assert_eq!(window.sent(3, ms(5)), Ok(()));
        assert_eq!((window.in_flight(), window.missing()), (2, vec![2, 3]));
    }

    #[test]
    fn a_latency_counts_from_the_plan() {
        let mut window = window(8);
        window.sent(1, ms(10)).expect("room");
        window.sent(2, ms(20)).expect("room");
        assert_eq!(window.answered(2, ms(50)), Some(ms(30)));
        assert_eq!(window.answered(1, ms(9)), Some(ms(0)), "never below zero");
    }

    #[test]
    fn what_comes_twice_or_from_nowhere_is_counted_and_is_no_latency() {
        let mut window = window(8);
        window.sent(1, ms(0)).expect("room");
        assert_eq!(window.answered(1, ms(1)), Some(ms(1)));
        assert_eq!(window.answered(1, ms(2)), None);
        assert_eq!(window.answered(7, ms(2)), None);
        assert_eq!((window.answers(), window.duplicates(), window.unknown()), (1, 1, 1));
        assert!(window.missing().is_empty());
    }

    #[test]
    fn a_number_is_given_once() {
        let mut window = window(8);
        window.sent(1, ms(0)).expect("room");
        assert_eq!(window.sent(1, ms(0)), Err(WindowError::Reused { id: 1 }));
        window.answered(1, ms(1)).expect("it was sent");
        assert_eq!(window.sent(1, ms(2)), Err(WindowError::Reused { id: 1 }));
    }

    proptest! {
        #[test]
        fn every_message_and_every_answer_is_accounted_for(
            limit in 1_usize..6,
            steps in prop::collection::vec((any::<bool>(), 0_u64..24), 0..200)) {
            let mut window = window(limit);
            let (mut sent, mut answers) = (0_u64, 0_u64);
            for (send, id) in steps {
                if send {
                    sent += u64::from(window.sent(id, ms(id)).is_ok());
                } else {
                    answers += 1;
                    let known = window.missing().contains(&id);
                    prop_assert_eq!(window.answered(id, ms(100)).is_some(), known);
                }
                prop_assert!(window.in_flight() <= limit);
                prop_assert_eq!(window.answers() + window.missing().len() as u64, sent);
                let counted = window.answers() + window.duplicates() + window.unknown();
                prop_assert_eq!(counted, answers);
            }
        }
    }
}
