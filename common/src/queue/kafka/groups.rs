//! What groups have committed. Each is asked by a client of its own that does
//! not join it: to ask for many with one client librdkafka has a call that
//! ends the process when a broker dies meanwhile (2.12.1).

use super::context::{self, Context, Notes};
use super::mark::Mark;
use super::offsets::Topic;
use super::settings::Settings;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// How many groups are asked at a time: each takes a few milliseconds, most of
/// them spent waiting, and ten descriptors.
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
    let groups: Vec<(&str, Vec<&Topic>)> = groups.into_iter().collect();
    let each = groups.len().div_ceil(ASKERS).max(1);
    let ask = |(group, topics): &(&str, Vec<&Topic>)| of_group(settings, notes, group, topics);
    let told: Vec<KafkaResult<Commits>> = std::thread::scope(|scope| {
        let askers: Vec<_> = groups
            .chunks(each)
            .map(|some| scope.spawn(move || some.iter().map(ask).collect::<Vec<_>>()))
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap_or_default()).collect()
    });
    let mut all = Commits::new();
    for commits in told {
        all.extend(commits?);
    }
    Ok(all)
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
        if let Offset::Offset(offset) = element.offset() {
            let commit = Commit { offset, mark: Mark::parse(element.metadata()) };
            commits.insert((element.topic().to_owned(), element.partition()), commit);
        }
    }
    Ok(commits)
}
