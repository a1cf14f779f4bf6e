//! What a hostile reader of the code would try.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Orders to the guard and reports from it in numbers that fill both ways of
/// their socket.
#[test]
fn thousands_of_calls_at_once() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("ulimit -n 16000; seq 2500 | faas-invoke -v -j 1200 -- true");
    assert_eq!(came.code, 0, "{came:?}");
    assert!(came.stderr.contains("2500 dropped, 0 dead"), "{}", came.stderr);
}

#[test]
fn retries_keep_to_the_number_of_calls_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file("count.sh", "#!/bin/sh\nmkdir busy.$$; ls -d busy.* | wc -l >> most; sleep 0.05; rmdir busy.$$; exit 1\n");
    let came = sandbox.sh("seq 12 | faas-invoke -q -j 2 --retries 2 --backoff 20ms -- ./count.sh; sort -n most | tail -1");
    assert_eq!(came.stdout, "2\n", "{came:?}");
}

#[test]
fn a_full_queue_of_dead_letters_does_not_stop_the_work() {
    let sandbox = Sandbox::new();
    sandbox.file("odd.sh", "#!/bin/sh\nread -r n; [ $((n % 2)) = 1 ] || exit 100; echo $n\n");
    sandbox.ok("faas-queue new ${P}q ${P}r");
    let (from, to) = (sandbox.url("q"), sandbox.url("r"));
    let mut invoker = sandbox.command("faas-invoke");
    invoker.args(["-q", "--from", &from, "--to", &to, "-j2", "--", "./odd.sh"]);
    let mut invoker = invoker.stdin(Stdio::null()).spawn().expect("it starts");
    let script = "(seq 100 | faas-queue put -q ${P}q) & faas-queue get -n 50 -o lines ${P}r | sort -n | md5sum; wait; seq 1 2 99 | md5sum";
    let out = sandbox.ok(script);
    let sums: Vec<&str> = out.lines().collect();
    assert_eq!(sums[0], sums[1], "all good ones came though 50 letters wait for 10 places");
    kill(Pid::from_raw(invoker.id() as i32), Signal::SIGTERM).expect("it is there");
    let began = Instant::now();
    assert_eq!(invoker.wait().expect("it ends").code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(10), "it ends though the letters still wait");
    // The letters that found no place are kept, and come when there is room.
    let rest = "faas-invoke -q --from ${P}q --to ${P}r --idle 2s -- cat & faas-queue get -n 50 --timeout 10s -o lines ${P}q.dead | sort -n | md5sum; seq 2 2 100 | md5sum; wait; faas-queue rm --yes ${P}q ${P}r ${P}q.dead";
    let out = sandbox.ok(rest);
    let sums: Vec<&str> = out.lines().collect();
    assert_eq!(sums[0], sums[1], "no letter is lost");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_place_for_dead_letters_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f" }"#,
    );
    let came = sandbox.sh("seq 3 | faas-chain run --dead /nonexistent/d chain.json");
    assert_eq!(came.code, 2, "{came:?}");
    assert!(came.stderr.contains("cannot keep dead letters in /nonexistent/d"), "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_message_put_into_a_run_by_hand_is_not_swallowed() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f" }"#,
    );
    let uid = nix::unistd::geteuid();
    let script = format!(
        "(sleep 1; echo foreign | faas-queue put mq:/faas.{uid}.$R.f; sleep 1; echo own) | faas-chain run --run $R -o lines chain.json | sort"
    );
    assert_eq!(sandbox.ok(&script.replace("(sleep 1;", "(sleep 0.7;")), "foreign\nown\n");
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] }, "g": { "run": ["cat"] } }, "start": "f", "rules": [ { "from": "f", "to": "g" } ] }"#);
    for ms in (0..40).step_by(2) {
        let mut runner = sandbox.command("faas-chain");
        runner.args(["run", "-q", "chain.json"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut runner = runner.spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(ms));
        kill(Pid::from_raw(runner.id() as i32), Signal::SIGTERM).expect("it is there");
        assert!(sandbox.until(10, || matches!(runner.try_wait(), Ok(Some(_)))), "after {ms} ms");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new(), "after {ms} ms");
    }
}

