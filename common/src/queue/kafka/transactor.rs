//! Exactly once: outputs and how far their inputs are done go out together,
//! as one transaction. A thread does it, for every step of a transaction
//! waits for the brokers; one transaction at a time, and what is settled
//! meanwhile gathers for the next.

use super::bell::{Bell, Wire};
use super::context::{Context, Notes};
use super::faults;
use super::record::Record;
use super::settings::Settings;
use super::stage::Stage;
use crate::queue::QueueError;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long one step may take until it is asked for again.
const STEP_MAX: Duration = Duration::from_secs(3);
/// How long offsets may take to be handed over until another thread begins
/// anew: more than the step may take.
const OFFSETS_MAX: Duration = Duration::from_secs(5);
/// How often a step is asked for again.
const STEPS_MAX: u32 = 4;
/// How long after a failure the next transaction begins.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long after one that could not begin the next producer is made.
const PREPARED_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Threads that may hang and be replaced: each keeps what it has.
const REPLACED_MAX: u32 = 50;
/// A producer that has failed for so long gets a successor: one that holds on
/// to a coordinator that is gone would fail for ever.
const FAILING_MAX: Duration = Duration::from_secs(10);

/// What goes into one transaction.
pub(super) struct Batch {
    /// What is sent, settlement by settlement.
    pub(super) records: Vec<Arc<Vec<Record>>>,
    /// How far what was taken is done, group by group.
    pub(super) offsets: Vec<(TopicPartitionList, ConsumerGroupMetadata)>,
}

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It took effect.
    Committed,
    /// It did not, and may with the memberships of now.
    Again,
    /// It did not, for a topic is gone.
    Gone(Arc<str>, QueueError),
    /// It cannot.
    Failed(QueueError),
}

/// Who waits until a thread has begun.
type Started = Sender<Result<(), QueueError>>;

enum Order {
    Run(Batch),
    RingIn(Duration),
}

/// The thread that does transactions, from outside.
pub(super) struct Transactor {
    seed: Seed,
    orders: Sender<Order>,
    answers: Receiver<Outcome>,
    stage: Arc<Stage>,
    replaced: u32,
}

/// What a thread needs to begin.
#[derive(Clone)]
struct Seed {
    settings: Settings,
    notes: Notes,
    bell: Bell,
}

impl Transactor {
    /// Starts the thread; returns once the brokers know the producer.
    ///
    /// # Errors
    /// They do not answer, or do not let us.
    pub(super) fn start(
        settings: &Settings,
        notes: &Notes,
        bell: &Bell,
    ) -> Result<Self, QueueError> {
        let (settings, notes, bell) = (settings.clone(), notes.clone(), bell.clone());
        let (started, start) = channel();
        let transactor = Self::spawn(Seed { settings, notes, bell }, Some(started))?;
        start.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(transactor)
    }

    fn spawn(seed: Seed, started: Option<Started>) -> Result<Self, QueueError> {
        let (orders, to_do) = channel();
        let (done, answers) = channel();
        let stage = Arc::new(Stage::default());
        let worker = Worker {
            seed: seed.clone(),
            stage: stage.clone(),
            orders: to_do,
            answers: done,
            sender: None,
            failing_since: None,
        };
        std::thread::Builder::new()
            .name("transactions".to_owned())
            .spawn(move || worker.work(started))
            .map_err(QueueError::io("starting a thread"))?;
        Ok(Self { seed, orders, answers, stage, replaced: 0 })
    }

    /// Puts another thread in the place of one that hangs. What that one began
    /// is taken back: by itself, should it ever go on, or by the brokers.
    ///
    /// # Errors
    /// There can be no other.
    pub(super) fn replace_if_stuck(&mut self) -> Result<bool, QueueError> {
        if !self.stage.abandon(OFFSETS_MAX) {
            return Ok(false);
        }
        let replaced = self.replaced + 1;
        if replaced > REPLACED_MAX {
            return Err(QueueError::Unreachable {
                what: format!("{REPLACED_MAX} transactions hung at coordinators that died"),
                cure: "start again: nothing that was taken is lost".to_owned(),
            });
        }
        self.seed.notes.say(
            "kafka: the coordinator of a group does not answer; a transaction begins anew"
                .to_owned(),
        );
        *self = Self { replaced, ..Self::spawn(self.seed.clone(), None)? };
        Ok(true)
    }

