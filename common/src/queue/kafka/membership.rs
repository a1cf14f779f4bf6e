//! A reader as a member of its group: which partitions are its own, and what
//! it says of them to the next owner.

use super::bell;
use super::context::{self, Change, Context};
use super::faults;
use super::mark::Mark;
use super::part::Part;
use super::reader::{Held, Reader};
use crate::limits::DRAIN_MAX_MS;
use crate::queue::QueueError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a finished message that nobody waits for may stay uncommitted.
const COMMIT_INTERVAL_MS: u64 = 100;
/// How long after one that failed the next commit is tried.
const COMMIT_AGAIN_MS: u64 = 50;
/// How long a commit may take until it counts as failed.
const COMMIT_MAX_MS: u64 = 10_000;
/// How long a partition that was asked back is kept for what is at work in it.
const FAREWELL_MAX_MS: u64 = 5_000;
/// How long the last commit may take.
const FAREWELL_SAID_MAX: Duration = Duration::from_secs(3);
/// How long brokers may take to say how far a partition is done.
/// A transaction of a dead owner holds the answer up; it is asked for again.
const ASK_MAX: Duration = Duration::from_millis(500);

/// A settlement that waits until what it took is committed.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) change: u64,
}

/// Partitions that were asked back.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) partitions: Vec<i32>,
    /// Until when what is at work in them is waited for; once they were said
    /// to be let go of, until when that is.
    pub(super) deadline: Instant,
    pub(super) said: bool,
    /// Whether librdkafka waits until they are given up.
    pub(super) asked: bool,
}

impl Reader {
    pub(super) fn changed(&mut self, change: Change) -> Result<(), QueueError> {
        match change {
            Change::Assigned(partitions) => {
                self.to_begin.extend(partitions);
                // One that resigns answers when it goes.
                if !self.resigning {
                    self.begin()?;
                }
            }
            Change::Revoked { partitions, lost } => self.revoked(partitions, lost),
            Change::Committed(_) | Change::CommitFailed(_) if self.is_outdated() => {}
            Change::Committed(each) => self.committed(&each)?,
            Change::CommitFailed(code) => self.commit_failed(code)?,
        }
        Ok(())
    }

    /// Begins with partitions where their owners before left them.
    pub(super) fn begin(&mut self) -> Result<(), QueueError> {
        if self.to_begin.is_empty() {
            // An assignment without partitions wants an answer too.
            self.fetched_from = Some(Instant::now());
            self.answer_with(&TopicPartitionList::new());
            return Ok(());
        }
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let left = match how_left(consumer, &self.topic, &self.to_begin) {
            Ok(left) => left,
            Err(error) if faults::code(&error).is_some_and(faults::passes) => return Ok(()),
            Err(error) => return Err(faults::of(&error, &self.url)),
        };
        self.to_begin.clear();
        self.fetched_from = Some(Instant::now());
        let mut list = TopicPartitionList::with_capacity(left.len());
        for (partition, prefix, mark) in left {
            self.epochs += 1;
            let part = Part::new(self.epochs, prefix, &mark);
            self.has_suspects |= part.progress.takeovers() > 0;
            let mut element = list.add_partition(&self.topic, partition);
            // An offset of a broker's is one.
            let _ = element.set_offset(Offset::Offset(part.progress.prefix()));
            self.parts.insert(partition, part);
        }
        self.answer_with(&list);
        if let Some(consumer) = &self.consumer {
            // A pause outlives the loss of a partition.
            let _ = consumer.resume(&list);
        }
        Ok(())
    }

    /// Whether an answer is to a commit that was given up: answers come in
    /// the order of the commits, and only the last one is waited for.
    fn is_outdated(&mut self) -> bool {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.unanswered > 0
    }

    fn answer_with(&self, list: &TopicPartitionList) {
        if let Some(consumer) = &self.consumer {
            // It fails when the partitions are lost again; then they are revoked.
            let _ = context::take_on(consumer, list);
        }
    }

    fn revoked(&mut self, partitions: Vec<i32>, lost: bool) {
        self.to_begin.retain(|partition| !partitions.contains(partition));
        if lost && let Some(leaving) = self.leaving.take() {
            self.give_up(&leaving.partitions);
        }
        if lost || partitions.is_empty() {
            self.give_up(&partitions);
            return;
        }
        self.leave(partitions, true);
    }

    /// Hands out nothing more of these. One that resigns may be asked for some
    /// of its partitions besides, and the other way round.
    fn leave(&mut self, partitions: Vec<i32>, asked: bool) {
        for partition in &partitions {
            if let Some(part) = self.parts.get_mut(partition) {
                part.leaving = true;
            }
        }
        let deadline = Instant::now() + Duration::from_millis(FAREWELL_MAX_MS);
        let none = || Leaving { partitions: Vec::new(), deadline, said: false, asked: false };
        let leaving = self.leaving.get_or_insert_with(none);
        leaving.asked |= asked;
        for partition in partitions {
            if !leaving.partitions.contains(&partition) {
                leaving.partitions.push(partition);
                leaving.said = false;
            }
        }
    }

