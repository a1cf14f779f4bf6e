//! Brokers of Kafka die while messages flow: one that comes back, and one of
//! three.

use crate::common::{Place, Running, Seen};
use crate::kafka::{topics_left, with_tools};
use crate::kafka_faults::{Line, SHORT};
use faas_tests::services::Kafka;
use std::time::{Duration, Instant};

const MESSAGES: usize = 300;
/// With three brokers: an election begins when the dead one has been silent
/// for 3 s; then members find their coordinator again.
const GOES_ON_WITHIN: Duration = Duration::from_secs(20);

/// A run of two steps in the background, its results in `run.out`.
fn run(place: &Place, how: &str) -> Running {
    place.sandbox.file("slow.sh", "#!/bin/sh\nsleep 0.05\ncat\n");
    place.sandbox.file(
        "chain.json",
        r#"{
      "chain": "slow", "functions": {
        "a": { "run": ["./slow.sh"], "concurrency": 4 }, "b": { "run": ["cat"], "concurrency": 4 }
      }, "start": "a", "rules": [ { "from": "a", "to": "b" } ]
    }"#,
    );
    place.ok(&format!("seq {MESSAGES} > input"));
    place.start("run", &format!(
        "timeout -k 5 200 faas-chain run --run $R --via \"$U\" --deliver {how} --invokers 2 --dead dead chain.json < input"
    ))
}

/// All came, each once: what comes again is known by its id.
fn account(place: &Place, run: &mut Running) {
    let code = run.wait();
    let log = place.text("run.err");
    assert_eq!(code, 0, "{log}");
    let seen = Seen::of(&place.text("run.out"));
    seen.has_all(MESSAGES);
    seen.has_none_twice();
    assert_eq!(place.text("dead"), "", "{log}");
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    assert_eq!(topics_left(place), "");
}

/// Everybody waits for it, then goes on: a whole run first, then invokers
/// alone.
#[test]
fn a_broker_comes_back() {
    let mut kafka = Kafka::start(1);
    let url = kafka.url();
    let mut crash = || {
        kafka.kill(1);
        std::thread::sleep(Duration::from_secs(1));
        kafka.restart(1);
    };
    let place = Place::new(&format!("{url}?{SHORT}"));
    let mut run = run(&place, "at-least-once");
    place.until_lines("run.out", 60);
    crash();
    account(&place, &mut run);
    let line = Line::new(&url, "exactly-once", "", SHORT);
    let [mut one, mut two] = line.two_invokers();
    line.put(1, MESSAGES);
    line.until_ran(60);
    crash();
    line.account(MESSAGES);
    assert_eq!((one.stop(), two.stop()), (143, 143), "{}", line.place.text("one.err"));
}

/// Where a group has its coordinator.
fn coordinator(place: &Place, group: &str) -> usize {
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let ask = format!("tool {class} --bootstrap-server $B --describe --state --group {group}");
    // GROUP COORDINATOR (ID) ...: `q 127.0.0.1:40001 (2) cooperative-sticky Stable 2`.
    let told = with_tools(place, &ask).stdout;
    let id = told.split_once('(').and_then(|(_, rest)| rest.split_once("(")?.1.split_once(')'));
    id.and_then(|(id, _)| id.parse().ok()).unwrap_or_else(|| panic!("no coordinator in {told}"))
}

/// The broker that a transaction hands its offsets to: librdkafka may wait for
/// it for ever.
#[test]
fn the_coordinator_of_a_group_dies_exactly_once() {
    let mut kafka = Kafka::start(3);
    let line = Line::new(&kafka.url(), "exactly-once", "?replicas=3&min-isr=2", "acks=all");
    let [mut one, mut two] = line.two_invokers();
    for last in [MESSAGES, 2 * MESSAGES] {
        let ran = line.place.text("ran").lines().count();
        line.put(last - MESSAGES + 1, last);
        line.until_ran(ran + 60);
        let id = coordinator(&line.place, &format!("{}-in", line.place.sandbox.run()));
        kafka.kill(id);
        line.account(last);
        kafka.restart(id);
    }
    assert_eq!((one.stop(), two.stop()), (143, 143), "{}", line.place.text("one.err"));
    print!("{}{}", line.place.text("one.err"), line.place.text("two.err"));
}

/// One cluster for all of it: brokers are dear. First invokers alone, then
/// whole runs; each time a broker dies, and comes back afterwards.
#[test]
fn one_broker_of_three_dies() {
    let mut kafka = Kafka::start(3);
    for (how, id) in [("at-least-once", 1), ("exactly-once", 2)] {
        let line = Line::new(&kafka.url(), how, "?replicas=3&min-isr=2", "acks=all");
        let [mut one, mut two] = line.two_invokers();
        line.put(1, MESSAGES);
        line.until_ran(60);
        kafka.kill(id);
        let (began, ran) = (Instant::now(), || line.place.text("ran").lines().count());
        // What was handed out when it died is finished in any case.
        std::thread::sleep(Duration::from_secs(1));
        let then = ran();
        line.place.until("it goes on", || ran() >= (then + 20).min(MESSAGES));
        println!("{how}: goes on after {:?}", began.elapsed());
        assert!(began.elapsed() < GOES_ON_WITHIN, "it took {:?}", began.elapsed());
        line.account(MESSAGES);
        assert_eq!((one.stop(), two.stop()), (143, 143), "{}", line.place.text("one.err"));
        print!("{}{}", line.place.text("one.err"), line.place.text("two.err"));
        kafka.restart(id);
    }
    for (how, id) in [("at-least-once", 3), ("exactly-once", 1)] {
        let place = Place::new(&format!("{}?replicas=3&min-isr=2&{SHORT}", kafka.url()));
        let mut run = run(&place, how);
        place.until_lines("run.out", 60);
        kafka.kill(id);
        account(&place, &mut run);
        kafka.restart(id);
    }
}
