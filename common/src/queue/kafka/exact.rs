//! Settlements as transactions: which go into the next one, and what follows
//! when it took effect or did not.

use super::gathering::Fate;
use super::mark::Mark;
use super::part::Committing;
use super::progress::Progress;
use super::reader::{Held, Reader};
use super::record::{Elsewhere, Record};
use super::settings::Settings;
use super::transactor::{Batch, Outcome, Transactor};
use crate::queue::QueueError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A settlement.
struct Job {
    ticket: u64,
    records: Arc<Vec<Record>>,
    held: Vec<Held>,
}

/// Settlements on their way through transactions.
pub(super) struct Exact {
    transactor: Transactor,
    waiting: VecDeque<Job>,
    /// Since when the first of them waits.
    since: Instant,
    /// Whether a ring was asked for, for the time it may wait.
    asked: bool,
    running: Option<Running>,
    /// Of topics that may go, and where to then.
    elsewhere: HashMap<Arc<str>, Elsewhere>,
}

/// The transaction that is under way.
struct Running {
    jobs: Vec<Job>,
    /// What it commits, by reader.
    commits: Vec<(usize, Committing)>,
}

/// Tickets that are done; `true` when what they took was not theirs any more.
pub(super) type Ready = Vec<(u64, bool)>;

impl Exact {
    pub(super) fn new(transactor: Transactor) -> Self {
        Self {
            transactor,
            waiting: VecDeque::new(),
            since: Instant::now(),
            asked: false,
            running: None,
            elsewhere: HashMap::new(),
        }
    }

    /// What is for a topic goes elsewhere once that is gone.
    pub(super) fn falls_back(&mut self, topic: Arc<str>, elsewhere: Elsewhere) {
        self.elsewhere.insert(topic, elsewhere);
    }

    /// A topic is gone: what is for it goes elsewhere, if that is known.
    fn redirect(&mut self, topic: &str) -> bool {
        let Some(to) = self.elsewhere.get(topic) else { return false };
        for job in &mut self.waiting {
            if job.records.iter().any(|record| *record.topic == *topic) {
                let redirected = |record: &Record| match *record.topic == *topic {
                    true => record.redirected(to),
                    false => record.clone(),
                };
                job.records = Arc::new(job.records.iter().map(redirected).collect());
            }
        }
        true
    }

