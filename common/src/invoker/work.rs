//! A message in work, and the count of what became of messages.

use crate::event::Event;
use crate::queue::Receipt;
use crate::units::show_duration;
use crate::worker::exec::Call;
use crate::worker::keep::Mean;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A call under way.
#[derive(Debug)]
pub(super) enum Running {
    /// By a process of its own.
    Exec(Box<Call>),
    /// By the warm process of this number.
    Filter(u64),
    /// By HTTP, on the connection of this number once there is one.
    Web(Option<u64>),
}

/// A message that was taken and is not settled.
#[derive(Debug)]
pub(super) struct Work {
    /// Number of this work.
    pub(super) number: u64,
    /// Index of the served function.
    pub(super) served: usize,
    /// What settles it; none once it is settled, which with at-most-once
    /// delivery is before its function runs.
    pub(super) receipt: Option<Receipt>,
    /// Its place in the order of intake.
    pub(super) order: u64,
    /// Whether it went through the intake's checks: parts gathered, settled
    /// where that comes first.
    pub(super) admitted: bool,
    pub(super) event: Event,
    /// Attempts started so far, by whomever.
    pub(super) attempts: u32,
    /// How many of them ended by no fault of the function.
    pub(super) crashes: u32,
    /// How often the process it was meant for was gone before.
    pub(super) unasked: u32,
    /// Why it cannot be worked on; a part still goes to the others of its join.
    pub(super) fault: Option<String>,
    /// How often what it led to could not be sent, ever.
    pub(super) refusals: u32,
    /// When the call under way is over its time.
    pub(super) due: Option<Instant>,
    /// When it began.
    pub(super) began: Instant,
}

/// A hand-off that is not done.
#[derive(Debug)]
pub(super) struct Handing {
    /// The message, should its outputs be refused.
    pub(super) work: Work,
    /// Whether it is that of a dead letter with a queue of its own.
    pub(super) is_letter: bool,
    /// Whether it waited for room when it began.
    pub(super) waited: bool,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that succeeded.
    pub done: u64,
    /// Messages whose branch ended quietly.
    pub dropped: u64,
    /// Dead letters.
    pub dead: u64,
    /// Attempts after a first.
    pub retried: u64,
}

/// What calls of one function cost.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    /// Calls that waited for a process to start.
    pub cold_starts: u64,
    /// From a start until it was ready; of what is kept warm or started ahead.
    pub boot: Mean,
    /// From a call's begin to its end.
    pub run: Mean,
    /// From a call's begin to the end of its output, of processes that are
    /// started for one message.
    pub output: Samples,
}

impl std::fmt::Display for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |mean: &Mean| show_duration(Duration::from_secs_f64(mean.seconds()));
        write!(f, "{} calls, {} cold", self.run.count(), self.cold_starts)?;
        if self.boot.count() > 0 {
            write!(f, ", boot {}", show(&self.boot))?;
        }
        if self.run.count() > 0 {
            write!(f, ", run {}", show(&self.run))?;
        }
        Ok(())
    }
}

/// The latest of some durations.
#[derive(Debug, Clone, Default)]
pub struct Samples(VecDeque<f64>);

impl Samples {
    /// How many are kept.
    const MOST: usize = 256;

    /// One more.
    pub fn add(&mut self, duration: Duration) {
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(duration.as_secs_f64());
    }

    /// Their median, in seconds; zero of nothing.
    pub fn median_s(&self) -> f64 {
        let samples: Vec<f64> = self.0.iter().copied().collect();
        crate::stats::median(&samples).unwrap_or(0.0)
    }
}
