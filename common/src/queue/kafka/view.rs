//! Looking at a topic: partitions are read where they are, by a consumer that
//! is in no group. Within a partition the order is the log's; between
//! partitions messages come by their times, as far as they are at hand.

use super::context::{self, Context, Notes};
use super::depth;
use super::faults;
use super::membership::named;
use super::offsets::offsets_at;
use super::record::Letter;
use super::settings::{NOBODY, Settings};
use crate::queue::{Order, Places, Position, QueueDetail, QueueError, Range, Seen, View};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Messages kept while others that are older may still come.
const KEPT_MAX: usize = 1_000;
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// How long the last messages may take to come.
const LAST_MAX: Duration = Duration::from_secs(10);
/// How long the oldest message may take to come.
const OLDEST_MAX: Duration = Duration::from_secs(3);

/// A place that no log comes to.
const NOWHERE: i64 = i64::MAX - 1;

/// A look at a topic.
pub(super) struct KafkaView {
    consumer: Option<BaseConsumer<Context>>,
    name: String,
    url: String,
    lanes: BTreeMap<i32, Lane>,
    kept: usize,
    began_behind: Places,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    kept: VecDeque<Seen>,
    /// Where looking goes on.
    next: i64,
    /// Where looking ends; none when it follows.
    end: Option<i64>,
    /// Whether all that is there has come.
    is_caught_up: bool,
    is_done: bool,
}

impl Lane {
    /// Whether an older message than those of others may still come.
    fn may_hold_older(&self) -> bool {
        self.kept.is_empty() && !self.is_caught_up && !self.is_done
    }

    fn at_its_end(&mut self) {
        self.is_caught_up = true;
        self.is_done |= self.end.is_some();
    }
}

impl KafkaView {
    pub(super) fn begin(
        settings: &Settings,
        notes: &Notes,
        name: &str,
        range: &Range,
    ) -> Result<Box<dyn View>, QueueError> {
        let url = settings.url_of(name);
        let failed = |error: KafkaError| faults::of(&error, &url);
        let consumer: BaseConsumer<Context> =
            settings.looking(NOBODY).create_with_context(Context::new(notes)).map_err(failed)?;
        let known = consumer.fetch_metadata(Some(name), ANSWER_MAX).map_err(failed)?;
        let topics = known.topics().iter().filter(|topic| topic.error().is_none());
        let all: Vec<i32> =
            topics.flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
        if all.is_empty() {
            return Err(QueueError::NoSuchQueue);
        }
        let map = Map { consumer: &consumer, name, all: &all };
        let mut begin = map.offsets(&range.at).map_err(failed)??;
        if matches!(range.at, Position::Behind(_)) {
            map.check(&begin).map_err(failed)??;
        }
        map.clamp(&mut begin).map_err(failed)?;
        let placed = |partition: &i32| {
            // A partition that is not looked at is never come to.
            let offset = begin.get(partition).map_or(NOWHERE, |offset| offset - 1);
            (partition.unsigned_abs(), offset.to_string())
        };
        let began_behind = all.iter().map(placed).collect();
        let until = range.until.as_ref().map(|until| map.offsets(until));
        let until = until.transpose().map_err(failed)?.transpose()?;
        let (mut list, mut lanes) = (TopicPartitionList::new(), BTreeMap::new());
        for (partition, offset) in begin {
            let end = until.as_ref().map(|until| until.get(&partition).copied().unwrap_or(0));
            let is_done = end.is_some_and(|end| offset >= end);
            if !is_done {
                let mut element = list.add_partition(name, partition);
                element.set_offset(Offset::Offset(offset)).map_err(failed)?;
            }
            lanes.insert(partition, Lane { end, is_done, next: offset, ..Lane::default() });
        }
        consumer.assign(&list).map_err(failed)?;
        let (consumer, name) = (Some(consumer), name.to_owned());
        let mut view = Self { consumer, name, url, lanes, kept: 0, began_behind };
        if let Position::Last(count) = range.at {
            view.keep_last(count)?;
        }
        Ok(Box::new(view))
    }

    /// Each partition has its last messages here; of all of them together
    /// only the newest are wanted.
    fn keep_last(&mut self, count: u64) -> Result<(), QueueError> {
        let deadline = Instant::now() + LAST_MAX;
        while self.lanes.values().any(|lane| !lane.is_caught_up && !lane.is_done) {
            self.hear(Duration::from_millis(20))?;
            if Instant::now() >= deadline {
                break;
            }
        }
        while self.kept as u64 > count && self.oldest().is_some_and(|lane| self.pop(lane).is_some())
        {
        }
        Ok(())
    }