    /// Does a transaction.
    ///
    /// # Errors
    /// The thread is gone.
    pub(super) fn run(&self, batch: Batch) -> Result<(), QueueError> {
        self.orders.send(Order::Run(batch)).map_err(|_| gone())
    }

    /// Rings the bell after a while.
    pub(super) fn ring_in(&self, wait: Duration) {
        // With the thread gone the next transaction says so.
        let _ = self.orders.send(Order::RingIn(wait));
    }

    /// What became of the transaction, if it is over.
    pub(super) fn answer(&self) -> Option<Outcome> {
        self.answers.try_recv().ok()
    }

    /// The same, and waits for it.
    pub(super) fn last_answer(&self, max: Duration) -> Option<Outcome> {
        self.answers.recv_timeout(max).ok()
    }
}

fn gone() -> QueueError {
    QueueError::Unreachable {
        what: "the transactions have ended".to_owned(),
        cure: "start again: nothing that was taken is lost".to_owned(),
    }
}

/// A producer with a name of its own for its transactions.
struct TransactionalSender {
    /// Goes before the producer does.
    _wire: Wire,
    producer: BaseProducer<Context>,
    bell: Bell,
}

/// Why there is no producer, and whether there may be one later.
struct Unprepared {
    passes: bool,
    error: QueueError,
}

/// Why a transaction did not take effect.
enum Trouble {
    Abandoned,
    Step(KafkaError),
    Record(RDKafkaErrorCode, Arc<str>),
}

impl From<KafkaError> for Trouble {
    fn from(error: KafkaError) -> Self {
        Self::Step(error)
    }
}

struct Worker {
    seed: Seed,
    stage: Arc<Stage>,
    orders: Receiver<Order>,
    answers: Sender<Outcome>,
    sender: Option<TransactionalSender>,
    /// Since when no transaction has taken effect.
    failing_since: Option<Instant>,
}

impl Worker {
    fn work(mut self, started: Option<Started>) {
        if let Some(started) = started {
            let ready = self.prepare().map_err(|unprepared| unprepared.error);
            let failed = ready.is_err();
            if started.send(ready).is_err() || failed {
                return;
            }
        }
        let mut next = self.orders.recv().ok();
        while let Some(order) = next {
            next = match order {
                Order::RingIn(wait) => self.ring_in(wait),
                Order::Run(batch) => {
                    let outcome = self.run(&batch);
                    let heard = self.answers.send(outcome).is_ok();
                    self.seed.bell.ring();
                    if heard { self.orders.recv().ok() } else { None }
                }
            };
        }
    }

