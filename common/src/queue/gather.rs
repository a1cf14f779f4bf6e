//! Where the parts of joins meet: a table of open instances. Pure: fed with
//! arrivals, it says what each leads to, so that a crash-safe table on one
//! host, one in memory and the simulation are the same machine.
//!
//! A join fires when the shares that came back cover its instance, or with
//! the K-th part. The arrival that makes it fire *claims* it: if it comes
//! again from the same place (its process died and another took over), the
//! join fires again, with the same parts. What comes after that is late and
//! takes back what it carries, but for what the join has passed on already.

use crate::event::credit::Credit;
use crate::event::{Control, Event, JoinShare, Token};
use std::collections::{HashMap, VecDeque};

/// Instances that are over and still remembered, so that a part which comes
/// again, or is taken over from a dead process, is known to be late. Far more
/// than can end before a successor is there (half a second).
const CLOSED_KEPT: usize = 1 << 15;

/// What a message carries besides the share of the join it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// Share of the invocation.
    pub credit: Credit,
    /// Shares of other joins.
    pub joins: Vec<JoinShare>,
}

impl Load {
    /// Adds all of another load.
    pub fn unite(&mut self, other: &Self) {
        self.credit.unite(&other.credit);
        for held in &other.joins {
            let same =
                |mine: &&mut JoinShare| (mine.join, &mine.instance) == (held.join, &held.instance);
            match self.joins.iter_mut().find(same) {
                Some(mine) => mine.share.unite(&held.share),
                None => self.joins.push(held.clone()),
            }
        }
    }

    /// What this load has and `other` has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let rest = |held: &JoinShare| {
            let taken =
                other.joins.iter().find(|t| (t.join, &t.instance) == (held.join, &held.instance));
            let share =
                taken.map_or_else(|| held.share.clone(), |taken| held.share.without(&taken.share));
            (!share.is_empty()).then(|| JoinShare { share, ..held.clone() })
        };
        Self {
            credit: self.credit.without(&other.credit),
            joins: self.joins.iter().filter_map(rest).collect(),
        }
    }
}

/// One message that came to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The instance: invocation, join and turn.
    pub key: String,
    /// Fire with so many parts; none waits for all.
    pub of: Option<u32>,
    /// Id of the event.
    pub id: String,
    /// Share of this join's instance.
    pub share: Credit,
    /// The rest of what it carries.
    pub load: Load,
    /// Set when it is no part.
    pub token: Option<Token>,
    /// Where it is: the same for whoever takes it over from a dead process.
    /// The connection fills it in.
    pub claim: String,
}

impl Arrival {
    /// The arrival of `event` at join number `join`; none when the event has
    /// no share of an instance of that join.
    pub fn of_event(event: &Event, join: u32, of: Option<u32>) -> Option<Self> {
        let control: &Control = event.control.as_deref()?;
        let at = control.joins.iter().position(|held| held.join == join)?;
        let mut joins = control.joins.clone();
        let own = joins.remove(at);
        Some(Self {
            key: format!("{}/{join}/{}", control.invocation, own.instance),
            of,
            id: event.id.clone(),
            share: own.share,
            load: Load { credit: control.credit.clone(), joins },
            token: control.token,
            claim: String::new(),
        })
    }
}

/// What an arrival leads to. `P` is where a part is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gathered<P> {
    /// Nothing yet, or no more: the message is done.
    Kept,
    /// The join fires, for this arrival's holder to work on.
    Fires(Firing<P>),
    /// It is too late, and carries this back.
    Late(Load),
}

/// A join that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing<P> {
    /// The parts, in the order of the splits they came from.
    pub parts: Vec<P>,
    /// All that the parts carried.
    pub load: Load,
    /// Whether a branch on the way became a dead letter.
    pub failed: bool,
    /// Whether all is here, and yet fewer parts than it waited for.
    pub short: bool,
    /// Whether they are more than can be joined; then only the first is here.
    pub too_large: bool,
}

/// A part as a middleware that decides by itself when a join fires keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart<P> {
    /// Its share of the instance.
    pub share: Credit,
    /// The rest of what it carried.
    pub load: Load,
    /// The part, or where it is.
    pub part: P,
}

impl<P> Firing<P> {
    /// The firing of a join whose parts came in any order.
    pub fn of(mut kept: Vec<KeptPart<P>>, failed: bool, short: bool) -> Self {
        kept.sort_by(|a, b| a.share.leftmost().cmp(&b.share.leftmost()));
        let mut load = Load::default();
        kept.iter().for_each(|part| load.unite(&part.load));
        let parts = kept.into_iter().map(|kept| kept.part).collect();
        Self { parts, load, failed, short, too_large: false }
    }

