//! Runs of chains: ends, dead letters, what is left behind.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Branches, fan-out, several starts, emit, drops, dead letters.
const MIXED: &str = r#"{
  "chain": "mixed",
  "functions": {
    "split": { "run": ["sh", "-c", "read -r n; seq $n"], "emit": "lines" },
    "echo":  { "run": ["sed", "s/^/echo /"] },
    "odd":   { "run": ["sh", "-c", "read -r n; [ $((n % 3)) != 0 ] || exit 100; echo odd $n"] },
    "even":  { "run": ["sh", "-c", "read -r n; echo even $n"], "concurrency": 2 }
  },
  "start": ["split", "echo"],
  "rules": [
    { "from": "split", "when": ". % 2 == 1", "to": "odd" },
    { "from": "split", "when": ". % 2 == 0", "to": ["even", "@result"] },
    { "from": "even", "when": "test(\"4\")", "to": [] },
    { "from": "even", "otherwise": true, "to": "@result" }
  ]
}"#;

#[test]
fn branches_fan_out_and_several_starts() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", MIXED);
    for invokers in ["", "--invokers 2"] {
        let script =
            format!("seq 6 | faas-chain run --run $R -o lines {invokers} chain.json; echo $?");
        let came = sandbox.sh(&script);
        let mut lines: Vec<&str> = came.stdout.lines().collect();
        assert_eq!(lines.pop(), Some("1"), "some became dead letters: {came:?}");
        lines.sort_unstable();
        let mut expected: Vec<String> = (1..=6).map(|n| format!("echo {n}")).collect();
        for n in 1..=6 {
            for i in 1..=n {
                match i % 2 {
                    1 if i % 3 != 0 => expected.push(format!("odd {i}")),
                    1 => {}
                    _ => {
                        expected.push(i.to_string());
                        expected.extend((i != 4).then(|| format!("even {i}")));
                    }
                }
            }
        }
        expected.sort();
        assert_eq!(lines, expected);
        let dead =
            sandbox.ok("jq -r '[.faasfunction, .data] | @csv' $R.dead.ndjson; rm $R.dead.ndjson");
        assert_eq!(dead, "\"odd\",3\n".repeat(4));
        assert!(
            came.stderr.contains("6 in, ") && came.stderr.contains("4 dead, 0 lost"),
            "{}",
            came.stderr
        );
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn no_rule_and_failing_conditions_are_dead_letters() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", r#"{
      "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f",
      "rules": [ { "from": "f", "when": ".x > 1", "to": "@result" }, { "from": "f", "when": ".x.y", "to": "@result" } ]
    }"#);
    let input = "printf '{\"x\":{\"y\":true}}\\n{\"x\":0}\\n{}\\n' | faas-chain run --run $R chain.json; jq -r .faasreason $R.dead.ndjson | sort";
    let came = sandbox.sh(input);
    let reasons: Vec<&str> = came.stdout.lines().filter(|l| !l.starts_with('{')).collect();
    assert_eq!(reasons.len(), 2, "{came:?}");
    assert!(reasons[0].starts_with("condition: rules[1]: "), "{reasons:?}");
    assert_eq!(reasons[1], "no rule");
}

