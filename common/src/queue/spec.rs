//! How a queue is asked for, what was granted, and what it looks like now.

use super::WhenFull;

/// The order of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// First in, first out.
    Fifo,
    /// Last in, first out.
    Lifo,
}

impl Order {
    /// The word used in chain files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Lifo => "lifo",
        }
    }
}

/// What a queue should be like. `None` leaves it to the middleware. Demands
/// are refused when they cannot be kept; wishes are granted as far as can be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSpec {
    /// Messages it can hold.
    pub capacity: Option<u64>,
    /// Bytes a message may have before its body goes beside the queue.
    pub message_size: Option<u64>,
    /// Order of delivery.
    pub order: Option<Order>,
    /// What happens to a sender that finds it full.
    pub when_full: Option<WhenFull>,
    /// Whether the fields above are demands.
    pub demand: bool,
    /// The run it belongs to.
    pub run: Option<String>,
    /// Where senders must never wait: most bytes that may wait beside it when
    /// it is full.
    pub spill: Option<u64>,
}

/// What a new queue is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Messages it can hold.
    pub capacity: u64,
    /// Bytes a message may have before its body goes beside the queue.
    pub message_size: u64,
}

/// A queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStat {
    /// Name as in the URL, without the scheme.
    pub name: String,
    /// Messages waiting, also those that a reader left that is gone, as soon
    /// as the middleware knows that it is.
    pub depth: u64,
    /// Messages taken and not settled.
    pub held: u64,
    /// Messages it can hold.
    pub capacity: u64,
    /// Bytes a message may have before its body goes beside the queue.
    pub message_size: u64,
    /// Processes that have it open to take from it.
    pub readers: u64,
    /// The run it belongs to.
    pub run: Option<String>,
    /// Whether that run's runner is gone and left it behind.
    pub orphaned: bool,
    /// When it was created, RFC 3339; unknown for queues others made.
    pub created: Option<String>,
    /// Messages that were ever sent to it, where that is counted.
    pub sent_total: Option<u64>,
    /// Of them, those that are done or were removed.
    pub done_total: Option<u64>,
}

/// What takes longer to find out about a queue. What a middleware does not
/// know is `None`, or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueDetail {
    /// Who takes from it.
    pub readers: Vec<ReaderStat>,
    /// When its oldest message that is not done was sent, in milliseconds
    /// since 1970.
    pub oldest_ms: Option<u64>,
    /// Messages held now that were delivered before; on Kafka those, at most
    /// one of a partition, that a reader died of.
    pub redelivered: Option<u64>,
    /// The order of delivery; of a queue of several partitions, in each.
    pub order: Option<Order>,
    /// What happens to a sender that finds it full.
    pub when_full: Option<WhenFull>,
    /// Partitions it has.
    pub partitions: Option<u64>,
}

/// One who takes from a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReaderStat {
    /// Who: its name there, a process.
    pub name: String,
    /// Where: an address, a program.
    pub place: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Messages it holds.
    pub held: Option<u64>,
}

/// The run that a queue's name on a broker says it belongs to:
/// `faas.RUN.FUNCTION`.
pub fn run_of(name: &str) -> Option<&str> {
    let (run, function) = name.strip_prefix("faas.")?.split_once('.')?;
    (!run.is_empty() && !function.is_empty()).then_some(run)
}
