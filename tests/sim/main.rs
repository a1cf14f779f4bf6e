//! A seeded simulation of the pure core: random graphs of functions, random
//! outputs, random order of delivery, and messages delivered again. Each
//! invocation must end exactly once, never early, with every result.

use faas_common::chain::ending::{self, Endings};
use faas_common::chain::route::{self, Branch, Emission};
use faas_common::chain::{Chain, parse_text};
use faas_common::event::control::{Control, Verdict};
use faas_common::event::credit::Credit;
use faas_common::event::{Body, Event};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Graphs that are simulated.
const GRAPHS: u64 = 4_000;

struct Die(TestRng);

impl Die {
    fn of(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A random graph without cycles: edges lead from lower to higher functions.
#[allow(clippy::needless_range_loop)]
fn random_chain(die: &mut Die) -> Chain {
    let count = 1 + die.below(7);
    let name = |i: usize| format!("f{i}");
    let functions: Vec<String> =
        (0..count).map(|i| format!("\"{}\": {{ \"run\": [\"sh\"] }}", name(i))).collect();
    let mut rules = Vec::new();
    let mut reached = vec![false; count];
    for from in 0..count {
        for to in from + 1..count {
            // Every function but the starts has somebody who sends to it.
            let needed = !reached[to] && to == from + 1;
            if needed || die.one_in(3) {
                reached[to] = true;
                let targets = if die.one_in(4) {
                    format!("[\"{}\", \"@result\"]", name(to))
                } else {
                    format!("\"{}\"", name(to))
                };
                let condition = match die.below(3) {
                    0 => ", \"when\": \".odd\"",
                    1 => ", \"otherwise\": true",
                    _ => "",
                };
                rules.push(format!(
                    "{{ \"from\": \"{}\", \"to\": {targets}{condition} }}",
                    name(from)
                ));
            }
        }
        if die.one_in(6) {
            rules.push(format!("{{ \"from\": \"{}\", \"to\": [] }}", name(from)));
        }
    }
    let starts = if count > 1 && die.one_in(3) { "[\"f0\", \"f1\"]" } else { "\"f0\"" };
    let text = format!(
        "{{ \"chain\": \"sim\", \"functions\": {{ {} }}, \"start\": {starts}, \"rules\": [ {} ] }}",
        functions.join(", "),
        rules.join(", ")
    );
    parse_text(&text, Path::new("/")).unwrap_or_else(|flaws| panic!("{text}\n{flaws:?}"))
}

/// What a function makes of a message: the same on every attempt.
fn outputs(chain: &Chain, function: usize, event: &Event) -> Vec<(Event, Vec<Branch>)> {
    let mut die =
        Die::of(event.id.bytes().fold(function as u64, |hash, byte| {
            hash.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)
        }));
    let rules: Vec<_> = chain.rules_of(function).collect();
    let count = [1, 1, 1, 0, 2, 5][die.below(6)];
    (0..count)
        .map(|position| {
            let odd = die.one_in(2);
            let holds = rules.iter().map(|(_, rule)| rule.when.is_some() && odd).collect();
            let event = Event { body: Some(Body::Inline(vec![position as u8])), ..event.clone() };
            (event, route::branches(&rules, &Ok(holds)))
        })
        .collect()
}

/// Everything an invocation gives rise to, computed without credit: the ids of
/// all its replies.
fn expected(chain: &Chain, start: &[Emission]) -> BTreeSet<String> {
    let mut replies = BTreeSet::new();
    let mut waiting: Vec<Emission> = start.to_vec();
    while let Some(emission) = waiting.pop() {
        match emission.to {
            Some(function) => {
                let made = outputs(chain, function, &emission.event);
                waiting.extend(route::emit(chain, function, &emission.event, made));
            }
            None => drop(replies.insert(reply_key(&emission.event))),
        }
    }
    replies
}

fn reply_key(event: &Event) -> String {
    let verdict = event.control.as_ref().and_then(|control| control.verdict);
    format!("{}/{}", event.id, verdict.map_or("", Verdict::word))
}

/// One seed: a graph, some invocations, deliveries in random order, some of
/// them twice. Returns what happened, to compare runs of the same seed.
fn simulate(seed: u64) -> Vec<String> {
    let mut die = Die::of(seed);
    let chain = random_chain(&mut die);
    let mut endings = Endings::default();
    let mut waiting = Vec::new();
    let mut missing: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut history = Vec::new();
    for number in 1..=3 {
        let control = Control {
            invocation: ending::name("t", number),
            credit: Credit::whole(),
            ..Control::default()
        };
        let event = Event::bare(format!("in{number}"), "/sim".into(), "text/plain", vec![]);
        let start = route::start(&chain, &event, &control);
        missing.insert(control.invocation.clone(), expected(&chain, &start));
        waiting.extend(start);
    }
    while !waiting.is_empty() {
        let emission = waiting.swap_remove(die.below(waiting.len()));
        if die.one_in(8) && waiting.len() < 5_000 {
            waiting.push(emission.clone());
        }
        let control = emission.event.control.clone().expect("all travel with control");
        match emission.to {
            Some(function) => {
                let made = outputs(&chain, function, &emission.event);
                waiting.extend(route::emit(&chain, function, &emission.event, made));
            }
            None => {
                let key = reply_key(&emission.event);
                let told = endings.reply(&control, &key);
                let left = missing.get_mut(&control.invocation);
                let was_missing = left.is_some_and(|left| left.remove(&key));
                assert_eq!(told.fresh, was_missing, "seed {seed}: {key} told twice or never");
                if told.ended.is_some() {
                    let left = missing.remove(&control.invocation);
                    assert_eq!(left, Some(BTreeSet::new()), "seed {seed}: ended early");
                    history.push(control.invocation.clone());
                }
            }
        }
    }
    assert_eq!(history.len(), 3, "seed {seed}: each invocation ends once");
    assert_eq!(endings.missing("t", 3), Vec::<u64>::new());
    history
}

#[test]
fn every_invocation_ends_exactly_once() {
    for seed in 0..GRAPHS {
        simulate(seed);
    }
    println!("{GRAPHS} graphs");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 77, 1_000_003] {
        assert_eq!(simulate(seed), simulate(seed));
    }
}