/// A condition without end ends its invoker; whoever takes the message over
/// makes a dead letter of it, and the rest goes on.
#[test]
fn a_condition_that_never_ends() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", r#"{
      "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f",
      "rules": [ { "from": "f", "when": ". == 2 and (def f: f; f)", "to": [] }, { "from": "f", "otherwise": true, "to": "@result" } ]
    }"#);
    let came = sandbox.sh("seq 3 | faas-chain run --run $R -o lines chain.json | sort; jq -r '[.faasreason, .data] | @csv' $R.dead.ndjson");
    assert_eq!(came.stdout, "1\n3\n\"condition: rule 0 ran too long\",2\n", "{came:?}");
    assert!(came.stderr.contains("started again"), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_message_that_kills_its_invoker_becomes_a_dead_letter() {
    let sandbox = Sandbox::new();
    sandbox.file("kill.sh", "#!/bin/sh\nread -r n\nif [ $n = 2 ]; then kill -9 $(ps -o ppid= -p $PPID); sleep 9; fi\necho $n\n");
    sandbox.file("chain.json", r#"{ "chain": "c", "functions": { "f": { "run": ["./kill.sh"], "retries": 1, "backoff": "1ms" } }, "start": "f" }"#);
    let came = sandbox.sh("seq 3 | faas-chain run --run $R -o lines chain.json | sort; jq -r '[.faasreason, .data] | @csv' $R.dead.ndjson");
    assert_eq!(
        came.stdout, "1\n3\n\"its invoker was killed during attempt 5, the last\",2\n",
        "{came:?}"
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn stdout_closed_early() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f" }"#,
    );
    let came = sandbox
        .sh("seq 10000 | faas-chain run -q -o lines chain.json | head -1; echo ${PIPESTATUS[1]}");
    assert_eq!(came.stdout.lines().last(), Some("0"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn an_empty_input_is_an_empty_run() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", MIXED);
    let came = sandbox.sh("faas-chain run chain.json < /dev/null");
    assert_eq!((came.code, came.stdout.as_str()), (0, ""));
    assert!(came.stderr.contains("0 in, 0 out, 0 dropped, 0 dead, 0 lost"), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A run that works until it is disturbed.
fn slow_run(sandbox: &Sandbox) -> std::process::Child {
    sandbox.file("slow.sh", "#!/bin/sh\nsleep 0.2\ncat\n");
    sandbox.file("chain.json", r#"{ "chain": "slow", "functions": { "a": { "run": ["./slow.sh"] }, "b": { "run": ["./slow.sh"] } }, "start": "a", "rules": [ { "from": "a", "to": "b" } ], "queues": { "*": { "capacity": 2 } } }"#);
    let mut runner = sandbox.command("faas-chain");
    runner.args(["run", "--run", &sandbox.run(), "-o", "lines", "chain.json"]);
    std::fs::write(
        sandbox.path().join("input"),
        (0..500).map(|i| format!("{i}\n")).collect::<String>(),
    )
    .expect("written");
    let input = std::fs::File::open(sandbox.path().join("input")).expect("it is there");
    let child = runner
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    assert!(sandbox.until(10, || sandbox.processes().iter().any(|(_, l)| l.contains("slow.sh"))));
    std::thread::sleep(Duration::from_millis(700));
    child
}

#[test]
fn ctrl_c_drains_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let child = slow_run(&sandbox);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is there");
    let came = sandbox.came(child.wait_with_output().expect("it ends"));
    assert_eq!(came.code, 130, "{came:?}");
    assert!(came.stderr.contains(" 0 dead, 0 lost"), "{}", came.stderr);
    let accepted: usize = came
        .stderr
        .split(": ")
        .nth(2)
        .and_then(|t| t.split(' ').next()?.parse().ok())
        .expect("a count");
    assert_eq!(
        came.stdout.lines().count(),
        accepted,
        "what was accepted is drained: {}",
        came.stderr
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let sandbox = Sandbox::new();
    let child = slow_run(&sandbox);
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGINT).expect("it is there");
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    kill(pid, Signal::SIGINT).expect("it is there");
    let came = sandbox.came(child.wait_with_output().expect("it ends"));
    assert_eq!(came.code, 130, "{came:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_killed_runner_leaves_its_queues_as_orphans() {
    let sandbox = Sandbox::new();
    let mut child = slow_run(&sandbox);
    child.kill().expect("it is there");
    let began = Instant::now();
    child.wait().expect("it ends");
    assert!(sandbox.until(10, || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
    assert!(began.elapsed() < Duration::from_secs(1), "all it started is gone within a second");
    let listed = sandbox.ok("faas-queue ls");
    assert_eq!(listed.matches(&format!("{} (orphaned)", sandbox.run())).count(), 3, "{listed}");
    let held = sandbox.ok("faas-queue ls -o json | jq -s 'map(.depth + .held) | add'");
    assert!(held.trim().parse::<u64>().expect("a number") > 0, "messages are still there");
    sandbox.ok("faas-queue rm --yes --orphaned");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn runs_by_hand_are_removed_by_name() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", MIXED);
    sandbox.ok("faas-queue new --chain chain.json --run $R");
    assert_eq!(sandbox.ok("faas-queue ls -o json | jq -r .run").lines().count(), 5);
    let again = sandbox.sh("faas-queue new --chain chain.json --run $R");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("there is one of that name"), "{}", again.stderr);
    sandbox.ok("faas-queue rm --yes --run $R");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    assert_eq!(sandbox.sh("faas-queue rm --yes --run $R").code, 69);
}

#[test]
fn a_trigger_that_is_killed_ends_the_input() {
    let sandbox = Sandbox::new();
    let child = slow_run(&sandbox);
    let all = sandbox.processes();
    let (trigger, _) = all.iter().find(|(_, line)| line.contains("faas-trigger")).expect("it runs");
    kill(Pid::from_raw(*trigger), Signal::SIGKILL).expect("it is there");
    let came = sandbox.came(child.wait_with_output().expect("it ends"));
    assert_eq!(came.code, 1, "{came:?}");
    assert!(
        came.stderr
            .contains("the trigger ended early (killed by SIGKILL); the last line accepted is"),
        "{}",
        came.stderr
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A message that somebody takes out of a run's queue never ends: the run
/// finds out by itself, says which input it was, and ends.
#[test]
fn what_cannot_end_is_reported_lost() {
    let sandbox = Sandbox::new();
    let child = slow_run(&sandbox);
    let uid = nix::unistd::geteuid();
    let steal = format!("faas-queue get --timeout 5s mq:/faas.{uid}.$R.b | jq -r .faasinvocation");
    let stolen = sandbox.ok(&steal);
    let number = stolen.trim().rsplit('-').next().expect("a number").to_owned();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("it is there");
    let came = sandbox.came(child.wait_with_output().expect("it ends"));
    // Told to stop, it ends by the signal; what is lost is said all the same.
    assert_eq!(came.code, 143, "{came:?}");
    assert!(came.stderr.contains(" 1 lost in"), "{}", came.stderr);
    assert!(came.stderr.contains(&format!("lost: input {number}\n")), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
