//! What groups have committed. Brokers of a plain connection are asked for all
//! of them at once; where that cannot be, and for those it did not tell of, each
//! group is asked for by a client of its own that does not join it. (The call
//! that librdkafka has for many groups ends the process when a broker dies
//! meanwhile: 2.12.1.)

use super::context::{self, Context, Notes};
use super::coordinators;
use super::faults;
use super::mark::Mark;
use super::offsets::Topic;
use super::settings::Settings;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode::BadMessage;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// How many clients ask at a time: each takes a few milliseconds, most of them
/// spent waiting, and ten descriptors.
const ASKERS: usize = 24;

/// How far a group is with a partition: an offset, and the mark beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    /// What all messages before it are done.
    pub(super) offset: i64,
    /// What else is known of it.
    pub(super) mark: Mark,
}

/// Commits by topic and partition, each of the group that reads the topic.
pub(super) type Commits = BTreeMap<(String, i32), Commit>;

/// A group, and the topics of which it is asked.
pub(super) type Group<'a> = (&'a str, Vec<&'a Topic>);

/// All that the groups of these topics have committed.
///
/// # Errors
/// A group may not be seen, or brokers do not answer.
pub(super) fn committed(
    settings: &Settings,
    notes: &Notes,
    topics: &[&Topic],
) -> KafkaResult<Commits> {
    let mut groups: BTreeMap<&str, Vec<&Topic>> = BTreeMap::new();
    for topic in topics {
        groups.entry(settings.group_of(&topic.0)).or_default().push(topic);
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().collect();
    let mut all = Commits::new();
    if settings.is_plain() {
        let told = coordinators::committed(settings, &groups);
        groups.retain(|(group, _)| !told.contains_key(group));
        all.extend(told.into_values().flatten());
    }
    for commits in by_clients(settings, notes, &groups) {
        all.extend(commits?);
    }
    Ok(all)
}

/// What each of these groups has committed.
fn by_clients(
    settings: &Settings,
    notes: &Notes,
    groups: &[Group<'_>],
) -> Vec<KafkaResult<Commits>> {
    let each = groups.len().div_ceil(ASKERS).max(1);
    let ask = |(group, topics): &Group<'_>| of_group(settings, notes, group, topics);
    std::thread::scope(|scope| {
        let askers: Vec<_> = groups
            .chunks(each)
            .map(|some| scope.spawn(move || some.iter().map(ask).collect::<Vec<_>>()))
            .collect();
        let told = |asker: ScopedJoinHandle<'_, Vec<KafkaResult<Commits>>>| {
            // The crate panics over metadata that is no text.
            asker.join().unwrap_or_else(|_| vec![Err(KafkaError::OffsetFetch(BadMessage))])
        };
        askers.into_iter().flat_map(told).collect()
    })
}

fn of_group(
    settings: &Settings,
    notes: &Notes,
    group: &str,
    topics: &[&Topic],
) -> KafkaResult<Commits> {
    let consumer: BaseConsumer<Context> =
        settings.looking(group).create_with_context(Context::new(notes))?;
    let mut list = TopicPartitionList::new();
    for (name, partitions) in topics {
        partitions.iter().for_each(|partition| _ = list.add_partition(name, *partition));
    }
    let told = consumer.committed_offsets(list, ANSWER_MAX);
    context::begin_close(&consumer);
    context::end_close(consumer, Instant::now() + LEAVE_MAX);
    let mut commits = Commits::new();
    for element in told?.elements() {
        if let Err(error) = element.error() {
            // A topic that went meanwhile has none.
            let is_gone = faults::code(&error).is_some_and(faults::is_missing);
            if is_gone { continue } else { return Err(error) }
        }
        if let Offset::Offset(offset) = element.offset() {
            let commit = Commit { offset, mark: Mark::parse(element.metadata()) };
            commits.insert((element.topic().to_owned(), element.partition()), commit);
        }
    }
    Ok(commits)
}