    fn ring_in(&self, wait: Duration) -> Option<Order> {
        match self.orders.recv_timeout(wait) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => {
                self.seed.bell.ring();
                self.orders.recv().ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Makes the producer, if there is none or the last one was shut out.
    fn prepare(&mut self) -> Result<(), Unprepared> {
        if self.sender.is_some() {
            return Ok(());
        }
        let never = |error| Unprepared { passes: false, error };
        let url = self.seed.settings.url_of("");
        let id = format!("faas-{:016x}", crate::clock::random_u64());
        let producer: BaseProducer<Context> = self
            .seed
            .settings
            .transacting(&id)
            .create_with_context(Context::new(&self.seed.notes))
            .map_err(|error| never(faults::of(&error, &url)))?;
        let bell = Bell::new().map_err(never)?;
        let wire = Wire::new(&producer, &bell);
        persist(|| producer.init_transactions(STEP_MAX)).map_err(|error| Unprepared {
            passes: faults::code(&error).is_some_and(faults::passes)
                && !faults::is_hopeless(self.seed.notes.last().as_ref()),
            error: faults::of(&error, &url),
        })?;
        self.sender = Some(TransactionalSender { _wire: wire, producer, bell });
        Ok(())
    }

    fn run(&mut self, batch: &Batch) -> Outcome {
        match self.prepare() {
            Ok(()) => {}
            Err(Unprepared { passes: true, error }) => {
                self.seed.notes.say(format!("kafka: no transactions for now: {error}"));
                std::thread::sleep(PREPARED_AGAIN_AFTER);
                return Outcome::Again;
            }
            Err(Unprepared { error, .. }) => return Outcome::Failed(error),
        }
        let Some(sender) = &self.sender else { return Outcome::Again };
        match sender.attempt(batch, &self.stage) {
            Ok(()) => {
                self.failing_since = None;
                Outcome::Committed
            }
            Err(trouble) => self.recover(&trouble),
        }
    }

    /// After a failure: takes back what was begun, with a new producer where
    /// the old one is shut out.
    fn recover(&mut self, trouble: &Trouble) -> Outcome {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let is_worn_out = since.elapsed() >= FAILING_MAX;
        if let Some(sender) = &self.sender
            && (!sender.take_back() || is_worn_out)
        {
            self.sender = None;
            self.failing_since = None;
        }
        let (code, topic) = match trouble {
            Trouble::Abandoned => (None, ""),
            Trouble::Step(error) => (faults::code(error), ""),
            Trouble::Record(code, topic) => (Some(*code), &**topic),
        };
        let url = self.seed.settings.url_of(topic);
        match code.map(|code| faults::of_code(code, &url)) {
            Some(error @ QueueError::Removed { .. }) => Outcome::Gone(Arc::from(topic), error),
            Some(error @ (QueueError::NotAllowed { .. } | QueueError::Refused { .. })) => {
                Outcome::Failed(error)
            }
            _ => {
                std::thread::sleep(AGAIN_AFTER);
                Outcome::Again
            }
        }
    }
}

impl TransactionalSender {
    fn attempt(&self, batch: &Batch, stage: &Stage) -> Result<(), Trouble> {
        self.producer.begin_transaction()?;
        for record in batch.records.iter().flat_map(|records| records.iter()) {
            self.send(record)?;
        }
        while self.producer.in_flight_count() > 0 {
            self.bell.wait(10);
            self.serve()?;
        }
        self.serve()?;
        for (offsets, group) in &batch.offsets {
            // Not asked again: with its broker the group may have changed, and
            // then this membership is worth nothing. The batch is begun anew.
            stage.enter();
            let sent = self.producer.send_offsets_to_transaction(offsets, group, STEP_MAX);
            if !stage.leave() {
                return Err(Trouble::Abandoned);
            }
            sent?;
        }
        Ok(persist(|| self.producer.commit_transaction(STEP_MAX))?)
    }

    fn send(&self, record: &Record) -> Result<(), Trouble> {
        loop {
            match record.send(&self.producer, 0) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull) => {
                    self.bell.wait(10);
                    self.serve()?;
                }
                Err(code) => return Err(Trouble::Record(code, record.topic.clone())),
            }
        }
    }

    /// Takes in acknowledgements.
    fn serve(&self) -> Result<(), Trouble> {
        self.bell.answer();
        let context = self.producer.context();
        loop {
            let served = context.served();
            self.producer.poll(Duration::ZERO);
            if context.served() == served {
                break;
            }
        }
        match context.take_acks().into_iter().find_map(|ack| ack.failure) {
            Some((code, topic)) => Err(Trouble::Record(code, Arc::from(topic))),
            None => Ok(()),
        }
    }

    /// Takes back what was begun; `false` when the producer is of no use any
    /// more.
    fn take_back(&self) -> bool {
        if self.producer.client().fatal_error().is_some() {
            return false;
        }
        let aborted = persist(|| self.producer.abort_transaction(STEP_MAX));
        // What was purged is of no interest.
        let _ = self.serve();
        aborted.is_ok()
    }
}

/// Asks for a step again for as long as that can help.
fn persist(mut step: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let begin = Instant::now();
    for _ in 1..STEPS_MAX {
        match step() {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && begin.elapsed() < STEP_MAX * STEPS_MAX => {}
            other => return other,
        }
        std::thread::sleep(AGAIN_AFTER);
    }
    step()
}
