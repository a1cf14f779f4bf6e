//! Joins whose parts come through one partition. The parts stay where they
//! are, in the log: their offsets are not done before their join is, so that
//! whoever owns the partition next reads them again.

use crate::event::Event;
use crate::queue::gather::{Arrival, Gathered, Load, Table, late};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};

/// Joins that fired before all of their parts were there, and that the next
/// owner is told of; those before them may fire again there.
const FIRED_MAX: usize = 100;

/// How long parts of an invocation whose time is over are still kept, in
/// microseconds.
const KEPT_AFTER_DEADLINE_US: u64 = 60_000_000;

/// What becomes of the offset of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done when its message is settled, like any other.
    Free,
    /// It is not done before its join is.
    Held,
    /// All offsets of this instance are done with it: the join fires with it,
    /// or will never fire.
    Ends {
        /// The instance.
        key: String,
        /// Whose firing it is.
        claim: String,
    },
}

/// The joins of one partition.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    table: Table<Event>,
    /// Instances with offsets that are held.
    instances: HashMap<String, Instance>,
    /// Those that fired, whose firing is settled, and that more parts may come
    /// for: by hash, also those that fired with owners before.
    fired: VecDeque<u64>,
}

#[derive(Debug, Default)]
struct Instance {
    held: Vec<i64>,
    fired: bool,
    deadline_us: u64,
}

impl Gathering {
    /// The joins of a partition as its owner before left it.
    pub(super) fn taken_over(fired: &[u64]) -> Self {
        Self { fired: fired.iter().copied().collect(), ..Self::default() }
    }

    /// Joins that are not to fire again, once the firings of `also` are
    /// settled.
    pub(super) fn fired<'a>(&'a self, also: impl Iterator<Item = &'a str>) -> Vec<u64> {
        let also = also.filter(|key| self.has_more_to_come(key)).map(hash);
        let all: Vec<u64> = self.fired.iter().copied().chain(also).collect();
        all[all.len().saturating_sub(FIRED_MAX)..].to_vec()
    }

    /// Whether a join has fired, and parts of it are missing.
    fn has_more_to_come(&self, key: &str) -> bool {
        let fired = self.instances.get(key).is_some_and(|instance| instance.fired);
        fired && !self.table.is_covered(key)
    }

    /// Takes a part that was read at `offset`.
    pub(super) fn arrive(
        &mut self,
        arrival: &Arrival,
        offset: i64,
        part: &Event,
    ) -> (Gathered<Event>, Fate) {
        if !self.table.is_open(&arrival.key) && self.fired.contains(&hash(&arrival.key)) {
            // What it passed on its owner before knew.
            return (late(arrival, &Load::default()), Fate::Free);
        }
        let gathered = self.table.arrive(arrival, || part.clone());
        let ends = || Fate::Ends { key: arrival.key.clone(), claim: arrival.claim.clone() };
        let fired = self.instances.get(&arrival.key).is_some_and(|instance| instance.fired);
        let fate = match &gathered {
            Gathered::Fires(_) => {
                self.instance(&arrival.key, part).fired = true;
                ends()
            }
            Gathered::Kept if !fired && self.table.is_open(&arrival.key) => {
                let held = &mut self.instance(&arrival.key, part).held;
                if !held.contains(&offset) {
                    held.push(offset);
                }
                Fate::Held
            }
            Gathered::Kept | Gathered::Late(_) if fired => {
                if !self.table.is_open(&arrival.key) {
                    self.forget(&arrival.key);
                }
                Fate::Free
            }
            Gathered::Late(_) => Fate::Free,
            // The instance is over, and no part was in it.
            Gathered::Kept => ends(),
        };
        (gathered, fate)
    }

    fn instance(&mut self, key: &str, part: &Event) -> &mut Instance {
        let instance = self.instances.entry(key.to_owned()).or_default();
        let deadline_us = part.control.as_ref().map_or(0, |control| control.deadline_us);
        instance.deadline_us = instance.deadline_us.max(deadline_us);
        instance
    }

    /// Offsets that are done together with the message that ends an instance.
    pub(super) fn held(&self, key: &str) -> Vec<i64> {
        self.instances.get(key).map(|instance| instance.held.clone()).unwrap_or_default()
    }

    /// The message that ends an instance is settled. One that fired before
    /// all was there stays known, for what comes too late.
    pub(super) fn end(&mut self, key: &str, claim: &str) {
        self.table.done(key, claim);
        match self.instances.get_mut(key) {
            Some(instance) if self.table.is_open(key) => {
                instance.held.clear();
                self.fired.push_back(hash(key));
                if self.fired.len() > FIRED_MAX {
                    self.fired.pop_front();
                }
            }
            _ => self.forget(key),
        }
    }

    fn forget(&mut self, key: &str) {
        self.instances.remove(key);
        let forgotten = hash(key);
        self.fired.retain(|fired| *fired != forgotten);
    }

    /// Instances of invocations whose time has long been over are let go;
    /// returns the offsets that were held for them.
    pub(super) fn let_go(&mut self, now_us: u64) -> Vec<i64> {
        let is_over = |instance: &Instance| {
            let over_us = instance.deadline_us.saturating_add(KEPT_AFTER_DEADLINE_US);
            let idle = !instance.fired || instance.held.is_empty();
            instance.deadline_us > 0 && idle && now_us > over_us
        };
        let over: Vec<i64> = self
            .instances
            .values()
            .filter(|instance| is_over(instance))
            .flat_map(|instance| instance.held.iter().copied())
            .collect();
        let before = self.instances.len();
        self.instances.retain(|_, instance| !is_over(instance));
        // A table forgets nothing that is open; with none left it can begin anew.
        if before > 0 && self.instances.is_empty() {
            self.table = Table::default();
        }
        over
    }

    /// How many offsets are held.
    #[cfg(test)]
    pub(super) fn held_count(&self) -> usize {
        self.instances.values().map(|instance| instance.held.len()).sum()
    }
}

