//! What a middleware can do, as data: printed by `faas-queue ls -v`, used by
//! `faas-chain check`, and the key by which the conformance suite picks tests.

use super::Order;

/// What happens to a sender that finds a queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenFull {
    /// It waits for room.
    Block,
    /// It is told so.
    Reject,
    /// The oldest message makes room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

impl WhenFull {
    /// The word used in chain files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Reject => "reject",
            Self::DropOldest => "drop-oldest",
            Self::DropNewest => "drop-newest",
        }
    }
}

/// Who of several waiting readers gets the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The one that has waited longest.
    FirstCome,
    /// Any of them.
    Any,
    /// The one that has the message's partition.
    ByPartition,
}

/// What may go wrong with a message under one kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaws {
    /// It may be lost.
    pub may_lose: bool,
    /// It may be delivered again.
    pub may_duplicate: bool,
}

impl Flaws {
    /// In words: `may lose, may duplicate`.
    pub fn words(self) -> &'static str {
        match (self.may_lose, self.may_duplicate) {
            (false, false) => "nothing",
            (true, false) => "may lose",
            (false, true) => "may duplicate",
            (true, true) => "may lose, may duplicate",
        }
    }
}

/// One middleware's abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The URL scheme.
    pub scheme: &'static str,
    /// In words.
    pub title: &'static str,
    /// Whether several processes can share a queue.
    pub between_processes: bool,
    /// Orders a queue can have; the first is the default.
    pub orders: &'static [Order],
    /// What can happen when full; the first is the default.
    pub when_full: &'static [WhenFull],
    /// Capacity of a queue made without asking, in messages.
    pub capacity_default: u64,
    /// How waiting readers are served.
    pub waiting: Waiting,
    /// Whether each message is acknowledged on its own.
    pub acknowledge: bool,
    /// Whether a message can be sent to arrive later.
    pub delayed: bool,
    /// Whether a message can be looked at without taking it.
    pub peek: bool,
    /// Whether messages that were taken can be read again.
    pub replay: bool,
    /// Whether outputs and acknowledgement are one atomic step.
    pub atomic_settle: bool,
    /// Whether effects inside the middleware happen exactly once, where that
    /// is asked for.
    pub exactly_once: bool,
    /// Whether a message that was sent twice, by whoever settles elsewhere, is
    /// known by its id and left out.
    pub drops_known_ids: bool,
    /// Whether parts of a join can meet at a queue.
    pub gather: bool,
    /// Whether its queues are seen on one host alone.
    pub on_one_host: bool,
    /// Whether a queue has a capacity.
    pub bounded: bool,
    /// Whether it can tell waiting messages from those in work.
    pub counts_held: bool,
    /// How many queues are tested to work at once; none where the system's
    /// limits say.
    pub queues_tested: Option<u32>,
    /// How many events a sender of many keeps on their way to it.
    pub under_way_max: usize,
    /// When a process is killed.
    pub process_killed: Flaws,
    /// When the host or the broker is lost.
    pub host_lost: Flaws,
}

/// The rows of the table people see: what it is, and each middleware's cell.
pub fn table_rows(of: &[&Capabilities]) -> Vec<Vec<String>> {
    type Cell = fn(&Capabilities) -> String;
    const ROWS: [(&str, Cell); 14] = [
        ("order", |c| words(c.orders.iter().map(|o| o.word()))),
        ("when full", |c| words(c.when_full.iter().map(|w| w.word()))),
        ("capacity unless asked", |c| match c.bounded {
            true => c.capacity_default.to_string(),
            false => "no bound".into(),
        }),
        ("waiting readers", |c| match c.waiting {
            Waiting::FirstCome => "first come, first served".into(),
            Waiting::Any => "any".into(),
            Waiting::ByPartition => "who has the partition".into(),
        }),
        ("acknowledge each", |c| yes(c.acknowledge)),
        ("delayed delivery", |c| yes(c.delayed)),
        ("peek", |c| yes(c.peek)),
        ("replay", |c| yes(c.replay)),
        ("atomic hand-off", |c| yes(c.atomic_settle)),
        ("exactly once", |c| yes(c.exactly_once)),
        ("known ids left out", |c| yes(c.drops_known_ids)),
        ("joins (gather)", |c| yes(c.gather)),
        ("process killed", |c| c.process_killed.words().to_owned()),
        ("host or broker lost", |c| c.host_lost.words().to_owned()),
    ];
    ROWS.iter()
        .map(|(name, cell)| {
            std::iter::once((*name).to_owned()).chain(of.iter().map(|c| cell(c))).collect()
        })
        .collect()
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn yes(can: bool) -> String {
    if can { "yes" } else { "no" }.to_owned()
}
