//! What becomes of each message that is moved from queue to queue.

use super::Step;
use crate::error::{Failure, Result};
use crate::event::{CONTROL_PREFIX, Event};
use crate::exit::Exit;
use crate::look::Filter;
use crate::queue::{Key, Port, Taken};
use std::collections::HashSet;

/// Moves those messages that are meant, and leaves the others.
pub struct Mover {
    /// Which are meant, and what is made of them.
    pub filter: Filter,
    /// Where they go; none when they are removed.
    pub to: Option<Port>,
    /// Whether they lose what a failure added to them.
    pub strips: bool,
    /// Source and id of what has arrived before: it is settled, not sent.
    pub there: HashSet<Key>,
    /// Is told what could not be moved.
    pub tell: Box<dyn FnMut(&Failure)>,
    /// How many could not be moved.
    pub failed: u64,
    /// How many had arrived before.
    pub skipped: u64,
}

impl Mover {
    /// What to do with a message that was taken. What cannot be judged or
    /// remade is told of, and stays where it is.
    ///
    /// # Errors
    /// None; the type is that of all steps.
    pub fn step(&mut self, taken: Taken) -> Result<Step> {
        let id = taken.event.id.clone();
        Ok(match self.made(taken) {
            Ok(step) => step,
            Err(why) => {
                self.failed += 1;
                let action = if self.to.is_some() { "move" } else { "remove" };
                let object = format!("message {id}");
                (self.tell)(&Failure::new(Exit::SomeFailed, action, object, why));
                Step::Keep(Vec::new())
            }
        })
    }

    fn made(&mut self, taken: Taken) -> std::result::Result<Step, String> {
        if let (Some(fault), Some(_)) = (taken.fault, self.to) {
            return Err(fault);
        }
        if !self.filter.picks(&taken.event)? {
            return Ok(Step::Keep(Vec::new()));
        }
        let Some(to) = self.to else { return Ok(Step::Send(Vec::new())) };
        if self.there.remove(&(taken.event.source.clone(), taken.event.id.clone())) {
            self.skipped += 1;
            return Ok(Step::Skip);
        }
        let mut event = self.filter.remade(taken.event)?;
        if self.strips {
            strip(&mut event);
        }
        Ok(Step::Send(vec![(to, event)]))
    }
}

/// Takes off what a failure added: then attempts begin anew.
pub fn strip(event: &mut Event) {
    event.extensions.retain(|name, _| !name.starts_with(CONTROL_PREFIX));
}
