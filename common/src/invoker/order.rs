//! Handing over in the order of intake, where that is asked for: what is done
//! early waits for what was taken before it.

use super::Work;
use crate::chain::route::Emission;
use std::collections::BTreeMap;

/// Whose turn it is, for one function.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The order of the next message that is taken.
    taken: u64,
    /// The order of the message whose turn it is.
    next: u64,
    /// Whether the one before it still waits for room.
    is_busy: bool,
    waiting: BTreeMap<u64, (Work, Vec<Emission>)>,
}

impl Turns {
    /// Numbers a message that is taken.
    pub(super) fn take(&mut self) -> u64 {
        self.taken += 1;
        self.taken - 1
    }

    /// Puts what is done into the line.
    pub(super) fn push(&mut self, work: Work, emissions: Vec<Emission>) {
        self.waiting.insert(work.order, (work, emissions));
    }

    /// What may be handed over now.
    pub(super) fn pop(&mut self) -> Option<(Work, Vec<Emission>)> {
        if self.is_busy {
            return None;
        }
        let next = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(next)
    }

    /// Notes whether what was handed over last still waits for room.
    pub(super) fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
