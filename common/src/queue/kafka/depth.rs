//! How much waits in a topic, and topics of a single message. Everything here
//! looks at a topic without being a member of its group.

use super::admin::MESSAGE_SIZE;
use super::balance::Tally;
use super::context::{self, Context, Notes};
use super::faults;
use super::mark::Mark;
use super::membership::named;
use super::progress::Progress;
use super::record::Record;
use super::settings::Settings;
use super::survey::Told;
use crate::queue::{Places, QueueError, QueueStat, ReaderStat};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Depths up to this are counted message by message: ends of transactions
/// have offsets too, and would look like messages that wait.
const COUNTED_MAX: u64 = 100;
/// How long counting may take.
const COUNT_MAX: Duration = Duration::from_secs(3);
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// The group of those that read a single message.
pub(super) const NOBODY: &str = "faas-nobody";

/// What waits in a topic, and who reads it.
///
/// # Errors
/// It is gone, or the brokers do not answer.
pub(super) fn stat(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    name: &str,
    partitions: &[i32],
) -> Result<QueueStat, QueueError> {
    let url = settings.url_of(name);
    let group = settings.group_of(name);
    let counted = looking(settings, notes, group, |consumer| {
        let waiting = Waiting::ask(consumer, asker, name, partitions)?;
        let depth = match waiting.count() {
            0 => 0,
            rough if rough <= COUNTED_MAX => waiting.counted(consumer, name)?.unwrap_or(rough),
            rough => rough,
        };
        Ok((depth, waiting.ends()))
    });
    let (depth, ends) = counted.map_err(|error| faults::of(&error, &url))?;
    let readers = asker
        .fetch_group_list(Some(group), ANSWER_MAX)
        .map_or(0, |list| list.groups().iter().map(|group| group.members().len() as u64).sum());
    Ok(QueueStat {
        name: name.to_owned(),
        depth,
        held: 0,
        capacity: u64::MAX,
        message_size: MESSAGE_SIZE,
        readers,
        run: run_of(name),
        orphaned: false,
        created: None,
        sent_total: Some(ends),
        done_total: Some(ends.saturating_sub(depth)),
    })
}

/// Where each partition is read up to.
///
/// # Errors
/// The brokers do not answer.
pub(super) fn places(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    name: &str,
    partitions: &[i32],
) -> Result<Places, QueueError> {
    let asked = looking(settings, notes, settings.group_of(name), |consumer| {
        Ok(Waiting::ask(consumer, asker, name, partitions)?.places())
    });
    asked.map_err(|error| faults::of(&error, &settings.url_of(name)))
}

/// Whether there is such a topic and somebody takes from it, when brokers say
/// so in this time.
pub(super) fn is_read(
    asker: &BaseConsumer<Context>,
    name: &str,
    group: &str,
    most: Duration,
) -> bool {
    let known = asker.fetch_metadata(Some(name), most);
    let is_there = known.is_ok_and(|known| {
        known.topics().iter().any(|topic| topic.error().is_none() && topic.name() == name)
    });
    is_there && !members(asker, group, most).is_empty()
}

/// Members of the group that reads a topic.
pub(super) fn members(
    asker: &BaseConsumer<Context>,
    group: &str,
    most: Duration,
) -> Vec<ReaderStat> {
    let Ok(list) = asker.fetch_group_list(Some(group), most) else { return Vec::new() };
    let members = list.groups().iter().flat_map(|group| group.members());
    let reader = |name: &str, host: &str| ReaderStat {
        name: name.to_owned(),
        place: Some(host.trim_start_matches('/').to_owned()),
        ..ReaderStat::default()
    };
    members.map(|member| reader(member.id(), member.client_host())).collect()
}

/// The run that a topic's name says it belongs to.
fn run_of(name: &str) -> Option<String> {
    let (run, function) = name.strip_prefix("faas.")?.split_once('.')?;
    (!run.is_empty() && !function.is_empty()).then(|| run.to_owned())
}

/// Does something with a consumer that joins nothing.
fn looking<T>(
    settings: &Settings,
    notes: &Notes,
    group: &str,
    look: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T>,
) -> KafkaResult<T> {
    let consumer: BaseConsumer<Context> =
        settings.looking(group).create_with_context(Context::new(notes))?;
    let seen = look(&consumer);
    context::begin_close(&consumer);
    context::end_close(consumer, Instant::now() + LEAVE_MAX);
    seen
}

/// What of each partition is not done: its progress and its end.
struct Waiting(BTreeMap<i32, (Progress, i64)>);

impl Waiting {
    fn ask(
        consumer: &BaseConsumer<Context>,
        asker: &BaseConsumer<Context>,
        name: &str,
        partitions: &[i32],
    ) -> KafkaResult<Self> {
        if partitions.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let committed = consumer.committed_offsets(named(name, partitions), ANSWER_MAX)?;
        let firsts = offsets_at(asker, name, partitions, Offset::Beginning)?;
        let ends = offsets_at(asker, name, partitions, Offset::End)?;
        let mut waiting = BTreeMap::new();
        for element in committed.elements() {
            let partition = element.partition();
            let first = firsts.get(&partition).copied().unwrap_or_default();
            let end = ends.get(&partition).copied().unwrap_or_default();
            let progress = match element.offset() {
                Offset::Offset(prefix) if prefix >= first => {
                    Progress::taken_over(prefix, &Mark::parse(element.metadata()))
                }
                _ => Progress::new(first),
            };
            waiting.insert(partition, (progress, end));
        }
        Ok(Self(waiting))
    }

    /// Offsets there ever were.
    fn ends(&self) -> u64 {
        self.0.values().map(|(_, end)| u64::try_from(*end).unwrap_or(0)).sum()
    }

