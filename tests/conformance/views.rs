//! Looking without taking.

use crate::fixture::{Fixture, body, event};
use faas_common::queue::{Order, Places, Position, QueueError, QueueSpec, Range, Seen, View};
use std::time::{Duration, Instant};

/// Everything a look shows, in its order.
fn all(view: &mut dyn View) -> Vec<Seen> {
    let (mut seen, begin) = (Vec::new(), Instant::now());
    while !view.is_at_end() && begin.elapsed() < Duration::from_secs(30) {
        view.next(2, Duration::from_millis(200), &mut seen).expect("it can be looked at");
    }
    assert!(view.is_at_end(), "it comes to an end");
    seen
}

fn bodies(seen: &[Seen]) -> Vec<Vec<u8>> {
    let load = |seen: &Seen| match &seen.event.body {
        Some(body) => body.load().expect("in memory").into_owned(),
        None => Vec::new(),
    };
    seen.iter().map(load).collect()
}

fn range(at: Position, until: Position) -> Range {
    Range { at, until: Some(until) }
}

pub fn takes_nothing<F: Fixture>(middleware: &F) {
    let name = middleware.name("looked-at");
    let mut user = middleware.user();
    let spec = QueueSpec { order: Some(Order::Fifo), ..QueueSpec::default() };
    user.create(&name, &spec);
    let whole = range(Position::Start, Position::End);
    if !user.connection.capabilities().peek {
        let refused = user.connection.view(&name, &whole).map(drop);
        let Err(QueueError::Refused { alternative, .. }) = refused else {
            panic!("it should be refused")
        };
        println!("refused; the alternative is {alternative}");
        return;
    }
    let to = user.sender(&name);
    let sent: Vec<Vec<u8>> = (1..=5).map(|n: u8| vec![n]).collect();
    sent.iter().for_each(|body| _ = user.send(to, body));
    // Until all have arrived.
    let mut seen = Vec::new();
    let begin = Instant::now();
    while seen.len() < 5 && begin.elapsed() < Duration::from_secs(30) {
        user.resume();
        seen = all(user.connection.view(&name, &whole).expect("it is there").as_mut());
    }
    assert_eq!(bodies(&seen), sent);
    let look = |user: &mut crate::fixture::User, at: Position, until: Position| {
        let view = user.connection.view(&name, &range(at, until));
        bodies(&all(view.expect("it is there").as_mut()))
    };
    let mut left = |at: Position, until: Option<Position>| {
        let view = user.connection.view(&name, &Range { at, until });
        view.expect("it is there").left().expect("it can be counted")
    };
    assert_eq!(left(Position::Start, Some(Position::End)), Some(5));
    assert_eq!(left(Position::Id(seen[2].mark.clone()), Some(Position::End)), Some(3));
    assert_eq!(left(Position::Start, Some(Position::Last(1))), Some(4));
    assert_eq!(left(Position::End, None), None, "it has no end");
    assert_eq!(look(&mut user, Position::Last(2), Position::End), sent[3..]);
    assert_eq!(look(&mut user, Position::Start, Position::Last(2)), sent[..3]);
    assert_eq!(look(&mut user, Position::End, Position::End), Vec::<Vec<u8>>::new());
    assert_eq!(look(&mut user, Position::Time(0), Position::End), sent);
    assert_eq!(look(&mut user, Position::Id(seen[2].mark.clone()), Position::End), sent[2..]);
    let behind = Places::from([(seen[1].lane, seen[1].mark.clone())]);
    assert_eq!(look(&mut user, Position::Behind(behind), Position::End), sent[2..]);
    assert!(seen.iter().all(|seen| seen.time_ms.is_some() && seen.fault.is_none()));
    // Nobody was there, and all is.
    let stat = user.connection.stat(&name).expect("it is there");
    assert_eq!((stat.depth, stat.held, stat.readers), (5, 0, 0));
    let from = user.receiver(&name);
    let taken = user.take(from, 10);
    assert_eq!(taken.iter().map(body).collect::<Vec<_>>(), sent);
    assert!(taken.iter().all(|taken| taken.attempts == 0), "a look is no attempt");
}

pub fn follows<F: Fixture>(middleware: &F) {
    let name = middleware.name("followed");
    let mut user = middleware.user();
    user.create(&name, &QueueSpec { order: Some(Order::Fifo), ..QueueSpec::default() });
    if !user.connection.capabilities().peek {
        println!("this middleware gives messages only away");
        return;
    }
    let to = user.sender(&name);
    let range = Range { at: Position::End, until: None };
    let mut view = user.connection.view(&name, &range).expect("it is there");
    let mut seen = Vec::new();
    view.next(10, Duration::from_millis(300), &mut seen).expect("it can be looked at");
    assert!(seen.is_empty() && !view.is_at_end());
    let sent = event(b"late");
    user.settle(&[], vec![(to, sent.clone())]);
    let begin = Instant::now();
    while seen.is_empty() && begin.elapsed() < Duration::from_secs(30) {
        user.resume();
        view.next(10, Duration::from_millis(200), &mut seen).expect("it can be looked at");
    }
    assert_eq!(bodies(&seen), [b"late"]);
    assert_eq!((&seen[0].event.id, &seen[0].event.source), (&sent.id, &sent.source));
    assert!(!view.is_at_end(), "it goes on");
}

pub fn knows_what_is_not_there<F: Fixture>(middleware: &F) {
    let mut user = middleware.user();
    if !user.connection.capabilities().peek {
        println!("this middleware gives messages only away");
        return;
    }
    let whole = range(Position::Start, Position::End);
    let none = user.connection.view(&middleware.name("never-made"), &whole).map(drop);
    assert!(matches!(none, Err(QueueError::NoSuchQueue)), "{none:?}");
    let name = middleware.name("bad-position");
    user.create(&name, &QueueSpec::default());
    let odd = range(Position::Id("x y".to_owned()), Position::End);
    let refused = user.connection.view(&name, &odd).map(drop);
    assert!(matches!(refused, Err(QueueError::Refused { .. })), "{refused:?}");
}
