//! What is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A call's time is over.
    Timeout(u64),
    /// A message's back-off is over.
    Retry(u64),
}

/// Timers by their due time. One that is no longer wanted is ignored when it
/// fires: its call or work is gone by then.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Instant, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some(Reverse((at, timer))) = self.heap.peek() {
            if *at > now {
                break;
            }
            due.push(*timer);
            self.heap.pop();
        }
        due
    }
}