    /// Takes what has come to the client; waits for it so long.
    fn hear(&mut self, wait: Duration) -> Result<bool, QueueError> {
        let Self { consumer, lanes, kept, url, name, .. } = self;
        let Some(consumer) = consumer else { return Ok(false) };
        match consumer.poll(wait) {
            None => Ok(false),
            Some(Ok(message)) => {
                let Some(lane) = lanes.get_mut(&message.partition()) else { return Ok(true) };
                if lane.end.is_some_and(|end| message.offset() >= end) {
                    lane.at_its_end();
                    // What is behind the end need not be fetched.
                    let _ = consumer.pause(&named(name, &[message.partition()]));
                    return Ok(true);
                }
                lane.is_caught_up = false;
                let time_ms = message.timestamp().to_millis();
                let letter = Letter::of(&message);
                lane.kept.push_back(Seen {
                    lane: letter.partition.unsigned_abs(),
                    mark: letter.offset.to_string(),
                    time_ms: time_ms.and_then(|ms| u64::try_from(ms).ok()),
                    event: letter.event,
                    fault: letter.fault,
                });
                *kept += 1;
                lane.next = letter.offset + 1;
                lane.is_done |= lane.end == Some(lane.next);
                Ok(true)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                lanes.entry(partition).or_default().at_its_end();
                Ok(true)
            }
            Some(Err(error)) if faults::code(&error).is_some_and(faults::passes) => Ok(true),
            Some(Err(error)) => Err(faults::of(&error, url)),
        }
    }

    /// The partition whose message is next.
    fn oldest(&self) -> Option<i32> {
        let heads = self.lanes.iter().filter_map(|(partition, lane)| {
            lane.kept.front().map(|seen| (seen.time_ms, *partition))
        });
        heads.min().map(|(_, partition)| partition)
    }

    fn pop(&mut self, partition: i32) -> Option<Seen> {
        let seen = self.lanes.get_mut(&partition)?.kept.pop_front();
        self.kept -= usize::from(seen.is_some());
        seen
    }
}

impl View for KafkaView {
    fn next(
        &mut self,
        most: usize,
        wait: Duration,
        into: &mut Vec<Seen>,
    ) -> Result<(), QueueError> {
        let deadline = Instant::now() + wait;
        for _ in 0..2 * KEPT_MAX {
            if self.kept >= KEPT_MAX || !self.hear(Duration::ZERO)? {
                break;
            }
        }
        while self.lanes.values().any(Lane::may_hold_older) && self.kept < KEPT_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.hear(left)?;
        }
        if self.kept == 0 && !self.is_at_end() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.hear(left)?;
            }
        }
        for _ in 0..most {
            let Some(seen) = self.oldest().and_then(|partition| self.pop(partition)) else { break };
            into.push(seen);
        }
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.kept == 0 && self.lanes.values().all(|lane| lane.is_done)
    }

    fn began_behind(&self) -> Places {
        self.began_behind.clone()
    }

    /// By their offsets: marks of transactions count.
    fn left(&mut self) -> Result<Option<u64>, QueueError> {
        let ahead = |lane: &Lane| Some(lane.end?.saturating_sub(lane.next).max(0).unsigned_abs());
        let ahead: Option<u64> = self.lanes.values().map(ahead).sum();
        Ok(ahead.map(|ahead| ahead + self.kept as u64))
    }
}

impl Drop for KafkaView {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            context::begin_close(&consumer);
            context::end_close(consumer, Instant::now() + LEAVE_MAX);
        }
    }
}

/// What takes longer to find out about a topic.
///
/// # Errors
/// It is gone, or the brokers do not answer.
pub(super) fn detail(
    settings: &Settings,
    notes: &Notes,
    asker: &BaseConsumer<Context>,
    name: &str,
    partitions: &[i32],
) -> Result<QueueDetail, QueueError> {
    let (behind, again) =
        depth::places(settings, notes, asker, &(name.to_owned(), partitions.to_vec()))?;
    let range = Range { at: Position::Behind(behind), until: Some(Position::End) };
    let mut view = KafkaView::begin(settings, notes, name, &range)?;
    let mut seen = Vec::new();
    let begin = Instant::now();
    while seen.is_empty() && !view.is_at_end() && begin.elapsed() < OLDEST_MAX {
        view.next(1, Duration::from_millis(300), &mut seen)?;
    }
    Ok(QueueDetail {
        readers: depth::members(asker, settings.group_of(name), ANSWER_MAX),
        redelivered: Some(again),
        oldest_ms: seen.first().and_then(|seen| seen.time_ms),
        order: Some(Order::Fifo),
        partitions: Some(partitions.len() as u64),
        ..QueueDetail::default()
    })
}

