//! Processes started before their message is there: they answer like any
//! other, and never act without one.

use super::fed::{Fed, PATIENCE, dead, kill_guard, said, signal, text};
use faas_tests::Sandbox;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

fn numbers(count: u64) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

#[test]
fn answers_are_right_and_in_order() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("seq 30 | faas-invoke --ahead -o lines -- sed 's/^/A /'");
    assert_eq!(out, (1..=30).map(|n| format!("A {n}\n")).collect::<String>());
    let slow = "sh -c 'read -r n; sleep 0.01; echo $n'";
    let out = sandbox.ok(&format!("seq 30 | faas-invoke --ahead -o lines -- {slow}"));
    assert_eq!(out, numbers(30), "with time to start the next meanwhile");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn bodies_of_all_sizes_arrive_whole() {
    let sandbox = Sandbox::new();
    for size in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let one = format!("head -c {size} /dev/zero | faas-invoke -i raw --ahead -o lines");
        assert_eq!(sandbox.ok(&format!("{one} -- wc -c")), format!("{size}\n"));
    }
    let body = "head -c 1000000 /dev/urandom > body; cksum < body";
    let sum = sandbox.ok(body);
    assert_eq!(sandbox.ok("faas-invoke -i raw --ahead -o lines -- cksum < body"), sum);
    // Many, some of them empty; and none is written to the end before it is read.
    let bodies = "for n in $(seq 10); do printf '\\0a\\0'; done";
    let out = sandbox.ok(&format!("{bodies} | faas-invoke -i nul --ahead -o lines -- wc -c"));
    assert_eq!(out, "0\n1\n".repeat(10));
    let lines = "for n in $(seq 10); do head -c 1000000 /dev/zero | tr '\\0' x; echo; done";
    let out = sandbox.ok(&format!("{lines} | faas-invoke --ahead -j2 -o lines -- wc -c"));
    assert_eq!(out, "1000000\n".repeat(10));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// None of three answers before all three are there.
#[test]
fn as_many_at_once_as_calls() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/sh
read -r n
: > here.$n
[ $n -gt 3 ] || until [ $(ls here.[123] | wc -l) -eq 3 ]; do sleep 0.01; done
echo $n
";
    sandbox.file("f.sh", script);
    let flags = "--ahead -j3 --timeout 20s -o lines";
    let out = sandbox.ok(&format!("seq 40 | faas-invoke {flags} -- ./f.sh | sort -n"));
    assert_eq!(out, numbers(40));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Tells that it is there, and what it was given once its input has ended.
const TELLS: &str =
    "#!/bin/sh\necho $$ >> pids\nbody=$(cat)\necho \"<$body>\" >> got\necho $body\n";

