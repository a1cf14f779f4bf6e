//! How an invocation is known to have ended, without a coordinator: every
//! message carries a share of its invocation, every end returns its share,
//! and when the union of what came back is the whole, it has ended. Pure:
//! fed with replies.

use crate::event::credit::Credit;
use crate::event::{Control, Event, Verdict};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Invocations of a run, open and ended.
#[derive(Debug, Default)]
pub struct Endings {
    open: HashMap<String, Open>,
    ended: BTreeMap<String, Ended>,
    /// How many have ended.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Open {
    returned: Credit,
    seen: HashSet<String>,
    dead: bool,
    dropped: bool,
    results: u64,
}

/// Which invocations of one trigger have ended: nearly all of a range, so
/// ten million of them take no more memory than ten.
#[derive(Debug, Default)]
struct Ended {
    below: u64,
    above: BTreeSet<u64>,
}

/// What a reply meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Not seen before: print it, count it.
    pub fresh: bool,
    /// Set when the invocation has ended with this reply.
    pub ended: Option<Summary>,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Results it gave.
    pub results: u64,
    /// Whether any of its branches became a dead letter.
    pub dead: bool,
    /// Whether any of its branches was dropped.
    pub dropped: bool,
}

impl Endings {
    /// Takes a reply: the control block and the id of the event.
    pub fn reply(&mut self, control: &Control, id: &str) -> Reply {
        if control.invocation.is_empty() {
            // Somebody put it into a queue of the run by hand: no invocation
            // waits for it, but what it gave is not to be lost.
            return Reply { fresh: true, ended: None };
        }
        let (trigger, number) = split(&control.invocation);
        let ended = self.ended.entry(trigger.to_owned()).or_default();
        if ended.contains(number) {
            return Reply { fresh: false, ended: None };
        }
        let open = self.open.entry(control.invocation.clone()).or_default();
        let fresh = open.seen.insert(id.to_owned());
        open.returned.unite(&control.credit);
        match control.verdict {
            Some(Verdict::Result) => open.results += u64::from(fresh),
            Some(Verdict::Dead) => open.dead = true,
            Some(Verdict::Dropped) | None => open.dropped = true,
        }
        if !open.returned.is_whole() {
            return Reply { fresh, ended: None };
        }
        let summary = Summary { results: open.results, dead: open.dead, dropped: open.dropped };
        self.open.remove(&control.invocation);
        ended.insert(number);
        self.count += 1;
        Reply { fresh, ended: Some(summary) }
    }

    /// For each trigger: up to which invocation all have ended, and which have
    /// beyond it.
    pub fn ended(&self) -> impl Iterator<Item = (&str, u64, Vec<u64>)> {
        let above = |ended: &Ended| ended.above.iter().copied().collect();
        self.ended.iter().map(move |(trigger, ended)| (trigger.as_str(), ended.below, above(ended)))
    }

    /// Takes in what [`Endings::ended`] said.
    pub fn restore(&mut self, trigger: &str, below: u64, above: &[u64]) {
        let ended = self.ended.entry(trigger.to_owned()).or_default();
        let above: BTreeSet<u64> = above.iter().copied().collect();
        self.count += below + above.len() as u64;
        *ended = Ended { below, above };
    }

    /// The highest number of an invocation that gave a sign of life.
    pub fn highest(&self, trigger: &str) -> u64 {
        let ended = self.ended.get(trigger);
        let last = ended.map_or(0, |e| e.above.last().copied().unwrap_or(e.below));
        let open = self.open.keys().map(|name| split(name)).filter(|(t, _)| *t == trigger);
        open.map(|(_, number)| number).fold(last, u64::max)
    }

    /// Invocations of a trigger, numbered from 1 to `accepted`, that have not ended.
    pub fn missing(&self, trigger: &str, accepted: u64) -> Vec<u64> {
        let ended = self.ended.get(trigger);
        (1..=accepted)
            .filter(|number| !ended.is_some_and(|ended| ended.contains(*number)))
            .collect()
    }
}

impl Ended {
    fn contains(&self, number: u64) -> bool {
        number <= self.below || self.above.contains(&number)
    }

    fn insert(&mut self, number: u64) {
        self.above.insert(number);
        while self.above.remove(&(self.below + 1)) {
            self.below += 1;
        }
    }
}

/// What tells one end of a branch from another: the id, and of a dead letter
/// the function too, for a message that fails in two makes two of them.
pub fn key(reply: &Event) -> String {
    let verdict = reply.control.as_ref().and_then(|control| control.verdict);
    match (verdict, reply.text("faasfunction")) {
        (Some(Verdict::Dead), by) => format!("{}/{}", reply.id, by.unwrap_or_default()),
        _ => reply.id.clone(),
    }
}

/// An invocation's name: its trigger's, a dash, and its number from 1.
pub fn name(trigger: &str, number: u64) -> String {
    format!("{trigger}-{number}")
}

/// The two parts of an invocation's name.
pub fn split(invocation: &str) -> (&str, u64) {
    let (trigger, number) = invocation.rsplit_once('-').unwrap_or((invocation, "0"));
    (trigger, number.parse().unwrap_or(0))
}
