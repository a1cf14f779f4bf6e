//! Redis Streams: a queue is a stream with one group. What is taken stays
//! pending until it is settled, and whoever is not heard of for a lease loses
//! it to others. A hand-off is one script: outputs in, what is done out, or
//! nothing at all. PROTOCOL.md, "Redis", is the specification.
//!
//! Nothing waits but what has to be answered at once (creating, opening,
//! looking at queues, joins): commands of one turn go out together, and their
//! answers are dealt with as they come.

mod admin;
mod alarm;
mod batch;
mod bulk;
pub mod entry;
mod error;
mod intake;
mod joins;
mod keys;
mod link;
mod pack;
mod pump;
mod scripts;
mod settings;
mod shapes;
mod tls;
mod view;
mod wire;

use super::gather::{Arrival, Gathered};
use super::{
    Capabilities, Connection, Flaws, Granted, Order, QueueDetail, QueueError, QueueId, QueueSpec,
    QueueStat, QueueUrl, Range, Receipt, Settled, Settlement, Taken, View, Waiting, WhenFull,
};
use crate::clock;
use crate::event::Event;
use crate::poll::{Poller, Ready};
use alarm::Alarm;
use batch::Outbox;
use bulk::Grant;
use intake::Intake;
use keys::Keys;
use link::Link;
use pump::{ALARM, MAIN, READER};
use settings::{CLIENT_NAME, Settings};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

/// What these queues can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    scheme: "redis",
    title: "Redis Streams",
    between_processes: true,
    orders: &[Order::Fifo],
    when_full: &[WhenFull::Block, WhenFull::Reject, WhenFull::DropOldest, WhenFull::DropNewest],
    capacity_default: 1000,
    waiting: Waiting::Any,
    acknowledge: true,
    delayed: false,
    peek: true,
    replay: false,
    atomic_settle: true,
    exactly_once: true,
    drops_known_ids: true,
    gather: true,
    on_one_host: false,
    bounded: true,
    counts_held: true,
    queues_tested: Some(10_000),
    under_way_max: crate::limits::UNDER_WAY_SHORT,
    process_killed: Flaws { may_lose: false, may_duplicate: false },
    host_lost: Flaws { may_lose: true, may_duplicate: true },
};

/// The same over TLS.
pub static CAPABILITIES_TLS: Capabilities =
    Capabilities { scheme: "rediss", title: "Redis Streams over TLS", ..CAPABILITIES };

/// Largest body: what a server takes as one value, unless it is told otherwise
/// (proto-max-bulk-len).
const BODY_MAX: u64 = 512 << 20;

/// What an answer is the answer to.
#[derive(Debug, Default)]
enum Expect {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// The hand-offs under way.
    Batch,
    /// The same, in a transaction that adds to this queue.
    Added(QueueId),
    /// A command of a transaction: what is refused is told at the end.
    Queued,
    /// Whether there may be transactions.
    Granted,
    /// How much is in this queue.
    Depth(QueueId),
    /// How many replicas have them.
    Replicas,
    /// A look for messages in these queues, so many of each at most.
    Read(Vec<QueueId>, usize),
    /// A wait for messages in these queues, the same.
    Wait(Vec<QueueId>, usize),
    /// What we were given of this queue, with answers that got lost.
    Own(QueueId),
    /// What dead readers of this queue left.
    Adopt(QueueId, usize),
    /// That leases were renewed.
    Keep,
    /// Whether this queue is there.
    There(QueueId),
    /// What is waited for by [`RedisConnection::ask`]: its number.
    Ask(u64),
}

