//! What the model is made of.

use crate::queue::QueueStat;
use std::collections::VecDeque;

/// A queue in the list.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) url: String,
    /// Which of the watched middlewares it is on.
    pub(super) source: usize,
    pub(super) stat: QueueStat,
    pub(super) is_bounded: bool,
    /// Sent and done in a second, since the look before.
    pub(super) rates: Option<(f64, f64)>,
    pub(super) depths: VecDeque<u64>,
}

impl Row {
    pub(super) fn middleware(&self) -> &str {
        self.url.strip_suffix(&self.stat.name).unwrap_or(&self.url).trim_end_matches('/')
    }
}

/// What one look at a middleware came to.
#[derive(Debug)]
pub(super) struct Sample {
    /// Which of the watched middlewares.
    pub(super) source: usize,
    /// When, in milliseconds since the start.
    pub(super) at_ms: u64,
    /// URL, state and whether it is bounded, of each queue; or why nobody knows.
    pub(super) queues: Result<Vec<(String, QueueStat, bool)>, String>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Depth,
    In,
    Out,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Depth => "depth",
            Self::In => "in",
            Self::Out => "out",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Name => Self::Depth,
            Self::Depth => Self::In,
            Self::In => Self::Out,
            Self::Out => Self::Name,
        }
    }
}

/// What is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    Queues,
    /// Messages of the queue of this URL.
    Messages(String),
}

/// What lies over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    Help,
    /// A filter is typed.
    Filter,
    /// A question, and what follows from yes.
    Ask(String, Deed),
}

/// What is done with a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Purge(String),
    Redrive(String),
}

impl Deed {
    /// The queue it is done with.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Purge(url) | Self::Redrive(url) => url,
        }
    }
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Leave,
    /// Show messages of this queue, and those that come if so.
    Open {
        url: String,
        follows: bool,
    },
    /// Stop showing messages.
    Close,
    Do(Deed),
}

/// A key, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Back,
    Erase,
    Interrupt,
}
