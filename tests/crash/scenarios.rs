//! What is killed, and what must be true afterwards.

use crate::bench::{Bench, event, part, wide_event};
use crate::tracer::mark;
use faas_common::event::Event;
use faas_common::queue::gather::Gathered;
use std::collections::BTreeMap;

/// One scenario: what is there before, what the child does between its two
/// marks, and what a successor must find.
pub struct Scenario {
    pub name: &'static str,
    pub before: fn(&mut Bench),
    pub child: fn(&mut Bench),
    /// `done` tells that the child came to its end.
    pub after: fn(&mut Bench, done: bool) -> Result<Seen, String>,
}

/// What a successor saw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Messages that came twice under the same id.
    pub redelivered: usize,
}

pub const QUEUES: [&str; 2] = ["a", "b"];

pub const ALL: [Scenario; 12] = [
    Scenario { name: "send", before: two_queues, child: |b| sends(b, event("x", 10)), after: sent },
    Scenario {
        name: "send_a_cell",
        before: two_queues,
        child: |b| sends(b, event("x", 9_000)),
        after: sent,
    },
    Scenario {
        name: "send_a_file",
        before: two_queues,
        child: |b| sends(b, event("x", 100_000)),
        after: sent,
    },
    Scenario {
        name: "send_a_wide_one",
        before: two_queues,
        child: |b| sends(b, wide_event("x")),
        after: sent,
    },
    Scenario { name: "send_to_a_full_queue", before: full, child: spills, after: spilled },
    Scenario { name: "receive", before: one_waits, child: receives, after: received },
    Scenario {
        name: "receive_from_a_spill",
        before: full_and_more,
        child: receives,
        after: unspilled,
    },
    Scenario { name: "settle", before: one_waits, child: settles, after: settled },
    Scenario { name: "settle_many", before: one_waits, child: settles_many, after: settled_many },
    Scenario { name: "gather", before: two_parts, child: gathers_one, after: joined },
    Scenario { name: "fire_and_settle", before: two_parts, child: fires, after: joined },
    Scenario { name: "recover", before: half_settled, child: recovers, after: settled },
];

fn two_queues(bench: &mut Bench) {
    bench.create("a", 10, false);
    bench.create("b", 10, false);
}

fn sends(bench: &mut Bench, event: Event) {
    let to = bench.to("a");
    mark();
    bench.settle(&[], vec![(to, event)]);
    mark();
}

fn sent(bench: &mut Bench, done: bool) -> Result<Seen, String> {
    let came = bench.drain("a");
    let count = came.values().sum::<usize>();
    if count > 1 || (done && count == 0) {
        return Err(format!("sent once, came {came:?}"));
    }
    Ok(Seen::default())
}

/// Queue `a` is full; what follows spills.
fn full(bench: &mut Bench) {
    bench.create("a", 2, true);
    bench.create("b", 10, false);
    bench.send("a", event("1", 10));
    bench.send("a", event("2", 10));
}

fn spills(bench: &mut Bench) {
    let to = bench.to("a");
    mark();
    bench.settle(&[], vec![(to, event("3", 10))]);
    bench.settle(&[], vec![(to, event("4", 9_000))]);
    mark();
}

fn spilled(bench: &mut Bench, done: bool) -> Result<Seen, String> {
    let came = bench.drain("a");
    let all = ["1", "2", "3", "4"];
    let needed = if done { 4 } else { 2 };
    let lost = all[..needed].iter().find(|id| !came.contains_key(**id));
    twice(&came, 0).and_then(|seen| match lost {
        Some(id) => Err(format!("{id} is lost: {came:?}")),
        None => Ok(seen),
    })
}

fn full_and_more(bench: &mut Bench) {
    full(bench);
    bench.send("a", event("3", 10));
    bench.send("a", event("4", 9_000));
}

/// A kill between a message's move into the queue and its mark in the spill
/// moves it again.
fn unspilled(bench: &mut Bench, _done: bool) -> Result<Seen, String> {
    let came = bench.drain("a");
    let lost = ["1", "2", "3", "4"].into_iter().find(|id| !came.contains_key(*id));
    match lost {
        Some(id) => Err(format!("{id} is lost: {came:?}")),
        None => twice(&came, 1),
    }
}

fn one_waits(bench: &mut Bench) {
    two_queues(bench);
    bench.send("a", event("x", 9_000));
}

fn receives(bench: &mut Bench) {
    let from = bench.from("a");
    mark();
    bench.take(from, 9);
    mark();
}

fn received(bench: &mut Bench, _done: bool) -> Result<Seen, String> {
    let came = bench.drain("a");
    match came.get("x") {
        Some(1) => Ok(Seen::default()),
        _ => Err(format!("received and not settled, came {came:?}")),
    }
}

fn outputs() -> Vec<Event> {
    vec![event("y1", 10), event("y2", 9_000), event("y3", 100_000), wide_event("y4")]
}

fn many_outputs() -> Vec<Event> {
    // Their record does not fit into the slot, nor they into the queue.
    (0..12).map(|i| event(&format!("z{i:02}"), 400)).collect()
}

