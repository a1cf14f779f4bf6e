//! Keeps to a schedule by the clock, in an open loop: what is due is sent
//! whether or not earlier messages were answered, and a sender that is late
//! catches up by sending at once.
//!
//! A latency is counted from when the message was *planned* to be sent. If it
//! were counted from the send, a system that stalls would also stall those who
//! measure it, and just the messages that would have waited longest would be
//! missing from the figures: coordinated omission (Gil Tene, "How NOT to
//! Measure Latency"; his wrk2 does the same as this).

use super::arrivals::Schedule;
use crate::stats::Latencies;
use std::iter::Peekable;
use std::time::{Duration, Instant};

/// Tells when to send, and keeps how late it was told.
#[derive(Debug)]
pub struct Pacer {
    started: Instant,
    schedule: Peekable<Schedule>,
    lateness: Latencies,
}

/// What a sender is to do. Times are offsets from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a message.
    Now {
        /// When it was planned; its latency counts from here.
        planned: Duration,
    },
    /// Nothing for so long.
    In(Duration),
    /// Nothing any more.
    Over,
}

impl Pacer {
    /// Starts a schedule now.
    pub fn start(schedule: Schedule) -> Self {
        let (schedule, lateness) = (schedule.peekable(), Latencies::new());
        Self { started: Instant::now(), schedule, lateness }
    }

    /// Time since the start, for [`Pacer::next_due`] and for the end of a latency.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What to do at `now`, for a loop that also waits for other things. Who is
    /// told to send does so at once and asks again.
    pub fn next_due(&mut self, now: Duration) -> Due {
        if let Some(planned) = self.schedule.next_if(|planned| *planned <= now) {
            self.lateness.record(now - planned);
            return Due::Now { planned };
        }
        match self.schedule.peek() {
            Some(planned) => Due::In(*planned - now),
            None => Due::Over,
        }
    }

    /// Sleeps until the next message is due, if it is not yet; returns when it
    /// was planned, or `None` when there is none any more.
    pub fn wait(&mut self) -> Option<Duration> {
        loop {
            let now = self.now();
            match self.next_due(now) {
                Due::Now { planned } => return Some(planned),
                Due::In(left) => std::thread::sleep(left),
                Due::Over => return None,
            }
        }
    }

    /// How long after its time each message was given out to be sent.
    pub fn lateness(&self) -> &Latencies {
        &self.lateness
    }

    /// Whether 99 of 100 messages were given out within `tolerance` of their
    /// time. If not, the load was not the one that was planned: the generator,
    /// or a send that blocks, was the bottleneck, and a report has to say so.
    pub fn kept_up(&self, tolerance: Duration) -> bool {
        self.lateness.quantile(0.99) <= tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Arrivals, Extent, Plan};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A message every 10 ms.
    fn pacer(count: u64) -> Pacer {
        let (arrivals, extent) = (Arrivals::Constant, Extent::Count(count));
        let plan = Plan { rate_per_s: 100.0, arrivals, extent, seed: 0 };
        Pacer::start(plan.schedule().expect("a rate that is possible"))
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut pacer = pacer(2);
        assert_eq!(pacer.next_due(ms(0)), Due::Now { planned: ms(0) });
        assert_eq!(pacer.next_due(ms(3)), Due::In(ms(7)));
        assert_eq!(pacer.next_due(ms(3)), Due::In(ms(7)), "asking changes nothing");
        assert_eq!(pacer.next_due(ms(10)), Due::Now { planned: ms(10) });
        assert_eq!(pacer.next_due(ms(10)), Due::Over);
        assert_eq!(pacer.next_due(ms(9999)), Due::Over);
    }

    #[test]
    fn a_late_sender_catches_up_and_its_lateness_is_kept() {
        let mut pacer = pacer(5);
        assert_eq!(pacer.next_due(ms(0)), Due::Now { planned: ms(0) });
        assert!(pacer.kept_up(ms(0)));
        for planned in [10, 20, 30] {
            assert_eq!(pacer.next_due(ms(35)), Due::Now { planned: ms(planned) });
        }
        assert_eq!(pacer.next_due(ms(35)), Due::In(ms(5)), "it has caught up");
        let lateness = pacer.lateness().percentiles();
        assert_eq!((lateness.count, lateness.min, lateness.max), (4, ms(0), ms(25)));
        assert!(!pacer.kept_up(ms(20)));
        assert!(pacer.kept_up(ms(25)));
    }

    #[test]
    fn waiting_gives_out_all_and_none_early() {
        let mut pacer = pacer(4);
        let mut planned = Vec::new();
        while let Some(offset) = pacer.wait() {
            assert!(pacer.now() >= offset);
            planned.push(offset);
        }
        assert_eq!(planned, [0, 10, 20, 30].map(ms));
        assert_eq!(pacer.lateness().count(), 4);
    }
}
