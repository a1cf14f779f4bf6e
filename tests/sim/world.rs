//! A world without processes: messages that wait, in no order, for somebody
//! to take them; functions that answer by seed; crashes and redeliveries.

use crate::die::Die;
use crate::graph;
use faas_common::chain::ending::{self, Endings};
use faas_common::chain::route::{self, Branch, Emission, Router};
use faas_common::chain::{Chain, Emit, Join, Scopes, join};
use faas_common::event::credit::Credit;
use faas_common::event::{Control, Event, Token, Verdict};
use faas_common::queue::gather::{Arrival, Gathered, Table};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each once.
    Once,
    /// Some again, some after a crash; functions answer the same each time.
    Again,
    /// The same, and functions answer otherwise each time.
    Otherwise,
}

/// A fault put into the algorithm on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    None,
    /// Credit that comes back is added up instead of united.
    CountedCredit,
    /// A crash hits between the acknowledgement of a part and its gathering.
    AcknowledgedBeforeGathered,
    /// Ids are drawn anew on each attempt.
    RandomIds,
    /// A branch that goes elsewhere does not return its share to the join.
    ScopeNotClosed,
}

/// What became of a world.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    pub ended: Vec<String>,
    pub fired: usize,
    pub late: usize,
    pub messages: usize,
    pub turns: usize,
    /// Whether it was given up, for its loops and fan-outs never came to rest.
    pub stormy: bool,
}

/// After so many messages none is delivered again.
const MESSAGES_MAX: usize = 4_000;

/// After so many messages a world is given up.
const STORM: usize = 8_000;

/// How deep functions still answer with many outputs.
const DEPTH_MAX: usize = 8;

struct Item {
    emission: Emission,
    /// The same for whoever takes it over after a crash.
    serial: u64,
    attempt: u64,
}

pub struct World {
    seed: u64,
    die: Die,
    chain: Chain,
    scopes: Scopes,
    delivery: Delivery,
    bug: Bug,
    waiting: Vec<Item>,
    serials: u64,
    tables: HashMap<usize, Table<Event>>,
    /// Claims that made an instance fire.
    claims: BTreeMap<String, BTreeSet<String>>,
    endings: Endings,
    counted: HashMap<String, f64>,
    ended: HashSet<String>,
    /// Ends of branches that were told, by the path that led to them.
    told: HashSet<String>,
    history: History,
}

impl World {
    pub fn new(seed: u64, bug: Bug) -> Self {
        let mut die = Die::of(seed);
        let chain = graph::random(&mut die);
        let delivery = [Delivery::Once, Delivery::Again, Delivery::Otherwise][(seed % 3) as usize];
        Self {
            seed,
            die,
            scopes: Scopes::of(&chain),
            chain,
            delivery,
            bug,
            waiting: Vec::new(),
            serials: 0,
            tables: HashMap::new(),
            claims: BTreeMap::new(),
            endings: Endings::default(),
            counted: HashMap::new(),
            ended: HashSet::new(),
            told: HashSet::new(),
            history: History::default(),
        }
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Two invocations, from their start until nothing waits.
    pub fn run(mut self) -> Result<History, String> {
        for number in 1..=2 {
            let control = Control {
                invocation: ending::name("t", number),
                credit: Credit::whole(),
                ..Control::default()
            };
            let event = Event::bare(format!("in{number}"), "/sim".into(), "text/plain", vec![]);
            let start = self.router().start(&event, &control, &self.chain.start);
            self.send(&control.invocation, start);
        }
        while !self.waiting.is_empty() {
            let at = self.die.below(self.waiting.len());
            let item = self.waiting.swap_remove(at);
            self.history.messages += 1;
            if self.history.messages > STORM {
                self.history.stormy = true;
                return Ok(self.history);
            }
            if self.delivery != Delivery::Once
                && self.history.messages < MESSAGES_MAX
                && self.die.one_in(10)
            {
                self.serials += 1;
                let emission = item.emission.clone();
                self.waiting.push(Item { emission, serial: self.serials, attempt: 1000 });
            }
            self.deliver(item)?;
        }
        self.check_the_end()?;
        Ok(self.history)
    }

    fn router(&self) -> Router<'_> {
        Router { chain: &self.chain, scopes: &self.scopes }
    }