fn hand_over(bench: &mut Bench, outputs: Vec<Event>) {
    let (from, to) = (bench.from("a"), bench.to("b"));
    mark();
    let taken = bench.take(from, 1);
    bench.settle(&[&taken[0]], outputs.into_iter().map(|event| (to, event)).collect());
    mark();
}

fn settles(bench: &mut Bench) {
    hand_over(bench, outputs());
}

fn settles_many(bench: &mut Bench) {
    hand_over(bench, many_outputs());
}

fn settled(bench: &mut Bench, done: bool) -> Result<Seen, String> {
    handed_over(bench, done, outputs())
}

fn settled_many(bench: &mut Bench, _done: bool) -> Result<Seen, String> {
    // Twelve do not fit: the child is killed before the last two are out.
    handed_over(bench, false, many_outputs())
}

/// The successor works on what comes back, with the same outputs.
fn handed_over(bench: &mut Bench, done: bool, outputs: Vec<Event>) -> Result<Seen, String> {
    let ids: Vec<String> = outputs.iter().map(|event| event.id.clone()).collect();
    let (from, to) = (bench.from("a"), bench.to("b"));
    let back = bench.take(from, 9);
    if back.len() > 1 || (done && !back.is_empty()) {
        return Err(format!("{} come back, done: {done}", back.len()));
    }
    for one in &back {
        let outputs = outputs.iter().map(|event| (to, event.clone())).collect();
        bench.settle(&[one], outputs);
    }
    let came = bench.drain("b");
    if let Some(id) = ids.iter().find(|id| !came.contains_key(*id)) {
        return Err(format!("{id} is lost: {came:?}"));
    }
    if !bench.drain("a").is_empty() {
        return Err("a settled input came again".to_owned());
    }
    twice(&came, 1)
}

/// How much came twice; at most as much as one kill can account for.
fn twice(came: &BTreeMap<String, usize>, most: usize) -> Result<Seen, String> {
    let redelivered = came.values().map(|count| count - 1).sum();
    if redelivered > most {
        return Err(format!("too much came again: {came:?}"));
    }
    Ok(Seen { redelivered })
}

fn two_parts(bench: &mut Bench) {
    two_queues(bench);
    bench.send("a", part("p1", 0, 10));
    bench.send("a", part("p2", 1, 9_000));
}

fn gathers_one(bench: &mut Bench) {
    let from = bench.from("a");
    mark();
    let taken = bench.take(from, 1);
    let gathered = bench.gather(&taken[0]);
    assert_eq!(gathered, Gathered::Kept);
    bench.settle(&[&taken[0]], Vec::new());
    mark();
}

fn fires(bench: &mut Bench) {
    let (from, to) = (bench.from("a"), bench.to("b"));
    let taken = bench.take(from, 2);
    bench.gather(&taken[0]);
    bench.settle(&[&taken[0]], Vec::new());
    mark();
    let Gathered::Fires(firing) = bench.gather(&taken[1]) else { panic!("it fires") };
    assert_eq!(firing.parts.len(), 2);
    bench.settle(&[&taken[1]], vec![(to, event("joined", 9_000))]);
    mark();
}

/// The join fires once, or again with the same message.
fn joined(bench: &mut Bench, done: bool) -> Result<Seen, String> {
    let (from, to) = (bench.from("a"), bench.to("b"));
    let mut fired = 0;
    for one in bench.take(from, 9) {
        if let Gathered::Fires(firing) = bench.gather(&one) {
            fired += 1;
            let ids: Vec<&str> = firing.parts.iter().map(|part| part.id.as_str()).collect();
            if ids != ["p1", "p2"] {
                return Err(format!("it fires with {ids:?}"));
            }
            bench.settle(&[&one], vec![(to, event("joined", 9_000))]);
        } else {
            bench.settle(&[&one], Vec::new());
        }
    }
    let came = bench.drain("b");
    match came.get("joined") {
        Some(1) => Ok(Seen::default()),
        Some(2) if !done => Ok(Seen { redelivered: 1 }),
        _ => Err(format!("fired {fired} times now, came {came:?}")),
    }
}

/// Queue `b` has room for one: a dead reader of `a` had recorded its outputs.
fn half_settled(bench: &mut Bench) {
    bench.create("a", 10, false);
    bench.create("b", 10, false);
    (0..8).for_each(|i| bench.send("b", event(&format!("w{i}"), 10)));
    bench.send("a", event("x", 9_000));
    let mut reader = Bench::new(&bench.prefix());
    let (from, to) = (reader.from("a"), reader.to("b"));
    let taken = reader.take(from, 1);
    let outputs = outputs().into_iter().map(|event| (to, event)).collect();
    reader.settle(&[&taken[0]], outputs);
    // Its file of slots stays, and is nobody's any more.
    drop(reader);
    let from = bench.from("b");
    let taken = bench.take(from, 8);
    bench.settle(&taken.iter().collect::<Vec<_>>(), Vec::new());
}

fn recovers(bench: &mut Bench) {
    mark();
    bench.from("a");
    let _ = bench.connection.resume(&mut Vec::new());
    mark();
}