    /// The same with the parts themselves in place of where they are kept.
    ///
    /// # Errors
    /// That of `load`.
    pub fn load<Q, E>(self, load: impl FnMut(P) -> Result<Q, E>) -> Result<Firing<Q>, E> {
        let parts = self.parts.into_iter().map(load).collect::<Result<_, _>>()?;
        let Self { load, failed, short, too_large, .. } = self;
        Ok(Firing { parts, load, failed, short, too_large })
    }
}

/// Instances of the joins of one queue.
#[derive(Debug)]
pub struct Table<P> {
    open: HashMap<String, Instance<P>>,
    closed: HashMap<String, Load>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Instance<P> {
    covered: Credit,
    failed: bool,
    parts: Vec<Part<P>>,
    by_id: HashMap<String, usize>,
    fired: Option<Fired>,
}

#[derive(Debug)]
struct Part<P> {
    share: Credit,
    load: Load,
    kept: P,
}

#[derive(Debug)]
struct Fired {
    claim: String,
    passed: Load,
    short: bool,
    done: bool,
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self { open: HashMap::new(), closed: HashMap::new(), order: VecDeque::new() }
    }
}

impl<P> Default for Instance<P> {
    fn default() -> Self {
        Self {
            covered: Credit::default(),
            failed: false,
            parts: Vec::new(),
            by_id: HashMap::new(),
            fired: None,
        }
    }
}

impl<P: Clone> Table<P> {
    /// Takes an arrival; `keep` is called when its part must be kept.
    pub fn arrive(&mut self, arrival: &Arrival, keep: impl FnOnce() -> P) -> Gathered<P> {
        if let Some(passed) = self.closed.get(&arrival.key) {
            return late(arrival, passed);
        }
        let instance = self.open.entry(arrival.key.clone()).or_default();
        instance.covered.unite(&arrival.share);
        instance.failed |= arrival.token == Some(Token::Failed);
        let gathered = match &instance.fired {
            Some(fired) if fired.claim == arrival.claim && !fired.done => {
                return Gathered::Fires(instance.firing());
            }
            Some(fired) => late(arrival, &fired.passed),
            None => {
                instance.keep(arrival, keep);
                instance.fire(arrival)
            }
        };
        self.close(&arrival.key);
        gathered
    }

    /// What a firing led to is on its way: its parts are no longer needed.
    /// Returns where they were kept.
    pub fn done(&mut self, key: &str, claim: &str) -> Vec<P> {
        let Some(instance) = self.open.get_mut(key) else { return Vec::new() };
        let Some(fired) = instance.fired.as_mut().filter(|fired| fired.claim == claim) else {
            return Vec::new();
        };
        fired.done = true;
        let kept = instance.parts.drain(..).map(|part| part.kept).collect();
        instance.by_id.clear();
        self.close(key);
        kept
    }

    /// Instances whose parts are kept.
    pub fn holding(&self) -> usize {
        self.open.values().filter(|instance| !instance.parts.is_empty()).count()
    }

    /// Whether an instance has begun and is not over.
    pub fn is_open(&self, key: &str) -> bool {
        self.open.contains_key(key)
    }

    /// Whether all parts of an instance that is not over are there.
    pub fn is_covered(&self, key: &str) -> bool {
        self.open.get(key).is_some_and(|instance| instance.covered.is_whole())
    }

    /// Whether nothing is under way, so that all may be forgotten.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// An instance is over when all of it came back and its firing is done,
    /// or it came back without any part, so that there is none.
    fn close(&mut self, key: &str) {
        let Some(instance) = self.open.get(key) else { return };
        let over = match &instance.fired {
            Some(fired) => fired.done,
            None => instance.parts.is_empty(),
        };
        if !(over && instance.covered.is_whole()) {
            return;
        }
        let passed = self.open.remove(key).and_then(|instance| instance.fired);
        self.closed.insert(key.to_owned(), passed.map(|fired| fired.passed).unwrap_or_default());
        self.order.push_back(key.to_owned());
        if self.order.len() > CLOSED_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }
}

impl<P: Clone> Instance<P> {
    fn keep(&mut self, arrival: &Arrival, keep: impl FnOnce() -> P) {
        if arrival.token.is_some() {
            return;
        }
        if let Some(&at) = self.by_id.get(&arrival.id) {
            // The same once more, perhaps cut from its parent in another way.
            self.parts[at].share.unite(&arrival.share);
            self.parts[at].load.unite(&arrival.load);
            return;
        }
        self.by_id.insert(arrival.id.clone(), self.parts.len());
        let (share, load) = (arrival.share.clone(), arrival.load.clone());
        self.parts.push(Part { share, load, kept: keep() });
    }

