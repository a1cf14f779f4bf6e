//! Apache Kafka: topics as queues, groups as competing readers.
//!
//! Kafka keeps one number for each partition and group: all before it is
//! done. Messages are done here in any order, so what is done beyond that
//! number stands in a note beside it ([`mark`]). A partition has one owner at
//! a time; the note also says whether that owner died at work, so that a
//! message that kills its worker is found: after a death the first message
//! that is not done is worked on alone.

mod admin;
pub mod balance;
mod bell;
mod broker;
mod context;
mod coordinators;
mod count;
mod crew;
mod depth;
mod exact;
mod faults;
mod gathering;
mod groups;
mod handing;
mod known;
pub mod mark;
mod membership;
mod offsets;
mod part;
pub mod progress;
mod reader;
mod record;
mod settings;
mod stage;
mod survey;
mod transactor;
mod view;
mod writer;

use super::gather::{Arrival, Gathered};
use super::{
    Capabilities, Connection, Flaws, Granted, Order, QueueDetail, QueueError, QueueId, QueueSpec,
    QueueStat, QueueUrl, Range, Receipt, Settled, Settlement, Taken, View, Waiting, WhenFull,
};
use crate::clock::unix_us;
use crate::event::Event;
use crate::limits::DRAIN_MAX_MS;
use crate::poll::{Interest, Poller, Ready};
use admin::Admin;
use bell::Bell;
use context::Notes;
use crew::Crew;
use exact::Exact;
use gathering::Fate;
use handing::crew;
use reader::{Held, Reader};
use record::Elsewhere;
use settings::Settings;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transactor::Transactor;
use writer::Writer;

/// What these queues can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    scheme: "kafka",
    title: "Apache Kafka topics",
    between_processes: true,
    orders: &[Order::Fifo],
    when_full: &[WhenFull::Block],
    capacity_default: u64::MAX,
    waiting: Waiting::ByPartition,
    acknowledge: false,
    delayed: false,
    peek: true,
    replay: true,
    atomic_settle: false,
    exactly_once: true,
    drops_known_ids: false,
    gather: true,
    on_one_host: false,
    bounded: false,
    counts_held: false,
    queues_tested: Some(200),
    under_way_max: crate::limits::UNDER_WAY_MAX,
    process_killed: Flaws { may_lose: false, may_duplicate: true },
    // With replicas nothing: a placement knows how many there are.
    host_lost: Flaws { may_lose: true, may_duplicate: true },
};

/// Marks the token of the bell for what was sent.
const SENT: u64 = 1;
/// How often all is looked at, rung or not.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A connection to the brokers of one cluster.
pub struct KafkaConnection {
    settings: Settings,
    notes: Notes,
    /// Rung for what is read, and for transactions.
    bell: Bell,
    /// Rung for what was sent, so that a message that comes waits for no look
    /// at that.
    sent_bell: Bell,
    admin: Admin,
    open: Vec<Open>,
    readers: Vec<Reader>,
    held: HashMap<u64, Held>,
    next_receipt: u64,
    sending: Sending,
    /// Tickets that are done; `true` when what they took was not ours any more.
    ready: Vec<(u64, bool)>,
    /// How many commits a ticket still waits for, and whether one was in vain.
    awaited: HashMap<u64, (usize, bool)>,
    voided: Vec<u64>,
    /// What went wrong while answers were taken in.
    failed: Option<QueueError>,
    /// When all was looked at, rung or not.
    looked: Instant,
}

/// A topic that is open.
struct Open {
    topic: Arc<str>,
    /// Those that read it.
    crew: Option<Crew>,
    /// Largest record it takes.
    record_max: u64,
}

/// How settlements go out.
enum Sending {
    /// Outputs first, then what was taken is done.
    AtLeastOnce {
        /// Made with the first topic to send to.
        writer: Option<Box<Writer>>,
        /// What is done once a ticket's outputs have arrived.
        jobs: HashMap<u64, Vec<Held>>,
    },
    /// All of it as transactions.
    ExactlyOnce(Box<Exact>),
}

/// Connects to the brokers of a URL.
///
/// # Errors
/// None answers, they do not let us, or the URL has options that there are
/// not.
pub fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError> {
    let settings = Settings::read(url)?;
    let notes = Notes::default();
    let admin = Admin::connect(&settings, &notes)?;
    Ok(Box::new(KafkaConnection {
        settings,
        notes,
        bell: Bell::new()?,
        sent_bell: Bell::new()?,
        admin,
        open: Vec::new(),
        readers: Vec::new(),
        held: HashMap::new(),
        next_receipt: 0,
        sending: Sending::AtLeastOnce { writer: None, jobs: HashMap::new() },
        ready: Vec::new(),
        awaited: HashMap::new(),
        voided: Vec::new(),
        failed: None,
        looked: Instant::now(),
    }))
}

impl Connection for KafkaConnection {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError> {
        self.admin.create(name, spec)
    }

    fn remove(&mut self, name: &str) -> Result<(), QueueError> {
        self.admin.remove(name)
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        self.admin.list()
    }