    /// The last message of each partition that is done with all before it.
    fn places(&self) -> Places {
        let before = |progress: &Progress| (progress.prefix() - 1).to_string();
        self.0.iter().map(|(lane, part)| (lane.unsigned_abs(), before(&part.0))).collect()
    }

    fn count(&self) -> u64 {
        self.0.values().map(left).sum()
    }

    fn tally(&self) -> Tally {
        let done =
            |progress: &Progress| progress.prefix().saturating_add_unsigned(progress.done_beyond());
        self.0.iter().map(|(number, part)| (*number, (done(&part.0), left(part)))).collect()
    }

    /// Counts what is there to be read; none when that takes too long.
    fn counted(&self, consumer: &BaseConsumer<Context>, name: &str) -> KafkaResult<Option<u64>> {
        let mut list = TopicPartitionList::new();
        let mut left = BTreeSet::new();
        for (partition, (progress, end)) in &self.0 {
            if progress.prefix() < *end {
                let mut element = list.add_partition(name, *partition);
                element.set_offset(Offset::Offset(progress.prefix()))?;
                left.insert(*partition);
            }
        }
        consumer.assign(&list)?;
        let deadline = Instant::now() + COUNT_MAX;
        let mut count = 0;
        while !left.is_empty() {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            match consumer.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => {
                    let progress = self.0.get(&message.partition());
                    let done = progress.is_some_and(|(p, _)| p.is_done(message.offset()));
                    count += u64::from(!done);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left.remove(&partition);
                }
                Some(Err(error)) if !faults::code(&error).is_some_and(faults::passes) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(Some(count))
    }
}

/// What of a partition is not done.
fn left((progress, end): &(Progress, i64)) -> u64 {
    let beyond = u64::try_from(end - progress.prefix()).unwrap_or(0);
    beyond.saturating_sub(progress.done_beyond())
}

/// First or last offsets, all asked for at once.
pub(super) fn offsets_at(
    asker: &BaseConsumer<Context>,
    name: &str,
    partitions: &[i32],
    at: Offset,
) -> KafkaResult<BTreeMap<i32, i64>> {
    let mut list = named(name, partitions);
    list.set_all_offsets(at)?;
    let told = asker.offsets_for_times(list, ANSWER_MAX)?;
    let mut offsets = BTreeMap::new();
    for element in told.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}

/// Tells how far a group is with a topic whenever it is asked to.
pub(super) fn tell(
    settings: &Settings,
    notes: &Notes,
    name: &str,
    asked: &Receiver<()>,
    told: &Sender<Told>,
) {
    let group = settings.group_of(name);
    // Without brokers nothing is told; whoever asked has noticed by itself.
    let _ = looking(settings, notes, group, |consumer| {
        let ask = || {
            let metadata = consumer.fetch_metadata(Some(name), ANSWER_MAX)?;
            let topics = metadata.topics().iter();
            let partitions = topics.flat_map(|topic| topic.partitions().iter().map(|p| p.id()));
            Waiting::ask(consumer, consumer, name, &partitions.collect::<Vec<i32>>())
        };
        while asked.recv().is_ok() {
            let answer = ask().ok().map(|waiting| (waiting.tally(), Instant::now()));
            // What went wrong meanwhile is of no interest.
            let _ = consumer.poll(Duration::ZERO);
            if told.send(answer).is_err() {
                break;
            }
        }
        Ok(())
    });
}

/// Writes the first message of a topic with one partition.
///
/// # Errors
/// It did not arrive.
pub(super) fn write_first(
    settings: &Settings,
    notes: &Notes,
    name: &str,
    data: &[u8],
) -> Result<(), QueueError> {
    let url = settings.url_of(name);
    let producer: BaseProducer<Context> = settings
        .producing()
        .create_with_context(Context::new(notes))
        .map_err(|error| faults::of(&error, &url))?;
    Record::plain(name, data).send(&producer, 0).map_err(|code| faults::of_code(code, &url))?;
    let deadline = Instant::now() + ANSWER_MAX;
    while Instant::now() < deadline {
        producer.poll(Duration::from_millis(2));
        if let Some(ack) = producer.context().take_acks().pop() {
            let failure = ack.failure.map(|(code, _)| faults::of_code(code, &url));
            return failure.map_or(Ok(()), Err);
        }
    }
    Err(faults::no_answer(notes.last(), &settings.servers))
}

/// Reads the first message of a topic with one partition.
///
/// # Errors
/// The brokers do not answer.
pub(super) fn read_first(
    settings: &Settings,
    notes: &Notes,
    name: &str,
) -> Result<Option<Vec<u8>>, QueueError> {
    let read = looking(settings, notes, NOBODY, |consumer| {
        let mut list = named(name, &[0]);
        list.set_all_offsets(Offset::Beginning)?;
        consumer.assign(&list)?;
        let deadline = Instant::now() + ANSWER_MAX;
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => return Ok(message.payload().map(<[u8]>::to_vec)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if !faults::code(&error).is_some_and(faults::passes) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Err(KafkaError::MetadataFetch(rdkafka::error::RDKafkaErrorCode::OperationTimedOut))
    });
    read.map_err(|error| faults::of(&error, &settings.url_of(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_done() {
        let mut progress = Progress::new(3);
        progress.finish(5);
        let waiting = Waiting(BTreeMap::from([(0, (progress, 9)), (1, (Progress::new(7), 4))]));
        assert_eq!(waiting.count(), 5);
        assert_eq!(run_of("faas.r.f").as_deref(), Some("r"));
        assert_eq!(run_of("jobs"), None);
    }
}
