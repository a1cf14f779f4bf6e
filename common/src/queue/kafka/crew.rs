//! The members that a connection has in the group of one topic: one, or as
//! many as its rate deserves.

use super::balance::{Balance, HUNGRY, Tally, view};
use super::bell::Bell;
use super::context::Notes;
use super::reader::Reader;
use super::record::Letter;
use super::settings::Settings;
use super::survey::Survey;
use crate::queue::QueueError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a crew looks whether it should be larger or smaller.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a change partitions have not settled.
const CALM: Duration = Duration::from_secs(3);
/// Tallies further apart tell of other times.
const TALLY_OLD: Duration = Duration::from_secs(4);

/// What new members need.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) settings: &'a Settings,
    pub(super) notes: &'a Notes,
    pub(super) bell: &'a Bell,
    /// Whether done messages may never be done again.
    pub(super) exact: bool,
}

/// The members of one topic.
pub(super) struct Crew {
    topic: Arc<str>,
    /// Their places among the readers of the connection.
    members: Vec<usize>,
    /// The member that is asked first.
    turn: usize,
    listening: bool,
    /// Set while there is room for messages and none is there.
    hungry_since: Option<Instant>,
    balancing: Option<Balancing>,
}

/// What a crew that grows and shrinks knows.
struct Balancing {
    balance: Balance,
    survey: Survey,
    looked_at: Instant,
    calm_until: Instant,
    hungry: Duration,
    hungry_part: f64,
    tally: Option<(Tally, Instant)>,
}

impl Crew {
    /// Joins the group of a topic as one member.
    ///
    /// # Errors
    /// An option that librdkafka does not take.
    pub(super) fn join(
        base: Base<'_>,
        topic: &str,
        readers: &mut Vec<Reader>,
    ) -> Result<Self, QueueError> {
        let mut crew = Self {
            topic: Arc::from(topic),
            members: Vec::new(),
            turn: 0,
            listening: false,
            hungry_since: None,
            balancing: None,
        };
        crew.add(base, readers)?;
        if base.settings.by_rate {
            let now = Instant::now();
            crew.balancing = Some(Balancing {
                balance: Balance::default(),
                survey: Survey::start(base.settings, base.notes, topic)?,
                looked_at: now,
                calm_until: now + CALM,
                hungry: Duration::ZERO,
                hungry_part: 0.0,
                tally: None,
            });
        }
        Ok(crew)
    }

    fn add(&mut self, base: Base<'_>, readers: &mut Vec<Reader>) -> Result<(), QueueError> {
        let Base { settings, notes, bell, exact } = base;
        let mut reader = Reader::join(settings, &self.topic, exact, notes, bell)?;
        reader.listen(self.listening);
        let place = match readers.iter().position(Reader::is_gone) {
            Some(place) => {
                reader.follows(&readers[place]);
                readers[place] = reader;
                place
            }
            None => {
                readers.push(reader);
                readers.len() - 1
            }
        };
        self.members.push(place);
        Ok(())
    }

    /// What is read.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether the caller wants to be woken.
    pub(super) fn listen(&mut self, on: bool, readers: &mut [Reader]) {
        self.listening = on;
        self.members.iter().for_each(|member| readers[*member].listen(on));
        let has_some = self.members.iter().any(|member| readers[*member].ready() > 0);
        self.set_hungry(on && !has_some);
    }

    /// Hands out up to `max` messages that are there, with the place of the
    /// reader that each came from.
    ///
    /// # Errors
    /// Messages cannot be read any more.
    pub(super) fn take(
        &mut self,
        max: usize,
        readers: &mut [Reader],
        mut hand: impl FnMut(usize, Letter, u32, u64),
    ) -> Result<(), QueueError> {
        let mut left = max;
        for index in 0..self.members.len() {
            let member = self.members[(self.turn + index) % self.members.len()];
            let tried = |other: &usize| *other != member && readers[*other].is_on_trial();
            let may_try = !self.members.iter().any(tried);
            readers[member].take(left, may_try, |letter, attempts, epoch| {
                left -= 1;
                hand(member, letter, attempts, epoch);
            })?;
        }
        self.turn = (self.turn + 1) % self.members.len();
        self.set_hungry(left > 0);
        Ok(())
    }

    /// Whether a member was told that there is no such topic.
    pub(super) fn is_doubted(&self, readers: &mut [Reader]) -> bool {
        let told = |member: &usize| std::mem::take(&mut readers[*member].doubted);
        self.members.iter().map(told).fold(false, |any, one| any | one)
    }

    /// Whether it has not been there for long enough to know if there are
    /// messages.
    pub(super) fn is_settling(&self, readers: &[Reader]) -> bool {
        self.members.iter().all(|member| readers[*member].is_settling())
    }

    fn set_hungry(&mut self, hungry: bool) {
        match (hungry, self.hungry_since) {
            (true, None) => self.hungry_since = Some(Instant::now()),
            (false, Some(since)) => {
                self.hungry_since = None;
                if let Some(balancing) = &mut self.balancing {
                    balancing.hungry += since.elapsed();
                }
            }
            _ => {}
        }
    }

    /// Grows or shrinks, where that was asked for.
    ///
    /// # Errors
    /// There can be no more members.
    pub(super) fn look_after(
        &mut self,
        base: Base<'_>,
        readers: &mut Vec<Reader>,
    ) -> Result<(), QueueError> {
        let now = Instant::now();
        let since = self.hungry_since;
        let Some(balancing) = &mut self.balancing else { return Ok(()) };
        if now < balancing.looked_at + LOOK_EVERY {
            return Ok(());
        }
        if let Some(since) = since {
            balancing.hungry += now - since;
            self.hungry_since = Some(now);
        }
        let finished = self.members.iter().map(|member| readers[*member].take_finished()).sum();
        balancing.note(now, finished);
        let mine = self.members.iter().flat_map(|member| readers[*member].parts.keys()).copied();
        let wanted = balancing.wanted(&mine.collect(), self.members.len());
        if wanted == self.members.len() {
            return Ok(());
        }
        balancing.calm_until = now + CALM;
        balancing.tally = None;
        while self.members.len() < wanted {
            if let Err(error) = self.add(base, readers) {
                base.notes.say(format!("{}: no more members: {error}", self.topic));
                self.balancing = None;
                break;
            }
        }
        let wanted = wanted.min(self.members.len());
        for member in self.members.drain(wanted..) {
            readers[member].resign();
        }
        self.turn = 0;
        Ok(())
    }
}

impl Balancing {
    /// Takes in what was done since the last look.
    fn note(&mut self, now: Instant, finished: u64) {
        let s = (now - self.looked_at).as_secs_f64();
        self.looked_at = now;
        self.hungry_part = std::mem::take(&mut self.hungry).as_secs_f64() / s;
        self.balance.saw(finished, s, self.hungry_part);
    }

    /// How many members there should be.
    fn wanted(&mut self, mine: &BTreeSet<i32>, members: usize) -> usize {
        if self.hungry_part >= HUNGRY || members > 1 {
            self.survey.ask();
        }
        let Some((tally, at)) = self.survey.answer() else { return members };
        let before = self.tally.replace((tally.clone(), at));
        match before {
            Some((before, since)) if at - since < TALLY_OLD && at >= self.calm_until => {
                let s = (at - since).as_secs_f64();
                let seen = view((&before, &tally), s, mine, members, self.hungry_part);
                self.balance.decide(&seen)
            }
            _ => members,
        }
    }
}
