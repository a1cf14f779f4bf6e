//! What goes into a collector, and what it keeps of a reply.

use super::book::{Book, Past};
use super::children::Children;
use crate::cli::log::Log;
use crate::event::Control;
use crate::invoker::DeadSink;
use crate::poll::Poller;
use crate::queue::{Desk, Port, Receipt};
use crate::signals::Signals;
use std::rc::Rc;
use std::time::Duration;

/// What a collector is made of.
pub(super) struct Parts {
    /// Every queue of the run: connection and name.
    pub(super) queues: Vec<(usize, String)>,
    pub(super) desk: Desk,
    pub(super) poller: Rc<Poller>,
    pub(super) signals: Signals,
    pub(super) replies: Port,
    pub(super) results: Port,
    pub(super) children: Children,
    pub(super) dead: DeadSink,
    pub(super) log: Log,
    pub(super) book: Book,
    pub(super) past: Option<Past>,
    /// How long a message may be in no queue and yet be worked on.
    pub(super) unseen: Duration,
}

/// A reply that is shown, or has nothing to show: it can be acknowledged.
pub(super) struct Shown {
    pub(super) receipt: Receipt,
    pub(super) control: Control,
    pub(super) key: String,
    pub(super) fresh: bool,
    pub(super) ended: bool,
}
