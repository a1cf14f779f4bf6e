//! Whether a run still moves: for how long nothing has waited in its queues
//! and nothing was in work.

use crate::queue::{Desk, QueueError};
use std::time::{Duration, Instant};

/// While replies come this often, nobody asks whether all is still.
const MOVING: Duration = Duration::from_secs(1);

/// How much longer than one such question the others are left alone: asking
/// takes long when a broker has died, and replies wait meanwhile.
const ASKING_SHARE: u32 = 10;

/// They are never left alone for longer.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// See the module.
pub(super) struct Stillness {
    /// Queues of the run, with the connection of each.
    queues: Vec<(usize, String)>,
    /// How long all must have been still.
    enough: Duration,
    since: Option<Instant>,
    last_reply: Instant,
    ask_again: Instant,
}

impl Stillness {
    /// Of a run that has just begun to move.
    pub(super) fn new(queues: Vec<(usize, String)>, enough: Duration) -> Self {
        let now = Instant::now();
        Self { queues, enough, since: None, last_reply: now, ask_again: now }
    }

    /// A reply came.
    pub(super) fn moved(&mut self) {
        self.since = None;
        self.last_reply = Instant::now();
    }

    /// Whether nothing has moved for long enough; no while nobody knows.
    ///
    /// # Errors
    /// A queue is gone, or its broker is of no use any more.
    pub(super) fn is_reached(&mut self, desk: &mut Desk) -> Result<bool, QueueError> {
        let began = Instant::now();
        if began < self.ask_again {
            return Ok(false);
        }
        // Asking a broker takes time; while replies come there is no need.
        let is_still = self.last_reply.elapsed() >= MOVING && self.is_empty(desk)?;
        if !is_still {
            self.since = None;
            let pause = (ASKING_SHARE * began.elapsed()).min(PAUSE_MAX);
            self.ask_again = Instant::now() + pause;
            return Ok(false);
        }
        Ok(self.since.get_or_insert_with(Instant::now).elapsed() >= self.enough)
    }

    /// Nothing waits, nothing is in work.
    fn is_empty(&self, desk: &mut Desk) -> Result<bool, QueueError> {
        for (connection, name) in &self.queues {
            let stat = match desk.connection(*connection).stat(name) {
                // A broker that is away is waited for.
                Err(QueueError::Unreachable { .. }) => return Ok(false),
                stat => stat?,
            };
            if stat.depth > 0 || stat.held > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
