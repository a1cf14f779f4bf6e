//! A function that an invoker serves, and how busy it is.

use super::order::Turns;
use super::work::{Timing, Work};
use crate::chain::KeepWarm;
use crate::queue::Port;
use crate::worker::keep::{self, KeepPolicy};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much work may be fetched ahead, in seconds.
const AHEAD_S: f64 = 0.001;
/// Most messages fetched ahead.
const AHEAD_MAX: usize = 64;
/// Calls measured before any is.
const AHEAD_SAMPLES: u64 = 8;

/// What an invoker is to serve.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Its index in the chain.
    pub function: usize,
    /// Where its messages come from.
    pub from: Port,
    /// Calls at once; of a filter with a pipeline, processes.
    pub concurrency: usize,
    /// Settle before the function runs, and never try again.
    pub at_most_once: bool,
    /// Hand over in the order of intake.
    pub keep_order: bool,
}

/// How busy it is.
pub(super) struct Served {
    pub(super) serve: Serve,
    /// Calls under way.
    pub(super) running: usize,
    /// Messages done whose hand-off waits for room, or is on its way.
    pub(super) handing: usize,
    /// Those of them that wait for room.
    pub(super) stuck: usize,
    /// Messages that are settled before their function runs.
    pub(super) settling: usize,
    /// Messages that wait out a back-off, or for a worker after it.
    pub(super) backing_off: usize,
    /// Those whose back-off is over.
    pub(super) due: VecDeque<Work>,
    /// Dead letters that wait for room in their queue; they hold no worker.
    pub(super) burying: usize,
    /// What is done and waits for its turn in the order of intake.
    pub(super) turns: Turns,
    /// Whether there may be something to take.
    pub(super) look: bool,
    pub(super) listening: bool,
    /// How many messages its queue may fetch ahead.
    pub(super) ahead: usize,
    /// No intake before this: the function's server asked for a pause.
    pub(super) paused_until: Option<Instant>,
    /// Whether processes started ahead end before their message comes.
    pub(super) is_hopeless: bool,
    pub(super) keep: Box<dyn KeepPolicy>,
    pub(super) last_arrival: Option<Instant>,
    pub(super) timing: Timing,
}

impl Served {
    pub(super) fn new(serve: Serve, keep: KeepWarm) -> Self {
        Self {
            serve,
            running: 0,
            handing: 0,
            stuck: 0,
            settling: 0,
            backing_off: 0,
            due: VecDeque::new(),
            burying: 0,
            turns: Turns::default(),
            look: true,
            listening: false,
            ahead: 0,
            paused_until: None,
            is_hopeless: false,
            keep: keep::policy(keep),
            last_arrival: None,
            timing: Timing::default(),
        }
    }

    /// How many messages may be fetched ahead: what its workers do in a
    /// millisecond, so that a slow host does not hoard what an idle one could
    /// run (DIFFUSE, section 5.4).
    pub(super) fn worth_ahead(&self) -> usize {
        let mean_s = self.timing.run.seconds();
        if self.timing.run.count() < AHEAD_SAMPLES || mean_s <= 0.0 {
            return 0;
        }
        let each = (AHEAD_S / mean_s).floor().min(AHEAD_MAX as f64);
        ((each as usize) * self.serve.concurrency).min(AHEAD_MAX)
    }

    /// A message came.
    pub(super) fn arrived(&mut self, now: Instant) {
        if let Some(last) = self.last_arrival.replace(now) {
            self.keep.arrived(now - last);
        }
    }

    /// A process became ready.
    pub(super) fn booted(&mut self, boot: Duration) {
        self.keep.booted(boot);
        self.timing.boot.add(boot);
    }

    /// A call ended.
    pub(super) fn ran(&mut self, run: Duration) {
        self.keep.ran(run);
        self.timing.run.add(run);
    }
}