/// Where positions are in the partitions of a topic.
struct Map<'a> {
    consumer: &'a BaseConsumer<Context>,
    name: &'a str,
    all: &'a [i32],
}

type Offsets = BTreeMap<i32, i64>;

impl Map<'_> {
    fn offsets(&self, position: &Position) -> KafkaResult<Result<Offsets, QueueError>> {
        let at = |offset| offsets_at(self.consumer, self.name, self.all, offset);
        Ok(Ok(match position {
            Position::Start => at(Offset::Beginning)?,
            Position::End => at(Offset::End)?,
            Position::Last(count) => {
                let (firsts, ends) = (at(Offset::Beginning)?, at(Offset::End)?);
                let first = |partition: &i32| firsts.get(partition).copied().unwrap_or(0);
                let back = i64::try_from(*count).unwrap_or(i64::MAX);
                let last = |(partition, end): (i32, i64)| {
                    (partition, end.saturating_sub(back).max(first(&partition)))
                };
                ends.into_iter().map(last).collect()
            }
            Position::Time(time_ms) => self.of_time(*time_ms)?,
            Position::Id(id) => match named_offset(id) {
                Ok((Some(partition), _)) if !self.all.contains(&partition) => {
                    return Ok(Err(refused(format!("there is no partition {partition}"))));
                }
                Ok((Some(partition), offset)) => BTreeMap::from([(partition, offset)]),
                Ok((None, offset)) => self.all.iter().map(|one| (*one, offset)).collect(),
                Err(error) => return Ok(Err(error)),
            },
            Position::Behind(places) => {
                let mut offsets = at(Offset::Beginning)?;
                for (lane, mark) in places {
                    let partition = i32::try_from(*lane).unwrap_or(-1);
                    let offset = mark.parse::<i64>().map_or(0, |offset| offset.saturating_add(1));
                    offsets.insert(partition, offset);
                }
                offsets
            }
        }))
    }

    /// A place that was noted is in the log, or was: what is beyond the end was
    /// noted of a topic that had this name before.
    fn check(&self, offsets: &Offsets) -> KafkaResult<Result<(), QueueError>> {
        let ends = offsets_at(self.consumer, self.name, self.all, Offset::End)?;
        let is_beyond = |(partition, offset): (&i32, &i64)| {
            *offset < NOWHERE && ends.get(partition).is_none_or(|end| offset > end)
        };
        Ok(match offsets.iter().any(is_beyond) {
            false => Ok(()),
            true => Err(QueueError::Refused {
                what: "the topic ends before the place that was noted: it was made anew".to_owned(),
                alternative: "another file, to copy it from its start".to_owned(),
            }),
        })
    }

    /// Keeps offsets to those that there are: librdkafka would begin elsewhere.
    fn clamp(&self, offsets: &mut Offsets) -> KafkaResult<()> {
        let firsts = offsets_at(self.consumer, self.name, self.all, Offset::Beginning)?;
        let ends = offsets_at(self.consumer, self.name, self.all, Offset::End)?;
        for (partition, offset) in offsets {
            let first = firsts.get(partition).copied().unwrap_or(0);
            let end = ends.get(partition).copied().unwrap_or(first);
            *offset = (*offset).clamp(first, end.max(first));
        }
        Ok(())
    }

    /// The first offsets of that time or later; the ends where there are none.
    fn of_time(&self, time_ms: u64) -> KafkaResult<Offsets> {
        let mut list = named(self.name, self.all);
        let time_ms = i64::try_from(time_ms).unwrap_or(i64::MAX);
        list.set_all_offsets(Offset::Offset(time_ms))?;
        let told = self.consumer.offsets_for_times(list, ANSWER_MAX)?;
        let mut offsets = offsets_at(self.consumer, self.name, self.all, Offset::End)?;
        for element in told.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }
}

/// `42`, of every partition, or `3/42`, of one.
fn named_offset(text: &str) -> Result<(Option<i32>, i64), QueueError> {
    let none = || refused(format!("`{text}` is no position in a topic"));
    let (partition, offset) = match text.split_once('/') {
        Some((partition, offset)) => (Some(partition.parse().map_err(|_| none())?), offset),
        None => (None, text),
    };
    let offset: i64 = offset.parse().map_err(|_| none())?;
    if offset < 0 { Err(none()) } else { Ok((partition, offset)) }
}

fn refused(what: String) -> QueueError {
    QueueError::Refused {
        what,
        alternative: "start, end, -100, -5m, a time, an offset, or PARTITION/OFFSET".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets() {
        let read = |text: &str| named_offset(text).ok();
        assert_eq!(read("42"), Some((None, 42)));
        assert_eq!(read("3/42"), Some((Some(3), 42)));
        for bad in ["-1", "x", "3/x", "3/-1", "1-0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
