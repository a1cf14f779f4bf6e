//! Functions that do not do what they should.

use faas_tests::Sandbox;
use std::time::{Duration, Instant};

fn dead(sandbox: &Sandbox, file: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(sandbox.path().join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("an envelope")).collect()
}

#[test]
fn prints_nothing() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("seq 3 | faas-invoke -v -- true");
    assert_eq!((came.code, came.stdout.as_str()), (0, ""));
    assert!(came.stderr.contains("0 done, 3 dropped, 0 dead"), "{}", came.stderr);
}

#[test]
fn prints_half_a_line_and_dies() {
    let sandbox = Sandbox::new();
    sandbox.file("half.sh", "#!/bin/sh\nprintf half\nkill -9 $$\n");
    let came = sandbox.sh("echo x | faas-invoke --retries 2 --backoff 1ms -- ./half.sh");
    assert_eq!((came.code, came.stdout.as_str()), (1, ""));
    let letter = &dead(&sandbox, "half.sh.dead.ndjson")[0];
    assert_eq!(letter["faasreason"], "killed by SIGKILL");
    assert_eq!(letter["faasattempts"], 3);
    assert_eq!(letter["data"], "x");
}

#[test]
fn never_reads_its_stdin() {
    let sandbox = Sandbox::new();
    let script = "head -c 1000000 /dev/zero | faas-invoke -i raw -o lines -- echo done; echo x | faas-invoke -o lines -- echo done";
    let came = sandbox.sh(script);
    assert_eq!((came.code, came.stdout.as_str()), (0, "done\ndone\n"), "{came:?}");
}

#[test]
fn forks_a_child_that_keeps_stdout_open() {
    let sandbox = Sandbox::new();
    sandbox.file("fork.sh", "#!/bin/sh\nsleep 60 &\nsetsid sleep 61 &\necho answer\n");
    let began = Instant::now();
    let came = sandbox.sh("seq 2 | faas-invoke -o lines -- ./fork.sh");
    assert_eq!((came.code, came.stdout.as_str()), (0, "answer\nanswer\n"));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "the exit of the main process ends the call"
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn ignores_sigterm_and_runs_over_its_timeout() {
    let sandbox = Sandbox::new();
    sandbox.file("stay.sh", "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 60 & sleep 60\n");
    let came =
        sandbox.sh("echo x | faas-invoke --timeout 200ms --retries 1 --backoff 1ms -- ./stay.sh");
    assert_eq!(came.code, 1, "{came:?}");
    assert_eq!(dead(&sandbox, "stay.sh.dead.ndjson")[0]["faasreason"], "timeout");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn floods_stderr() {
    let sandbox = Sandbox::new();
    sandbox
        .file("flood.sh", "#!/bin/sh\nyes 'so much to say' | head -c 20000000 >&2\necho answer\n");
    let came = sandbox.sh("echo x | faas-invoke -o lines -- ./flood.sh");
    assert_eq!((came.code, came.stdout.as_str()), (0, "answer\n"));
    assert!(came.stderr.len() < 3 << 20, "{} bytes were passed on", came.stderr.len());
    assert!(came.stderr.starts_with("flood.sh: so much to say\n"));
    assert!(came.stderr.contains("(more on stderr than is passed on)"));
}

#[test]
fn fails_twice_and_then_succeeds() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/sh\necho \"$FAAS_IDEMPOTENCY_KEY\" >> keys\n[ \"$FAAS_ATTEMPT\" = 3 ] || exit 1\necho \"third $(cat)\"\n";
    sandbox.file("third.sh", script);
    let came = sandbox.sh("echo time | faas-invoke -v -o lines --backoff 1ms -- ./third.sh");
    assert_eq!((came.code, came.stdout.as_str()), (0, "third time\n"));
    assert!(came.stderr.contains("1 done, 0 dropped, 0 dead, 2 retries"), "{}", came.stderr);
    assert_eq!(sandbox.ok("wc -l < keys; sort -u keys | wc -l"), "3\n1\n", "the key stays");
}

#[test]
fn exit_100_is_a_dead_letter_at_once() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("echo x | faas-invoke -- sh -c 'echo no good >&2; exit 100'");
    assert_eq!(came.code, 1);
    let letter = &dead(&sandbox, "sh.dead.ndjson")[0];
    assert_eq!((&letter["faasattempts"], &letter["faasstderr"]), (&1.into(), &"no good".into()));
}