/// A join by a few bytes of its own.
fn hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::credit::Credit;
    use crate::event::{Control, Token};
    use crate::queue::gather::Load;

    fn arrival(share: &Credit, offset: i64, token: Option<Token>) -> Arrival {
        Arrival {
            key: "i/0/".to_owned(),
            of: None,
            id: offset.to_string(),
            share: share.clone(),
            load: Load::default(),
            token,
            claim: format!("0-{offset}"),
        }
    }

    #[test]
    fn parts_are_done_with_their_join() {
        let shares = Credit::whole().split(2);
        let mut gathering = Gathering::default();
        let event = Event::default();
        let (_, first) = gathering.arrive(&arrival(&shares[0], 4, None), 4, &event);
        assert_eq!(first, Fate::Held);
        let (fires, last) = gathering.arrive(&arrival(&shares[1], 9, None), 9, &event);
        assert!(matches!(fires, Gathered::Fires(firing) if firing.parts.len() == 2));
        let Fate::Ends { key, claim } = last else { panic!("it fires") };
        assert_eq!(gathering.held(&key), [4]);
        gathering.end(&key, &claim);
        assert_eq!(gathering.held_count(), 0);
        let (_, again) = gathering.arrive(&arrival(&shares[0], 12, None), 12, &event);
        assert!(matches!(again, Fate::Ends { .. }), "it is over");
    }

    #[test]
    fn tokens_alone_end_it_too() {
        let shares = Credit::whole().split(2);
        let mut gathering = Gathering::default();
        let event = Event::default();
        let token = Some(Token::Absent);
        assert_eq!(gathering.arrive(&arrival(&shares[0], 1, token), 1, &event).1, Fate::Held);
        let (kept, fate) = gathering.arrive(&arrival(&shares[1], 2, token), 2, &event);
        assert_eq!(kept, Gathered::Kept);
        assert!(matches!(fate, Fate::Ends { .. }));
        assert_eq!(gathering.held("i/0/"), [1]);
    }

    #[test]
    fn what_comes_after_the_kth_part_is_free() {
        let shares = Credit::whole().split(3);
        let mut gathering = Gathering::default();
        let event = Event::default();
        let first = Arrival { of: Some(1), ..arrival(&shares[0], 1, None) };
        let (_, Fate::Ends { key, claim }) = gathering.arrive(&first, 1, &event) else {
            panic!("it fires");
        };
        gathering.end(&key, &claim);
        for (index, offset) in [(1, 2), (2, 3)] {
            let late = Arrival { of: Some(1), ..arrival(&shares[index], offset, None) };
            assert_eq!(gathering.arrive(&late, offset, &event).1, Fate::Free);
        }
        assert!(gathering.instances.is_empty());
    }

    #[test]
    fn the_next_owner_knows_what_fired() {
        let shares = Credit::whole().split(2);
        let mut gathering = Gathering::default();
        let event = Event::default();
        let first = Arrival { of: Some(1), ..arrival(&shares[0], 1, None) };
        gathering.arrive(&first, 1, &event);
        let key = first.key.as_str();
        assert!(gathering.fired(std::iter::empty()).is_empty(), "its firing is not settled");
        let told = gathering.fired(std::iter::once(key));
        assert_eq!(told, [hash(key)], "it is, with a transaction");
        gathering.end(key, &first.claim);
        assert_eq!(gathering.fired(std::iter::empty()), told);
        let mut next = Gathering::taken_over(&told);
        let last = Arrival { of: Some(1), ..arrival(&shares[1], 2, None) };
        assert_eq!(next.arrive(&last, 2, &event).1, Fate::Free);
        gathering.arrive(&last, 2, &event);
        assert!(gathering.fired(std::iter::empty()).is_empty(), "all is there");
    }

    #[test]
    fn what_is_long_over_is_let_go() {
        let shares = Credit::whole().split(2);
        let mut gathering = Gathering::default();
        let control = Control { deadline_us: 5, ..Control::default() };
        let event = Event { control: Some(Box::new(control)), ..Event::default() };
        gathering.arrive(&arrival(&shares[0], 3, None), 3, &event);
        assert_eq!(gathering.let_go(6), Vec::<i64>::new());
        assert_eq!(gathering.let_go(KEPT_AFTER_DEADLINE_US + 6), [3]);
        assert_eq!(gathering.held_count(), 0);
    }
}
