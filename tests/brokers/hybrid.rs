//! One chain on two middlewares: some of its queues on this host, some on a
//! Redis server.

use crate::common::{Place, Seen};
use faas_tests::services::{Redis, shared_redis};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A branch, two ways and a join; each number comes back as itself. `away`
/// are the functions whose queues are on the server.
fn chain(place: &Place, away: &[&str]) {
    let via = |name: &&str| format!("\"{name}\": {{ \"via\": \"{}?lease=2s\" }}", place.url);
    let queues: Vec<String> = away.iter().map(via).collect();
    let text = r#"{ "chain": "hybrid", "functions": {
        "a": { "run": ["sh", "-c", "sleep 0.01; cat"], "concurrency": 2 },
        "b": { "run": ["cat"] }, "c": { "run": ["cat"] },
        "j": { "run": ["jq", "-c", ".b"], "join": "all" } },
      "start": "a",
      "rules": [ { "from": "a", "to": ["b", "c"] }, { "from": ["b", "c"], "to": "j" } ],
      "queues": { QUEUES } }"#;
    place.sandbox.file("chain.json", &text.replace("QUEUES", &queues.join(", ")));
}

fn place() -> Place {
    Place::new(&shared_redis())
}

/// Streams of a server that are there, and keys that stay for ever.
fn left(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "*"]);
    let lasts = |key: &&str| redis.command(&["TTL", key]) == "-1";
    keys.lines().filter(lasts).map(str::to_owned).collect()
}

/// Wherever the queues of a split, a way and a join are.
#[test]
fn functions_here_and_there_with_joins_across() {
    let redis = Redis::start();
    for away in [&["b"][..], &["j"], &["b", "j"], &["a", "c"], &["a", "b", "c", "j"]] {
        let place = Place::new(&redis.url());
        chain(&place, away);
        let came = place.sh("seq 40 | faas-chain run --run $R chain.json");
        assert_eq!(came.code, 0, "{away:?}: {came:?}");
        let seen = Seen::of(&came.stdout);
        seen.has_all(40);
        seen.has_none_twice();
        assert_eq!(left(&redis), Vec::<String>::new(), "{away:?}");
        assert_eq!(place.sandbox.left_behind(), Vec::<String>::new(), "{away:?}");
    }
}

/// `--via` is for all functions that the file says nothing of.
#[test]
fn what_is_named_stays_where_it_is() {
    let place = place();
    let chain = r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] }, "g": { "run": ["cat"] } },
      "start": "f", "rules": [ { "from": "f", "to": "g" } ],
      "queues": { "g": { "via": "mq:/" } } }"#;
    place.sandbox.file("chain.json", chain);
    let script = "faas-queue new --chain chain.json --run $R --via $U
        faas-queue ls -o json | jq -r .queue | sed 's/.*[.]//'
        faas-queue ls -o json $U | jq -r .queue | grep -- $R | sed 's/.*[.]//' | sort
        faas-queue rm --yes --run $R; faas-queue ls -o json; faas-queue ls -o json $U | grep -- $R";
    assert_eq!(place.sh(script).stdout, "g\n_reply\nf\n");
    let came = place.sh("seq 9 | faas-chain run --run $R --via $U chain.json");
    Seen::of(&came.stdout).has_all(9);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn check_names_the_hops_that_may_lose_or_duplicate() {
    let place = place();
    let chain = format!(
        r#"{{ "chain": "c", "functions": {{ "f": {{ "run": ["cat"] }}, "g": {{ "run": ["cat"] }} }},
      "start": "f", "rules": [ {{ "from": "f", "to": "g" }} ],
      "queues": {{ "g": {{ "via": "{}" }} }} }}"#,
        place.url
    );
    place.sandbox.file("chain.json", &chain);
    let told = "c: 2 functions, 1 rules, starts at f
delivery: a process killed: may duplicate (f -> @result (mq)); the host lost: may lose, may duplicate (every hop)
  f -> @result (mq): a process killed: may duplicate; the host lost: may lose, may duplicate
  f -> g (mq -> redis): a process killed: nothing; the host lost: may lose, may duplicate
  g -> @result (redis -> mq): a process killed: may duplicate; the host lost: may lose, may duplicate
