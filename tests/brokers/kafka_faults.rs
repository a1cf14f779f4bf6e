//! Processes on Kafka are killed, stopped, started and ended while messages
//! flow. At least once nothing is lost; exactly once nothing is doubled
//! either, for whoever reads what is committed. A message that is done again
//! gives the same ids.

use crate::common::{Place, Running, sorted};
use crate::kafka::{effects, topics_left, with_tools};
use faas_tests::services::{free_port, shared_kafka};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

const MESSAGES: usize = 300;

/// Members that say nothing are given up sooner, so that a test need not wait.
pub(crate) const SHORT: &str = "session.timeout.ms=2000&heartbeat.interval.ms=500";

/// Notes that it ran, then takes a while.
const SLOW: &str = "#!/bin/sh\nread -r n\necho \"$n\" >> ran\nsleep 0.05\necho \"$n\"\n";

/// Two topics and a function between them.
pub(crate) struct Line {
    pub(crate) place: Place,
    how: &'static str,
    options: String,
}

impl Line {
    /// New ones, with options for the topics and for whoever reads them.
    pub(crate) fn new(url: &str, how: &'static str, topics: &str, options: &str) -> Self {
        let place = Place::new(url);
        place.sandbox.file("slow.sh", SLOW);
        place.ok(&format!("faas-queue new \"$U/$R-in{topics}\" \"$U/$R-out{topics}\""));
        Self { place, how, options: options.to_owned() }
    }

    /// An invoker of `slow.sh`.
    pub(crate) fn invoker(&self, name: &str) -> Running {
        let Self { how, options, .. } = self;
        self.place.start(
            name,
            &format!(
                "faas-invoke --from \"$U/$R-in?{options}\" --to \"$U/$R-out?{options}\" -j4 \
                 --deliver {how} -- ./slow.sh"
            ),
        )
    }

    /// Two invokers that have shared out the partitions.
    pub(crate) fn two_invokers(&self) -> [Running; 2] {
        let both = [self.invoker("one"), self.invoker("two")];
        self.place.until("both read", || self.stat("in", ".readers") == Some(2));
        // A member takes part once it has heard of the other.
        sleep(Duration::from_secs(1));
        both
    }

    /// A number of `faas-queue stat`; none while no broker can tell.
    fn stat(&self, which: &str, what: &str) -> Option<usize> {
        let told = self.place.sh(&format!("faas-queue stat -o json $U/$R-{which} | jq {what}"));
        told.stdout.trim().parse().ok()
    }

    /// Numbers from `first` on.
    pub(crate) fn put(&self, first: usize, last: usize) {
        self.place.ok(&format!("seq {first} {last} | faas-queue put $U/$R-in"));
    }

    pub(crate) fn until_ran(&self, count: usize) {
        self.place.until_lines("ran", count);
    }