    fn names(&mut self) -> Result<Vec<String>, QueueError> {
        Ok(self.admin.topics()?.into_iter().map(|(name, _)| name).collect())
    }

    fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        self.admin.stat(name)
    }

    fn view(&mut self, name: &str, range: &Range) -> Result<Box<dyn View>, QueueError> {
        view::KafkaView::begin(&self.settings, &self.notes, name, range)
    }

    fn is_watched(&mut self, name: &str) -> bool {
        self.admin.is_read(name)
    }

    fn forget_outputs(&mut self) {
        self.sending = Sending::AtLeastOnce { writer: None, jobs: HashMap::new() };
    }

    fn detail(&mut self, name: &str) -> Result<QueueDetail, QueueError> {
        self.admin.detail(name)
    }

    fn open_send(&mut self, name: &str) -> Result<QueueId, QueueError> {
        if !self.admin.is_made(name)? {
            return Err(QueueError::NoSuchQueue);
        }
        if let Sending::AtLeastOnce { writer: writer @ None, .. } = &mut self.sending {
            *writer = Some(Box::new(Writer::new(&self.settings, &self.notes, &self.sent_bell)?));
        }
        let record_max = self.admin.message_size(name)?;
        Ok(self.enter(Open { topic: Arc::from(name), crew: None, record_max }))
    }

    fn open_receive(&mut self, name: &str) -> Result<QueueId, QueueError> {
        if !self.admin.is_made(name)? {
            return Err(QueueError::NoSuchQueue);
        }
        let (base, readers, _) = self.base();
        let crew = Some(Crew::join(base, name, readers)?);
        Ok(self.enter(Open { topic: Arc::from(name), crew, record_max: 0 }))
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        // An eventfd can always be waited on.
        let _ = poller.add(&self.bell, base, Interest::Read);
        let _ = poller.add(&self.sent_bell, base | SENT, Interest::Read);
    }

    fn listen(&mut self, queue: QueueId, on: bool) -> Result<(), QueueError> {
        let Self { open, readers, .. } = self;
        crew(open, queue)?.listen(on, readers);
        Ok(())
    }

    fn try_receive(
        &mut self,
        queue: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        let Self { readers, held, next_receipt, open, admin, .. } = self;
        let crew = crew(open, queue)?;
        if crew.is_doubted(readers) && !admin.exists(crew.topic())? {
            return Err(QueueError::Removed { name: self.settings.url_of(crew.topic()) });
        }
        crew.take(max, readers, |index, letter, attempts, epoch| {
            *next_receipt += 1;
            let receipt = Receipt(*next_receipt);
            let (partition, offset) = (letter.partition, letter.offset);
            let fate = Fate::Free;
            let one = Held { reader: index, partition, epoch, offset, fate, started: false };
            held.insert(receipt.0, one);
            let (event, fault) = (letter.event, letter.fault);
            into.push(Taken { receipt, queue, event, attempts, fault });
        })
    }

    /// What is committed says that somebody is at work; a reader that leaves
    /// in the middle of it leaves that word.
    fn count_attempt(&mut self, receipt: Receipt) {
        if let Some(held) = self.held.get_mut(&receipt.0) {
            held.started = true;
        }
    }

    fn gather(
        &mut self,
        receipt: Receipt,
        mut arrival: Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        let held = self.held.get_mut(&receipt.0).ok_or(QueueError::NoSuchQueue)?;
        // Whoever has the partition now reads the part too.
        let Some(home) = self.readers[held.reader].part(held) else { return Ok(Gathered::Kept) };
        arrival.claim = format!("{}-{}", held.partition, held.offset);
        home.has_joins();
        let (gathered, fate) = home.gathering.arrive(&arrival, held.offset, part);
        held.fate = fate;
        Ok(gathered)
    }

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        let records = settlement.outputs.iter().map(|output| self.record(output));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let Settlement { ticket, taken, .. } = std::mem::take(settlement);
        let mut held: Vec<Held> =
            taken.iter().filter_map(|receipt| self.held.remove(&receipt.0)).collect();
        let mut void = false;
        for one in &held {
            void |= !self.readers[one.reader].came_back(one);
        }
        if void {
            self.ready.push((ticket, true));
            self.bell.ring();
            return Ok(Settled::Sent);
        }
        // A part that a join keeps is done with the join.
        held.retain(|one| one.fate != Fate::Held);
        if held.is_empty() && records.is_empty() {
            return Ok(Settled::Done);
        }
        self.send(ticket, records, held)?;
        Ok(Settled::Sent)
    }

    fn flush(&mut self) -> Result<(), QueueError> {
        for reader in &mut self.readers {
            reader.go_on()?;
        }
        match &mut self.sending {
            Sending::AtLeastOnce { .. } => Ok(()),
            Sending::ExactlyOnce(exact) => {
                exact.start_when_due(&self.settings, &mut self.readers, &mut self.ready)
            }
        }
    }

    fn exactly_once(&mut self) -> Result<(), QueueError> {
        if matches!(self.sending, Sending::ExactlyOnce(_)) {
            return Ok(());
        }
        if !self.open.is_empty() {
            return Err(QueueError::Refused {
                what: "something is open already".to_owned(),
                alternative: "to ask for exactly-once first".to_owned(),
            });
        }
        let transactor = Transactor::start(&self.settings, &self.notes, &self.bell)?;
        self.sending = Sending::ExactlyOnce(Box::new(Exact::new(transactor)));
        Ok(())
    }

    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError> {
        self.failed.take().map_or(Ok(()), Err)?;
        // What a reader left in its queue rings no bell.
        let has_news = self.readers.iter().any(Reader::has_news);
        if has_news || self.looked.elapsed() >= LOOK_EVERY {
            self.turn()?;
        }
        for (ticket, void) in self.ready.drain(..) {
            done.push(ticket);
            if void {
                self.voided.push(ticket);
            }
        }
        Ok(())
    }

    fn blocked(&self) -> Vec<QueueId> {
        match &self.sending {
            Sending::AtLeastOnce { writer: Some(writer), .. } => writer.blocked(),
            _ => Vec::new(),
        }
    }

    fn stuck(&self) -> Vec<u64> {
        match &self.sending {
            Sending::AtLeastOnce { writer: Some(writer), .. } => writer.stuck(),
            _ => Vec::new(),
        }
    }

    fn voided(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.voided)
    }

    fn falls_back(&mut self, queue: QueueId, otherwise: QueueId) {
        let topic = self.topic(queue).topic.clone();
        let elsewhere = Elsewhere { queue: otherwise, topic: self.topic(otherwise).topic.clone() };
        match &mut self.sending {
            Sending::ExactlyOnce(exact) => exact.falls_back(topic, elsewhere),
            Sending::AtLeastOnce { writer: Some(writer), .. } => {
                writer.falls_back(topic, elsewhere)
            }
            Sending::AtLeastOnce { writer: None, .. } => {}
        }
    }

    fn note_run(&mut self, run: &str, record: &[u8]) -> Result<(), QueueError> {
        self.admin.note_run(run, record)
    }

    fn run_note(&mut self, run: &str) -> Result<Option<Vec<u8>>, QueueError> {
        self.admin.run_note(run)
    }

    fn forget_run(&mut self, run: &str) -> Result<(), QueueError> {
        self.admin.forget_run(run)
    }

    fn on_ready(&mut self, ready: Ready) {
        let done = match ready.token & SENT {
            0 => {
                self.bell.answer();
                self.take_in_read()
            }
            _ => {
                self.sent_bell.answer();
                self.take_in_sent()
            }
        };
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }

    fn is_asking(&self, queue: QueueId) -> bool {
        let crew = self.topic(queue).crew.as_ref();
        crew.is_some_and(|crew| crew.is_settling(&self.readers))
    }

    fn has_more(&self) -> bool {
        self.readers.iter().any(|reader| reader.listening && reader.ready() > 0)
    }

    fn is_there(&self, queue: QueueId) -> bool {
        self.admin.is_there(&self.topic(queue).topic)
    }

    fn notices(&mut self) -> Vec<String> {
        self.notes.take()
    }

    fn look_after(&mut self) -> Result<(), QueueError> {
        self.admin.serve();
        let now_us = unix_us();
        for reader in &mut self.readers {
            reader.look_after(now_us)?;
        }
        if let Sending::ExactlyOnce(exact) = &mut self.sending {
            exact.look_after(&mut self.readers, &mut self.ready)?;
        }
        let (base, readers, open) = self.base();
        let crews = open.iter_mut().filter_map(|open| open.crew.as_mut());
        for crew in crews {
            crew.look_after(base, readers)?;
        }
        Ok(())
    }

    fn name_of(&self, queue: QueueId) -> String {
        self.topic(queue).topic.to_string()
    }

    fn url_of(&self, name: &str) -> String {
        self.settings.url_of(name)
    }
}