/// The next process is there before its message.
#[test]
fn it_is_started_before_its_message() {
    let sandbox = Sandbox::new();
    sandbox.file("tells.sh", TELLS);
    let mut fed = Fed::new(&sandbox, "--ahead -- ./tells.sh");
    let started = || text(&sandbox, "pids").lines().count();
    for n in 1..=5 {
        assert!(sandbox.until(PATIENCE, || started() >= n), "none waits for message {n}");
        let waiting = text(&sandbox, "pids");
        assert_eq!(fed.ask(&n.to_string()), n.to_string());
        assert!(text(&sandbox, "pids").starts_with(&waiting));
    }
    assert_eq!(fed.end(), (0, vec![]));
    assert!(started() <= 6, "one for each message, and one more: {}", started());
    assert_eq!(text(&sandbox, "got"), "<1>\n<2>\n<3>\n<4>\n<5>\n", "the last one got nothing");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn none_acts_when_the_invoker_is_killed() {
    for _ in 0..10 {
        let sandbox = Sandbox::new();
        sandbox.file("tells.sh", TELLS);
        let mut fed = Fed::new(&sandbox, "--ahead -j3 -- ./tells.sh");
        let started = || text(&sandbox, "pids").lines().count();
        assert!(sandbox.until(PATIENCE, || started() >= 3), "{}", said(&sandbox));
        assert_eq!(fed.ask("one"), "one");
        signal(fed.pid(), Signal::SIGKILL);
        assert!(sandbox.until(PATIENCE, || sandbox.processes().is_empty()));
        assert_eq!(fed.end().0, 137);
        assert_eq!(text(&sandbox, "got"), "<one>\n", "a spare saw the end of its input");
    }
}

/// A body that does not fit the pipe is half written when the invoker dies.
#[test]
fn none_acts_on_half_a_body_when_the_invoker_is_killed() {
    let sandbox = Sandbox::new();
    let slow = "#!/usr/bin/perl
while (sysread(STDIN, $part, 4096)) {
    $body .= $part;
    if (length($body) > 8192) { open(B, '>', 'begun'); close(B); }
    select(undef, undef, undef, 0.005);
}
open(G, '>>', 'got');
print G length($body), qq(\\n);
";
    sandbox.file("slow.pl", slow);
    sandbox.ok("head -c 300000 /dev/zero > body");
    for _ in 0..10 {
        let fed = Fed::new(&sandbox, "--ahead -i raw -- ./slow.pl < body");
        assert!(sandbox.until(PATIENCE, || sandbox.path().join("begun").exists()));
        signal(fed.pid(), Signal::SIGKILL);
        assert!(sandbox.until(PATIENCE, || sandbox.processes().is_empty()));
        assert_eq!(fed.end().0, 137);
        std::fs::remove_file(sandbox.path().join("begun")).expect("it is there");
    }
    // Whoever got all of it before the kill may say so.
    let got = text(&sandbox, "got");
    assert!(got.lines().all(|size| size == "300000"), "a truncated body: {got}");
}

#[test]
fn killing_the_guard_loses_no_message() {
    let sandbox = Sandbox::new();
    let function = "sh -c 'read -r n; sleep 0.02; echo $n'";
    let mut fed = Fed::new(&sandbox, &format!("-j2 --ahead --backoff 1ms -- {function}"));
    fed.put(&numbers(30));
    let first = fed.answer();
    kill_guard(&sandbox);
    let (code, mut answers) = fed.end();
    answers.push(first);
    let answers: BTreeSet<u64> = answers.iter().map(|n| n.parse().expect("a number")).collect();
    assert_eq!((code, answers), (0, (1..=30).collect::<BTreeSet<_>>()), "{}", said(&sandbox));
    assert!(said(&sandbox).contains("the guard of functions was killed"), "{}", said(&sandbox));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// What ends without waiting for a message is not started ahead again.
#[test]
fn a_program_that_does_not_read_is_not_started_over_and_over() {
    let sandbox = Sandbox::new();
    sandbox.file("hasty.sh", "#!/bin/sh\necho >> starts\n");
    let mut fed = Fed::new(&sandbox, "-v --ahead -j2 -- ./hasty.sh");
    let told = || said(&sandbox).contains("from now on it is started with each message");
    assert!(sandbox.until(PATIENCE, told), "{}", said(&sandbox));
    fed.put(&numbers(10));
    assert_eq!(fed.end(), (0, vec![]));
    let starts = text(&sandbox, "starts").lines().count();
    assert!((10..=14).contains(&starts), "{starts} starts for 10 messages");
    assert_eq!(said(&sandbox).matches("from now on").count(), 1);
    assert!(said(&sandbox).contains("0 done, 10 dropped, 0 dead"), "{}", said(&sandbox));
    // Without a moment between start and messages it is no different.
    std::fs::remove_file(sandbox.path().join("starts")).expect("it is there");
    let came = sandbox.sh("seq 10 | faas-invoke -v --ahead -- ./hasty.sh");
    assert!(came.stderr.contains("0 done, 10 dropped, 0 dead"), "{}", came.stderr);
    let starts = text(&sandbox, "starts").lines().count();
    assert!((10..=22).contains(&starts), "{starts} starts for 10 messages");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn failures_are_those_of_the_message() {
    let sandbox = Sandbox::new();
    let function = "sh -c 'read -r n; [ $n != 2 ] || exit 7; [ $n != 3 ] || exit 100; echo $n'";
    let flags = "--ahead --retries 1 --backoff 1ms --dead dead.ndjson -o lines";
    let came = sandbox.sh(&format!("seq 4 | faas-invoke {flags} -- {function}"));
    assert_eq!((came.code, came.stdout.as_str()), (1, "1\n4\n"), "{came:?}");
    let letter =
        |body: &str, reason: &str, attempts: u64| (body.to_owned(), reason.to_owned(), attempts);
    assert_eq!(dead(&sandbox), [letter("2", "exit 7", 2), letter("3", "exit 100", 1)]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn its_environment_tells_of_no_event() {
    let sandbox = Sandbox::new();
    let variables = "$FAAS_FUNCTION ${CE_ID-none} ${CE_SOURCE-none} ${FAAS_ATTEMPT-none}";
    let script =
        format!("echo 1 | faas-invoke --ahead -o lines -- sh -c 'read -r n; echo $n {variables}'");
    assert_eq!(sandbox.ok(&script), "1 sh none none none\n");
}

/// Only what is started for each message can be started ahead of it.
#[test]
fn it_is_refused_for_what_is_warm_anyway() {
    let sandbox = Sandbox::new();
    let refused = |script: &str| {
        let came = sandbox.sh(script);
        assert_eq!((came.code, came.stdout.as_str()), (2, ""), "{script}: {came:?}");
        assert!(came.stderr.contains("only exec starts processes ahead"), "{}", came.stderr);
        assert!(came.stderr.contains("\n  try: "), "{}", came.stderr);
        came.stderr
    };
    let functions = [
        r#"{ "run": ["cat"], "worker": "filter", "ahead": true }"#,
        r#"{ "url": "http://127.0.0.1:1/", "ahead": true }"#,
    ];
    for function in functions {
        let chain = format!(r#"{{"chain": "c", "functions": {{"f": {function}}}, "start": "f"}}"#);
        sandbox.file("chain.json", &chain);
        let stderr = refused("faas-chain check chain.json");
        assert!(stderr.contains("functions.f.ahead: "), "{stderr}");
    }
    refused("faas-invoke --worker filter --ahead -- cat < /dev/null");
    refused("faas-invoke --url http://127.0.0.1:1/ --ahead < /dev/null");
    let chain =
        r#"{"chain": "c", "functions": {"f": {"run": ["cat"], "ahead": true}}, "start": "f"}"#;
    sandbox.file("chain.json", chain);
    sandbox.ok("faas-chain check chain.json");
}