/// Whoever kills the guard gains nothing: the call is tried again, and what
/// the guard had started is gone.
#[test]
fn kills_its_guard() {
    let sandbox = Sandbox::new();
    sandbox.file("regicide.sh", "#!/bin/sh\nif [ \"$FAAS_ATTEMPT\" = 1 ]; then sleep 60 & kill -9 $PPID; sleep 60; fi\necho survived\n");
    let came = sandbox.sh("seq 3 | faas-invoke -o lines --backoff 1ms -- ./regicide.sh");
    assert_eq!(
        (came.code, came.stdout.as_str()),
        (0, "survived\nsurvived\nsurvived\n"),
        "{came:?}"
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn many_outputs_of_one_call() {
    let sandbox = Sandbox::new();
    let out = sandbox
        .ok("echo x | faas-invoke --emit lines -o lines -- seq 5000 | md5sum; seq 5000 | md5sum");
    let sums: Vec<&str> = out.lines().collect();
    assert_eq!(sums[0], sums[1]);
    let events = "printf '{\"specversion\":\"1.0\",\"id\":\"forged\",\"source\":\"forged\",\"type\":\"mine\",\"faasrun\":\"forged\",\"own\":1,\"data\":5}\\nbare\\n' > out; echo x | faas-invoke --emit events -- cat out | jq -c '[.type, .data, .own, .faasrun, .id == \"forged\", .source]'";
    assert_eq!(
        sandbox.ok(events),
        "[\"mine\",5,1,null,false,\"/faas/cat\"]\n[\"faas.event\",\"bare\",null,null,false,\"/faas/cat\"]\n"
    );
}

#[test]
fn the_environment_tells_of_the_event() {
    let sandbox = Sandbox::new();
    let script = "echo '{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/s\",\"type\":\"t\",\"region\":\"eu\",\"traceparent\":\"00-1-2-01\",\"data\":1}' | faas-invoke -o lines -- sh -c 'echo $CE_ID $CE_SOURCE $CE_TYPE $CE_REGION $TRACEPARENT $FAAS_ATTEMPT $FAAS_IDEMPOTENCY_KEY $FAAS_FUNCTION'";
    assert_eq!(sandbox.ok(script), "e1 /s t eu 00-1-2-01 1 e1 sh\n");
    let whole = "echo hi | faas-invoke --event -o lines -- jq -r .data";
    assert_eq!(sandbox.ok(whole), "hi\n");
}

/// No function outlives its invoker by more than a second, nor acts on a
/// truncated body, however the invoker died.
#[test]
fn a_killed_invoker_takes_its_functions_along() {
    let sandbox = Sandbox::new();
    sandbox.file("long.sh", "#!/bin/sh\nsetsid sleep 60 & cat | wc -c >> sizes; sleep 60\n");
    for _ in 0..10 {
        let script = "head -c 60000 /dev/zero | faas-invoke -i raw -- ./long.sh";
        let mut shell = sandbox.script(script).spawn().expect("bash runs");
        let invoker = || {
            let all = sandbox.processes();
            all.into_iter().find(|(_, line)| line.starts_with("faas-invoke"))
        };
        assert!(sandbox.until(10, || sandbox.processes().iter().any(|(_, l)| l == "sleep 60")));
        let (pid, _) = invoker().expect("it runs");
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it is there");
        let began = Instant::now();
        shell.wait().expect("bash ends");
        assert!(sandbox.until(10, || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
        println!("gone after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    let sizes = std::fs::read_to_string(sandbox.path().join("sizes")).unwrap_or_default();
    assert!(sizes.lines().all(|line| line == "60000"), "a function saw a truncated body: {sizes}");
}
