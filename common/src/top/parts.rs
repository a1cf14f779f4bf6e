//! What the model is made of.

use crate::queue::QueueStat;
use std::collections::VecDeque;

/// Depths kept for the sparkline of a queue.
const HISTORY: usize = 60;
/// Lines that a page goes.
const PAGE: usize = 10;

/// A queue in the list.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) url: String,
    /// Which of the watched middlewares it is on.
    pub(super) source: usize,
    pub(super) stat: QueueStat,
    pub(super) is_bounded: bool,
    pub(super) counts_held: bool,
    /// Sent and done in a second, since the look before.
    pub(super) rates: Option<(f64, f64)>,
    pub(super) depths: VecDeque<u64>,
}

impl Row {
    /// A queue at this look, with what is kept of the looks before.
    pub(super) fn seen(
        old: Option<Self>,
        source: usize,
        listed: Listed,
        took_s: Option<f64>,
    ) -> Self {
        let Listed { url, stat, is_bounded, counts_held } = listed;
        let rates = old.as_ref().zip(took_s).and_then(|(old, took_s)| {
            let rate = |old: Option<u64>, new: Option<u64>| {
                Some(new?.saturating_sub(old?) as f64 / took_s)
            };
            let sent = rate(old.stat.sent_total, stat.sent_total);
            sent.zip(rate(old.stat.done_total, stat.done_total))
        });
        let mut depths = old.map(|old| old.depths).unwrap_or_default();
        depths.push_back(stat.depth);
        if depths.len() > HISTORY {
            depths.pop_front();
        }
        Self { url, source, stat, is_bounded, counts_held, rates, depths }
    }

    pub(super) fn middleware(&self) -> &str {
        self.url.strip_suffix(&self.stat.name).unwrap_or(&self.url).trim_end_matches('/')
    }
}

/// What is watched: a middleware, or a queue of one.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) is_queue: bool,
}

/// What one look at a middleware came to.
#[derive(Debug)]
pub(super) struct Sample {
    /// Which of the watched middlewares.
    pub(super) source: usize,
    /// When, in milliseconds since the start.
    pub(super) at_ms: u64,
    /// Its queues, or why nobody knows.
    pub(super) queues: Result<Vec<Listed>, String>,
}

/// A queue as a look found it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) url: String,
    pub(super) stat: QueueStat,
    /// Whether it can be full.
    pub(super) is_bounded: bool,
    /// Whether it is known how many messages readers hold.
    pub(super) counts_held: bool,
}

/// What of an opened queue was not shown yet, and waits to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ahead {
    #[default]
    Nothing,
    Some(u64),
    /// Counting them would take long.
    Many,
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
    /// Show the next messages of it.
    More,
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

impl Key {
    /// Where it moves a cursor to, if it does.
    pub(super) fn moves(self, at: usize, last: usize) -> Option<usize> {
        Some(match self {
            Self::Up | Self::Letter('k') => at.saturating_sub(1),
            Self::Down | Self::Letter('j') => (at + 1).min(last),
            Self::PageUp => at.saturating_sub(PAGE),
            Self::PageDown => (at + PAGE).min(last),
            Self::Home | Self::Letter('g') => 0,
            Self::End | Self::Letter('G') => last,
            _ => return None,
        })
    }
}