    /// Waits until all is done, and sees what came of it.
    pub(crate) fn account(&self, last: usize) {
        let distinct = || {
            let text = self.place.text("ran");
            text.lines().collect::<BTreeSet<_>>().len()
        };
        self.place.until("all ran", || distinct() >= last);
        let mut before = None;
        self.place.until("all is done", || {
            let depth = self.stat("in", ".depth");
            if depth != before {
                println!("{}: depth {depth:?}", self.how);
                before = depth;
            }
            depth == Some(0)
        });
        let run = self.place.sandbox.run();
        let seen = effects(&self.place, &format!("{run}-out"));
        println!(
            "{}: {} runs, {} effects for {last} messages",
            self.how,
            self.place.text("ran").lines().count(),
            seen.values.values().sum::<usize>()
        );
        seen.has_all(last);
        assert_eq!(seen.ids.len(), last, "what is done again has the same id");
        if self.how == "exactly-once" {
            seen.has_none_twice();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.place.sh("faas-queue rm --yes $U/$R-in $U/$R-out");
    }
}

fn a_killed_invoker(how: &'static str) {
    let line = Line::new(&shared_kafka(), how, "", SHORT);
    let [mut one, mut two] = line.two_invokers();
    line.put(1, MESSAGES);
    line.until_ran(60);
    one.kill();
    line.account(MESSAGES);
    assert_eq!(two.stop(), 143, "{}", line.place.text("two.err"));
    assert_eq!(line.place.sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_killed_invoker_at_least_once() {
    a_killed_invoker("at-least-once");
}

#[test]
fn a_killed_invoker_exactly_once() {
    a_killed_invoker("exactly-once");
}

/// What it held was taken over; when it goes on it finds that out before
/// anything of it takes effect.
fn a_stopped_invoker(how: &'static str) {
    let line = Line::new(&shared_kafka(), how, "", SHORT);
    let [mut one, mut two] = line.two_invokers();
    line.put(1, MESSAGES);
    line.until_ran(60);
    one.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(5));
    one.signal(Signal::SIGCONT);
    line.put(MESSAGES + 1, MESSAGES + 50);
    line.account(MESSAGES + 50);
    let said = line.place.text("one.err");
    assert!(said.contains("another reader took it over; this settle was refused"), "{said}");
    assert_eq!((one.stop(), two.stop()), (143, 143), "{said}{}", line.place.text("two.err"));
}

#[test]
fn a_stopped_invoker_at_least_once() {
    a_stopped_invoker("at-least-once");
}

#[test]
fn a_stopped_invoker_exactly_once() {
    a_stopped_invoker("exactly-once");
}

/// A second one comes and is told to end, a third comes and is killed, while
/// messages flow.
fn invokers_come_and_go(how: &'static str) {
    let line = Line::new(&shared_kafka(), how, "", SHORT);
    let mut steady = line.invoker("steady");
    let mut last = 0;
    for _ in 0..3 {
        let mut guest = line.invoker("guest");
        line.put(last + 1, last + 50);
        sleep(Duration::from_millis(1200));
        let mut doomed = line.invoker("doomed");
        line.put(last + 51, last + 100);
        sleep(Duration::from_millis(1200));
        assert_eq!(guest.stop(), 143, "{}", line.place.text("guest.err"));
        doomed.kill();
        last += 100;
    }
    line.account(last);
    assert_eq!(steady.stop(), 143, "{}", line.place.text("steady.err"));
    assert_eq!(line.place.sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn invokers_come_and_go_at_least_once() {
    invokers_come_and_go("at-least-once");
}

#[test]
fn invokers_come_and_go_exactly_once() {
    invokers_come_and_go("exactly-once");
}

/// Its second message kills the invoker. The others, also those that wait at
/// the head of other partitions meanwhile, are not to blame.
fn a_function_that_kills_its_invoker(how: &str) {
    let place = Place::new(&format!("{}?{SHORT}", shared_kafka()));
    place.sandbox.file(
        "kill.sh",
        "#!/bin/sh\nread -r n\nif [ $n = 2 ]; then kill -9 $(ps -o ppid= -p $PPID); sleep 9; fi\necho $n\n",
    );
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["./kill.sh"], "retries": 1, "backoff": "1ms" } }, "start": "f" }"#,
    );
    let came = place.sh(&format!(
        "seq 30 | faas-chain run --run $R --via \"$U\" --deliver {how} -o lines --dead dead chain.json | sort -n; \
         exit ${{PIPESTATUS[1]}}"
    ));
    let dead = place.sh("jq -c '[.data, .faasreason]' dead").stdout;
    let wanted = "[2,\"its invoker was killed during attempt 5, the last\"]\n";
    assert_eq!(dead, wanted, "{}", came.stderr);
    let numbers: Vec<String> = (1..=30).filter(|n| *n != 2).map(|n| n.to_string()).collect();
    let lines: Vec<&str> = came.stdout.lines().collect();
    assert_eq!(lines, numbers, "{}", came.stderr);
    assert_eq!(came.code, 1, "{}", came.stderr);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    assert_eq!(topics_left(&place), "");
}

#[test]
fn a_function_that_kills_its_invoker_at_least_once() {
    a_function_that_kills_its_invoker("at-least-once");
}

#[test]
fn a_function_that_kills_its_invoker_exactly_once() {
    a_function_that_kills_its_invoker("exactly-once");
}

/// One that takes longer than a session, and longer than librdkafka would wait
/// for a poll, is at work and not dead: nobody takes its message over.
#[test]
fn a_slow_function_is_not_dead() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("slow.sh", &SLOW.replace("0.05", "6"));
    place.ok("faas-queue new $U/$R-in $U/$R-out");
    let options = "session.timeout.ms=5000&heartbeat.interval.ms=500&max.poll.interval.ms=5000";
    let command = format!(
        "faas-invoke --from \"$U/$R-in?{options}\" --to \"$U/$R-out?{options}\" -- ./slow.sh"
    );
    let (_one, _two) = (place.start("one", &command), place.start("two", &command));
    let stat = |what: &str| place.ok(&format!("faas-queue stat -o json {what}"));
    place.until("both read", || stat("$U/$R-in | jq .readers").trim() == "2");
    sleep(Duration::from_secs(2));
    place.ok("seq 3 | faas-queue put $U/$R-in");
    place.until("all is done", || stat("$U/$R-out | jq .depth").trim() == "3");
    assert_eq!(place.text("ran").lines().count(), 3, "each ran once");
    place.sh("faas-queue rm --yes $U/$R-in $U/$R-out");
}

