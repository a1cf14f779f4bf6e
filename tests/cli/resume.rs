//! Runs whose runner was killed.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Child;

const CHAIN: &str = r#"{ "chain": "slow", "functions": {
    "a": { "run": ["sh", "-c", "sleep 0.02; cat"], "concurrency": 2 },
    "b": { "run": ["cat"] },
    "j": { "run": ["jq", "-c", ".a"], "join": "all" } },
  "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;

fn start(sandbox: &Sandbox, input: &str) -> Child {
    sandbox.file("chain.json", CHAIN);
    sandbox.file("input", input);
    let mut run = sandbox.command("faas-chain");
    run.args(["run", "--run", &sandbox.run(), "chain.json"]);
    let path = |name: &str| sandbox.path().join(name);
    run.stdin(File::open(path("input")).expect("it is there"));
    run.stdout(File::create(path("out")).expect("it can be made"));
    run.stderr(File::create(path("log")).expect("it can be made"));
    run.spawn().expect("it starts")
}

fn lines(sandbox: &Sandbox, file: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(sandbox.path().join(file)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_killed_runner_is_resumed_and_nothing_is_lost() {
    let sandbox = Sandbox::new();
    let input: String = (1..=200).map(|n| format!("{n}\n")).collect();
    let mut run = start(&sandbox, &input);
    assert!(sandbox.until(20, || lines(&sandbox, "out").len() > 30));
    kill(Pid::from_raw(run.id() as i32), Signal::SIGKILL).expect("it is there");
    run.wait().expect("it ends");
    let came = sandbox.sh("faas-chain run --resume $R chain.json > more");
    assert_eq!(came.code, 0, "{came:?}");
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for line in lines(&sandbox, "out").iter().chain(&lines(&sandbox, "more")) {
        *seen.entry(line["data"].as_u64().expect("a number")).or_default() += 1;
    }
    let told = came.stderr.split("the last line accepted is ").nth(1).expect("it is told");
    let last: u64 = told.split(';').next().and_then(|n| n.parse().ok()).expect("a number");
    let expected: Vec<u64> = (1..=last).collect();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected, "{}", came.stderr);
    let twice = seen.values().filter(|count| **count > 1).count();
    let doubtful = came.stderr.matches("may have been shown before").count();
    assert!(twice <= doubtful, "{twice} twice, {doubtful} said: {}", came.stderr);
    assert!(came.stderr.contains(&format!("tail -n +{}", last + 1)), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_run_can_be_resumed_again_and_again() {
    let sandbox = Sandbox::new();
    let input: String = (1..=60).map(|n| format!("{n}\n")).collect();
    let mut run = start(&sandbox, &input);
    assert!(sandbox.until(20, || lines(&sandbox, "out").len() > 5));
    run.kill().expect("it is there");
    run.wait().expect("it ends");
    for part in ["out1", "out2"] {
        let mut again = sandbox.command("faas-chain");
        again.args(["run", "-q", "--resume", &sandbox.run(), "chain.json"]);
        again.stdout(File::create(sandbox.path().join(part)).expect("it can be made"));
        let mut again = again.spawn().expect("it starts");
        sandbox.until(1, || !lines(&sandbox, part).is_empty());
        again.kill().expect("it is there");
        again.wait().expect("it ends");
    }
    let came = sandbox.sh("faas-chain run --resume $R chain.json > out3; cat out out1 out2 out3 | jq .data | sort -n | uniq | tr '\\n' ' '");
    let told = came.stderr.split("the last line accepted is ").nth(1).expect("it is told");
    let last: u64 = told.split(';').next().and_then(|n| n.parse().ok()).expect("a number");
    let expected: Vec<String> = (1..=last).map(|n| n.to_string()).collect();
    assert_eq!(came.stdout.trim(), expected.join(" "), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_resumed_says_why() {
    let sandbox = Sandbox::new();
    let mut run = start(&sandbox, &"1\n".repeat(500));
    assert!(sandbox.until(20, || !lines(&sandbox, "out").is_empty()));
    let came = sandbox.sh("faas-chain run --resume $R chain.json");
    assert_eq!(came.code, 1, "{came:?}");
    assert!(came.stderr.contains("is at work"), "{}", came.stderr);
    sandbox.file("other.json", &CHAIN.replace("0.02", "0.03"));
    run.kill().expect("it is there");
    run.wait().expect("it ends");
    let came = sandbox.sh("faas-chain run --resume $R other.json");
    assert_eq!(came.code, 2, "{came:?}");
    let came = sandbox.sh("faas-chain run --resume nosuchrun chain.json");
    assert_eq!(came.code, 69, "{came:?}");
    assert!(came.stderr.contains("try: faas-queue ls"), "{}", came.stderr);
    sandbox.ok("faas-queue rm --yes --run $R");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
