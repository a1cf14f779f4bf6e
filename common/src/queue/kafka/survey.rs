//! How far a whole group is with a topic, asked for when somebody wants to
//! know. A thread asks, for the answers take their time.

use super::balance::Tally;
use super::context::Notes;
use super::depth;
use super::settings::Settings;
use crate::queue::QueueError;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// An answer: how far all is, and since when that is known. None: the brokers
/// did not say.
pub(super) type Told = Option<(Tally, Instant)>;

/// The thread, from outside. It ends when this is dropped.
pub(super) struct Survey {
    asks: Sender<()>,
    tallies: Receiver<Told>,
    is_asked: bool,
}

impl Survey {
    /// Starts the thread, for one topic.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn start(
        settings: &Settings,
        notes: &Notes,
        topic: &str,
    ) -> Result<Self, QueueError> {
        let (asks, asked) = channel();
        let (told, tallies) = channel();
        let (settings, notes, topic) = (settings.clone(), notes.clone(), topic.to_owned());
        let answer = move || depth::tell(&settings, &notes, &topic, &asked, &told);
        std::thread::Builder::new()
            .name("survey".to_owned())
            .spawn(answer)
            .map_err(QueueError::io("starting a thread"))?;
        Ok(Self { asks, tallies, is_asked: false })
    }

    /// Asks, unless an answer is on its way.
    pub(super) fn ask(&mut self) {
        // Without brokers the thread ends, and there is nothing to be told.
        if !self.is_asked && self.asks.send(()).is_ok() {
            self.is_asked = true;
        }
    }

    /// The answer, once it is there. One that failed is asked for again.
    pub(super) fn answer(&mut self) -> Told {
        let answer = self.tallies.try_recv().ok()?;
        self.is_asked = false;
        answer
    }
}
