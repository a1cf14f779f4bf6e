//! What goes wrong beneath a run on Redis: servers and invokers that are
//! killed, stopped or full. What came is compared with what went in: nothing
//! is lost, and nothing comes twice.

use crate::common::{Place, Running, Seen};
use faas_tests::services::{Redis, shared_redis};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A branch, two ways and a join; each number comes back as itself.
const WORK: &str = r#"{ "chain": "work", "functions": {
    "a": { "run": ["sh", "-c", "sleep 0.01; cat"], "concurrency": 2 },
    "b": { "run": ["cat"] }, "c": { "run": ["cat"] },
    "j": { "run": ["jq", "-c", ".b"], "join": "all" } },
  "start": "a",
  "rules": [ { "from": "a", "to": ["b", "c"] }, { "from": ["b", "c"], "to": "j" } ],
  "queues": { "a": { "capacity": 20 } } }"#;

/// A run of so many numbers beside the test.
fn run(place: &Place, count: usize, flags: &str) -> Running {
    place.sandbox.file("chain.json", WORK);
    let input: String = (1..=count).map(|n| format!("{n}\n")).collect();
    place.sandbox.file("input", &input);
    let command = format!("faas-chain run --run $R --via \"$U\" {flags} chain.json < input");
    place.start("run", &command)
}

/// Its results, all of them, once it has ended well.
fn results(place: &Place, run: &mut Running, count: usize) -> Seen {
    let code = run.wait();
    let (seen, told) = (Seen::of(&place.text("run.out")), place.text("run.err"));
    seen.has_all(count);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains(" 0 dead, 0 lost"), "{told}");
    seen
}

/// What a server has said yes to it knows again after a crash.
#[test]
fn a_server_that_is_killed_twice() {
    let mut redis = Redis::with(&["--appendfsync", "always"]);
    let place = Place::new(&redis.url());
    let mut run = run(&place, 300, "--deliver exactly-once");
    for lines in [50, 150] {
        place.until_lines("run.out", lines);
        redis.kill();
        std::thread::sleep(Duration::from_millis(1_500));
        redis.restart();
    }
    results(&place, &mut run, 300).has_none_twice();
    let told = place.text("run.err");
    assert!(told.contains(" is away: ") && told.contains(" is back\n"), "{told}");
}

#[test]
fn a_server_that_is_restarted() {
    let mut redis = Redis::start();
    let place = Place::new(&redis.url());
    let mut run = run(&place, 120, "");
    place.until_lines("run.out", 40);
    let about = redis.command(&["INFO", "server"]);
    let pid = about.lines().find_map(|line| line.trim().strip_prefix("process_id:"));
    let pid: i32 = pid.and_then(|pid| pid.parse().ok()).expect("it has a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is there");
    let address = (Ipv4Addr::LOCALHOST, redis.port());
    place.until("its end", || TcpStream::connect(address).is_err());
    redis.restart();
    results(&place, &mut run, 120).has_none_twice();
}

/// Connections stay open and nothing answers: it takes no harm, and no lease
/// runs out on a server that stands still.
#[test]
fn a_server_that_stands_still_for_a_while() {
    let redis = Redis::start();
    let place = Place::new(&format!("{}?lease=2s", redis.url()));
    let mut run = run(&place, 80, "");
    place.until_lines("run.out", 20);
    redis.pause();
    std::thread::sleep(Duration::from_secs(3));
    redis.resume();
    results(&place, &mut run, 80).has_none_twice();
}

/// Notes what it gets; the first time it gets a 1 it naps for longer than a
/// lease.
const NAP: &str = "#!/bin/sh
read -r n
echo $n >> log
if [ $n = 1 ] && mkdir napped 2> /dev/null; then sleep 5; fi
echo $n
";

/// A run with one function, and its first invoker while that naps.
fn napping(place: &Place) -> Running {
    place.sandbox.file("nap.sh", NAP);
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "nap", "functions": { "f": { "run": ["./nap.sh"] } }, "start": "f" }"#,
    );
    place.ok("faas-queue new --chain chain.json --run $R --via $U");
    let first = serve(place, "first");
    place.ok("seq 5 | faas-trigger --chain chain.json --run $R --via $U");
    place.until("the nap", || place.sandbox.path().join("napped").exists());
    first
}

/// An invoker on a host of its own, with short leases.
fn serve(place: &Place, host: &str) -> Running {
    let state = format!("env FAAS_STATE_DIR=$PWD/{host}");
    let run = "--chain chain.json --run $R --via $U?lease=2s";
    place.start(host, &format!("{state} faas-invoke {run}"))
}

/// The next replies of a run, at most so many.
fn replies(place: &Place, count: usize, timeout: &str) -> Seen {
    let get = format!("faas-queue get -n {count} --timeout {timeout} $U/faas.$R._reply");
    Seen::of(&place.sh(&get).stdout)
}

#[test]
fn another_takes_over_from_a_killed_invoker_after_its_lease() {
    let place = Place::new(&shared_redis());
    let mut first = napping(&place);
    first.kill();
    let mut second = serve(&place, "second");
    let seen = replies(&place, 5, "20s");
    seen.has_all(5);
    seen.has_none_twice();
    assert_eq!(second.stop(), 0, "{}", place.text("second.err"));
    assert_eq!(place.text("log").matches("1\n").count(), 2, "begun, and begun again");
    place.ok("faas-queue rm --yes --run $R");
}