/// Whoever reads it or sends to it ends with the reason, and what was not
/// handed over is still there.
#[test]
fn a_topic_that_is_removed_while_it_is_used() {
    for which in ["in", "out"] {
        let place = Place::new(&shared_kafka());
        place.ok("faas-queue new $U/$R-in $U/$R-out");
        let mut invoker =
            place.start("invoker", "faas-invoke --from $U/$R-in --to $U/$R-out -- cat");
        let readers = "faas-queue stat -o json $U/$R-in | jq .readers";
        place.until("it reads", || place.ok(readers).trim() == "1");
        let began = Instant::now();
        place.ok(&format!("faas-queue rm --yes $U/$R-{which}"));
        if which == "out" {
            place.ok("seq 5 | faas-queue put $U/$R-in");
        }
        let code = invoker.wait();
        let (said, name) = (place.text("invoker.err"), place.sandbox.run());
        assert_eq!(code, 69, "{said}");
        let url = format!("{}/{name}-{which}", place.url);
        assert!(said.contains(&format!("{url} was removed")), "{said}");
        assert!(said.contains(&format!("try: faas-queue new {url}, and start again")), "{said}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        if which == "out" {
            let depth = place.ok("faas-queue stat -o json $U/$R-in | jq .depth");
            assert_eq!(depth, "5\n", "nothing that was taken is lost");
            place.ok("faas-queue rm --yes $U/$R-in");
        }
    }
}

/// A trigger is killed while it waits for a result, and its queue is removed:
/// the result goes to the run's own replies, and the invoker works on.
fn a_reply_queue_goes(how: &str) {
    let place = Place::new(&shared_kafka());
    let chain = r#"{ "chain": "wait", "functions": { "a": { "run": ["sh", "-c", "touch began; sleep 2; cat"] } },
        "start": "a", "rules": [] }"#;
    place.sandbox.file("wait.json", chain);
    place.ok("faas-queue new --chain wait.json --run $R --via $U");
    let command = format!("faas-invoke --chain wait.json --run $R --via $U --deliver {how}");
    let mut invoker = place.start("invoker", &command);
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let command = format!("faas-trigger {url}/ --wait --run $R --via $U --chain wait.json");
    let mut trigger = place.start("trigger", &command);
    place.until("the trigger listens", || place.sh(&format!("curl -s {url}/none")).code != 7);
    let _asker = place.start("asker", &format!("curl -s -m 20 -d gone {url}/"));
    place.until("the function runs", || place.sandbox.path().join("began").exists());
    trigger.kill();
    let names = "faas-queue ls $U | grep -o \"faas\\.$R\\._reply-[^ ]*\"";
    place.ok(&format!("faas-queue rm --yes $U/$({names})"));
    let got = place.ok("faas-queue get -n 1 --timeout 40s -o lines $U/faas.$R._reply");
    assert_eq!(got, "gone\n", "{}", place.text("invoker.err"));
    place.ok("faas-queue rm --yes --run $R --via $U");
    assert_eq!(invoker.wait(), 0, "{}", place.text("invoker.err"));
}

#[test]
fn a_reply_queue_is_removed_under_its_replies_at_least_once() {
    a_reply_queue_goes("at-least-once");
}

#[test]
fn a_reply_queue_is_removed_under_its_replies_exactly_once() {
    a_reply_queue_goes("exactly-once");
}

/// The brokers hold up who sends more than was agreed on; it takes its time,
/// and all arrives.
#[test]
fn a_sender_over_its_quota_is_slower() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new $U/$R-quota");
    let quota = |change: &str| {
        let script = format!(
            "tool kafka.admin.ConfigCommand --bootstrap-server $B --alter {change} \
             --entity-type clients --entity-name $R"
        );
        let came = with_tools(&place, &script);
        assert_eq!(came.code, 0, "{came:?}");
    };
    quota("--add-config producer_byte_rate=50000");
    let put = "seq -f %01000g 1000 | faas-queue put \"$U/$R-quota?client.id=$R&batch.size=20000\"";
    let began = Instant::now();
    place.ok(put);
    let slow = began.elapsed();
    let got = place.ok("faas-queue get -n 1000 -o lines $U/$R-quota");
    assert_eq!(sorted(&got), sorted(&place.ok("seq -f %01000g 1000")));
    quota("--delete-config producer_byte_rate");
    place.ok("faas-queue rm --yes $U/$R-quota");
    // What ten seconds allow may go at once.
    assert!(slow > Duration::from_secs(2), "it was not held up: {slow:?}");
}
