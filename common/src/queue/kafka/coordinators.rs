//! What many groups have committed, by a few questions to the brokers that
//! coordinate them (FindCoordinator and OffsetFetch in the versions of KIP-699
//! and KIP-709, which brokers know since 3.0).

use super::broker::{Broker, Question};
use super::groups::{Commit, Commits, Group};
use super::mark::Mark;
use super::settings::Settings;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

const FIND: Question = Question { key: FindCoordinatorRequest::KEY, version: 4 };
const FETCH: Question = Question { key: OffsetFetchRequest::KEY, version: 8 };
/// How long all questions together may take.
const ANSWERS_MAX: Duration = Duration::from_secs(2);
/// How many groups one question asks for.
const GROUPS_AT_ONCE: usize = 1_000;
/// How many partitions, unless a single group has more. With each may come
/// 3 000 bytes of mark.
const PARTITIONS_AT_ONCE: usize = 10_000;

/// What these groups have committed, of those that brokers tell of at once; no
/// other is among them, nor one with an offset in an open transaction.
pub(super) fn committed<'a>(
    settings: &Settings,
    groups: &[Group<'a>],
) -> BTreeMap<&'a str, Commits> {
    let mut brokers = Brokers::new(settings);
    let mut told = BTreeMap::new();
    for some in portions(groups) {
        let Ok(places) = brokers.coordinators(some) else { break };
        for (address, ours) in places {
            told.extend(brokers.fetch(&address, &ours).unwrap_or_default());
        }
    }
    told
}

/// Groups as they are asked for together.
fn portions<'a, 'b>(groups: &'b [Group<'a>]) -> Vec<&'b [Group<'a>]> {
    let mut portions = Vec::new();
    let (mut begin, mut partitions) = (0, 0);
    for (index, (_, topics)) in groups.iter().enumerate() {
        let more: usize = topics.iter().map(|(_, partitions)| partitions.len()).sum();
        let is_full = partitions + more > PARTITIONS_AT_ONCE || index - begin >= GROUPS_AT_ONCE;
        if is_full && index > begin {
            portions.push(&groups[begin..index]);
            (begin, partitions) = (index, 0);
        }
        partitions += more;
    }
    portions.extend((begin < groups.len()).then(|| &groups[begin..]));
    portions
}

/// Brokers that are asked, for one look.
struct Brokers<'a> {
    settings: &'a Settings,
    /// By address; none where one did not answer.
    known: BTreeMap<String, Option<Broker>>,
    deadline: Instant,
}

impl<'s> Brokers<'s> {
    fn new(settings: &'s Settings) -> Self {
        Self { settings, known: BTreeMap::new(), deadline: Instant::now() + ANSWERS_MAX }
    }

    fn ask<R: Request>(
        &mut self,
        address: &str,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        let deadline = self.deadline;
        let connect = || Broker::connect(address, &[FIND, FETCH], deadline).ok();
        let known = self.known.entry(address.to_owned()).or_insert_with(connect);
        let broker = known.as_mut().ok_or(ErrorKind::NotConnected)?;
        let answer = broker.ask(version, request, deadline);
        if answer.is_err() {
            *known = None;
        }
        answer
    }

    /// Groups by the address of the broker that coordinates them.
    fn coordinators<'a, 'b>(
        &mut self,
        groups: &'b [Group<'a>],
    ) -> io::Result<BTreeMap<String, Vec<&'b Group<'a>>>> {
        let keys = groups.iter().map(|(group, _)| text(group)).collect();
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
        let settings = self.settings;
        let answer = settings.first_that(|server| self.ask(server, FIND.version, &request).ok());
        let found = answer.ok_or(ErrorKind::NotConnected)?.coordinators;
        let by_name: BTreeMap<&str, &Group<'a>> = groups.iter().map(|one| (one.0, one)).collect();
        let mut places: BTreeMap<String, Vec<&Group<'a>>> = BTreeMap::new();
        for found in found.iter().filter(|found| found.error_code == 0) {
            if let Some(group) = by_name.get(found.key.as_str()) {
                places.entry(address_of(found)).or_default().push(group);
            }
        }
        Ok(places)
    }

    /// What groups of one coordinator have committed.
    fn fetch<'a>(
        &mut self,
        address: &str,
        groups: &[&Group<'a>],
    ) -> io::Result<BTreeMap<&'a str, Commits>> {
        let questions = groups.iter().map(|group| question(group)).collect();
        let request =
            OffsetFetchRequest::default().with_groups(questions).with_require_stable(true);
        let answer = self.ask(address, FETCH.version, &request)?;
        let told: BTreeMap<&str, &OffsetFetchResponseGroup> =
            answer.groups.iter().map(|told| (told.group_id.as_str(), told)).collect();
        let all = groups.iter().filter_map(|group| {
            told.get(group.0).and_then(|told| Some((group.0, commits(group, told)?)))
        });
        Ok(all.collect())
    }
}

