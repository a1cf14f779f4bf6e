//! The middleware abstraction. A *connection* to one middleware creates,
//! opens and lists queues, takes messages and settles hand-offs. Nothing in
//! it blocks: a call does what it can, and descriptors in the caller's
//! [`Poller`] tell when to call again.

mod capability;
mod desk;
mod error;
pub mod gather;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod mem;
mod middleware;
pub mod mqueue;
pub mod pipe;
#[cfg(feature = "redis")]
pub mod redis;
mod spec;
mod tap;
mod url;
mod view;

pub use capability::{Capabilities, Flaws, Waiting, WhenFull, table_rows};
pub use desk::{Desk, Handed, Handoff, Port};
pub use error::QueueError;
pub(crate) use error::as_typed;
pub use gather::Gathered;
pub use middleware::{MIDDLEWARES, Middleware, connect, find};
pub use spec::{Granted, Order, QueueDetail, QueueSpec, QueueStat, ReaderStat, run_of};
pub use url::{QueueUrl, UrlError};
pub use view::{Key, Places, Position, Range, Seen, View, keys_from, look_through, view};

use crate::error::Failure;
use crate::event::Event;
use crate::exit::Exit;
use crate::poll::{Poller, Ready};
use std::rc::Rc;

/// A queue that a connection has open; means nothing outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u32);

/// A message that was taken and is not settled; means nothing outside the
/// connection it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub u64);

/// A message as it was taken from a queue.
#[derive(Debug)]
pub struct Taken {
    /// What settles it.
    pub receipt: Receipt,
    /// The queue it came from.
    pub queue: QueueId,
    /// The event.
    pub event: Event,
    /// How often a worker was started for it already, by whomever.
    pub attempts: u32,
    /// Set when the message cannot be worked on: it is damaged, or it ended
    /// the process that had it before. It goes to the dead letters.
    pub fault: Option<String>,
}

impl Taken {
    /// What a person is told of a record that is no event, or of a damaged
    /// message; nothing when it can be worked on.
    pub fn failure(&self) -> Option<Failure> {
        let fault = self.fault.as_deref()?;
        let line = fault.split_once(": ").filter(|(line, _)| line.starts_with("line "));
        let (object, reason) = line.unwrap_or(("a message", fault));
        let failure = Failure::new(Exit::SomeFailed, "read", object, reason);
        Some(match line {
            None => failure,
            Some((_, reason)) if reason.contains("over the limit") => {
                failure.cure("--max-line, with a larger size")
            }
            Some(_) => failure.cure("-i lines, which never parses"),
        })
    }
}

/// An event on its way to a queue of the same connection.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub queue: QueueId,
    /// What.
    pub event: Event,
}

/// The hand-off: what was taken is done, and these events follow from it
/// (outputs, ended credit, dead letters). One operation, atomic where the
/// middleware can; otherwise sent in order, then acknowledged. With nothing
/// taken it is a plain send.
#[derive(Debug, Default)]
pub struct Settlement {
    /// The caller's name for it.
    pub ticket: u64,
    /// Messages that are done.
    pub taken: Vec<Receipt>,
    /// Events that follow from them.
    pub outputs: Vec<Outgoing>,
}

/// How far a settlement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All of it.
    Done,
    /// Some queue has no room; the connection keeps the rest and goes on in
    /// [`Connection::resume`].
    Waiting,
    /// It is on its way; the middleware's answer comes with
    /// [`Connection::resume`]. Nobody waits for room.
    Sent,
}

/// A connection to one middleware.
pub trait Connection {
    /// What this middleware can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// Creates a queue.
    ///
    /// # Errors
    /// It exists, a limit is reached, or a demand cannot be kept.
    fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError>;

    /// Removes a queue and all it holds.
    ///
    /// # Errors
    /// There is none, or it is not ours.
    fn remove(&mut self, name: &str) -> Result<(), QueueError>;

    /// All queues of the middleware that belong to this user.
    ///
    /// # Errors
    /// The middleware cannot be asked.
    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError>;