    /// Takes a settlement.
    pub(super) fn add(&mut self, ticket: u64, records: Vec<Record>, held: Vec<Held>) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
            self.asked = false;
        }
        self.waiting.push_back(Job { ticket, records: Arc::new(records), held });
    }

    /// Starts the next transaction when it is full or has waited long enough.
    ///
    /// # Errors
    /// No transaction can be done any more.
    pub(super) fn start_when_due(
        &mut self,
        settings: &Settings,
        readers: &mut [Reader],
        ready: &mut Ready,
    ) -> Result<(), QueueError> {
        if self.running.is_some() || self.waiting.is_empty() {
            return Ok(());
        }
        let waited = self.since.elapsed();
        if self.waiting.len() < settings.batch_count && waited < settings.batch_time {
            if !self.asked {
                self.asked = true;
                self.transactor.ring_in(settings.batch_time - waited);
            }
            return Ok(());
        }
        self.start(settings.batch_count, readers, ready)
    }

    fn start(
        &mut self,
        count: usize,
        readers: &mut [Reader],
        ready: &mut Ready,
    ) -> Result<(), QueueError> {
        let concerned = |reader: &Reader| reader.committing.is_some();
        let first = self.waiting.iter().take(count);
        if first.flat_map(|job| &job.held).any(|held| concerned(&readers[held.reader])) {
            // The answer to that commit rings the bell.
            return Ok(());
        }
        let mut jobs = Vec::new();
        let mut done = Changes::new();
        for _ in 0..count {
            let Some(job) = self.waiting.pop_front() else { break };
            if job.held.iter().all(|held| readers[held.reader].has(held)) {
                job.held.iter().for_each(|held| note_done(held, readers, &mut done));
                jobs.push(job);
            } else {
                ready.push((job.ticket, true));
            }
        }
        self.since = Instant::now();
        self.asked = false;
        if jobs.is_empty() {
            return Ok(());
        }
        let records = jobs.iter().map(|job| job.records.clone()).collect();
        let (offsets, commits) = offsets(&done, readers);
        for (reader, _) in &commits {
            readers[*reader].in_transaction = true;
        }
        self.running = Some(Running { jobs, commits });
        self.transactor.run(Batch { records, offsets })
    }

    /// Takes in the end of the transaction.
    ///
    /// # Errors
    /// It cannot take effect, ever.
    pub(super) fn look(
        &mut self,
        readers: &mut [Reader],
        ready: &mut Ready,
    ) -> Result<(), QueueError> {
        match self.transactor.answer() {
            Some(outcome) => self.ended(outcome, readers, ready),
            None => Ok(()),
        }
    }

    /// Regular work: whoever hangs is replaced, and what he had begins anew.
    ///
    /// # Errors
    /// No transaction can be done any more.
    pub(super) fn look_after(
        &mut self,
        readers: &mut [Reader],
        ready: &mut Ready,
    ) -> Result<(), QueueError> {
        match self.transactor.replace_if_stuck()? {
            true => self.ended(Outcome::Again, readers, ready),
            false => Ok(()),
        }
    }

    /// Waits for the transaction that is under way, and begins no other.
    pub(super) fn finish(&mut self, max: Duration, readers: &mut [Reader], ready: &mut Ready) {
        if self.running.is_some()
            && let Some(outcome) = self.transactor.last_answer(max)
        {
            // Nobody is left to be told.
            let _ = self.ended(outcome, readers, ready);
        }
    }

    fn ended(
        &mut self,
        outcome: Outcome,
        readers: &mut [Reader],
        ready: &mut Ready,
    ) -> Result<(), QueueError> {
        let Some(Running { jobs, commits }) = self.running.take() else { return Ok(()) };
        for (reader, _) in &commits {
            readers[*reader].in_transaction = false;
        }
        if !matches!(outcome, Outcome::Committed) {
            jobs.into_iter().rev().for_each(|job| self.waiting.push_front(job));
        } else {
            for (reader, what) in &commits {
                let part = readers[*reader].parts.get_mut(&what.partition);
                if let Some(part) = part.filter(|part| part.epoch == what.epoch) {
                    part.committed(what);
                }
            }
            for job in jobs {
                for held in &job.held {
                    if let Some(part) = readers[held.reader].part(held) {
                        part.finish_committed(held.offset, &held.fate);
                    }
                }
                ready.push((job.ticket, false));
            }
        }
        for (reader, _) in &commits {
            readers[*reader].go_on()?;
        }
        match outcome {
            Outcome::Gone(topic, _) if self.redirect(&topic) => Ok(()),
            Outcome::Gone(_, error) | Outcome::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Progress as it will be once the transaction took effect.
fn note_done(held: &Held, readers: &mut [Reader], done: &mut Changes) {
    let Some(part) = readers[held.reader].part(held) else { return };
    let place = (held.reader, held.partition);
    let change = done
        .entry(place)
        .or_insert_with(|| Change { progress: part.progress.clone(), fired: Vec::new() });
    for offset in part.offsets(held.offset, &held.fate) {
        change.progress.finish(offset);
    }
    if let Fate::Ends { key, .. } = &held.fate {
        change.fired.push(key.clone());
    }
}

/// A partition as it will be once the transaction took effect.
struct Change {
    progress: Progress,
    /// Instances of joins that fire with it.
    fired: Vec<String>,
}

/// By reader and partition.
type Changes = BTreeMap<(usize, i32), Change>;

type Offsets = Vec<(TopicPartitionList, rdkafka::consumer::ConsumerGroupMetadata)>;

/// The offsets to be committed, with the memberships that allow it.
fn offsets(done: &Changes, readers: &[Reader]) -> (Offsets, Vec<(usize, Committing)>) {
    let mut lists: BTreeMap<usize, TopicPartitionList> = BTreeMap::new();
    let mut commits = Vec::new();
    for ((index, partition), Change { progress, fired }) in done {
        let reader = &readers[*index];
        let Some(part) = reader.parts.get(partition) else { continue };
        let list = lists.entry(*index).or_default();
        let mut element = list.add_partition(&reader.topic, *partition);
        // An offset of a broker's is one.
        let _ = element.set_offset(Offset::Offset(progress.prefix()));
        let owned = !part.leaving && part.is_claimed();
        let fired = part.gathering.fired(fired.iter().map(String::as_str));
        element.set_metadata(Mark { fired, ..progress.mark(owned) }.print());
        commits.push((*index, part.committing(*partition, owned)));
    }
    let with_group = lists.into_iter().filter_map(|(index, list)| {
        readers[index].membership().map(|membership| (list, membership))
    });
    (with_group.collect(), commits)
}