fn address_of(found: &Coordinator) -> String {
    let (host, port) = (found.host.as_str(), found.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn question((group, topics): &Group<'_>) -> OffsetFetchRequestGroup {
    let topic = |(name, partitions): &&(String, Vec<i32>)| {
        OffsetFetchRequestTopics::default()
            .with_name(TopicName(text(name)))
            .with_partition_indexes(partitions.clone())
    };
    OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(topics.iter().map(topic).collect()))
}

/// What one group has committed, if it was told of all that was asked for.
fn commits((_, topics): &Group<'_>, told: &OffsetFetchResponseGroup) -> Option<Commits> {
    let places = topics.iter().flat_map(|(name, some)| some.iter().map(move |p| (&**name, *p)));
    let mut asked: BTreeSet<(&str, i32)> = places.collect();
    let mut commits = Commits::new();
    for topic in &told.topics {
        for partition in &topic.partitions {
            let place = (topic.name.as_str(), partition.partition_index);
            if !asked.remove(&place) {
                continue;
            }
            if partition.error_code != 0 {
                return None;
            }
            if partition.committed_offset >= 0 {
                let mark = Mark::parse(partition.metadata.as_deref().unwrap_or_default());
                let commit = Commit { offset: partition.committed_offset, mark };
                commits.insert((place.0.to_owned(), place.1), commit);
            }
        }
    }
    (told.error_code == 0 && asked.is_empty()).then_some(commits)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };

    /// An answer for a topic `jobs`: partition, offset, error of each.
    fn told(error: i16, partitions: &[(i32, i64, i16)]) -> OffsetFetchResponseGroup {
        let partition = |(index, offset, error): &(i32, i64, i16)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_error_code(*error)
        };
        let topic = OffsetFetchResponseTopics::default()
            .with_name(TopicName(text("jobs")))
            .with_partitions(partitions.iter().map(partition).collect());
        OffsetFetchResponseGroup::default().with_topics(vec![topic]).with_error_code(error)
    }

    fn offsets(answer: &OffsetFetchResponseGroup) -> Option<Vec<(i32, i64)>> {
        let topic = ("jobs".to_owned(), vec![0, 1]);
        let commits = commits(&("jobs", vec![&topic]), answer)?;
        Some(commits.into_iter().map(|((_, index), commit)| (index, commit.offset)).collect())
    }

    #[test]
    fn a_group_is_told_of_when_all_of_it_is() {
        assert_eq!(offsets(&told(0, &[(0, 7, 0), (1, -1, 0)])), Some(vec![(0, 7)]));
        assert_eq!(
            offsets(&told(0, &[(0, 7, 0), (1, 3, 0), (2, 9, 0)])),
            Some(vec![(0, 7), (1, 3)])
        );
        assert_eq!(offsets(&told(0, &[(0, 7, 0)])), None, "a partition is missing");
        assert_eq!(offsets(&told(0, &[(0, 7, 0), (1, -1, 88)])), None, "it is in a transaction");
        assert_eq!(offsets(&told(30, &[(0, 7, 0), (1, 3, 0)])), None, "it may not be seen");
    }

    #[test]
    fn questions_are_of_a_size() {
        let topic = ("jobs".to_owned(), (0..6_000).collect());
        let small = ("more".to_owned(), vec![0]);
        let sizes = |groups: &[Group<'_>]| -> Vec<usize> {
            portions(groups).iter().map(|some| some.len()).collect()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[("a", vec![&topic, &topic]), ("b", vec![&small])]), [1, 1]);
        let many: Vec<Group<'_>> = vec![("a", vec![&small]); GROUPS_AT_ONCE + 1];
        assert_eq!(sizes(&many), [GROUPS_AT_ONCE, 1]);
    }
}