    fn give_up(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.parts.remove(partition);
        }
        self.sweep();
        if let Some(consumer) = &self.consumer {
            // It fails when they were never begun, or are lost.
            let _ = context::give_up(consumer, &named(&self.topic, partitions));
        }
    }

    fn committed(&mut self, each: &[(i32, Option<RDKafkaErrorCode>)]) -> Result<(), QueueError> {
        let Some((what, _)) = self.committing.take() else { return Ok(()) };
        for one in &what {
            let failure = each.iter().find(|(partition, _)| *partition == one.partition);
            match failure.and_then(|(_, failure)| *failure) {
                Some(code) => self.commit_failed(code)?,
                None => {
                    let part = self.parts.get_mut(&one.partition);
                    if let Some(part) = part.filter(|part| part.epoch == one.epoch) {
                        part.committed(one);
                    }
                }
            }
        }
        self.sweep();
        Ok(())
    }

    /// A commit that failed is tried again for as long as the partition is
    /// ours; when it is not, we are told.
    fn commit_failed(&mut self, code: RDKafkaErrorCode) -> Result<(), QueueError> {
        self.committing = None;
        self.commit_after = Instant::now() + Duration::from_millis(COMMIT_AGAIN_MS);
        match faults::of_code(code, &self.url) {
            error @ (QueueError::NotAllowed { .. } | QueueError::Refused { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts the commit that is due, and gives up what was asked back.
    pub(super) fn go_on(&mut self) -> Result<(), QueueError> {
        let now = Instant::now();
        let late = |since: Instant| now - since > Duration::from_millis(COMMIT_MAX_MS);
        if self.committing.as_ref().is_some_and(|(_, since)| late(*since)) {
            self.committing = None;
        }
        if self.committing.is_some() || self.in_transaction {
            self.leave_when_late(now);
            return Ok(());
        }
        if let Some(leaving) = &mut self.leaving {
            let is_idle = |partition| self.parts.get(partition).is_none_or(|p| !p.is_at_work());
            if leaving.said {
                self.let_leave();
            } else if now >= leaving.deadline || leaving.partitions.iter().all(is_idle) {
                // Who is still at work has not died.
                leaving.said = true;
                leaving.deadline = now + FAREWELL_SAID_MAX;
                let partitions = leaving.partitions.clone();
                self.commit(|partition, _| partitions.contains(&partition), |_, _| false);
            } else {
                self.commit_when_due(now);
            }
            return Ok(());
        }
        if self.resigning {
            self.depart();
        } else {
            self.commit_when_due(now);
        }
        Ok(())
    }

    fn commit_when_due(&mut self, now: Instant) {
        if now >= self.commit_after && self.is_commit_due(now) {
            self.commit(|_, part| part.is_dirty(), |_, part| part.is_claimed());
        }
    }

    /// A commit takes too long, or a transaction does.
    fn leave_when_late(&mut self, now: Instant) {
        let is_late = |leaving: &Leaving| {
            let more = if leaving.said { Duration::ZERO } else { FAREWELL_SAID_MAX };
            now >= leaving.deadline + more
        };
        if self.leaving.as_ref().is_some_and(is_late) {
            self.committing = None;
            self.let_leave();
        }
    }

    /// Gives up what was asked for. What was not goes when the group is left.
    fn let_leave(&mut self) {
        if let Some(leaving) = self.leaving.take()
            && (leaving.asked || !self.resigning)
        {
            self.give_up(&leaving.partitions);
        }
    }

    fn is_commit_due(&self, now: Instant) -> bool {
        let pressing = self.parts.values().any(|part| part.is_dirty() && part.is_pressing());
        let interval = Duration::from_millis(COMMIT_INTERVAL_MS);
        let dirty = || self.parts.values().any(Part::is_dirty);
        pressing || !self.waiters.is_empty() || (now >= self.commit_after + interval && dirty())
    }

    fn commit(&mut self, which: impl Fn(i32, &Part) -> bool, owned: impl Fn(i32, &Part) -> bool) {
        let Some(consumer) = &self.consumer else { return };
        let mut list = TopicPartitionList::new();
        let mut what = Vec::new();
        for (&partition, part) in self.parts.iter().filter(|(p, part)| which(**p, part)) {
            let mut element = list.add_partition(&self.topic, partition);
            let _ = element.set_offset(Offset::Offset(part.progress.prefix()));
            let owned = owned(partition, part);
            element.set_metadata(part.mark(owned).print());
            what.push(part.committing(partition, owned));
        }
        if what.is_empty() {
            return;
        }
        self.commit_after = Instant::now();
        // It fails only once the consumer is closed.
        if bell::commit(consumer, &list).is_ok() {
            self.unanswered += 1;
            self.committing = Some((what, Instant::now()));
        }
    }

    /// Remembers that a ticket waits until a change is committed.
    pub(super) fn wait(&mut self, ticket: u64, held: &Held, change: u64) {
        let Held { partition, epoch, .. } = *held;
        self.waiters.push(Waiter { ticket, partition, epoch, change });
    }

    /// Lets go of tickets that need not wait any more.
    fn sweep(&mut self) {
        let (parts, released) = (&self.parts, &mut self.released);
        self.waiters.retain(|waiter| {
            let part = parts.get(&waiter.partition).filter(|part| part.epoch == waiter.epoch);
            let waits = part.is_some_and(|part| !part.is_committed(waiter.change));
            if !waits {
                released.push((waiter.ticket, part.is_none()));
            }
            waits
        });
    }

    /// Tickets that need not wait any more; `true` when what they took
    /// belongs to somebody else now.
    pub(super) fn take_released(&mut self) -> Vec<(u64, bool)> {
        self.sweep();
        std::mem::take(&mut self.released)
    }

    /// Hands out nothing more, and leaves the group once what is at work is done.
    pub(super) fn resign(&mut self) {
        self.resigning = true;
        let partitions = self.parts.keys().copied().collect();
        self.leave(partitions, false);
        self.rung.store(true, Ordering::Release);
    }

    /// Leaves the group. Brokers take their time to answer, and a thread waits
    /// for that.
    fn depart(&mut self) {
        self.begin_close();
        if let Some(consumer) = self.consumer.take() {
            let deadline = Instant::now() + Duration::from_millis(DRAIN_MAX_MS);
            let end = move || context::end_close(consumer, deadline);
            // Without a thread it ends here and now, as it is.
            let _ = std::thread::Builder::new().name("farewell".to_owned()).spawn(end);
        }
        self.parts.clear();
        self.listening = false;
        self.sweep();
    }

    /// Says for the last time how far all is done.
    /// Where work was left in the middle, the next owner is to know.
    pub(super) fn begin_farewell(&mut self, left: &BTreeSet<i32>) {
        self.committing = None;
        self.commit(|_, _| true, |partition, _| left.contains(&partition));
    }

    /// Whether that was heard.
    pub(super) fn is_heard(&mut self) -> bool {
        let Some(consumer) = &self.consumer else { return true };
        let _ = consumer.poll(Duration::ZERO);
        for change in consumer.context().take_changes() {
            match change {
                Change::Committed(_) | Change::CommitFailed(_) if self.is_outdated() => {}
                Change::Committed(_) | Change::CommitFailed(_) => self.committing = None,
                Change::Assigned(partitions) => self.to_begin.extend(partitions),
                Change::Revoked { partitions, .. } => self.revoked(partitions, true),
            }
        }
        self.committing.is_none()
    }

    /// Begins to leave the group.
    pub(super) fn begin_close(&mut self) {
        // librdkafka waits for an answer to what it told before.
        if let Some(leaving) = self.leaving.take() {
            self.give_up(&leaving.partitions);
        }
        if !self.to_begin.is_empty() {
            self.answer_with(&named(&self.topic, &self.to_begin));
        }
        if let Some(consumer) = &self.consumer {
            context::begin_close(consumer);
        }
    }

    /// Leaves the group, at the latest at `deadline`.
    pub(super) fn end_close(&mut self, deadline: Instant) {
        if let Some(consumer) = self.consumer.take() {
            context::end_close(consumer, deadline);
        }
    }
}

/// Partitions of a topic as a list.
pub(super) fn named(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

/// How far partitions are done: prefix and mark, or their first offset.
fn how_left(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partitions: &[i32],
) -> KafkaResult<Vec<(i32, i64, Mark)>> {
    let mut left = Vec::with_capacity(partitions.len());
    let mut fresh = Vec::new();
    let committed = consumer.committed_offsets(named(topic, partitions), ASK_MAX)?;
    for element in committed.elements() {
        element.error()?;
        match element.offset() {
            Offset::Offset(prefix) => {
                left.push((element.partition(), prefix, Mark::parse(element.metadata())));
            }
            _ => fresh.push(element.partition()),
        }
    }
    if !fresh.is_empty() {
        let mut first = named(topic, &fresh);
        first.set_all_offsets(Offset::Beginning)?;
        for element in consumer.offsets_for_times(first, ASK_MAX)?.elements() {
            element.error()?;
            let Offset::Offset(prefix) = element.offset() else { continue };
            left.push((element.partition(), prefix, Mark::default()));
        }
    }
    Ok(left)
}
