//! What becomes of each message that is copied.

use super::{CopyJournal, Step};
use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::look::Filter;
use crate::queue::{Port, Taken};

/// Copies those messages that are meant.
pub struct Copier {
    /// Which are meant, and what is made of them.
    pub filter: Filter,
    /// Where they go; none when they are only counted.
    pub to: Option<Port>,
    /// How far it is, where that is noted.
    pub journal: Option<CopyJournal>,
    /// Where to say what could not be copied.
    pub log: Log,
}

impl Copier {
    /// What to do with a message that was looked at. What is no event here is
    /// one there: its body is what it was.
    ///
    /// # Errors
    /// None; the type is that of all steps.
    pub fn step(&mut self, taken: Taken) -> Result<Step> {
        if self.journal.as_mut().is_some_and(|journal| journal.is_there(&taken)) {
            return Ok(Step::Skip);
        }
        let event = taken.event;
        let id = event.id.clone();
        let made = match self.filter.picks(&event) {
            Ok(false) => return Ok(Step::Skip),
            Ok(true) => self.filter.remade(event),
            Err(why) => Err(why),
        };
        Ok(match made {
            Ok(event) => Step::Send(self.to.map(|to| (to, event)).into_iter().collect()),
            Err(why) => {
                let object = format!("message {id}");
                self.log.failure(&Failure::new(Exit::SomeFailed, "copy", object, why));
                Step::Bad(Vec::new())
            }
        })
    }

    /// So many have arrived.
    ///
    /// # Errors
    /// That cannot be noted.
    pub fn arrived(&mut self, count: u64) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.arrived(count))
    }
}
