//! Filters: one warm process, a line in, a line out. Whatever a filter does,
//! what it prints is never taken for the answer to another line.

use super::fed::{Fed, PATIENCE, dead, kill_guard, said, signal, text};
use faas_tests::Sandbox;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

/// Makes events of numbers. Each says in an attribute, which its output keeps,
/// who it is.
const NUMBERED: &str =
    r#"jq -c '{specversion: "1.0", id: "\(.)", source: "/s", type: "t", own: "\(.)", data: .}'"#;

/// Gives the numbers from 1 on to a filter that is to answer `A NUMBER`. Each
/// must be answered so, or be a dead letter; the latter are returned.
fn paired(sandbox: &Sandbox, count: u64, flags: &str, filter: &str) -> BTreeSet<u64> {
    let _ = std::fs::remove_file(sandbox.path().join("dead.ndjson"));
    let flags = format!("--worker filter --backoff 1ms --dead dead.ndjson {flags}");
    let came = sandbox.sh(&format!("seq {count} | {NUMBERED} | faas-invoke {flags} -- {filter}"));
    let dead: BTreeSet<u64> =
        dead(sandbox).iter().map(|(body, ..)| body.parse().expect("a number")).collect();
    assert_eq!(came.code, i32::from(!dead.is_empty()), "{filter}: {}", came.stderr);
    let mut seen = dead.clone();
    for line in came.stdout.lines() {
        let output: serde_json::Value = serde_json::from_str(line).expect("an envelope");
        let own = output["own"].as_str().expect("it says whose it is");
        assert_eq!(output["data"], format!("A {own}"), "of another line: {filter} {flags}");
        assert!(seen.insert(own.parse().expect("a number")), "{own} came twice: {filter}");
    }
    assert_eq!(seen, (1..=count).collect::<BTreeSet<_>>(), "{filter}: {}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    dead
}

/// Each line waits for the answer to the one before: who holds it back hangs.
#[test]
fn ordinary_filters_answer_line_by_line() {
    let sandbox = Sandbox::new();
    sandbox.file("rev.py", "import sys\nfor line in sys.stdin:\n    print(line.strip()[::-1])\n");
    let filters = [
        ("tr a-z A-Z", ["ONE 1", "TWO 2", "THREE 3"]),
        ("cut -c1,2", ["on", "tw", "th"]),
        ("sed s/o/0/", ["0ne 1", "tw0 2", "three 3"]),
        ("grep .", ["one 1", "two 2", "three 3"]),
        ("awk '{ print $2, $1 }'", ["1 one", "2 two", "3 three"]),
        ("rev", ["1 eno", "2 owt", "3 eerht"]),
        ("jq -R length", ["5", "5", "7"]),
        ("python3 rev.py", ["1 eno", "2 owt", "3 eerht"]),
        ("cat", ["one 1", "two 2", "three 3"]),
    ];
    for (filter, answers) in filters {
        let mut fed = Fed::new(&sandbox, &format!("--worker filter -- {filter}"));
        for (line, answer) in ["one 1", "two 2", "three 3"].iter().zip(answers) {
            assert_eq!(fed.ask(line), answer, "{filter}");
        }
        assert_eq!(fed.end(), (0, vec![]), "{filter}: {}", said(&sandbox));
    }
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn an_empty_answer_ends_the_branch_unless_it_is_to_be_sent() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("printf 'a\\n\\nb\\n' | faas-invoke -v --worker filter -o lines -- cat");
    assert_eq!((came.code, came.stdout.as_str()), (0, "a\nb\n"), "{came:?}");
    assert!(came.stderr.contains("2 done, 1 dropped, 0 dead"), "{}", came.stderr);
    let function = r#"{ "run": ["cat"], "worker": "filter", "empty": "send" }"#;
    let chain = format!(r#"{{ "chain": "c", "functions": {{ "f": {function} }}, "start": "f" }}"#);
    sandbox.file("chain.json", &chain);
    let run = "faas-chain run --run $R -o lines chain.json";
    let out = sandbox.ok(&format!("printf 'a\\n\\nb\\n' | {run} | sort"));
    assert_eq!(out, "\na\nb\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_body_with_a_line_break_is_a_dead_letter_and_the_others_go_on() {
    let sandbox = Sandbox::new();
    let flags = "--worker filter -i nul -o lines --dead dead.ndjson";
    let came = sandbox.sh(&format!("printf 'a\\0b\\nc\\0d\\0' | faas-invoke {flags} -- cat"));
    assert_eq!((came.code, came.stdout.as_str()), (1, "a\nd\n"), "{came:?}");
    let reason = "filter: a body with a line break is no line".to_owned();
    assert_eq!(dead(&sandbox), [("b\nc".to_owned(), reason, 1)]);
}

/// With 2 it fails, as told: what its dead letter says, and after how many
/// attempts.
#[test]
fn failures_are_those_of_the_line_in_flight() {
    let ended = "filter: it ended without an answer (exit 0)";
    let cases = [
        ("printf half; exit 0", ended, 2),
        ("exit 0", ended, 2),
        ("exit 1", "filter: it ended without an answer (exit 1)", 2),
        ("exit 100", "exit 100", 1),
        ("kill -9 $$", "killed by SIGKILL", 2),
        ("printf '2\\nx\\n'", "filter: it answered with more than a line: `x`", 2),
    ];
    for (fails, reason, attempts) in cases {
        let sandbox = Sandbox::new();
        let script = format!(
            "#!/bin/sh\nwhile read -r n; do if [ $n = 2 ]; then {fails}; else echo $n; fi; done\n"
        );
        sandbox.file("f.sh", &script);
        let flags = "--worker filter --retries 1 --backoff 1ms --dead dead.ndjson -o lines";
        let came = sandbox.sh(&format!("seq 5 | faas-invoke {flags} -- ./f.sh | sort"));
        assert_eq!(came.stdout, "1\n3\n4\n5\n", "{fails}: {came:?}");
        assert_eq!(dead(&sandbox), [("2".to_owned(), reason.to_owned(), attempts)], "{fails}");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn an_exit_code_can_drop_the_line_in_flight() {
    let sandbox = Sandbox::new();
    let run = r#"["sh", "-c", "while read -r n; do [ $n = 2 ] && exit 4; echo $n; done"]"#;
    let function = format!(r#"{{ "run": {run}, "worker": "filter", "exit": {{ "4": "drop" }} }}"#);
    let chain = format!(r#"{{ "chain": "c", "functions": {{ "f": {function} }}, "start": "f" }}"#);
    sandbox.file("chain.json", &chain);
    let came = sandbox.sh("seq 5 | faas-chain run --run $R -o lines chain.json | sort");
    assert_eq!((came.code, came.stdout.as_str()), (0, "1\n3\n4\n5\n"), "{came:?}");
    assert!(came.stderr.contains("1 dropped, 0 dead, 0 lost"), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn no_answer_is_a_timeout_that_tells_the_cure() {
    let silent_for_2 = "sh -c 'while read -r n; do [ $n = 2 ] || echo $n; done'";
    // Perl holds back what it prints to a pipe, and nothing outside helps.
    let cases = [(silent_for_2, "1\n3\n", vec!["2"]), ("perl -ne print", "", vec!["1", "2", "3"])];
    for (filter, answers, unanswered) in cases {
        let sandbox = Sandbox::new();
        let flags = "-j3 --worker filter --timeout 3s --retries 0 --dead dead.ndjson -o lines";
        let came = sandbox.sh(&format!("seq 3 | faas-invoke {flags} -- {filter} | sort"));
        assert_eq!(came.stdout, answers, "{filter}: {came:?}");
        let dead = dead(&sandbox);
        let bodies: Vec<&str> = dead.iter().map(|(body, ..)| body.as_str()).collect();
        assert_eq!(bodies, unanswered, "{filter}");
        for (_, reason, attempts) in &dead {
            assert!(reason.starts_with("timeout: it took a line and waits"), "{reason}");
            assert!(reason.contains("jq --unbuffered, perl's $| = 1"), "{reason}");
            assert_eq!(*attempts, 1);
        }
        let name = filter.split(' ').next().unwrap_or_default();
        let hint = format!("faas-invoke: {name}: it took a line and waits");
        assert!(came.stderr.contains(&hint), "it is said early, by name: {}", came.stderr);
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn a_banner_answers_nothing() {
    let answers = "while read -r n; do sleep 0.02; echo A $n; done";
    for (banner, count) in [("echo READY", 5), ("sleep 0.3; echo READY", 3)] {
        let sandbox = Sandbox::new();
        let filter = format!("sh -c '{banner}; {answers}'");
        let dead = paired(&sandbox, count, "--retries 1", &filter);
        assert_eq!(dead.len() as u64, count, "every process begins with it");
        let reason = &self::dead(&sandbox)[0].1;
        assert!(reason.contains("READY"), "{reason}");
    }
}

/// At once, a little later, and after the answer was accepted.
#[test]
fn a_second_line_is_not_the_answer_to_the_next() {
    for second in ["", "sleep 0.005;", "sleep 0.05;"] {
        let sandbox = Sandbox::new();
        let extra = format!("[ $((n % 7)) = 3 ] && {{ {second} echo EXTRA $n; }}");
        for answer in ["echo A $n", "sleep 0.02; echo A $n"] {
            let filter = format!("sh -c 'while read -r n; do {answer}; {extra}; done'");
            paired(&sandbox, 50, "--retries 1", &filter);
        }
    }
}

/// However it sleeps before the second line: that it waits in poll or futex
/// does not mean that it waits for input.
#[test]
fn a_second_line_after_any_kind_of_nap_is_not_the_answer_to_the_next() {
    let script = "import select, sys, threading, time
naps = {
    'sleep': time.sleep,
    'select': lambda s: select.select([], [], [], s),
    'poll': lambda s: select.poll().poll(1000 * s),
    'epoll': lambda s: select.epoll().poll(s),
    'futex': lambda s: threading.Event().wait(s),
}
nap = naps[sys.argv[1]]
for line in sys.stdin:
    n = int(line)
    nap(0.02)
    print('A', n)
    if n % 7 == 3:
        nap(0.005)
        print('EXTRA', n)
";
    for nap in ["sleep", "select", "poll", "epoll", "futex"] {
        let sandbox = Sandbox::new();
        sandbox.file("nap.py", script);
        paired(&sandbox, 30, "--retries 1", &format!("python3 nap.py {nap}"));
    }
}

/// One that slept while it started is watched like any other.
#[test]
fn a_second_line_of_a_slow_starter_is_not_the_answer_to_the_next() {
    let sandbox = Sandbox::new();
    let extra = "[ $((n % 7)) = 3 ] && { sleep 0.005; echo EXTRA $n; }";
    let answers = format!("while read -r n; do sleep 0.02; echo A $n; {extra}; done");
    paired(&sandbox, 30, "--retries 1", &format!("sh -c 'sleep 0.3; {answers}'"));
}

/// Misbehaves in every way, by a seed that is another for each process.
const ERRATIC: &str = r"#!/bin/sh
echo >> starts
seed=$(wc -l < starts)
while read -r n; do
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    case $((seed / 65536 % 12)) in
        0) printf 'A %s\nEXTRA %s\n' $n $n ;;
        1) echo A $n; sleep 0.00$((seed / 512 % 9)); echo LATE $n ;;
        2) printf HALF; exit ;;
        3) exit 1 ;;
        4) echo A $n; exit ;;
        5) printf 'A '; sleep 0.003; echo $n ;;
        6) kill -9 $$ ;;
        7) echo A $n; exec sleep 0.01 ;;
        *) echo A $n ;;
    esac
done
";

#[test]
fn whatever_it_does_a_line_is_answered_right_or_is_a_dead_letter() {
    for (count, flags) in [(200, "-j1"), (200, "-j3"), (60, "--keep never"), (60, "-j2 -k")] {
        let sandbox = Sandbox::new();
        sandbox.file("erratic.sh", ERRATIC);
        let dead = paired(&sandbox, count, &format!("--retries 5 {flags}"), "./erratic.sh");
        println!("{flags}: {} of {count} are dead letters", dead.len());
        assert!(dead.len() as u64 <= count / 3, "most can be answered: {dead:?}");
    }
}

/// A line that was not sent to the process that ended has lost no attempt.
#[test]
fn a_filter_may_end_after_each_line() {
    let ends = "sh -c 'read -r n; echo A $n; exec <&- >&-; exec sleep 0.01'";
    for filter in ["sed -u 's/^/A /;q'", "sh -c 'read -r n; echo A $n'", ends] {
        for flags in ["--retries 0", "--retries 0 -j3"] {
            let sandbox = Sandbox::new();
            let dead = paired(&sandbox, 100, flags, filter);
            assert_eq!(dead, BTreeSet::new(), "{filter} {flags}: {:?}", self::dead(&sandbox));
        }
    }
    let sandbox = Sandbox::new();
    let flags = "--worker filter --retries 0 --dead dead.ndjson -o lines";
    let out = sandbox.sh(&format!("seq 200 | faas-invoke {flags} -- head -n1")).stdout;
    assert_eq!(out, (1..=200).map(|n| format!("{n}\n")).collect::<String>());
}

#[test]
fn stray_output_of_an_idle_filter_costs_no_message() {
    let sandbox = Sandbox::new();
    let stray = "[ $n = 1 ] && { sleep 0.2; echo STRAY; } &";
    let filter = format!("sh -c 'while read -r n; do echo A $n; {stray} done'");
    let mut fed = Fed::new(&sandbox, &format!("-v --worker filter --keep always -- {filter}"));
    assert_eq!(fed.ask("1"), "A 1");
    let told = || said(&sandbox).contains("answers nothing: `STRAY`; its process is killed");
    assert!(sandbox.until(PATIENCE, told), "{}", said(&sandbox));
    assert_eq!(fed.ask("2"), "A 2");
    assert_eq!(fed.end(), (0, vec![]));
    assert!(said(&sandbox).contains("2 done, 0 dropped, 0 dead, 0 retries"), "{}", said(&sandbox));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// None of three answers before all three are there; and there is no fourth.
#[test]
fn as_many_processes_as_calls_at_once() {
    for jobs in ["1", "3"] {
        let sandbox = Sandbox::new();
        let script = format!(
            "#!/bin/sh\nwhile read -r n; do\n  : > here.$$\n  \
             until [ $(ls here.* | wc -l) -ge {jobs} ]; do sleep 0.01; done\n  echo $n\ndone\n"
        );
        sandbox.file("f.sh", &script);
        let flags = format!("-j{jobs} --worker filter --timeout 20s -o lines");
        let out = sandbox.ok(&format!("seq 60 | faas-invoke {flags} -- ./f.sh | sort -n"));
        assert_eq!(out, (1..=60).map(|n| format!("{n}\n")).collect::<String>());
        assert_eq!(sandbox.ok("ls here.* | wc -l"), format!("{jobs}\n"));
    }
}

#[test]
fn kept_never_or_always() {
    let sandbox = Sandbox::new();
    let filter =
        "#!/bin/sh\necho $$ >> pids\nwhile read -r n; do echo $n; done\necho bye >> pids\n";
    sandbox.file("f.sh", filter);
    let out = sandbox.ok("seq 10 | faas-invoke --worker filter --keep never -o lines -- ./f.sh");
    assert_eq!(out, (1..=10).map(|n| format!("{n}\n")).collect::<String>());
    assert_eq!(sandbox.ok("grep -v bye pids | sort -u | wc -l; grep -c bye pids"), "10\n10\n");
    std::fs::remove_file(sandbox.path().join("pids")).expect("it is there");
    let mut fed = Fed::new(&sandbox, "--worker filter --keep always -- ./f.sh");
    let is_up = || !text(&sandbox, "pids").is_empty();
    assert!(sandbox.until(PATIENCE, is_up), "it is started before the first message");
    for n in ["1", "2", "3"] {
        assert_eq!(fed.ask(n), n);
    }
    assert_eq!(fed.end(), (0, vec![]));
    assert_eq!(text(&sandbox, "pids").lines().count(), 2, "one process, and its farewell");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// It takes its time over a long line, and would tell how much it got as soon
/// as its input ended.
#[test]
fn a_killed_invoker_takes_its_filters_along_and_none_sees_half_a_line() {
    let sandbox = Sandbox::new();
    let slow = "#!/usr/bin/perl
while (sysread(STDIN, $part, 4096)) {
    $line .= $part;
    if (length($line) > 8192) { open(B, '>', 'begun'); close(B); }
    select(undef, undef, undef, 0.002);
}
open(G, '>>', 'got');
print G length($line), qq(\\n);
";
    sandbox.file("slow.pl", slow);
    sandbox.ok("head -c 300000 /dev/zero | tr '\\0' x > line; echo >> line");
    for _ in 0..10 {
        let fed = Fed::new(&sandbox, "--worker filter -- ./slow.pl < line");
        assert!(sandbox.until(PATIENCE, || sandbox.path().join("begun").exists()));
        signal(fed.pid(), Signal::SIGKILL);
        let began = std::time::Instant::now();
        assert!(sandbox.until(PATIENCE, || sandbox.processes().is_empty()));
        println!("gone after {:?}", began.elapsed());
        assert_eq!(fed.end().0, 137);
        std::fs::remove_file(sandbox.path().join("begun")).expect("it is there");
    }
    assert_eq!(text(&sandbox, "got"), "", "it saw the end of its input");
}

#[test]
fn on_sigterm_a_filter_sees_the_end_of_its_input_and_may_finish() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/sh\nwhile read -r l; do echo $l >> got; echo $l; done\necho bye >> got\n";
    sandbox.file("f.sh", script);
    let mut fed = Fed::new(&sandbox, "--worker filter -- ./f.sh");
    assert_eq!(fed.ask("a"), "a");
    signal(fed.pid(), Signal::SIGTERM);
    let is_over = || text(&sandbox, "got") == "a\nbye\n";
    assert!(sandbox.until(PATIENCE, is_over), "{}", text(&sandbox, "got"));
    fed.end();
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn killing_the_guard_loses_no_line() {
    let sandbox = Sandbox::new();
    let filter = "sh -c 'while read -r n; do sleep 0.02; echo $n; done'";
    let mut fed = Fed::new(&sandbox, &format!("-j2 --worker filter --backoff 1ms -- {filter}"));
    fed.put(&(1..=30).map(|n| format!("{n}\n")).collect::<String>());
    let first = fed.answer();
    kill_guard(&sandbox);
    let (code, mut answers) = fed.end();
    answers.push(first);
    let answers: BTreeSet<u64> = answers.iter().map(|n| n.parse().expect("a number")).collect();
    assert_eq!((code, answers), (0, (1..=30).collect::<BTreeSet<_>>()), "{}", said(&sandbox));
    assert!(said(&sandbox).contains("the guard of functions was killed"), "{}", said(&sandbox));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Answers four events at a time, the last first.
const BACKWARDS: &str = "import json, sys
held = []
for line in sys.stdin:
    event = json.loads(line)
    event['data'] = f\"A {event['data']}\"
    held.append(event)
    if len(held) == 4:
        for event in reversed(held):
            print(json.dumps(event))
        held = []
";

#[test]
fn several_in_flight_are_told_apart_by_their_ids() {
    let sandbox = Sandbox::new();
    sandbox.file("f.py", BACKWARDS);
    let flags = "--pipeline 4 --event --retries 0";
    assert_eq!(paired(&sandbox, 40, flags, "python3 f.py"), BTreeSet::new());
    // One alone waits for three that do not come.
    let flags = "--pipeline 4 --event --retries 0 --timeout 2s";
    assert_eq!(paired(&sandbox, 5, flags, "python3 f.py"), BTreeSet::from([5]));
    assert!(dead(&sandbox)[0].1.starts_with("timeout: "), "{:?}", dead(&sandbox));
}

#[test]
fn an_answer_with_an_unknown_id_is_nobodys() {
    let sandbox = Sandbox::new();
    let script = "import json, sys
for line in sys.stdin:
    event = json.loads(line)
    if event['data'] == 5:
        event['id'] = 'nobody'
    event['data'] = f\"A {event['data']}\"
    print(json.dumps(event))
";
    sandbox.file("f.py", script);
    let flags = "--pipeline 4 --event --retries 1";
    assert_eq!(paired(&sandbox, 20, flags, "python3 f.py"), BTreeSet::from([5]));
    let reason = &dead(&sandbox)[0].1;
    assert!(reason.contains("an answer carries the id of no event in flight"), "{reason}");
}

#[test]
fn what_was_answered_before_a_crash_counts_and_the_rest_is_tried_again() {
    let sandbox = Sandbox::new();
    let script = "import json, os, sys
for line in sys.stdin:
    event = json.loads(line)
    n = event['data']
    with open('seen', 'a') as seen:
        print(n, file=seen)
    if n == 7 and not os.path.exists('crashed'):
        open('crashed', 'w').close()
        os._exit(1)
    event['data'] = f'A {n}'
    print(json.dumps(event))
";
    sandbox.file("f.py", script);
    let flags = "--pipeline 4 --event --retries 1";
    assert_eq!(paired(&sandbox, 20, flags, "python3 f.py"), BTreeSet::new());
    assert_eq!(sandbox.ok("sort -n seen | uniq -d; sort -u seen | wc -l"), "7\n20\n");
}