    /// Their names alone, where that takes less time.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    fn names(&mut self) -> Result<Vec<String>, QueueError> {
        Ok(self.list()?.into_iter().map(|stat| stat.name).collect())
    }

    /// One queue.
    ///
    /// # Errors
    /// There is none, or it is not ours.
    fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError>;

    /// Whether somebody takes from a queue; no when that cannot be told at
    /// once. Asked in a loop that has other things to do.
    fn is_watched(&mut self, name: &str) -> bool {
        self.stat(name).is_ok_and(|stat| stat.readers > 0)
    }

    /// From now on nobody waits for what is on its way: going takes no longer
    /// because of it, and it may not arrive.
    fn forget_outputs(&mut self) {}

    /// What takes longer to find out about a queue.
    ///
    /// # Errors
    /// There is none, or the middleware is gone.
    fn detail(&mut self, _name: &str) -> Result<QueueDetail, QueueError> {
        let order = self.capabilities().orders.first().copied();
        Ok(QueueDetail { order, ..QueueDetail::default() })
    }

    /// Looks at a queue; see [`View`].
    ///
    /// # Errors
    /// There is none, the position cannot be found, or this middleware cannot.
    fn view(&mut self, name: &str, _range: &Range) -> Result<Box<dyn View>, QueueError> {
        let url = self.url_of(name);
        Err(QueueError::Refused {
            what: format!("{}: messages can only be taken", self.capabilities().scheme),
            alternative: format!("faas-queue get --hold 10s {url}"),
        })
    }

    /// Opens a queue to send to.
    ///
    /// # Errors
    /// There is none, it is not ours, or no descriptors are left.
    fn open_send(&mut self, name: &str) -> Result<QueueId, QueueError>;

    /// Opens a queue to take from, and takes over what dead readers held.
    ///
    /// # Errors
    /// As [`Connection::open_send`].
    fn open_receive(&mut self, name: &str) -> Result<QueueId, QueueError>;

    /// Gives the connection the caller's epoll set. Its tokens are `base`
    /// with anything in the lower 32 bits.
    fn attach(&mut self, poller: Rc<Poller>, base: u64);

    /// Whether the caller wants to be woken when `queue` has a message. Off
    /// while it has no free worker, so that another process is woken instead.
    ///
    /// # Errors
    /// The epoll set refuses the descriptor.
    fn listen(&mut self, queue: QueueId, on: bool) -> Result<(), QueueError>;

    /// Takes up to `max` messages that are there. Where they come over a
    /// network this asks for as many, and readiness tells when they came.
    ///
    /// # Errors
    /// The queue is gone, or its state cannot be read.
    fn try_receive(
        &mut self,
        queue: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError>;

    /// How many messages of a queue may be fetched beyond those asked for,
    /// because they will be worked on at once. For middlewares that are asked
    /// over a network.
    fn read_ahead(&mut self, _queue: QueueId, _count: usize) {}

    /// Counts one more start of a worker for a taken message, where a crash
    /// of this process does not forget it.
    fn count_attempt(&mut self, receipt: Receipt);

    /// Where a condition's watchdog, in a signal handler, may leave a mark
    /// that outlives this process: the message must not be tried again.
    fn poison_mark(&mut self, _receipt: Receipt) -> Option<*const std::sync::atomic::AtomicU32> {
        None
    }

    /// Brings a part (or a token) that was taken from the queue of `join` to
    /// the others of its instance; see [`gather`]. When the join fires, its
    /// parts go with this message: settling it settles them, and whoever
    /// takes it over from a dead process makes the join fire again.
    ///
    /// # Errors
    /// The table cannot be read or written, there is no room for the part, or
    /// this middleware has no such table.
    fn gather(
        &mut self,
        _receipt: Receipt,
        _arrival: gather::Arrival,
        _part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        Err(QueueError::Refused {
            what: format!("{}: has no joins", self.capabilities().scheme),
            alternative: "a chain without joins, or mq:".to_owned(),
        })
    }

    /// Hands over; see [`Settlement`].
    ///
    /// # Errors
    /// An output cannot be sent. Then nothing was sent, nothing taken is lost,
    /// and `settlement` is as it was; otherwise the connection has emptied it.
    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError>;

    /// Sends what was asked for since the last time. Called before the caller
    /// sleeps, so that all of one turn goes out at once.
    ///
    /// # Errors
    /// The middleware is gone for good.
    fn flush(&mut self) -> Result<(), QueueError> {
        Ok(())
    }

    /// From now on hand-offs take effect exactly once, where that has to be
    /// asked for. Before anything is opened.
    ///
    /// # Errors
    /// The middleware cannot.
    fn exactly_once(&mut self) -> Result<(), QueueError> {
        if self.capabilities().exactly_once {
            return Ok(());
        }
        Err(QueueError::Refused {
            what: format!("{}: cannot deliver exactly once", self.capabilities().scheme),
            alternative: "at-least-once".to_owned(),
        })
    }

    /// Goes on with settlements that wait for room; appends the tickets of
    /// those that are done now.
    ///
    /// # Errors
    /// As [`Connection::settle`].
    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError>;

    /// Queues that settlements wait for.
    fn blocked(&self) -> Vec<QueueId>;

    /// Tickets of settlements that found no room.
    fn stuck(&self) -> Vec<u64>;

    /// Of the tickets that came out of [`Connection::resume`], those whose
    /// messages had been taken over by another reader: nothing was sent.
    fn voided(&mut self) -> Vec<u64> {
        Vec::new()
    }

    /// Settlements that were on their way and can never be done: nothing of
    /// them happened, and what was taken is still held.
    fn refused(&mut self) -> Vec<(u64, QueueError)> {
        Vec::new()
    }

    /// What is for `queue` goes to `otherwise` once it is gone.
    fn falls_back(&mut self, _queue: QueueId, _otherwise: QueueId) {}

    /// Notes that there is a run, for whoever wants to join it from anywhere.
    /// Middlewares of one host keep their runs' records elsewhere.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    fn note_run(&mut self, _run: &str, _record: &[u8]) -> Result<(), QueueError> {
        Ok(())
    }

    /// What was noted of a run.
    ///
    /// # Errors
    /// It cannot be read.
    fn run_note(&mut self, _run: &str) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(None)
    }

    /// Forgets the note of a run; one that is not there is no error.
    ///
    /// # Errors
    /// It cannot be removed.
    fn forget_run(&mut self, _run: &str) -> Result<(), QueueError> {
        Ok(())
    }

    /// Tells the connection that one of its descriptors is ready.
    fn on_ready(&mut self, _ready: Ready) {}

    /// The one queue whose message a ready descriptor announces; none when it
    /// may be any.
    fn announces(&self, _ready: Ready) -> Option<QueueId> {
        None
    }

    /// Whether there is something to take that no descriptor announces.
    fn has_more(&self) -> bool {
        false
    }

    /// Whether the middleware was asked for messages and has not said yet if
    /// there are any.
    fn is_asking(&self, _queue: QueueId) -> bool {
        false
    }

    /// Whether nothing can ever come from this queue again: a pipe that ended.
    fn is_exhausted(&self, _queue: QueueId) -> bool {
        false
    }

    /// Whether an open queue is still the one of its name.
    fn is_there(&self, _queue: QueueId) -> bool {
        true
    }

    /// What a person should be told since the last time.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Looks after what no descriptor announces, such as dead readers' messages.
    /// Called at least every [`crate::limits::IDLE_LOOK_MS`].
    ///
    /// # Errors
    /// State of the middleware cannot be read.
    fn look_after(&mut self) -> Result<(), QueueError> {
        Ok(())
    }

    /// From now on what is sent waits for room like anybody's, and for spill
    /// files to be read out, instead of going to one: it begins something new,
    /// and what is under way comes first.
    fn wait_rather_than_spill(&mut self) {}

    /// A folder whose files without a name can become bodies of this
    /// middleware's messages without being copied.
    fn spool_folder(&self) -> Option<std::path::PathBuf> {
        None
    }

    /// Name of an open queue, as in its URL.
    fn name_of(&self, queue: QueueId) -> String;

    /// The URL of a queue, for people.
    fn url_of(&self, name: &str) -> String {
        format!("{}:/{name}", self.capabilities().scheme)
    }
}
