//! One topic as a member of its group reads it. librdkafka fetches ahead;
//! everything here is done on the caller's thread, when it looks.

use super::bell::Bell;
use super::context::{Context, Notes};
use super::faults;
use super::gathering::Fate;
use super::membership::{Leaving, Waiter, named};
use super::part::{Committing, Part};
use super::record::Letter;
use super::settings::Settings;
use crate::queue::QueueError;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Messages that may have been read and not handed out.
const WAITING_MAX: usize = 20_000;
/// Messages that are read ahead while none is wanted.
const SPARE: usize = 1_000;
/// Bytes that may be in their bodies.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// How long the first fetch may take.
const FIRST_FETCH_MAX: Duration = Duration::from_millis(700);

/// A message that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Which reader it came from.
    pub(super) reader: usize,
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) offset: i64,
    pub(super) fate: Fate,
    /// Whether a worker was started for it.
    pub(super) started: bool,
}

/// A consumer of one topic.
pub(super) struct Reader {
    pub(super) topic: Arc<str>,
    pub(super) url: String,
    /// None once it is closed.
    pub(super) consumer: Option<BaseConsumer<Context>>,
    pub(super) parts: BTreeMap<i32, Part>,
    pub(super) epochs: u64,
    /// The partition that is looked at first.
    pub(super) turn: usize,
    /// Partitions that are ours and not begun.
    pub(super) to_begin: Vec<i32>,
    pub(super) leaving: Option<Leaving>,
    pub(super) committing: Option<(Vec<Committing>, Instant)>,
    /// Commits whose answers have not come.
    pub(super) unanswered: usize,
    pub(super) commit_after: Instant,
    pub(super) waiters: Vec<Waiter>,
    /// Tickets that have waited, and whether in vain.
    pub(super) released: Vec<(u64, bool)>,
    /// Rung since it was last looked at.
    pub(super) rung: Arc<AtomicBool>,
    /// Whether the caller wants to be woken.
    pub(super) listening: bool,
    pub(super) wanted_at: Instant,
    /// When partitions were last assigned, or begun to be fetched again.
    pub(super) fetched_from: Option<Instant>,
    /// Whether done messages may never be done again.
    pub(super) exact: bool,
    /// Whether a transaction with its offsets is under way; then no other
    /// commit may be, for the later one of both would stand.
    pub(super) in_transaction: bool,
    /// Set when the brokers said that there is no such topic.
    pub(super) doubted: bool,
    /// It is to leave its group.
    pub(super) resigning: bool,
    /// Whether a partition may be paused.
    has_paused: bool,
    /// Whether a partition may have a message that killed somebody.
    pub(super) has_suspects: bool,
    /// Settlements of what came from it since it was asked.
    finished: u64,
}

impl Reader {
    /// Joins the group of a topic.
    ///
    /// # Errors
    /// An option that librdkafka does not take.
    pub(super) fn join(
        settings: &Settings,
        topic: &str,
        exact: bool,
        notes: &Notes,
        bell: &Bell,
    ) -> Result<Self, QueueError> {
        let url = settings.url_of(topic);
        let mut consumer: BaseConsumer<Context> = settings
            .consuming(settings.group_of(topic))
            .create_with_context(Context::new(notes))
            .map_err(|error| faults::of(&error, &url))?;
        let rung = Arc::new(AtomicBool::new(true));
        let (mark, bell) = (rung.clone(), bell.clone());
        consumer.set_nonempty_callback(move || {
            mark.store(true, Ordering::Release);
            bell.ring();
        });
        consumer.subscribe(&[topic]).map_err(|error| faults::of(&error, &url))?;
        let now = Instant::now();
        Ok(Self {
            topic: Arc::from(topic),
            url,
            consumer: Some(consumer),
            parts: BTreeMap::new(),
            epochs: 0,
            turn: 0,
            to_begin: Vec::new(),
            leaving: None,
            committing: None,
            unanswered: 0,
            commit_after: now,
            waiters: Vec::new(),
            released: Vec::new(),
            rung,
            listening: false,
            wanted_at: now,
            fetched_from: None,
            exact,
            in_transaction: false,
            doubted: false,
            resigning: false,
            has_paused: false,
            has_suspects: false,
            finished: 0,
        })
    }