/// A connection to a server's queues.
pub struct RedisConnection {
    settings: Settings,
    keys: Keys,
    /// Commands and their answers.
    main: Link<Expect>,
    /// Waits for messages: a connection that waits can do nothing else.
    reader: Link<Expect>,
    /// Hears of room in queues that were full; only once one was.
    ear: Option<Link<Expect>>,
    /// Rings when hand-offs have waited for others for long enough.
    alarm: Alarm,
    poller: Option<(Rc<Poller>, u64)>,
    /// Our name as a reader and as a sender.
    name: String,
    open: Vec<OpenQueue>,
    held: BTreeMap<u64, Held>,
    next_receipt: u64,
    intake: Intake,
    outbox: Outbox,
    /// Whether much may be added at once in a transaction.
    grant: Grant,
    answer: Option<(u64, redis::Value)>,
    questions: u64,
    /// Set when something failed for good: then nothing more is sent.
    is_hopeless: bool,
    /// Where the next look at open queues begins.
    look_from: usize,
    notices: Vec<String>,
    /// Since when the server is away, and whether that was said.
    away_since: Option<(Instant, bool)>,
    failed: Option<QueueError>,
    /// Whether sends wait rather than go into a queue that never blocks.
    patient: bool,
}

/// A queue that is open.
struct OpenQueue {
    name: String,
    stream: String,
    receives: bool,
    listening: bool,
    /// Messages asked for and not come.
    wants: usize,
    /// How many more may be fetched with them.
    ahead: usize,
    /// Whether dead readers' messages were looked for since the last time.
    adopted: bool,
    inbox: VecDeque<Taken>,
    about: About,
    /// How many messages it has room for beside what is on its way there.
    room: u64,
    is_gone: bool,
    /// Where what is for this queue goes once it is gone.
    otherwise: Option<QueueId>,
}

/// What was noted about a queue when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct About {
    /// Messages it can hold; none when senders never wait.
    capacity: Option<u64>,
    /// The same for those that begin something new.
    patient_capacity: Option<u64>,
    when_full: Option<WhenFull>,
    run: Option<String>,
    created: Option<String>,
}

/// A message that was taken and is not settled.
struct Held {
    queue: QueueId,
    id: String,
    /// How often a worker was started for it.
    started: u32,
    /// How often it was delivered, as the server counts.
    delivered: u32,
    /// When its lease began.
    since: Instant,
    /// The join that fires with it: key, claim, and what its parts carried.
    fired: Option<(String, String, Vec<u8>)>,
}

/// Connects to a server.
///
/// # Errors
/// It does not answer, does not let us in, or is not what we need.
pub fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError> {
    Ok(Box::new(RedisConnection::begun(Settings::of(url)?)?))
}

impl RedisConnection {
    /// A connection to a server that answers.
    fn begun(mut settings: Settings) -> Result<Self, QueueError> {
        let name = format!("{:016x}", clock::random_u64());
        settings.client = format!("{CLIENT_NAME}{name}");
        let mut connection = Self {
            main: Link::new(&settings, true)?,
            reader: Link::new(&settings, false)?,
            ear: None,
            alarm: Alarm::new()?,
            keys: Keys::default(),
            poller: None,
            name,
            open: Vec::new(),
            held: BTreeMap::new(),
            next_receipt: 0,
            intake: Intake::default(),
            outbox: Outbox::default(),
            grant: Grant::default(),
            answer: None,
            questions: 0,
            is_hopeless: false,
            look_from: 0,
            notices: Vec::new(),
            away_since: None,
            failed: None,
            patient: false,
            settings,
        };
        connection.begin()?;
        Ok(connection)
    }
}