    fn fire(&mut self, arrival: &Arrival) -> Gathered<P> {
        let enough = arrival.of.is_some_and(|of| self.parts.len() >= of as usize);
        let whole = self.covered.is_whole();
        if self.parts.is_empty() || !(enough || whole) {
            return Gathered::Kept;
        }
        let mut passed = Load::default();
        self.parts.iter().for_each(|part| passed.unite(&part.load));
        self.parts.sort_by(|a, b| a.share.leftmost().cmp(&b.share.leftmost()));
        let short = arrival.of.is_some() && !enough;
        self.fired = Some(Fired { claim: arrival.claim.clone(), passed, short, done: false });
        Gathered::Fires(self.firing())
    }

    fn firing(&self) -> Firing<P> {
        let (load, short) = self
            .fired
            .as_ref()
            .map_or_else(Default::default, |fired| (fired.passed.clone(), fired.short));
        let parts = self.parts.iter().map(|part| part.kept.clone()).collect();
        Firing { parts, load, failed: self.failed, short, too_large: false }
    }
}

/// What an arrival leads to that comes after its join has fired and `passed`
/// on what its parts carried.
pub fn late<P>(arrival: &Arrival, passed: &Load) -> Gathered<P> {
    let rest = arrival.load.without(passed);
    match arrival.token {
        // A token carries nothing but its share.
        Some(_) => Gathered::Kept,
        None if rest == Load::default() => Gathered::Kept,
        None => Gathered::Late(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(id: &str, share: Credit, of: Option<u32>) -> Arrival {
        Arrival {
            key: "i/0/".into(),
            of,
            id: id.into(),
            load: Load { credit: share.clone(), joins: Vec::new() },
            share,
            token: None,
            claim: format!("slot of {id}"),
        }
    }

    #[test]
    fn fires_once_in_the_order_of_the_split() {
        let shares = Credit::whole().split(3);
        let mut table = Table::default();
        for i in [2, 0] {
            let part = arrival(&i.to_string(), shares[i].clone(), None);
            assert_eq!(table.arrive(&part, || i), Gathered::Kept);
            assert_eq!(table.arrive(&part, || 99), Gathered::Kept, "the same again");
        }
        let last = arrival("1", shares[1].clone(), None);
        for _ in 0..2 {
            let Gathered::Fires(firing) = table.arrive(&last, || 1) else { panic!("covered") };
            assert_eq!(firing.parts, [0, 1, 2]);
            assert!(firing.load.credit.is_whole());
        }
        let again = Arrival { claim: "elsewhere".into(), ..last.clone() };
        assert_eq!(table.arrive(&again, || 1), Gathered::Kept, "it carries nothing new");
        assert_eq!(table.done("i/0/", &last.claim).len(), 3);
        assert!(table.is_idle());
        assert_eq!(table.arrive(&last, || 1), Gathered::Kept, "it is over");
    }

    #[test]
    fn late_parts_take_back_what_they_carry() {
        let shares = Credit::whole().split(3);
        let mut table = Table::default();
        let parts: Vec<_> =
            (0..3).map(|i| arrival(&i.to_string(), shares[i].clone(), Some(2))).collect();
        assert_eq!(table.arrive(&parts[0], || 0), Gathered::Kept);
        assert!(matches!(table.arrive(&parts[2], || 2), Gathered::Fires(_)));
        assert_eq!(table.done("i/0/", &parts[2].claim), [0, 2]);
        let wide =
            Arrival { load: Load { credit: Credit::whole(), joins: vec![] }, ..parts[0].clone() };
        let rest = Load { credit: shares[1].clone(), joins: vec![] };
        assert_eq!(table.arrive(&wide, || 0), Gathered::Late(rest.clone()));
        assert_eq!(table.arrive(&parts[1], || 1), Gathered::Late(rest));
        assert!(table.is_idle());
    }

    #[test]
    fn covered_by_tokens_it_never_fires_and_with_fewer_parts_it_is_short() {
        let shares = Credit::whole().split(2);
        let token = |i: usize| Arrival {
            token: Some(Token::Failed),
            load: Load::default(),
            ..arrival("t", shares[i].clone(), Some(2))
        };
        let mut table = Table::default();
        assert_eq!(table.arrive(&token(0), || 0), Gathered::Kept);
        assert_eq!(table.arrive(&token(1), || 0), Gathered::Kept);
        assert!(table.is_idle());
        let mut table = Table::default();
        assert_eq!(table.arrive(&arrival("p", shares[0].clone(), Some(2)), || 7), Gathered::Kept);
        let Gathered::Fires(firing) = table.arrive(&token(1), || 0) else { panic!("covered") };
        assert!(firing.short && firing.failed);
        assert_eq!(firing.parts, [7]);
    }
}
