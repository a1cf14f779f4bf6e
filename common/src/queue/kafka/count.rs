//! Counts what waits, message by message: ends of transactions have offsets
//! too, and are no messages.

use super::context::{self, Context, Notes};
use super::faults;
use super::progress::Progress;
use super::settings::{NOBODY, Settings};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long counting may take.
const COUNT_MAX: Duration = Duration::from_secs(3);
/// How long counting rests when nothing has come.
const COUNT_PAUSE: Duration = Duration::from_millis(5);
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);

/// What there is to read of a partition.
pub(super) struct Unread<'a> {
    /// Its topic.
    pub(super) name: &'a str,
    /// Its number.
    pub(super) partition: i32,
    /// What of it is done.
    pub(super) progress: &'a Progress,
    /// The offset after its last message.
    pub(super) end: i64,
}

/// How many messages each topic of these partitions has that are not done;
/// topics for which that takes too long are not among the answers.
///
/// # Errors
/// A topic may not be read.
pub(super) fn count(
    settings: &Settings,
    notes: &Notes,
    parts: Vec<Unread<'_>>,
) -> KafkaResult<BTreeMap<String, u64>> {
    let mut counts: BTreeMap<String, u64> =
        parts.iter().map(|part| (part.name.to_owned(), 0)).collect();
    let parts: Vec<_> =
        parts.into_iter().filter(|part| part.progress.prefix() < part.end).collect();
    if parts.is_empty() {
        return Ok(counts);
    }
    let mut config = settings.looking(NOBODY);
    config.set("fetch.wait.max.ms", COUNT_PAUSE.as_millis().to_string());
    let consumer = Arc::new(config.create_with_context(Context::new(notes))?);
    let mut counting = assigned(&consumer, parts)?;
    let deadline = Instant::now() + COUNT_MAX;
    while counting.iter().any(|one| !one.is_over) && Instant::now() < deadline {
        take_strays(&consumer, &mut counting)?;
        for one in &mut counting {
            one.go_on()?;
        }
    }
    for one in &counting {
        *counts.entry(one.part.name.to_owned()).or_default() += one.count;
    }
    for late in counting.iter().filter(|one| !one.is_over) {
        counts.remove(late.part.name);
    }
    drop(counting);
    if let Some(consumer) = Arc::into_inner(consumer) {
        context::begin_close(&consumer);
        context::end_close(consumer, Instant::now() + LEAVE_MAX);
    }
    Ok(counts)
}

/// A partition that is counted.
struct Counting<'a> {
    part: Unread<'a>,
    /// The end of a partition is told without its topic: each has a queue.
    queue: PartitionQueue<Context>,
    count: u64,
    is_over: bool,
}

fn assigned<'a>(
    consumer: &Arc<BaseConsumer<Context>>,
    parts: Vec<Unread<'a>>,
) -> KafkaResult<Vec<Counting<'a>>> {
    let mut list = TopicPartitionList::new();
    for part in &parts {
        let mut element = list.add_partition(part.name, part.partition);
        element.set_offset(Offset::Offset(part.progress.prefix()))?;
    }
    consumer.assign(&list)?;
    let counting = |part: Unread<'a>| {
        let queue = consumer.split_partition_queue(part.name, part.partition)?;
        Some(Counting { part, queue, count: 0, is_over: false })
    };
    Ok(parts.into_iter().filter_map(counting).collect())
}

/// Counts what came before its partition had a queue.
fn take_strays(consumer: &BaseConsumer<Context>, counting: &mut [Counting<'_>]) -> KafkaResult<()> {
    match consumer.poll(COUNT_PAUSE) {
        Some(Ok(message)) => {
            let is_its = |one: &&mut Counting<'_>| {
                (one.part.name, one.part.partition) == (message.topic(), message.partition())
            };
            counting.iter_mut().find(is_its).into_iter().for_each(|one| one.take(message.offset()));
            Ok(())
        }
        Some(Err(error)) if !is_of_no_matter(&error) => Err(error),
        _ => Ok(()),
    }
}

impl Counting<'_> {
    /// Counts what has come.
    fn go_on(&mut self) -> KafkaResult<()> {
        while !self.is_over {
            let polled = self.queue.poll(Duration::ZERO);
            let Some(told) = polled.map(|told| told.map(|message| message.offset())) else { break };
            match told {
                Ok(offset) => self.take(offset),
                Err(KafkaError::PartitionEOF(_)) => self.is_over = true,
                Err(error) if is_of_no_matter(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, offset: i64) {
        self.count += u64::from(!self.part.progress.is_done(offset));
        // Where the end of a transaction follows, the end of the partition is told.
        self.is_over = offset + 1 >= self.part.end;
    }
}

/// Whether it goes by, or says that a topic went while it was counted.
fn is_of_no_matter(error: &KafkaError) -> bool {
    faults::code(error).is_some_and(|code| {
        faults::passes(code) || faults::is_missing(code) || code == RDKafkaErrorCode::PartitionEOF
    })
}