/// Who wakes up after its lease is too late, and is told so.
#[test]
fn a_stopped_invoker_that_wakes_up_hands_over_nothing() {
    let place = Place::new(&shared_redis());
    let mut first = napping(&place);
    first.signal(Signal::SIGSTOP);
    let mut second = serve(&place, "second");
    let seen = replies(&place, 5, "20s");
    seen.has_all(5);
    seen.has_none_twice();
    first.signal(Signal::SIGCONT);
    let told = "another reader took it over; this settle was refused\n";
    place.until("the late hand-off", || place.text("first.err").ends_with(told));
    assert_eq!(replies(&place, 1, "1s").values.len(), 0, "nothing came twice");
    assert_eq!((first.stop(), second.stop()), (0, 0), "{}", place.text("second.err"));
    place.ok("faas-queue rm --yes --run $R");
}

/// It is begun as often as it may be, and then it is a dead letter.
#[test]
fn a_message_that_kills_its_invoker_becomes_a_dead_letter() {
    let place = Place::new(&format!("{}?lease=2s", shared_redis()));
    place.sandbox.file("kill.sh", "#!/bin/sh\nread -r n\necho $n >> log\nif [ $n = 2 ]; then kill -9 $(ps -o ppid= -p $PPID); sleep 9; fi\necho $n\n");
    place.sandbox.file("chain.json", r#"{ "chain": "c", "functions": { "f": { "run": ["./kill.sh"], "retries": 0, "backoff": "1ms" } }, "start": "f" }"#);
    let came = place.sh("seq 3 | faas-chain run --run $R --via $U -o lines chain.json | sort
        jq -r '[.faasreason, .data] | @csv' $R.dead.ndjson; grep -c 2 log");
    let told = "1\n3\n\"its invoker was killed during attempt 4, the last\",2\n4\n";
    assert_eq!(came.stdout, told, "{came:?}");
}

#[test]
fn a_slow_reader_holds_up_its_senders() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.ok("faas-queue new --capacity 5 $U/q");
    let mut sender = place.start("put", "faas-queue put $U/q < <(seq 60)");
    let mut most = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(50));
        most = most.max(redis.command(&["XLEN", "q"]).parse::<u64>().expect("a number"));
        place.ok("faas-queue get -n 6 --timeout 10s $U/q >> got");
    }
    assert_eq!((sender.wait(), most), (0, 5));
    let seen = Seen::of(&place.text("got"));
    seen.has_all(60);
    seen.has_none_twice();
}

#[test]
fn a_chain_with_small_queues_keeps_to_them() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    let mut run = run(&place, 80, "");
    let queue = format!("faas.{}.a", place.sandbox.run());
    let mut most = 0;
    while place.text("run.out").lines().count() < 60 {
        let length = redis.command(&["XLEN", &queue]).parse::<u64>().expect("a number");
        most = most.max(length);
        std::thread::sleep(Duration::from_millis(10));
    }
    results(&place, &mut run, 80).has_none_twice();
    assert!((1..=20).contains(&most), "{most} in a queue for 20");
}

/// A server without memory takes nothing in: all wait, and go on when it has
/// some again.
#[test]
fn a_server_whose_memory_is_full() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    let mut run = run(&place, 120, "");
    place.until_lines("run.out", 20);
    let limit = |memory: &str| redis.command(&["CONFIG", "SET", "maxmemory", memory]);
    assert_eq!(limit("1mb"), "OK");
    let told = "the server's memory is full (maxmemory); waiting for room\n";
    place.until("the notice", || place.text("run.err").contains(told));
    std::thread::sleep(Duration::from_secs(1));
    let before = place.text("run.out").lines().count();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(place.text("run.out").lines().count(), before, "nothing moves");
    assert_eq!(limit("0"), "OK");
    results(&place, &mut run, 120).has_none_twice();
}

/// The URL of two servers, of which one has to have what the other says yes
/// to.
fn both(primary: &Redis, replica: &Redis) -> String {
    let (first, second) = (primary.port(), replica.port());
    format!("redis://127.0.0.1:{first},127.0.0.1:{second}/0?replicas=1")
}

#[test]
fn what_was_acknowledged_survives_its_server() {
    let mut primary = Redis::start();
    let mut replica = Redis::replica_of(&primary);
    let place = Place::new(&both(&primary, &replica));
    let queue = place.url.replace("/0?", "/0/q?");
    place.ok(&format!("faas-queue new '{queue}'; seq 200 | faas-queue put '{queue}'"));
    primary.kill();
    replica.promote();
    let queue = format!("redis://127.0.0.1:{}/0/q", replica.port());
    let seen = Seen::of(&place.sh(&format!("faas-queue get -n 200 --timeout 5s {queue}")).stdout);
    seen.has_all(200);
}

#[test]
fn a_run_goes_on_at_the_replica_that_was_promoted() {
    let mut primary = Redis::start();
    let mut replica = Redis::replica_of(&primary);
    let place = Place::new(&both(&primary, &replica));
    let mut run = run(&place, 150, "");
    place.until_lines("run.out", 30);
    primary.kill();
    replica.promote();
    // What is acknowledged from now on needs a replica again.
    let _second = Redis::replica_of(&replica);
    results(&place, &mut run, 150).has_none_twice();
}

/// One of the servers in a URL may be away or a replica: the other is asked.
#[test]
fn the_other_server_of_a_url_is_asked() {
    let mut primary = Redis::start();
    let replica = Redis::replica_of(&primary);
    let order = format!("redis://127.0.0.1:{},127.0.0.1:{}/0", replica.port(), primary.port());
    let place = Place::new(&order);
    assert_eq!(place.sh("faas-queue new $U/q").stderr, "", "the first is a replica");
    place.until("the replica has it", || replica.command(&["EXISTS", "q"]).trim() == "1");
    let mut replica = replica;
    primary.kill();
    replica.promote();
    let place = Place::new(&both(&primary, &replica));
    let listed = place.sh("faas-queue ls -o json \"$U\" | jq -r .depth");
    assert_eq!((listed.stdout.as_str(), listed.stderr.as_str()), ("0\n", ""));
}
