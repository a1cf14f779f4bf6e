//! Faults at random for a while, on a chain with joins and loops: trigger,
//! invokers, functions, guards and the runner are killed, stopped and starved.
//! A killed runner's run is picked up. Every message is accounted for.
//!
//! `FAAS_CHAOS_SECONDS` says for how long; `FAAS_TEST_SEED` gives the same
//! faults in the same order, though not at the same moments of the work.

use super::Chance;
use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Lines of one round.
const LINES: u64 = 120;

const CHAIN: &str = r#"{ "chain": "storm", "functions": {
    "in":     { "run": ["cat"], "retries": 30, "backoff": "5ms", "concurrency": 2 },
    "price":  { "run": ["jq", "-c", ".p = .n"], "retries": 30, "backoff": "5ms" },
    "stock":  { "run": ["jq", "-c", ".s = .n"], "retries": 30, "backoff": "5ms" },
    "merge":  { "run": ["jq", "-c", ".price * .stock"], "join": "all", "retries": 30, "backoff": "5ms" },
    "review": { "run": ["jq", "-c", ".turn += 1"], "retries": 30, "backoff": "5ms" },
    "any":    { "run": ["cat"], "join": { "of": 1 }, "retries": 30, "backoff": "5ms" } },
  "start": "in",
  "rules": [
    { "from": "in", "to": ["price", "stock"] },
    { "from": ["price", "stock"], "to": ["merge", "any"] },
    { "from": "any", "to": [] },
    { "from": "merge", "to": "review" },
    { "from": "review", "when": ".turn < 2", "to": "in", "at_most": 3 },
    { "from": "review", "otherwise": true, "to": "@result" } ],
  "queues": { "*": { "capacity": 3 } } }"#;

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Figures {
    faults: BTreeMap<&'static str, usize>,
    rounds: usize,
    accepted: u64,
    results: usize,
    lost: usize,
    twice: usize,
    leaked: usize,
    redelivered: usize,
    doubtful: usize,
    resumed: usize,
}

fn seconds() -> u64 {
    let asked = std::env::var("FAAS_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(60)
}

#[test]
fn joins_and_loops_under_fire() {
    let mut chance = Chance::new();
    let until = Instant::now() + Duration::from_secs(seconds());
    let mut figures = Figures::default();
    while Instant::now() < until {
        round(&mut chance, &mut figures);
    }
    let faults: usize = figures.faults.values().sum();
    println!("faults {faults} {:?}", figures.faults);
    println!(
        "rounds {}, messages {} (each through 2 turns, 4 joins), runs picked up {}",
        figures.rounds, figures.accepted, figures.resumed
    );
    println!(
        "lost {}, twice {}, leaked {}; redelivered inside {}, said to be doubtful {}",
        figures.lost, figures.twice, figures.leaked, figures.redelivered, figures.doubtful
    );
    assert_eq!((figures.lost, figures.twice, figures.leaked), (0, 0, 0));
    assert!(faults as u64 > seconds() / 2, "faults were met");
    assert!(figures.results > 0);
}

/// One run, from its start until it has ended, however often it is picked up.
struct Run<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    parts: usize,
}

impl<'a> Run<'a> {
    fn start(sandbox: &'a Sandbox) -> Self {
        sandbox.file("chain.json", CHAIN);
        let lines: String = (1..=LINES).map(|n| format!("{{\"n\":{n},\"turn\":0}}\n")).collect();
        sandbox.file("input", &lines);
        let mut command = sandbox.command("faas-chain");
        command.args(["run", "--run", &sandbox.run(), "--dead", "dead"]);
        let input = File::open(sandbox.path().join("input")).expect("it is there");
        command.stdin(input);
        let child = Self::spawn(sandbox, command, 0);
        Self { sandbox, child, parts: 1 }
    }

    fn spawn(sandbox: &Sandbox, mut command: Command, part: usize) -> Child {
        let file = |name: String| File::create(sandbox.path().join(name)).expect("a file");
        command.arg("chain.json").stdout(file(format!("out.{part}")));
        command.stderr(file(format!("log.{part}"))).spawn().expect("it starts")
    }

    /// Whether it still runs; a run whose runner was killed is picked up.
    fn goes_on(&mut self, figures: &mut Figures) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let Ok(Some(status)) = self.child.try_wait() else { return true };
        if status.signal().is_none() {
            return false;
        }
        let sandbox = self.sandbox;
        assert!(
            sandbox.until(10, || !sandbox.processes().iter().any(|(_, l)| l.contains("faas-")))
        );
        let mut command = sandbox.command("faas-chain");
        command.args(["run", "--resume", &sandbox.run(), "--dead", "dead"]);
        self.child = Self::spawn(sandbox, command, self.parts);
        self.parts += 1;
        figures.resumed += 1;
        true
    }

    fn read(&self, kind: &str) -> String {
        let path = |part| -> PathBuf { self.sandbox.path().join(format!("{kind}.{part}")) };
        let parts = (0..self.parts).map(|part| std::fs::read_to_string(path(part)));
        parts.map(Result::unwrap_or_default).collect()
    }
}