#[test]
fn one_that_kills_its_guard_does_not_harm_its_neighbours() {
    let sandbox = Sandbox::new();
    sandbox.file("f.sh", "#!/bin/sh\nread -r n; if [ $n$FAAS_ATTEMPT = 21 ]; then sleep 0.2; kill -9 $PPID; sleep 9; fi; sleep 0.4; echo $n\n");
    let out = sandbox
        .ok("seq 3 | faas-invoke -q -j3 --retries 0 --backoff 1ms -o lines -- ./f.sh | sort");
    assert_eq!(out, "1\n2\n3\n", "what ended with the guard is no failed attempt");
}

#[test]
fn one_that_stops_its_guard_is_overcome() {
    let sandbox = Sandbox::new();
    sandbox.file("stop.sh", "#!/bin/sh\nkill -STOP $PPID; sleep 30\n");
    let began = Instant::now();
    let came = sandbox.sh("echo x | faas-invoke --timeout 300ms --retries 0 -- ./stop.sh; jq -r .faasreason stop.sh.dead.ndjson");
    assert_eq!(came.stdout, "timeout\n", "{came:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_left_behind_process_that_writes_for_ever_does_not_hold_the_call() {
    let sandbox = Sandbox::new();
    sandbox.file("yes.sh", "#!/bin/sh\necho hi\nsetsid yes &\n");
    let began = Instant::now();
    sandbox.ok("echo x | faas-invoke -o raw -- ./yes.sh | wc -c");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_trigger_ends_when_its_queue_is_removed() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("faas-queue new --capacity 2 ${P}q; (sleep 0.5; faas-queue rm --yes ${P}q) & seq 9 | faas-trigger -q --to ${P}q");
    assert_eq!(came.code, 69, "{came:?}");
    assert!(came.stderr.contains("was removed (the last line sent is 2)"), "{}", came.stderr);
}

#[test]
fn a_sender_that_gives_up_takes_its_body_along() {
    let sandbox = Sandbox::new();
    let script = "faas-queue new --capacity 1 ${P}q; for i in 1 2 3; do head -c 50000 /dev/zero | faas-queue put -q --timeout 200ms -i raw ${P}q; done; faas-queue get -o raw ${P}q | wc -c; head -c 99999 /dev/zero | faas-queue put -i raw ${P}q; faas-queue put -q --timeout 200ms -i raw ${P}q <chain; ls state/bodies/* | grep -c ^f; faas-queue get -o raw ${P}q | wc -c; ls state/bodies/* | grep -c ^f; faas-queue rm --yes ${P}q";
    sandbox.file("chain", &"x".repeat(99_999));
    assert_eq!(sandbox.sh(script).stdout, "50000\n1\n99999\n0\n");
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let sandbox = Sandbox::new();
    let script = "trap '' HUP; (sleep 0.3; echo x) | faas-invoke -o lines -- cat & sleep 0.1; pkill -HUP -P $$ faas-invoke; wait";
    assert_eq!(sandbox.sh(script).stdout, "x\n");
}

#[test]
fn json_nested_too_deep_for_a_condition_is_a_dead_letter() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f", "rules": [ { "from": "f", "when": ".x", "to": [] }, { "from": "f", "otherwise": true, "to": "@result" } ] }"#);
    let script = "(printf '%0400000d' 0 | tr 0 '['; printf '%0400000d\\n' 0 | tr 0 ']'; echo '{}') | faas-chain run -q --run $R -o lines chain.json; grep -o 'condition: rules.0.: the body is nested deeper than 1000' $R.dead.ndjson";
    assert_eq!(
        sandbox.sh(script).stdout,
        "{}\ncondition: rules[0]: the body is nested deeper than 1000\n"
    );
}

#[test]
fn dead_letters_into_the_queue_they_came_from_are_refused() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("faas-queue new ${P}q; faas-invoke --from ${P}q --dead ${P}q -- cat; code=$?; faas-queue rm --yes ${P}q; exit $code");
    assert_eq!(came.code, 2);
}
