//! What a hop costs: chains of 1, 2 and 4 no-op programs (`cat`, a process
//! for each message) against a bare loop with the same processes, queues and
//! pipes and nothing else, and against the bare start of the program.
//!
//! Ours and the bare loop run in turn, round by round; medians of the rounds
//! are printed, and their ratios. Absolute times mean little on a busy
//! machine.

mod bare;
mod ours;

use std::time::{Duration, Instant};

/// Lengths of the chains.
const HOPS: [usize; 3] = [1, 2, 4];
/// Rounds, of which the median counts.
const ROUNDS: usize = 7;
/// Messages of a round, one in flight.
const SINGLE: usize = 60;
/// Messages of a round, all at once.
const BURST: usize = 300;
/// What each message holds.
pub const BODY: &[u8] = b"{\"order\":1,\"item\":\"teapot\",\"qty\":1,\"unit\":3.5}";

/// A chain under measurement.
trait Subject {
    /// Sends a message; waits for room if it must.
    fn send(&mut self);
    /// Waits for the next result.
    fn receive(&mut self);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, from, to] = args.as_slice()
        && role == "bare-worker"
    {
        bare::work(from, to);
    }
    println!(
        "a hop: cat, a process for each message, a body of {} bytes; medians of {ROUNDS} rounds",
        BODY.len()
    );
    let spawn =
        median((0..ROUNDS).map(|_| per_message(SINGLE, || drop(bare::spawn(BODY)))).collect());
    println!("starting cat and nothing else: {spawn:.0} us\n");
    println!(
        "{:>4}  {:>12} {:>12} {:>6}  {:>14}  {:>12} {:>12} {:>6}",
        "hops", "ours us", "bare us", "ratio", "added us/hop", "ours msg/s", "bare msg/s", "ratio"
    );
    for hops in HOPS {
        row(hops);
    }
}

fn row(hops: usize) {
    let (mut ours, mut bare) = (ours::Ours::start(hops), bare::Bare::start(hops));
    let (mut single, mut burst) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let subjects: [&mut dyn Subject; 2] = [&mut ours, &mut bare];
    let mut subjects = subjects;
    for subject in &mut subjects {
        one_in_flight(*subject, 10);
    }
    for _ in 0..ROUNDS {
        for (index, subject) in subjects.iter_mut().enumerate() {
            single[index].push(one_in_flight(*subject, SINGLE));
            burst[index].push(all_at_once(*subject, BURST));
        }
    }
    let [ours_us, bare_us] = single.map(median);
    let [ours_rate, bare_rate] = burst.map(median);
    println!(
        "{hops:>4}  {ours_us:>12.0} {bare_us:>12.0} {:>6.2}  {:>14.0}  {ours_rate:>12.0} {bare_rate:>12.0} {:>6.2}",
        ours_us / bare_us,
        (ours_us - bare_us) / hops as f64,
        ours_rate / bare_rate,
    );
}

/// Median microseconds from sending to the result, one message in flight.
fn one_in_flight(subject: &mut dyn Subject, count: usize) -> f64 {
    let times = (0..count).map(|_| {
        let began = Instant::now();
        subject.send();
        subject.receive();
        began.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

/// Messages a second of a burst: as many in flight as the queues hold.
fn all_at_once(subject: &mut dyn Subject, count: usize) -> f64 {
    let began = Instant::now();
    let mut in_flight = 0;
    let mut sent = 0;
    let mut received = 0;
    while received < count {
        // Eight are under way: no queue is full, all hops are busy.
        while sent < count && in_flight < 8 {
            subject.send();
            sent += 1;
            in_flight += 1;
        }
        subject.receive();
        received += 1;
        in_flight -= 1;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn per_message(count: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..count).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long a measurement waits for a result before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);
