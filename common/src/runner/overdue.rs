//! Which invocations are past their deadline. When each was accepted is known
//! as well as the trigger's reports tell, never too early.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long after its deadline an invocation may still report its own end.
const GRACE: Duration = Duration::from_secs(2);

/// Reports that are kept at most this close to each other.
const APART: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Overdue {
    patience: Duration,
    /// Numbers of invocations accepted, when that was known, and since when
    /// reports are taken together.
    reports: VecDeque<(u64, Instant, Instant)>,
    past: u64,
}

impl Overdue {
    pub(super) fn after(deadline: Duration) -> Self {
        Self { patience: deadline.saturating_add(GRACE), reports: VecDeque::new(), past: 0 }
    }

    /// So many were accepted by now.
    pub(super) fn note(&mut self, accepted: u64, now: Instant) {
        match self.reports.back_mut() {
            Some(last) if now - last.2 < APART => *last = (accepted, now, last.2),
            _ => self.reports.push_back((accepted, now, now)),
        }
    }

    /// Invocations up to this number are past their deadline.
    pub(super) fn until(&mut self, now: Instant) -> u64 {
        while let Some((accepted, at, _)) = self.reports.front().copied() {
            if now - at < self.patience {
                break;
            }
            self.past = accepted;
            self.reports.pop_front();
        }
        self.past
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_accepted_long_enough_ago_is_overdue() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut overdue = Overdue::after(3 * second);
        overdue.note(5, start);
        overdue.note(7, start + second / 4);
        overdue.note(9, start + 2 * second);
        assert_eq!(overdue.until(start + 5 * second), 0);
        assert_eq!(overdue.until(start + 6 * second), 7);
        assert_eq!(overdue.until(start + 7 * second), 9);
    }
}