    /// Hands out up to `max` messages that are there, in turn from all
    /// partitions, and asks for more. With `may_try` one that may have killed
    /// somebody can be among them.
    pub(super) fn take(
        &mut self,
        max: usize,
        may_try: bool,
        mut hand: impl FnMut(Letter, u32, u64),
    ) -> Result<(), QueueError> {
        self.wanted_at = Instant::now();
        self.pause_or_resume();
        if self.is_rung() {
            self.look(max, false)?;
        }
        if max > 0 && may_try {
            self.try_suspects();
        }
        let mut left = max;
        while left > 0 && self.waiting() > 0 {
            let before = left;
            let count = self.parts.len();
            for index in 0..count {
                let at = (self.turn + index) % count;
                let Some(part) = self.parts.values_mut().nth(at) else { continue };
                if let Some((letter, attempts)) = part.take(self.exact) {
                    left -= 1;
                    hand(letter, attempts, part.epoch);
                    if left == 0 {
                        break;
                    }
                }
            }
            self.turn = self.turn.wrapping_add(1) % count.max(1);
            if left == before {
                break;
            }
        }
        self.go_on()
    }

    /// Of partitions over which somebody died one at a time is tried, the
    /// least suspicious first.
    fn try_suspects(&mut self) {
        if !self.has_suspects || self.is_on_trial() {
            return;
        }
        self.has_suspects = self.parts.values().any(|part| part.progress.takeovers() > 0);
        let suspects = self.parts.values_mut().filter(|part| part.suspicion().is_some());
        if let Some(part) = suspects.min_by_key(|part| part.suspicion()) {
            part.probing = true;
        }
    }

    /// Whether one that may have killed somebody is being tried.
    pub(super) fn is_on_trial(&self) -> bool {
        self.has_suspects && self.parts.values().any(Part::is_on_trial)
    }

    /// Whether it has left its group.
    pub(super) fn is_gone(&self) -> bool {
        self.consumer.is_none()
    }

    /// Takes the place of one that is gone, so that its receipts stay void.
    pub(super) fn follows(&mut self, gone: &Self) {
        self.epochs = gone.epochs;
    }

    /// How many messages it handed out came back since the last time.
    pub(super) fn take_finished(&mut self) -> u64 {
        std::mem::take(&mut self.finished)
    }

    /// Something that was handed out is settled. Returns whether it was still
    /// ours.
    pub(super) fn came_back(&mut self, held: &Held) -> bool {
        self.finished += 1;
        match self.part(held) {
            Some(part) => {
                part.came_back(&held.fate);
                true
            }
            None => false,
        }
    }

    /// Whether the caller wants to be woken.
    pub(super) fn listen(&mut self, on: bool) {
        self.listening = on;
        if on {
            self.wanted_at = Instant::now();
            self.pause_or_resume();
        }
    }

    /// Whether it cannot know yet if there are messages: others have yet to let
    /// partitions go, the first fetch is under way, or what is there waits for
    /// the trial of one that may have killed somebody.
    pub(super) fn is_settling(&self) -> bool {
        let is_fetching = self.fetched_from.is_none_or(|at| at.elapsed() < FIRST_FETCH_MAX);
        is_fetching || self.parts.is_empty() || self.waiting() > 0
    }

    /// How many messages could be handed out now.
    pub(super) fn ready(&self) -> usize {
        self.parts.values().map(|part| part.ready(self.exact)).sum()
    }

    /// Whether something may have come since it was last looked at.
    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Whether somebody is to be told of what came.
    pub(super) fn has_news(&self) -> bool {
        self.is_rung() || !self.released.is_empty()
    }

    /// Looks at what came if the bell rang for this reader.
    pub(super) fn look_if_rung(&mut self) -> Result<(), QueueError> {
        if self.is_rung() { self.look(0, false) } else { Ok(()) }
    }

