//! What is due when.

use std::collections::BTreeSet;
use std::time::Instant;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A call's time is over.
    Timeout(u64),
    /// A call was to be killed and should be gone by now.
    Overdue(u64),
    /// A message's back-off is over.
    Retry(u64),
    /// A process is to be looked at again.
    Look(u64),
    /// A warm process may have been idle for long enough.
    Idle(u64),
    /// A pause that a server asked for is over.
    Resume,
    /// A function may need a process that waits for its next message.
    Spare(usize),
}

/// Timers by their due time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Instant, timer: Timer) {
        self.due.insert((due, timer));
    }

    pub(super) fn cancel(&mut self, due: Instant, timer: Timer) {
        self.due.remove(&(due, timer));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some((_, timer)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            due.push(timer);
            self.due.pop_first();
        }
        due
    }
}
