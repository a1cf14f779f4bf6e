//! Processes are killed while a run is under way; every message is accounted
//! for afterwards. The times are drawn at random, the seed is printed.

mod storm;

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A small generator, so that a seed gives the same times again.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("FAAS_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_nanos();
        let seed = seed.unwrap_or_else(|| u64::from(now()));
        println!("FAAS_TEST_SEED={seed}");
        Self(seed.wrapping_mul(2) + 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const MESSAGES: usize = 150;

const CHAIN: &str = r#"{
  "chain": "chaos",
  "functions": {
    "first":  { "run": ["./slow.sh", "first"], "concurrency": 2, "backoff": "5ms", "retries": 8 },
    "second": { "run": ["./slow.sh", "second"], "concurrency": 2, "backoff": "5ms", "retries": 8 },
    "third":  { "run": ["./slow.sh", "third"], "backoff": "5ms", "retries": 8 }
  },
  "start": "first",
  "rules": [
    { "from": "first", "when": ". % 2 == 0", "to": "second" },
    { "from": "first", "otherwise": true, "to": ["second", "third"] },
    { "from": "third", "to": "@result" }
  ]
}"#;

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Invoker(&'static str),
    Function(&'static str),
    Guard(&'static str),
}

fn victims() -> Vec<Victim> {
    let functions = ["first", "second", "third"];
    functions
        .into_iter()
        .flat_map(|name| [Victim::Invoker(name), Victim::Function(name), Victim::Guard(name)])
        .collect()
}

/// The processes of the sandbox that a victim stands for.
fn find(sandbox: &Sandbox, victim: Victim) -> Option<i32> {
    let is_guard = |pid: i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "faas-guard")
    };
    sandbox.processes().into_iter().find_map(|(pid, line)| {
        let hit = match victim {
            Victim::Invoker(name) => {
                line.contains(&format!("--functions {name} ")) && !is_guard(pid)
            }
            Victim::Guard(name) => line.contains(&format!("--functions {name} ")) && is_guard(pid),
            Victim::Function(name) => line.ends_with(&format!("slow.sh {name}")),
        };
        hit.then_some(pid)
    })
}

/// Kills each victim once, in random order at random times.
fn strike(sandbox: &Sandbox, chance: &mut Chance) -> usize {
    let mut left = victims();
    let mut struck = 0;
    while !left.is_empty() {
        let victim = left.swap_remove(chance.below(left.len() as u64) as usize);
        std::thread::sleep(Duration::from_millis(20 + chance.below(180)));
        let patience = Instant::now() + Duration::from_secs(3);
        while Instant::now() < patience {
            if let Some(pid) = find(sandbox, victim)
                && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
            {
                println!("killed {victim:?}");
                struck += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    struck
}

/// How often each result was printed, and by id.
fn counted(file: &str) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut by_value, mut by_id) = (BTreeMap::new(), BTreeMap::new());
    for line in file.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("an envelope");
        *by_value.entry(event["data"].to_string()).or_default() += 1;
        *by_id.entry(event["id"].to_string()).or_default() += 1;
    }
    (by_value, by_id)
}

#[test]
fn each_invoker_function_and_guard_killed_once() {
    let sandbox = Sandbox::new();
    let mut chance = Chance::new();
    sandbox.file("slow.sh", "#!/bin/sh\nsleep 0.03\ncat\n");
    sandbox.file("chain.json", CHAIN);
    let input: String = (0..MESSAGES).map(|i| format!("{i}\n")).collect();
    sandbox.file("input", &input);
    let mut runner = sandbox.command("faas-chain");
    let dead = sandbox.path().join("dead.ndjson");
    runner.args(["run", "--run", &sandbox.run(), "--dead"]).arg(&dead).arg("chain.json");
    let open = |name: &str| File::open(sandbox.path().join(name)).expect("it is there");
    let create = |name: &str| File::create(sandbox.path().join(name)).expect("it can be made");
    runner.stdin(open("input")).stdout(create("results")).stderr(create("log"));
    let mut runner = runner.spawn().expect("it starts");
    let struck = strike(&sandbox, &mut chance);
    let ended = sandbox.until(90, || matches!(runner.try_wait(), Ok(Some(_))));
    let log = std::fs::read_to_string(sandbox.path().join("log")).expect("a log");
    assert!(ended, "the run hangs:\n{log}\n{}", sandbox.ok("faas-queue ls"));
    println!("{}", log.lines().filter(|line| line.contains(" in, ")).collect::<String>());
    assert!(struck >= 7, "only {struck} of 9 faults hit");
    assert_eq!(std::fs::read_to_string(&dead).unwrap_or_default(), "", "{log}");
    let results = std::fs::read_to_string(sandbox.path().join("results")).expect("results");
    let (by_value, by_id) = counted(&results);
    let twice: Vec<_> = by_id.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "results printed twice: {twice:?}");
    for i in 0..MESSAGES {
        let expected = 1 + i % 2;
        assert_eq!(by_value.get(&i.to_string()), Some(&expected), "message {i}\n{log}");
    }
    assert_eq!(by_value.len(), MESSAGES);
    assert_eq!(runner.wait().expect("it ended").code(), Some(0), "{log}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// One invoker on queues, killed again and again while it works; the next one
/// takes over what it held. Nothing is lost; what was handed over is not done
/// again.
#[test]
fn an_invoker_on_queues_killed_many_times() {
    let sandbox = Sandbox::new();
    let mut chance = Chance::new();
    // More than any invoker has time for before it is killed.
    let count = 3_000;
    sandbox.ok("faas-queue new ${P}in ${P}out");
    let input: String = (0..count).map(|i| format!("{i}\n")).collect();
    sandbox.file("input", &input);
    let (from, to) = (sandbox.url("in"), sandbox.url("out"));
    let mut trigger =
        sandbox.script("faas-trigger --to ${P}in < input").spawn().expect("it starts");
    let collect = format!("faas-queue get -n 1000000 --timeout 10s -o json {to} > got; exit 0");
    let mut collector = sandbox.script(&collect).spawn().expect("it starts");
    let lines = || {
        let got = std::fs::read_to_string(sandbox.path().join("got")).unwrap_or_default();
        got.lines().count()
    };
    let (mut kills, patience) = (0, Instant::now() + Duration::from_secs(90));
    while lines() < count && Instant::now() < patience {
        let mut invoker = sandbox.command("faas-invoke");
        invoker.args(["--from", &from, "--to", &to, "-j3", "--retries", "50", "--", "cat"]);
        let mut invoker = invoker.stdin(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(10 + chance.below(80)));
        invoker.kill().expect("it is there");
        invoker.wait().expect("it ends");
        kills += 1;
    }
    trigger.wait().expect("it ends");
    collector.wait().expect("it ends");
    let got = std::fs::read_to_string(sandbox.path().join("got")).expect("what came");
    let (by_value, by_id) = counted(&got);
    let again: usize = by_id.values().map(|count| count - 1).sum();
    println!(
        "{kills} kills, {count} messages: {} came, {again} came again under the same id",
        by_value.len()
    );
    assert_eq!(by_value.len(), count, "none is lost");
    assert_eq!(by_id.len(), count, "what comes again has the same id");
    assert!(kills > 1);
    let counts = sandbox
        .ok("faas-queue ls -o json | jq -c '[.depth, .held]'; faas-queue rm --yes ${P}in ${P}out");
    assert_eq!(counts, "[0,0]\n[0,0]\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