";
    assert_eq!(place.ok("faas-chain check chain.json"), told);
    let all = place.ok("faas-chain check --via $U chain.json");
    let redis = "delivery: a process killed: nothing (every hop: redis)";
    assert!(all.contains(redis), "{all}");
    let once = place.ok("faas-chain check --via $U --deliver at-most-once chain.json");
    assert!(once.contains("a process killed: may lose (every hop: redis)"), "{once}");
}

/// A hand-off from one middleware to another is two steps.
#[test]
fn exactly_once_is_refused() {
    let place = place();
    chain(&place, &["b", "j"]);
    for command in ["check", "run"] {
        let script = format!("faas-chain {command} --deliver exactly-once chain.json");
        let came = place.sh(&script);
        assert_eq!(came.code, 2, "{came:?}");
        assert!(came.stderr.contains("cannot deliver exactly"), "{}", came.stderr);
        assert!(came.stderr.contains("\n  try: --deliver at-least-once"), "{}", came.stderr);
    }
}

/// Invokers that serve here and there are killed between the two: the
/// results are complete, and each comes once.
#[test]
fn killed_invokers_lose_nothing() {
    let place = place();
    chain(&place, &["b", "j"]);
    let input: String = (1..=100).map(|n| format!("{n}\n")).collect();
    place.sandbox.file("input", &input);
    let command = "faas-chain run --run $R --invokers 2 chain.json < input";
    let mut run = place.start("run", command);
    let kills = 4;
    for kill_no in 1..=kills {
        place.until_lines("run.out", kill_no * 15);
        let processes = place.sandbox.processes();
        let is_invoker = |(_, line): &&(i32, String)| line.contains("faas-invoke ");
        let Some((pid, _)) = processes.iter().find(is_invoker) else { continue };
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    let (code, told) = (run.wait(), place.text("run.err"));
    assert_eq!(code, 0, "{told}");
    let seen = Seen::of(&place.text("run.out"));
    seen.has_all(100);
    seen.has_none_twice();
    assert!(told.contains("killed by SIGKILL; started again"), "{told}");
    assert!(told.contains(" 0 dead, 0 lost"), "{told}");
}

/// The server knows the ids that came lately: what is sent once more is left
/// out where that was asked for.
#[test]
fn an_id_that_comes_again_is_left_out() {
    let place = place();
    let event = r#"{"specversion":"1.0","id":"i1","source":"/s","type":"t","data":1}"#;
    place.sandbox.file("event", &format!("{event}\n{event}\n"));
    let script = "Q=$U/$R-q; faas-queue new $Q
        faas-queue put $Q?dedupe=on < event; faas-queue put $Q?dedupe=on < event
        faas-queue stat -o json $Q | jq .depth
        faas-queue put $Q < event; faas-queue stat -o json $Q | jq .depth; faas-queue rm --yes $Q";
    assert_eq!(place.ok(script), "1\n3\n");
}

/// The same between two middlewares: what a killed invoker had sent there and
/// not settled here is sent again by the next, and comes once.
#[test]
fn what_is_sent_from_queue_to_queue_comes_once() {
    let place = place();
    let (from, to) =
        (place.sandbox.url("in"), format!("{}/{}-out", place.url, place.sandbox.run()));
    place.ok(&format!("faas-queue new {from} {to}"));
    let mut trigger = place.start("trigger", &format!("faas-trigger --to {from} < <(seq 60)"));
    let lines = || place.sh(&format!("faas-queue stat -o json {to} | jq .depth")).stdout;
    let depth = || lines().trim().parse::<usize>().unwrap_or(0);
    for least in [10, 25, 40] {
        let command =
            format!("faas-invoke --from {from} --to '{to}?dedupe=on' --retries 9 -j2 -- cat");
        let mut invoker = place.start("invoker", &command);
        place.until("some to arrive", || depth() >= least);
        invoker.kill();
    }
    let rest = format!("faas-invoke --from {from} --to '{to}?dedupe=on' --idle 1s -- cat");
    assert_eq!(place.sh(&rest).code, 0);
    assert_eq!(trigger.wait(), 0);
    let seen = Seen::of(&place.ok(&format!("faas-queue get -n 60 --timeout 5s {to}")));
    seen.has_all(60);
    assert_eq!(depth(), 0, "nothing came twice");
    place.ok(&format!("faas-queue rm --yes {from} {to}"));
}
