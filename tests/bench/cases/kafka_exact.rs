//! Exactly once over Kafka: the time of a transaction that takes so many
//! messages and sends as many, ours and a bare loop's; no functions between.

use super::brokers;
use crate::bare_kafka::{BareExact, make_topics};
use crate::link::Link;
use crate::report::{Report, Series};
use crate::subject::{BODY, PATIENCE, middle};
use faas_common::event::Event;
use faas_common::queue::{self, Outgoing, QueueId, QueueUrl, Settlement};
use std::time::Instant;

/// Messages of a transaction, and transactions of a round.
const BATCHES: [(usize, usize); 4] = [(1, 20), (10, 20), (100, 8), (500, 4)];
/// Rounds.
const ROUNDS: usize = 5;
/// Transactions before them.
const BEFORE: usize = 3;
/// Most messages taken, or sent, at once.
const AT_ONCE: usize = 64;

/// Ours against the bare loop, with larger and larger transactions.
pub fn run(report: &mut Report) {
    report.title("kafka-exact: a transaction: consume N, produce N, offsets, commit");
    let Some(kafka) = brokers::kafka(report) else { return };
    let mut messages = Vec::new();
    for (batch, count) in BATCHES {
        let series = measure(&kafka.url(), batch, count);
        report.compare("kafka-exact", &[("batch", batch as u64)], "us", &series, Some("<=1.3"));
        messages.extend(series.into_iter().map(|one| (batch, one)));
    }
    report.note("for each message of it:");
    for (batch, series) in messages {
        let rounds = series.rounds.iter().map(|us| us / batch as f64).collect();
        let subject = format!("{}, {batch} in one", series.name);
        report.figure("kafka-exact-message", &subject, "us", rounds);
    }
}

/// Microseconds for each transaction, round by round.
fn measure(url: &str, batch: usize, count: usize) -> [Series; 2] {
    let all = batch * (count * ROUNDS + BEFORE);
    let names = ["ours", "bare"].map(|who| [format!("{who}-{batch}"), format!("{who}-{batch}-to")]);
    make_topics(url, names.iter().flatten().map(String::as_str));
    let [[from, to], [bare_from, bare_to]] = &names;
    fill(url, from, all);
    fill(url, bare_from, all);
    let mut ours = OursExact::open(url, from, to, batch);
    let mut bare = BareExact::open(url, bare_from, bare_to);
    let mut ours = || ours.transaction(batch);
    let mut bare = || bare.transaction(batch);
    each_us(BEFORE, &mut ours);
    each_us(BEFORE, &mut bare);
    let mut series = ["ours", "bare"].map(|name| Series { name, rounds: Vec::new() });
    for round in 0..ROUNDS {
        for turn in 0..series.len() {
            let index = (round + turn) % series.len();
            let us = if index == 0 { each_us(count, &mut ours) } else { each_us(count, &mut bare) };
            series[index].rounds.push(us);
        }
    }
    series
}

/// The middle of the times of so many.
fn each_us(count: usize, transaction: &mut dyn FnMut()) -> f64 {
    let once = |_| {
        let began = Instant::now();
        transaction();
        began.elapsed().as_secs_f64() * 1e6
    };
    middle(&(0..count).map(once).collect::<Vec<_>>())
}

/// Puts so many events into a topic.
fn fill(url: &str, topic: &str, count: usize) {
    let url = QueueUrl::parse(url).expect("a URL");
    let mut link = Link::new(queue::connect(&url).expect("brokers"));
    let queue = link.connection.open_send(topic).expect("a topic");
    let event = |number: usize| {
        let id = number.to_string();
        Event::bare(id, "/bench".into(), "application/json", BODY.to_vec())
    };
    let (mut sent, mut arrived) = (0, 0);
    while sent < count {
        let end = (sent + AT_ONCE).min(count);
        let outputs = (sent..end).map(|number| Outgoing { queue, event: event(number) }).collect();
        link.settle(Settlement { outputs, ..Settlement::default() });
        sent = end;
    }
    let began = Instant::now();
    while arrived < count.div_ceil(AT_ONCE) {
        assert!(began.elapsed() < PATIENCE, "the brokers do not answer");
        arrived += link.wait().len();
    }
}

/// Our connection, used as an invoker uses it.
struct OursExact {
    link: Link,
    from: QueueId,
    to: QueueId,
}

impl OursExact {
    /// Between two topics that are there; `batch` settlements fill a
    /// transaction.
    fn open(url: &str, from: &str, to: &str, batch: usize) -> Self {
        let url = QueueUrl::parse(url).expect("a URL");
        let url = url.with_option("batch-count", &batch.to_string());
        let mut link = Link::new(queue::connect(&url).expect("brokers"));
        link.connection.exactly_once().expect("it can");
        let from = link.connection.open_receive(from).expect("a topic");
        let to = link.connection.open_send(to).expect("a topic");
        Self { link, from, to }
    }

    /// Moves so many events as they are, in one transaction.
    fn transaction(&mut self, count: usize) {
        let began = Instant::now();
        let wait = |link: &mut Link| {
            assert!(began.elapsed() < PATIENCE, "the brokers do not answer");
            link.wait().len()
        };
        let link = &mut self.link;
        let mut taken = Vec::with_capacity(count);
        link.connection.listen(self.from, true).expect("it listens");
        while taken.len() < count {
            let before = taken.len();
            let most = (count - before).min(AT_ONCE);
            link.connection.try_receive(self.from, most, &mut taken).expect("it receives");
            if taken.len() == before {
                wait(link);
            }
        }
        // Nothing more is wanted until this is done.
        link.connection.listen(self.from, false).expect("it listens");
        for one in taken {
            let outputs = vec![Outgoing { queue: self.to, event: one.event }];
            let taken = vec![one.receipt];
            link.settle(Settlement { taken, outputs, ..Settlement::default() });
        }
        link.flush();
        let mut done = 0;
        while done < count {
            done += wait(link);
        }
        assert!(link.connection.voided().is_empty(), "all of it was ours");
    }
}
