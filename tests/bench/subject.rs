//! What is measured, and how it is driven.

use crate::report::Series;
use faas_common::load::Window;
use faas_common::stats::median;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// What each message holds.
pub const BODY: &[u8] = b"{\"order\":1,\"item\":\"teapot\",\"qty\":1,\"unit\":3.5}";

/// What our events have beside their body, as long as there: the server is to
/// have as much to do.
pub const FIELDS: [(&str, &str); 7] = [
    ("ce_id", "0123456789abcdef0123456789abcdef"),
    ("ce_specversion", "1.0"),
    ("ce_source", "/faas/hop"),
    ("ce_type", "faas.event"),
    ("ce_time", "2026-01-01T00:00:00.000000Z"),
    ("content-type", "text/plain"),
    (
        "faas-control",
        "as long as the share of an invocation, its run, its deadline and what else is in a control blo",
    ),
];

/// How long a measurement waits for a result before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A chain under measurement.
pub trait Subject {
    /// What it is called in the tables.
    fn name(&self) -> &'static str;
    /// Sends a message; `false` when there is no room.
    fn try_send(&mut self) -> bool;
    /// How many were sent, where results carry the number of their message.
    fn sent(&self) -> u64 {
        0
    }
    /// Waits for the next result; the number of its message, where it has one.
    fn receive(&mut self) -> Option<u64>;
}

/// Times from sending to the result, one message in flight; `pause` between a
/// result and the next message.
pub fn one_in_flight(subject: &mut dyn Subject, count: usize, pause: Duration) -> Vec<f64> {
    let once = |_| {
        std::thread::sleep(pause);
        let began = Instant::now();
        assert!(subject.try_send(), "an empty chain has room");
        subject.receive();
        began.elapsed().as_secs_f64() * 1e6
    };
    (0..count).map(once).collect()
}

/// Seconds that `count` messages take, with at most `window` under way. All
/// must come back, each once.
pub fn all_at_once(subject: &mut dyn Subject, count: u64, window: usize) -> f64 {
    let began = Instant::now();
    let mut under_way = Window::new(NonZeroUsize::new(window).expect("above zero"));
    let (mut sent, mut received) = (0, 0);
    let before = subject.sent();
    while received < count {
        while sent < count && under_way.has_room() && subject.try_send() {
            sent += 1;
            under_way.sent(sent, began.elapsed()).expect("a new number");
        }
        // Who has no numbers of its own answers in order.
        let number = subject.receive().map_or(received + 1, |number| number - before);
        under_way.answered(number, began.elapsed());
        received += 1;
    }
    assert_eq!((under_way.duplicates(), under_way.unknown()), (0, 0), "each comes back once");
    assert_eq!(under_way.missing().len(), 0, "none is lost");
    began.elapsed().as_secs_f64()
}

/// Measures subjects in turn, round by round; who is first changes.
pub fn in_turn(
    subjects: &mut [&mut dyn Subject],
    rounds: usize,
    mut measure: impl FnMut(&mut dyn Subject) -> f64,
) -> Vec<Series> {
    let mut series: Vec<Series> =
        subjects.iter().map(|s| Series { name: s.name(), rounds: Vec::new() }).collect();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            let figure = measure(subjects[index]);
            series[index].rounds.push(figure);
        }
    }
    series
}

/// The median of some times.
pub fn middle(times: &[f64]) -> f64 {
    median(times).expect("some times")
}