fn round(chance: &mut Chance, figures: &mut Figures) {
    let sandbox = Sandbox::new();
    let mut run = Run::start(&sandbox);
    let patience = Instant::now() + Duration::from_secs(180);
    let mut stopped: Vec<(i32, Instant)> = Vec::new();
    let mut left = 25;
    while run.goes_on(figures) {
        std::thread::sleep(Duration::from_millis(20 + chance.below(250)));
        let due = |(pid, at): &(i32, Instant)| {
            let due = Instant::now() > *at;
            if due {
                // It may be gone by now.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
                prlimit(*pid, "1024:");
            }
            !due
        };
        stopped.retain(due);
        if left > 0 && strike(&sandbox, chance, figures, &mut stopped) {
            left -= 1;
        }
        let ls = || sandbox.sh("faas-queue ls").stdout;
        assert!(Instant::now() < patience, "it hangs\n{}\n{}", ls(), run.read("log"));
    }
    for (pid, _) in stopped {
        let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
    }
    account(&run, figures);
}

/// One fault; whether somebody was there to be hit.
fn strike(
    sandbox: &Sandbox,
    chance: &mut Chance,
    figures: &mut Figures,
    stopped: &mut Vec<(i32, Instant)>,
) -> bool {
    let is_guard = |pid: i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|n| n.trim() == "faas-guard")
    };
    let kind_of = |(pid, line): &(i32, String)| match line {
        line if line.contains("faas-chain run") => "runner",
        line if line.contains("faas-trigger") => "trigger",
        line if line.contains("faas-invoke") && is_guard(*pid) => "guard",
        line if line.contains("faas-invoke") => "invoker",
        _ => "function",
    };
    let wanted = match chance.below(40) {
        0 => "trigger",
        1 | 2 => "runner",
        3..=9 => "guard",
        10..=24 => "invoker",
        _ => "function",
    };
    let hit: Vec<i32> =
        sandbox.processes().iter().filter(|p| kind_of(p) == wanted).map(|(pid, _)| *pid).collect();
    if hit.is_empty() {
        return false;
    }
    let pid = hit[chance.below(hit.len() as u64) as usize];
    let done = match chance.below(4) {
        0 | 1 => kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok(),
        2 => {
            let pause = Duration::from_millis(50 + chance.below(400));
            stopped.push((pid, Instant::now() + pause));
            kill(Pid::from_raw(pid), Signal::SIGSTOP).is_ok()
        }
        // What a runner lacks, all that it starts lacks for ever.
        _ => {
            stopped.push((pid, Instant::now() + Duration::from_millis(300)));
            renice(pid) && (wanted == "runner" || prlimit(pid, "24:"))
        }
    };
    if done {
        *figures.faults.entry(wanted).or_default() += 1;
    }
    done
}

/// The last place in the line for a processor.
fn renice(pid: i32) -> bool {
    let out = Command::new("renice").args(["-n", "19", "-p", &pid.to_string()]).output();
    out.is_ok_and(|out| out.status.success())
}

/// So many descriptors and no more.
fn prlimit(pid: i32, limit: &str) -> bool {
    let limit = format!("--nofile={limit}");
    let out = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).output();
    out.is_ok_and(|out| out.status.success())
}

fn account(run: &Run<'_>, figures: &mut Figures) {
    let (out, log) = (run.read("out"), run.read("log"));
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for line in out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("an envelope");
        *ids.entry(event["id"].to_string()).or_default() += 1;
        lines.insert(event["data"]["n"].as_u64().expect("a number"));
    }
    let dead = std::fs::read_to_string(run.sandbox.path().join("dead")).unwrap_or_default();
    let number = |after: &str, before: &str| {
        let text = log.rsplit(after).next().filter(|_| log.contains(after))?;
        text.split(before).next()?.trim().parse::<u64>().ok()
    };
    let summary = log.lines().rev().find(|line| line.contains(" in, ")).unwrap_or_default();
    let accepted = summary.split(" in, ").next().and_then(|t| t.rsplit(' ').next());
    let accepted = accepted.and_then(|n| n.parse().ok());
    let accepted = number("the last line accepted is ", ";").or(accepted).unwrap_or(LINES);
    let again = log.lines().filter_map(|line| {
        line.split_once(" redelivered inside")?.0.rsplit(" ").next()?.parse::<usize>().ok()
    });
    figures.redelivered += again.sum::<usize>();
    let doubtful = log.matches("may have been shown before").count();
    let twice = ids.values().filter(|count| **count > 1).count();
    let lost: Vec<u64> = (1..=accepted).filter(|n| !lines.contains(n)).collect();
    let left = run.sandbox.left_behind();
    figures.rounds += 1;
    figures.accepted += accepted;
    figures.results += lines.len();
    figures.doubtful += doubtful;
    figures.lost += lost.len();
    figures.twice += twice.saturating_sub(doubtful);
    figures.leaked += left.len();
    if std::env::var_os("FAAS_CHAOS_LOGS").is_some() {
        println!("{log}");
    }
    if !lost.is_empty() || twice > doubtful || !left.is_empty() || !dead.is_empty() {
        println!("lost {lost:?}, twice {twice}, left {left:?}\ndead: {dead}\n{log}");
    }
}