    /// Notes on each event the path that led to it: what its id should tell.
    fn send(&mut self, path: &str, mut emissions: Vec<Emission>) {
        if self.bug == Bug::ScopeNotClosed {
            let absent = |e: &Emission| {
                e.event.control.as_ref().is_some_and(|c| c.token == Some(Token::Absent))
            };
            emissions.retain(|emission| !absent(emission));
        }
        for (index, mut emission) in emissions.into_iter().enumerate() {
            emission.event.note("path", format!("{path}.{index}"));
            if self.bug == Bug::RandomIds && path.contains('/') {
                emission.event.id = self.die.next().to_string();
            }
            self.serials += 1;
            self.waiting.push(Item { emission, serial: self.serials, attempt: 0 });
        }
    }

    fn deliver(&mut self, item: Item) -> Result<(), String> {
        let Some(function) = item.emission.to else { return self.reply(&item.emission.event) };
        let control = item.emission.event.control.clone().unwrap_or_default();
        let is_join = self.chain.functions[function].join.is_some();
        if is_join && !control.gathered {
            return self.gather(function, item);
        }
        if self.crashes() {
            self.again(item);
            return Ok(());
        }
        let event = item.emission.event;
        self.call(function, &event, item.attempt);
        Ok(())
    }

    /// Whether whoever has the message dies now, and another takes it over.
    fn crashes(&mut self) -> bool {
        self.delivery != Delivery::Once && self.die.one_in(10)
    }

    fn again(&mut self, item: Item) {
        self.waiting.push(Item { attempt: item.attempt + 1, ..item });
    }

    fn gather(&mut self, join: usize, item: Item) -> Result<(), String> {
        if self.bug == Bug::AcknowledgedBeforeGathered && self.crashes() {
            return Ok(());
        }
        let of = match self.chain.functions[join].join {
            Some(Join::Of(of)) => Some(of),
            _ => None,
        };
        let event = &item.emission.event;
        let mut arrival = Arrival::of_event(event, join as u32, of)
            .ok_or_else(|| format!("a part without an instance of f{join}: {event:?}"))?;
        arrival.claim = item.serial.to_string();
        let gathered = self.tables.entry(join).or_default().arrive(&arrival, || event.clone());
        if self.crashes() {
            self.again(item);
            return Ok(());
        }
        match gathered {
            Gathered::Kept => {}
            Gathered::Late(load) => {
                self.history.late += 1;
                let path = format!("{}/late", path(event));
                let rest = self.router().late(join, event, load.credit, load.joins);
                self.send(&path, rest);
            }
            Gathered::Fires(firing) => {
                self.check_firing(join, &arrival)?;
                let instance = arrival.key.rsplit('/').next().unwrap_or_default();
                let joined = join::assemble(&self.chain, &self.scopes, join, instance, &firing);
                let joined = joined.map_err(|error| error.to_string())?;
                let mut message = joined.event;
                message.note("path", arrival.key.clone());
                match joined.flaw {
                    Some(_) => self.fail(join, message),
                    None => self.call(join, &message, item.attempt),
                }
                if let Some(table) = self.tables.get_mut(&join) {
                    table.done(&arrival.key, &arrival.claim);
                }
            }
        }
        Ok(())
    }

    fn check_firing(&mut self, join: usize, arrival: &Arrival) -> Result<(), String> {
        self.history.fired += 1;
        let claims = self.claims.entry(arrival.key.clone()).or_default();
        claims.insert(arrival.claim.clone());
        if claims.len() > 1 {
            return Err(format!("the join {} fired twice", arrival.key));
        }
        // All is here: nobody else may still hold a share of this instance.
        let holds = |item: &Item| {
            item.emission.event.control.as_ref().is_some_and(|control| {
                control.token.is_none()
                    && control.joins.iter().any(|held| {
                        let key = format!("{}/{}/{}", control.invocation, held.join, held.instance);
                        key == arrival.key
                    })
            })
        };
        let early = arrival.of.is_none()
            && self.delivery == Delivery::Once
            && self.waiting.iter().any(holds);
        if early { Err(format!("the join f{join} fired early")) } else { Ok(()) }
    }

