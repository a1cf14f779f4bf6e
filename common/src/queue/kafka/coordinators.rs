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
use std::collections::BTreeMap;
use std::io;

const FIND: Question = Question { key: FindCoordinatorRequest::KEY, version: 4 };
const FETCH: Question = Question { key: OffsetFetchRequest::KEY, version: 8 };
/// How many groups one question asks for.
const AT_ONCE: usize = 1_000;

/// Brokers by address.
type Brokers = BTreeMap<String, Broker>;

/// What these groups have committed, of those that brokers tell of at once; no
/// other is among them. It waits for nothing: an offset whose transaction is
/// open is not committed yet.
pub(super) fn committed<'a>(
    settings: &Settings,
    groups: &[Group<'a>],
) -> BTreeMap<&'a str, Commits> {
    let mut brokers = Brokers::new();
    let mut told = BTreeMap::new();
    for some in groups.chunks(AT_ONCE) {
        let Ok(places) = coordinators(&mut brokers, settings, some) else { break };
        for (address, ours) in places {
            let answer = fetch(&mut brokers, &address, &ours);
            told.extend(answer.unwrap_or_default());
        }
    }
    told
}

/// Groups by the address of the broker that coordinates them.
fn coordinators<'a, 'b>(
    brokers: &mut Brokers,
    settings: &Settings,
    groups: &'b [Group<'a>],
) -> io::Result<BTreeMap<String, Vec<&'b Group<'a>>>> {
    let keys = groups.iter().map(|(group, _)| text(group)).collect();
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
    let mut answer = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in settings.servers.split(',') {
        answer = broker(brokers, address).and_then(|broker| broker.ask(FIND.version, &request));
        if answer.is_ok() {
            break;
        }
        brokers.remove(address);
    }
    let by_name: BTreeMap<&str, &Group<'a>> = groups.iter().map(|group| (group.0, group)).collect();
    let mut places: BTreeMap<String, Vec<&Group<'a>>> = BTreeMap::new();
    for found in answer?.coordinators.iter().filter(|found| found.error_code == 0) {
        if let Some(group) = by_name.get(found.key.as_str()) {
            places.entry(address_of(found)).or_default().push(group);
        }
    }
    Ok(places)
}

fn address_of(found: &Coordinator) -> String {
    let host = found.host.as_str();
    if host.contains(':') {
        format!("[{host}]:{}", found.port)
    } else {
        format!("{host}:{}", found.port)
    }
}

fn broker<'a>(brokers: &'a mut Brokers, address: &str) -> io::Result<&'a mut Broker> {
    if !brokers.contains_key(address) {
        brokers.insert(address.to_owned(), Broker::connect(address, &[FIND, FETCH])?);
    }
    brokers.get_mut(address).ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// What groups of one coordinator have committed.
fn fetch<'a>(
    brokers: &mut Brokers,
    address: &str,
    groups: &[&Group<'a>],
) -> io::Result<BTreeMap<&'a str, Commits>> {
    let request = OffsetFetchRequest::default()
        .with_groups(groups.iter().map(|group| question(group)).collect());
    let answer = broker(brokers, address)?.ask(FETCH.version, &request)?;
    let told: BTreeMap<&str, Commits> = answer
        .groups
        .iter()
        .filter_map(|told| Some((told.group_id.as_str(), commits(told)?)))
        .collect();
    let named = |(name, _): &&Group<'a>| Some((*name, told.get(name)?.clone()));
    Ok(groups.iter().filter_map(named).collect())
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

/// What one group has committed, if all of it was told.
fn commits(told: &OffsetFetchResponseGroup) -> Option<Commits> {
    let mut commits = Commits::new();
    let mut is_told = told.error_code == 0;
    for topic in &told.topics {
        for partition in &topic.partitions {
            is_told &= partition.error_code == 0;
            if partition.committed_offset >= 0 {
                let mark = Mark::parse(partition.metadata.as_deref().unwrap_or_default());
                let place = (topic.name.to_string(), partition.partition_index);
                commits.insert(place, Commit { offset: partition.committed_offset, mark });
            }
        }
    }
    is_told.then_some(commits)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