impl Connection for RedisConnection {
    fn capabilities(&self) -> &'static Capabilities {
        if self.settings.is_tls { &CAPABILITIES_TLS } else { &CAPABILITIES }
    }

    fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError> {
        self.create_queue(name, spec)
    }

    fn remove(&mut self, name: &str) -> Result<(), QueueError> {
        self.remove_queue(name)
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        self.list_queues()
    }

    fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        self.stat_queue(name)
    }

    fn view(&mut self, name: &str, range: &Range) -> Result<Box<dyn View>, QueueError> {
        view::RedisView::begin(&self.settings, name, range)
    }

    fn is_watched(&mut self, name: &str) -> bool {
        self.is_read(name)
    }

    fn detail(&mut self, name: &str) -> Result<QueueDetail, QueueError> {
        self.detail_of(name)
    }

    fn open_send(&mut self, name: &str) -> Result<QueueId, QueueError> {
        self.open_queue(name, false)
    }

    fn open_receive(&mut self, name: &str) -> Result<QueueId, QueueError> {
        self.open_queue(name, true)
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        self.main.attach(poller.clone(), base | MAIN);
        self.reader.attach(poller.clone(), base | READER);
        self.alarm.attach(&poller, base | ALARM);
        self.poller = Some((poller, base));
    }

    fn listen(&mut self, id: QueueId, on: bool) -> Result<(), QueueError> {
        self.set_listening(id, on);
        Ok(())
    }

    fn try_receive(
        &mut self,
        id: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        let queue = &mut self.open[id.0 as usize];
        let count = max.min(queue.inbox.len());
        into.extend(queue.inbox.drain(..count));
        if queue.inbox.is_empty() {
            self.intake.filled.remove(&id);
        }
        self.want(id, max - count);
        self.failure()
    }

    fn read_ahead(&mut self, id: QueueId, count: usize) {
        self.queue(id).ahead = count;
    }

    fn count_attempt(&mut self, receipt: Receipt) {
        self.note_attempt(receipt);
    }

    fn gather(
        &mut self,
        receipt: Receipt,
        arrival: Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        self.gather_part(receipt, arrival, part)
    }

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        self.take_settlement(settlement)
    }

    fn flush(&mut self) -> Result<(), QueueError> {
        // Others wait for what is handed over.
        self.send_when_worth();
        self.ask_for_messages();
        self.write_out();
        self.failure()
    }

    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError> {
        // What came was dealt with when it was told of; only a connection that
        // is to be made again tells of nothing.
        if !self.main.is_up() || self.has_reader_to_make() {
            self.pump();
        }
        done.append(&mut self.outbox.done);
        self.failure()
    }

    fn blocked(&self) -> Vec<QueueId> {
        self.outbox.blocked()
    }

    fn stuck(&self) -> Vec<u64> {
        self.outbox.stuck()
    }

    fn voided(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.outbox.void)
    }

    fn refused(&mut self) -> Vec<(u64, QueueError)> {
        std::mem::take(&mut self.outbox.refused)
    }

    fn falls_back(&mut self, queue: QueueId, otherwise: QueueId) {
        self.open[queue.0 as usize].otherwise = Some(otherwise);
    }

    fn on_ready(&mut self, ready: Ready) {
        match ready.token & 3 {
            ALARM => {
                self.alarm.hear();
                self.send_batch();
                self.write_out();
            }
            which => self.on_told(which),
        }
    }

    fn is_asking(&self, queue: QueueId) -> bool {
        self.is_answer_due(queue)
    }

    fn has_more(&self) -> bool {
        self.intake.filled.iter().any(|id| self.open[id.0 as usize].listening)
    }

    fn is_there(&self, queue: QueueId) -> bool {
        !self.open[queue.0 as usize].is_gone
    }

    fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn look_after(&mut self) -> Result<(), QueueError> {
        self.look();
        self.failure()
    }

    fn wait_rather_than_spill(&mut self) {
        self.patient = true;
    }

    fn note_run(&mut self, run: &str, record: &[u8]) -> Result<(), QueueError> {
        self.write_run(run, record)
    }

    fn run_note(&mut self, run: &str) -> Result<Option<Vec<u8>>, QueueError> {
        self.read_run(run)
    }

    fn forget_run(&mut self, run: &str) -> Result<(), QueueError> {
        self.remove_run(run)
    }

    fn name_of(&self, queue: QueueId) -> String {
        self.open[queue.0 as usize].name.clone()
    }

    fn url_of(&self, name: &str) -> String {
        self.settings.url.without_query().with_name(name).to_string()
    }
}

impl RedisConnection {
    fn queue(&mut self, id: QueueId) -> &mut OpenQueue {
        &mut self.open[id.0 as usize]
    }

    /// What went wrong for good, once.
    fn failure(&mut self) -> Result<(), QueueError> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for RedisConnection {
    /// What was taken and not settled goes back, and the reader leaves.
    fn drop(&mut self) {
        self.leave();
    }
}
