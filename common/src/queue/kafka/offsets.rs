//! First and last offsets of partitions, many asked for at once.

use super::context::Context;
use super::faults;
use super::membership::named;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long it takes until a partition is asked for again whose leader moves.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How many topics are asked for at once: the time librdkafka needs to put
/// answers in their places grows with the square of it.
const AT_ONCE: usize = 64;
/// How long a topic is asked for that was there and is not known any more.
const MISSING_AFTER: Duration = Duration::from_secs(1);

/// A topic, and its partitions.
pub(super) type Topic = (String, Vec<i32>);

/// Offsets by topic and partition.
pub(super) type Offsets = BTreeMap<(String, i32), i64>;

/// First or last offsets of a topic.
///
/// # Errors
/// It is gone, or the brokers do not answer.
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

/// First or last offsets of many topics. One that went meanwhile has none, in
/// no partition; one whose leader moves is asked for again.
///
/// # Errors
/// A topic may not be seen, or the brokers do not answer.
pub(super) fn offsets_of(
    asker: &BaseConsumer<Context>,
    topics: &[Topic],
    at: Offset,
) -> KafkaResult<Offsets> {
    let begin = Instant::now();
    let mut offsets = Offsets::new();
    let mut left: Vec<&Topic> = topics.iter().filter(|(_, some)| !some.is_empty()).collect();
    while !left.is_empty() {
        let (mut again, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let mut last = None;
        let asked = left.chunks(AT_ONCE).map(|some| ask(asker, some, at));
        for (name, told) in asked.collect::<KafkaResult<Vec<_>>>()?.concat() {
            match told {
                Ok((partition, Some(offset))) => {
                    _ = offsets.insert((name, partition), offset);
                }
                // A client that has just begun may not know of it yet.
                Ok((_, None)) => _ = missing.insert(name),
                Err(error) if is(&error, faults::is_missing) => _ = missing.insert(name),
                Err(error) if is(&error, faults::passes) => {
                    again.insert(name);
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if begin.elapsed() >= MISSING_AFTER {
            offsets.retain(|(name, _), _| !missing.contains(name));
            missing.clear();
        }
        again.append(&mut missing);
        left.retain(|(name, _)| again.contains(name));
        match last {
            Some(error) if begin.elapsed() >= ANSWER_MAX => return Err(error),
            _ if left.is_empty() => {}
            _ => std::thread::sleep(AGAIN_AFTER),
        }
    }
    Ok(offsets)
}

fn is(error: &KafkaError, what: fn(rdkafka::error::RDKafkaErrorCode) -> bool) -> bool {
    faults::code(error).is_some_and(what)
}

/// What is told of a topic: a partition and its offset, if it has one.
type Told = (String, KafkaResult<(i32, Option<i64>)>);

fn ask(asker: &BaseConsumer<Context>, topics: &[&Topic], at: Offset) -> KafkaResult<Vec<Told>> {
    let mut list = TopicPartitionList::new();
    for (name, partitions) in topics {
        partitions.iter().for_each(|partition| _ = list.add_partition(name, *partition));
    }
    list.set_all_offsets(at)?;
    let told = match asker.offsets_for_times(list, ANSWER_MAX) {
        Ok(told) => told,
        Err(error) if topics.len() == 1 || is(&error, faults::passes) => {
            let each = topics.iter().map(|(name, _)| (name.clone(), Err(error.clone())));
            return Ok(each.collect());
        }
        // One of them hides the others.
        Err(error) if is(&error, faults::is_missing) => {
            let each = topics.iter().map(|topic| ask(asker, &[topic], at));
            return Ok(each.collect::<KafkaResult<Vec<_>>>()?.concat());
        }
        Err(error) => return Err(error),
    };
    let offset = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    let elements = told.elements().into_iter().map(|element| {
        let told = element.error().map(|()| (element.partition(), offset(element.offset())));
        (element.topic().to_owned(), told)
    });
    Ok(elements.collect())
}