    /// Serves what librdkafka has to tell, until `want` messages are there,
    /// or with `all` until nothing is left: what is told may stand behind
    /// messages. Only answers to commits come before them.
    fn look(&mut self, want: usize, all: bool) -> Result<(), QueueError> {
        self.rung.store(false, Ordering::Release);
        let mut has_more = true;
        while all || self.is_curious(want) {
            if has_more && self.is_full() {
                // What is fetched meanwhile is fetched again; only events come.
                self.set_paused(true);
            }
            let Some(consumer) = &self.consumer else { return Ok(()) };
            let served = consumer.context().served();
            let polled = consumer.poll(Duration::ZERO).map(|read| read.map(|m| Letter::of(&m)));
            let idle = polled.is_none() && consumer.context().served() == served;
            let changes = consumer.context().take_changes();
            let came = matches!(polled, Some(Ok(_)));
            has_more = came;
            match polled {
                Some(Ok(letter)) => self.keep(letter),
                Some(Err(error)) => self.complaint(&error)?,
                None => {}
            }
            for change in changes {
                self.changed(change)?;
            }
            if idle {
                return self.go_on();
            }
            if came && want == 0 && !all && self.waiting() >= SPARE {
                break;
            }
        }
        // What is left in the queue rings no bell.
        self.rung.store(true, Ordering::Release);
        self.go_on()
    }

    fn is_curious(&self, want: usize) -> bool {
        match want {
            0 => self.waiting() < SPARE || self.committing.is_some(),
            want => self.ready() < want,
        }
    }

    fn waiting(&self) -> usize {
        self.parts.values().map(|part| part.waiting.len()).sum()
    }

    fn is_full(&self) -> bool {
        let waiting = || self.parts.values().flat_map(|part| &part.waiting);
        let bytes = || waiting().map(|letter| letter.event.body_len()).sum::<u64>();
        self.waiting() >= WAITING_MAX || bytes() >= WAITING_BYTES_MAX
    }

    fn keep(&mut self, letter: Letter) {
        let Some(part) = self.parts.get_mut(&letter.partition) else { return };
        if !part.read(letter) {
            self.epochs += 1;
            part.epoch = self.epochs;
        }
    }

    fn complaint(&mut self, error: &KafkaError) -> Result<(), QueueError> {
        use RDKafkaErrorCode as C;
        let Some(code) = faults::code(error) else { return Ok(()) };
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(faults::of_code(code, &self.url));
        }
        if faults::is_missing(code) {
            self.doubted = true;
            return Ok(());
        }
        match code {
            C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::InconsistentGroupProtocol
            | C::UnsupportedAssignor => Err(faults::of_code(code, &self.url)),
            _ => Ok(()),
        }
    }

    /// The partition of something that was handed out, if it is still ours.
    pub(super) fn part(&mut self, held: &Held) -> Option<&mut Part> {
        self.parts.get_mut(&held.partition).filter(|part| part.epoch == held.epoch)
    }

    /// Whether the partition of something that was handed out is still ours.
    pub(super) fn has(&self, held: &Held) -> bool {
        self.parts.get(&held.partition).is_some_and(|part| part.epoch == held.epoch)
    }

    /// Who we are in the group, for a transaction.
    pub(super) fn membership(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.as_ref()?.group_metadata()
    }

    /// Regular work: polls even when nothing is wanted, so that the group
    /// does not think us dead.
    pub(super) fn look_after(&mut self, now_us: u64) -> Result<(), QueueError> {
        self.parts.values_mut().for_each(|part| part.let_go(now_us));
        self.pause_or_resume();
        if !self.to_begin.is_empty() && !self.resigning {
            self.begin()?;
        }
        self.look(0, true)
    }

    /// Nothing is fetched while nobody has wanted anything for a while.
    fn pause_or_resume(&mut self) {
        let idle_ms = crate::limits::IDLE_LOOK_MS;
        let unwanted = self.wanted_at.elapsed() >= Duration::from_millis(idle_ms);
        if unwanted && !self.listening {
            self.set_paused(true);
        } else if self.has_paused && self.waiting() < WAITING_MAX / 2 && !self.is_full() {
            self.set_paused(false);
        }
    }

    fn set_paused(&mut self, paused: bool) {
        let Some(consumer) = &self.consumer else { return };
        let others = self.parts.iter().filter(|(_, part)| part.paused != paused);
        let others: Vec<i32> = others.map(|(partition, _)| *partition).collect();
        if others.is_empty() {
            self.has_paused = paused && self.has_paused;
            return;
        }
        let list = named(&self.topic, &others);
        let done = if paused { consumer.pause(&list) } else { consumer.resume(&list) };
        if done.is_ok() {
            if !paused {
                self.fetched_from = Some(Instant::now());
            }
            self.parts.values_mut().for_each(|part| part.paused = paused);
            self.has_paused = paused;
        }
    }
}
