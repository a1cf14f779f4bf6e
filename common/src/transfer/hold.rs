//! Keeping what was taken, and not settled, from others.

use super::{SIGNALS, Transfer};
use crate::error::{Failure, Result};
use crate::limits::IDLE_LOOK_MS;
use crate::poll::Interest;
use crate::queue::QueueError;
use crate::signals::Signals;
use std::time::{Duration, Instant};

/// How long answers are waited for at the end.
const LAST_MAX: Duration = Duration::from_millis(100);

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether something was told of meanwhile: others took some of it.
    pub is_disturbed: bool,
}

impl Transfer {
    /// Keeps what was not settled from others for so long, or until a signal
    /// comes.
    ///
    /// # Errors
    /// The middleware is gone.
    pub fn hold(&mut self, most: Duration) -> Result<Held> {
        let begin = Instant::now();
        let failed = |error: QueueError| error.failure("hold", &self.doing.1);
        let mut signals =
            Signals::catch().map_err(|error| Failure::io("catch", "signals", &error))?;
        self.poller
            .add(&signals, SIGNALS, Interest::Read)
            .map_err(|error| Failure::io("wait for", "signals", &error))?;
        self.desk.listen(self.from, false).map_err(failed)?;
        let mut held = Held { signal: None, is_disturbed: false };
        // Whoever was stopped meanwhile still asks whose it is.
        while begin.elapsed() < most && held.signal.is_none() {
            let left = most.saturating_sub(begin.elapsed());
            self.step(left.min(Duration::from_millis(IDLE_LOOK_MS)), &mut held)?;
            held.signal = signals.next();
        }
        self.step(LAST_MAX, &mut held)?;
        Ok(held)
    }

    fn step(&mut self, sleep: Duration, held: &mut Held) -> Result<()> {
        let failed = |error: QueueError| error.failure("hold", &self.doing.1);
        let notices = self.desk.look_after().map_err(failed)?;
        self.desk.flush().map_err(failed)?;
        let mut ready = Vec::new();
        let woken = self.poller.wait(sleep, &mut ready);
        woken.map_err(|error| Failure::io("wait for", "time", &error))?;
        for one in ready {
            if self.desk.owns(one.token) {
                self.desk.on_ready(one);
            }
        }
        self.desk.advance().map_err(failed)?;
        for notice in notices {
            held.is_disturbed = true;
            self.log.line(&notice);
        }
        Ok(())
    }
}