    /// What a function makes of a message.
    fn call(&mut self, function: usize, event: &Event, attempt: u64) {
        let by = match self.delivery {
            Delivery::Otherwise => format!("{}#{attempt}", path(event)),
            _ => path(event).to_owned(),
        };
        let mut die = Die::of_text(self.seed ^ function as u64, &by);
        if die.one_in(9) {
            return self.fail(function, event.clone());
        }
        let counts = event.control.as_ref().map(|c| c.counts.clone()).unwrap_or_default();
        let rules = self.chain.rules_on(function, false);
        // A storm ends by its depth, so that an answer depends on the path alone.
        let many = self.chain.functions[function].emit == Emit::Lines
            && path(event).matches('/').count() < DEPTH_MAX;
        let outputs = match (many, die.below(6)) {
            (_, 0) => 0,
            (true, n) => n,
            _ => 1,
        };
        let outputs: Vec<(Event, Vec<Branch>)> = (0..outputs)
            .map(|_| {
                let holds = rules.iter().map(|(_, r)| r.when.is_some() && die.one_in(2)).collect();
                (event.clone(), route::branches(&rules, &Ok(holds), &counts))
            })
            .collect();
        let emissions = self.router().emit(function, event, outputs);
        self.history.turns += emissions
            .iter()
            .filter(|e| e.to.is_some_and(|to| to <= function) && is_part(&e.event))
            .count();
        self.send(&format!("{}/{function}", path(event)), emissions);
    }

    /// The message failed: its rules for that, or a dead letter.
    fn fail(&mut self, function: usize, mut event: Event) {
        event.note("faasfunction", format!("f{function}"));
        let rules = self.chain.rules_on(function, true);
        let counts = event.control.as_ref().map(|c| c.counts.clone()).unwrap_or_default();
        let path = format!("{}/{function}!", path(&event));
        let emissions = if rules.is_empty() {
            self.router().dead(function, event)
        } else {
            let holds = Ok(vec![true; rules.len()]);
            let branches = route::branches(&rules, &holds, &counts);
            self.router().emit(function, &event, vec![(event.clone(), branches)])
        };
        self.send(&path, emissions);
    }

    fn reply(&mut self, event: &Event) -> Result<(), String> {
        let control = event.control.as_deref().cloned().unwrap_or_default();
        let verdict = control.verdict.map_or("", Verdict::word);
        let (told, ended) = self.count(&control, &ending::key(event));
        let shown = matches!(control.verdict, Some(Verdict::Result | Verdict::Dead));
        let first = self.told.insert(format!("{}/{verdict}", path(event)));
        if shown && self.delivery != Delivery::Otherwise {
            match (told, first) {
                (true, false) => return Err(format!("{} is told twice", path(event))),
                (false, true) => return Err(format!("{} is never told", path(event))),
                _ => {}
            }
        }
        if !ended {
            return Ok(());
        }
        if !self.ended.insert(control.invocation.clone()) {
            return Err(format!("{} ended twice", control.invocation));
        }
        let alive = |item: &Item| {
            let c = item.emission.event.control.as_ref();
            c.is_some_and(|c| c.invocation == control.invocation && c.token.is_none())
        };
        if self.delivery == Delivery::Once && self.waiting.iter().any(alive) {
            return Err(format!("{} ended early", control.invocation));
        }
        self.history.ended.push(control.invocation);
        Ok(())
    }

    /// What the collector makes of a reply: whether it is new, and whether
    /// the invocation has ended with it.
    fn count(&mut self, control: &Control, key: &str) -> (bool, bool) {
        let reply = self.endings.reply(control, key);
        if self.bug != Bug::CountedCredit {
            return (reply.fresh, reply.ended.is_some());
        }
        let fresh = !self.ended.contains(&control.invocation) && reply.fresh;
        let sum = self.counted.entry(control.invocation.clone()).or_default();
        let before = *sum;
        *sum += control.credit.size();
        (fresh, before < 1.0 && *sum >= 1.0)
    }

    fn check_the_end(&self) -> Result<(), String> {
        if self.ended.len() != 2 {
            return Err(format!("{} of 2 invocations ended", self.ended.len()));
        }
        match self.tables.iter().find(|(_, table)| !table.is_idle()) {
            Some((join, _)) => Err(format!("something is left at the join f{join}")),
            None => Ok(()),
        }
    }
}

fn path(event: &Event) -> &str {
    event.text("path").unwrap_or_default()
}

fn is_part(event: &Event) -> bool {
    event.control.as_ref().is_some_and(|control| control.token.is_none())
}