impl Drop for KafkaConnection {
    /// Says how far all is done, and leaves, so that others go on at once.
    fn drop(&mut self) {
        let max = Duration::from_millis(DRAIN_MAX_MS);
        let deadline = Instant::now() + max;
        match &mut self.sending {
            Sending::AtLeastOnce { writer: Some(writer), .. } => writer.drain(deadline),
            Sending::AtLeastOnce { writer: None, .. } => {}
            Sending::ExactlyOnce(exact) => exact.finish(max, &mut self.readers, &mut self.ready),
        }
        // What has arrived by now is done; a failure leaves it to be done again.
        let _ = self.turn();
        let deadline = Instant::now() + max;
        for (index, reader) in self.readers.iter_mut().enumerate() {
            let is_started = |held: &&Held| held.reader == index && held.started;
            let started = self.held.values().filter(is_started);
            reader.begin_farewell(&started.map(|held| held.partition).collect());
        }
        while !self.readers.iter_mut().all(Reader::is_heard) && Instant::now() < deadline {
            self.bell.wait(2);
            self.bell.answer();
        }
        let deadline = Instant::now() + max;
        self.readers.iter_mut().for_each(Reader::begin_close);
        self.readers.iter_mut().for_each(|reader| reader.end_close(deadline));
    }
}
