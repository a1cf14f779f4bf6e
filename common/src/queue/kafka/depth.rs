//! How much waits in a topic, and topics of a single message. Everything here
//! looks at a topic without being a member of its group.

use super::admin::MESSAGE_SIZE;
use super::balance::Tally;
use super::context::{self, Context, Notes};
use super::count::{Unread, count};
use super::faults;
use super::groups::{Commits, committed};
use super::membership::named;
use super::offsets::{Offsets, Topic, offsets_of};
use super::progress::Progress;
use super::record::Record;
use super::settings::{NOBODY, Settings};
use super::survey::Told;
use crate::queue::{Places, QueueError, QueueStat, ReaderStat};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Depths up to this are counted message by message: ends of transactions
/// have offsets too, and would look like messages that wait.
const COUNTED_MAX: u64 = 100;
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);

/// What waits in topics, and who reads them. One that went meanwhile is not
/// among them. `eager` sees what is not committed yet: that waits too, or a
/// topic would look empty to which a transaction is under way.
///
/// # Errors
/// One may not be seen, or the brokers do not answer.
pub(super) fn stats(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    eager: &BaseConsumer<Context>,
    topics: &[Topic],
) -> KafkaResult<Vec<QueueStat>> {
    // First, so that what comes between two questions is not taken for it.
    let ends = offsets_of(eager, topics, Offset::End)?;
    let waiting = ask(settings, notes, asker, topics)?;
    let few = waiting.iter().filter(|(_, some)| (1..=COUNTED_MAX).contains(&some.count()));
    let parts = few.flat_map(|(name, some)| some.parts(name)).collect();
    let counted = count(settings, notes, parts)?;
    let groups = asker.fetch_group_list(None, ANSWER_MAX);
    let groups: BTreeMap<&str, usize> = groups.as_ref().map_or_else(
        |_| BTreeMap::new(),
        |list| list.groups().iter().map(|group| (group.name(), group.members().len())).collect(),
    );
    let stat = |(name, waiting): (&String, &Waiting)| {
        let depth = counted.get(name).copied().unwrap_or_else(|| waiting.count());
        let uncommitted = waiting.uncommitted(name, &ends);
        QueueStat {
            name: name.to_owned(),
            depth: depth + uncommitted,
            held: 0,
            capacity: u64::MAX,
            message_size: MESSAGE_SIZE,
            readers: groups.get(settings.group_of(name)).map_or(0, |count| *count as u64),
            run: run_of(name),
            orphaned: false,
            created: None,
            sent_total: Some(waiting.ends() + uncommitted),
            done_total: Some(waiting.ends().saturating_sub(depth)),
        }
    };
    Ok(waiting.iter().map(stat).collect())
}

/// Where each partition is read up to, and how many of them wait for a message
/// that a reader died of.
///
/// # Errors
/// It is gone, or the brokers do not answer.
pub(super) fn places(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    topic: &Topic,
) -> Result<(Places, u64), QueueError> {
    let asked = ask(settings, notes, asker, std::slice::from_ref(topic));
    let asked = asked.map_err(|error| faults::of(&error, &settings.url_of(&topic.0)))?;
    let told = asked.values().next();
    told.map(|waiting| (waiting.places(), waiting.again())).ok_or(QueueError::NoSuchQueue)
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
    look: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T>,
) -> KafkaResult<T> {
    let consumer: BaseConsumer<Context> =
        settings.looking(NOBODY).create_with_context(Context::new(notes))?;
    let seen = look(&consumer);
    context::begin_close(&consumer);
    context::end_close(consumer, Instant::now() + LEAVE_MAX);
    seen
}

/// What of each partition is not done: its progress and its end.
struct Waiting(BTreeMap<i32, Part>);

/// A partition: its progress, its end, and how often in a row a reader died of
/// its next message.
type Part = (Progress, i64, u32);

impl Waiting {
    fn new(name: &str, firsts: &Offsets, ends: &Offsets, commits: &Commits) -> Self {
        let waiting = |((_, partition), first): (&(String, i32), &i64)| {
            let place = (name.to_owned(), *partition);
            let end = ends.get(&place).copied().unwrap_or(*first);
            let progress = match commits.get(&place) {
                Some(commit) if commit.offset >= *first => {
                    Progress::taken_over(commit.offset, &commit.mark)
                }
                _ => Progress::new(*first),
            };
            let deaths = commits.get(&place).map_or(0, |commit| commit.mark.takeovers);
            (*partition, (progress, end, deaths))
        };
        let all = (name.to_owned(), i32::MIN)..=(name.to_owned(), i32::MAX);
        Self(firsts.range(all).map(waiting).collect())
    }

    /// Offsets there ever were.
    fn ends(&self) -> u64 {
        self.0.values().map(|(_, end, _)| u64::try_from(*end).unwrap_or(0)).sum()
    }

