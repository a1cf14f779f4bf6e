//! What librdkafka calls back, kept until the caller's thread looks at it, and
//! what it complains of, as notices.

use super::faults;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the same complaint is not repeated.
const REPEATED_AFTER: Duration = Duration::from_secs(30);
/// Complaints that wait to be told; more say nothing new.
const NOTES_MAX: usize = 16;

/// Complaints of all clients of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    said: Vec<(String, Instant)>,
    waiting: Vec<String>,
    last: Option<(RDKafkaErrorCode, String)>,
}

impl Notes {
    /// Something a person should know, unless it was just said.
    pub(super) fn say(&self, text: String) {
        let mut inner = lock(&self.0);
        inner.said.retain(|(_, at)| at.elapsed() < REPEATED_AFTER);
        if inner.waiting.len() < NOTES_MAX && !inner.said.iter().any(|(held, _)| *held == text) {
            inner.said.push((text.clone(), Instant::now()));
            inner.waiting.push(text);
        }
    }

    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        let reason = faults::plain(reason);
        if code != RDKafkaErrorCode::AllBrokersDown {
            lock(&self.0).last = Some((code, reason.clone()));
        }
        self.say(format!("kafka: {reason}"));
    }

    /// The last thing that went wrong with a server.
    pub(super) fn last(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.0).last.clone()
    }

    /// What was said since the last time.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0).waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened to a consumer.
#[derive(Debug)]
pub(super) enum Change {
    /// It may read these partitions, once it says that it does.
    Assigned(Vec<i32>),
    /// It must give these up.
    Revoked {
        /// Which.
        partitions: Vec<i32>,
        /// Whether others have them already.
        lost: bool,
    },
    /// A commit was answered, partition by partition.
    Committed(Vec<(i32, Option<RDKafkaErrorCode>)>),
    /// A commit as a whole was refused.
    CommitFailed(RDKafkaErrorCode),
}

/// A record that was sent, and what became of it.
#[derive(Debug)]
pub(super) struct Ack {
    /// What the sender called it.
    pub(super) name: usize,
    /// Why it did not arrive, and where.
    pub(super) failure: Option<(RDKafkaErrorCode, String)>,
}

/// The context of every client here; each uses its part.
#[derive(Debug, Default)]
pub(super) struct Context {
    notes: Notes,
    changes: Mutex<Vec<Change>>,
    acks: Mutex<Vec<Ack>>,
    /// Events that a poll handled without returning anything.
    served: AtomicU64,
    closing: AtomicBool,
}

impl Context {
    pub(super) fn new(notes: &Notes) -> Self {
        Self { notes: notes.clone(), ..Self::default() }
    }

    /// Counts events; a poll that returned nothing and left this as it was
    /// found its queue empty.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut lock(&self.changes))
    }

    pub(super) fn take_acks(&self) -> Vec<Ack> {
        std::mem::take(&mut lock(&self.acks))
    }

    /// From now on partitions are given up without asking.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn note(&self, change: Change) {
        lock(&self.changes).push(change);
    }
}

impl ClientContext for Context {
    /// Nobody wants them; but what stands behind them is to be looked at.
    fn stats_raw(&self, _statistics: &[u8]) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let grave = matches!(
            level,
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical
        );
        // Lesser lines say what `error` says too.
        if grave {
            self.notes.say(format!("kafka: {facility}: {}", faults::plain(line)));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let code = faults::code(&error).unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::PartitionEOF {
            // An answer, to those that look how far a topic goes.
            return;
        }
        self.notes.error(code, reason);
    }
}

impl ConsumerContext for Context {
    /// Only notes it: librdkafka waits until the caller's thread has answered
    /// with an assignment, after it read or wrote what it has to.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let assigns = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let _ = if assigns { take_on(consumer, list) } else { give_up(consumer, list) };
            return;
        }
        let partitions = list.elements().iter().map(|element| element.partition()).collect();
        self.note(match assigns {
            true => Change::Assigned(partitions),
            false => Change::Revoked { partitions, lost: consumer.assignment_lost() },
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let each: Vec<_> = offsets
            .elements()
            .iter()
            .map(|element| {
                let failure = element.error().err();
                (element.partition(), failure.as_ref().and_then(faults::code))
            })
            .collect();
        let told = each.iter().any(|(_, failure)| failure.is_some());
        self.note(match result {
            Err(error) if !told => {
                Change::CommitFailed(faults::code(&error).unwrap_or(RDKafkaErrorCode::Fail))
            }
            _ => Change::Committed(each),
        });
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, name: usize) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let failure = result.as_ref().err().map(|(error, record)| {
            let code = faults::code(error).unwrap_or(RDKafkaErrorCode::Fail);
            (code, record.topic().to_owned())
        });
        lock(&self.acks).push(Ack { name, failure });
    }
}

/// Tells librdkafka to read these partitions too.
pub(super) fn take_on(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Tells librdkafka that these partitions are not read any more.
pub(super) fn give_up(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}

/// How long it takes until it is looked whether a consumer is closed.
const CLOSE_PAUSE: Duration = Duration::from_micros(500);

/// Begins to close a consumer: it leaves its group.
pub(super) fn begin_close(consumer: &BaseConsumer<Context>) {
    consumer.context().close();
    // It fails when the consumer is closed already.
    let _ = consumer.close_queue();
}

/// Waits until a consumer is closed, at most until `deadline`. The crate's own
/// way to close polls in steps of 100 ms, and without end.
pub(super) fn end_close(consumer: BaseConsumer<Context>, deadline: Instant) {
    while !consumer.closed() {
        if Instant::now() >= deadline {
            // Its server does not answer: dropping it would wait for that.
            std::mem::forget(consumer);
            return;
        }
        // While it closes it does not wait for anything to come.
        if consumer.poll(Duration::ZERO).is_none() {
            std::thread::sleep(CLOSE_PAUSE);
        }
    }
}
