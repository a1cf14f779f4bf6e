//! Parts of joins meet at their queue, whoever takes them.

use crate::fixture::{Fixture, User, event};
use faas_common::event::credit::Credit;
use faas_common::event::{Control, Event, JoinShare};
use faas_common::queue::gather::{Arrival, Firing, Gathered};
use faas_common::queue::{QueueSpec, Taken, Waiting};

fn part(id: &str, half: usize, body: &[u8]) -> Event {
    let share = || Credit::whole().split(2).swap_remove(half);
    let joins = vec![JoinShare { join: 0, instance: String::new(), share: share() }];
    let invocation = "t-1".to_owned();
    let control = Control { invocation, credit: share(), joins, ..Control::default() };
    Event { id: id.into(), control: Some(Box::new(control)), ..event(body) }
}

fn gather(user: &mut User, taken: &Taken) -> Gathered<Event> {
    let arrival = Arrival::of_event(&taken.event, 0, None).expect("it is a part");
    user.connection.gather(taken.receipt, arrival, &taken.event).expect("it is gathered")
}

fn fires(gathered: Gathered<Event>) -> Firing<Event> {
    match gathered {
        Gathered::Fires(firing) => firing,
        other => panic!("it does not fire: {other:?}"),
    }
}

fn ids(firing: &Firing<Event>) -> Vec<&str> {
    firing.parts.iter().map(|part| part.id.as_str()).collect()
}

/// Two readers: the last part makes it fire, in the order of the split, with
/// all that the parts carried and their bodies whole.
pub fn fires_once<F: Fixture>(middleware: &F) {
    let name = middleware.name("join");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    let large = vec![7; 100_000];
    owner.settle(&[], vec![(to, part("second", 1, &large)), (to, part("first", 0, b"1"))]);
    let (mut one, mut other) = (middleware.user(), middleware.user());
    if one.connection.capabilities().waiting == Waiting::ByPartition {
        // All parts of an invocation are for one reader.
        std::mem::swap(&mut owner, &mut other);
        return fires_for_one(owner, other, &name);
    }
    let (from_one, from_other) = (one.receiver(&name), other.receiver(&name));
    let early = one.take(from_one, 1);
    assert_eq!(gather(&mut one, &early[0]), Gathered::Kept);
    one.settle(&[&early[0]], Vec::new());
    let last = other.take(from_other, 1);
    let firing = fires(gather(&mut other, &last[0]));
    assert_eq!(ids(&firing), ["first", "second"]);
    assert!(firing.load.credit.is_whole() && !firing.short && !firing.failed);
    let body = firing.parts[1].body.as_ref().expect("a body").load().expect("it is read");
    assert!(*body == *large, "the body is whole");
    other.settle(&[&last[0]], Vec::new());
    // The same part once more, by another way: it is over.
    owner.settle(&[], vec![(to, part("first", 0, b"1"))]);
    let again = one.take(from_one, 1);
    assert_eq!(gather(&mut one, &again[0]), Gathered::Kept);
    one.settle(&[&again[0]], Vec::new());
}

/// The same where one reader has all parts of an invocation.
fn fires_for_one(mut reader: User, mut owner: User, name: &str) {
    let from = reader.receiver(name);
    let to = owner.sender(name);
    let taken = reader.take(from, 2);
    assert_eq!(gather(&mut reader, &taken[0]), Gathered::Kept);
    reader.settle(&[&taken[0]], Vec::new());
    let firing = fires(gather(&mut reader, &taken[1]));
    assert_eq!(ids(&firing), ["first", "second"]);
    assert!(firing.load.credit.is_whole() && !firing.short && !firing.failed);
    reader.settle(&[&taken[1]], Vec::new());
    owner.settle(&[], vec![(to, part("first", 0, b"1"))]);
    let again = reader.take(from, 1);
    assert_eq!(gather(&mut reader, &again[0]), Gathered::Kept);
    reader.settle(&[&again[0]], Vec::new());
}

/// With one part of two it fires, and not again for the other one, whoever
/// reads that.
pub fn fires_once_of_k<F: Fixture>(middleware: &F) {
    let name = middleware.name("first");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    let first_of = |taken: &Taken| {
        let arrival = Arrival::of_event(&taken.event, 0, Some(1)).expect("it is a part");
        (taken.receipt, arrival)
    };
    owner.settle(&[], vec![(to, part("first", 0, b"1"))]);
    {
        let mut reader = middleware.user();
        let from = reader.receiver(&name);
        let taken = reader.take(from, 1);
        let (receipt, arrival) = first_of(&taken[0]);
        let gathered = reader.connection.gather(receipt, arrival, &taken[0].event);
        assert_eq!(ids(&fires(gathered.expect("it is gathered"))), ["first"]);
        reader.settle(&[&taken[0]], Vec::new());
    }
    owner.settle(&[], vec![(to, part("second", 1, b"2"))]);
    let mut next = middleware.user();
    let from = next.receiver(&name);
    let taken = next.take(from, 1);
    let (receipt, arrival) = first_of(&taken[0]);
    let gathered = next.connection.gather(receipt, arrival, &taken[0].event);
    let Gathered::Late(load) = gathered.expect("it is gathered") else { panic!("it is too late") };
    assert_eq!(load.credit, Credit::whole().split(2).swap_remove(1), "it carries its share back");
    next.settle(&[&taken[0]], Vec::new());
}

/// Whoever takes the last part over from a reader that is gone makes the join
/// fire again, with the same parts.
pub fn fires_again_after_a_crash<F: Fixture>(middleware: &F) {
    let name = middleware.name("join");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    owner.settle(&[], vec![(to, part("first", 0, b"1")), (to, part("second", 1, b"2"))]);
    {
        let mut reader = middleware.user();
        let from = reader.receiver(&name);
        let taken = reader.take(from, 2);
        assert_eq!(gather(&mut reader, &taken[0]), Gathered::Kept);
        reader.settle(&[&taken[0]], Vec::new());
        assert_eq!(ids(&fires(gather(&mut reader, &taken[1]))), ["first", "second"]);
    }
    let mut next = middleware.user();
    let from = next.receiver(&name);
    let taken = next.take(from, 9);
    // Where a part is kept by not being done, it comes again.
    let (last, before) = taken.split_last().expect("what fired comes again");
    for part in before {
        assert_eq!(gather(&mut next, part), Gathered::Kept);
        next.settle(&[part], Vec::new());
    }
    assert_eq!(ids(&fires(gather(&mut next, last))), ["first", "second"]);
    next.settle(&[last], Vec::new());
}