    /// Offsets of transactions that are under way, and those behind them: of
    /// none of these is known yet whether it is a message.
    fn uncommitted(&self, name: &str, ends: &Offsets) -> u64 {
        let beyond = |(partition, (progress, committed, _)): (&i32, &Part)| {
            let end = ends.get(&(name.to_owned(), *partition)).copied().unwrap_or(*committed);
            u64::try_from(end - progress.prefix().max(*committed)).unwrap_or(0)
        };
        self.0.iter().map(beyond).sum()
    }

    /// Messages that were delivered before and wait.
    fn again(&self) -> u64 {
        self.0.values().filter(|part| part.2 > 0 && left(part) > 0).count() as u64
    }

    /// The last message of each partition that is done with all before it.
    fn places(&self) -> Places {
        let before = |progress: &Progress| (progress.prefix() - 1).to_string();
        self.0.iter().map(|(lane, part)| (lane.unsigned_abs(), before(&part.0))).collect()
    }

    fn count(&self) -> u64 {
        self.0.values().map(left).sum()
    }

    /// What there is to read of it.
    fn parts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Unread<'a>> {
        let unread = move |(partition, (progress, end, _)): (&i32, &'a Part)| Unread {
            name,
            partition: *partition,
            progress,
            end: *end,
        };
        self.0.iter().map(unread)
    }

    fn tally(&self) -> Tally {
        let done =
            |progress: &Progress| progress.prefix().saturating_add_unsigned(progress.done_beyond());
        self.0.iter().map(|(number, part)| (*number, (done(&part.0), left(part)))).collect()
    }
}

/// What waits in each topic. One that went meanwhile is not among them.
fn ask(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    topics: &[Topic],
) -> KafkaResult<BTreeMap<String, Waiting>> {
    let firsts = offsets_of(asker, topics, Offset::Beginning)?;
    let ends = offsets_of(asker, topics, Offset::End)?;
    let commits = committed(settings, notes, &with_any(topics, &firsts, &ends))?;
    // What went between two questions is not half there.
    let there: BTreeSet<&str> = ends.keys().map(|(name, _)| name.as_str()).collect();
    let names = topics.iter().map(|(name, _)| name).filter(|name| there.contains(name.as_str()));
    let all = names.map(|name| (name.clone(), Waiting::new(name, &firsts, &ends, &commits)));
    Ok(all.filter(|(_, waiting)| !waiting.0.is_empty()).collect())
}

/// The topics that have messages; of others nothing is to be done, whatever
/// their groups have committed.
fn with_any<'a>(topics: &'a [Topic], firsts: &Offsets, ends: &Offsets) -> Vec<&'a Topic> {
    let has_any = |(name, partitions): &&Topic| {
        let mut places = partitions.iter().map(|partition| (name.clone(), *partition));
        places.any(|place| ends.get(&place) > firsts.get(&place))
    };
    topics.iter().filter(has_any).collect()
}

/// What of a partition is not done.
fn left((progress, end, _): &Part) -> u64 {
    let beyond = u64::try_from(end - progress.prefix()).unwrap_or(0);
    beyond.saturating_sub(progress.done_beyond())
}

/// Tells how far a group is with a topic whenever it is asked to.
pub(super) fn tell(
    settings: &Settings,
    notes: &Notes,
    name: &str,
    asked: &Receiver<()>,
    told: &Sender<Told>,
) {
    // Without brokers nothing is told; whoever asked has noticed by itself.
    let _ = looking(settings, notes, |consumer| {
        let tally = || {
            let metadata = consumer.fetch_metadata(Some(name), ANSWER_MAX)?;
            let topics = metadata.topics().iter();
            let partitions = topics.flat_map(|topic| topic.partitions().iter().map(|p| p.id()));
            let topic = (name.to_owned(), partitions.collect());
            let waiting = ask(settings, notes, consumer, &[topic])?;
            Ok::<_, KafkaError>(waiting.values().next().map(Waiting::tally).unwrap_or_default())
        };
        while asked.recv().is_ok() {
            let answer = tally().ok().map(|tally| (tally, Instant::now()));
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
    let read = looking(settings, notes, |consumer| {
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
        let waiting =
            Waiting(BTreeMap::from([(0, (progress, 9, 1)), (1, (Progress::new(7), 4, 1))]));
        assert_eq!((waiting.count(), waiting.again()), (5, 1));
        // The second is read by somebody who sees what is not committed.
        let ends = Offsets::from([(("a".to_owned(), 0), 12), (("a".to_owned(), 1), 7)]);
        assert_eq!((waiting.uncommitted("a", &ends), waiting.uncommitted("b", &ends)), (3, 0));
        assert_eq!(run_of("faas.r.f").as_deref(), Some("r"));
        assert_eq!(run_of("jobs"), None);
    }
}
