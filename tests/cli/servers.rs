//! Web functions that the invoker starts, keeps and ends; among them programs
//! made for other platforms, as they are.

use super::fed::{Fed, PATIENCE, dead, kill_guard, said, signal, text};
use super::web::WEB;
use faas_tests::{Sandbox, repository};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;

/// A sandbox with the function in it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("web.py", WEB);
    sandbox
}

/// The processes of the servers that were started, the last one last.
fn pids(sandbox: &Sandbox) -> Vec<i32> {
    text(sandbox, "pids").lines().map(|pid| pid.parse().expect("a process id")).collect()
}

fn numbers(count: u64) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

#[test]
fn each_server_has_a_free_port_of_its_own() {
    let sandbox = sandbox();
    let url = "http://127.0.0.1";
    let chain = json!({
        "chain": "c",
        "functions": {
            "a": { "url": format!("{url}:0/port"), "run": ["./web.py"] },
            "b": { "url": format!("{url}/port"), "run": ["./web.py"] },
        },
        "start": "a",
        "rules": [{ "from": "a", "to": "b" }],
    });
    sandbox.file("chain.json", &chain.to_string());
    let out = sandbox.ok("seq 10 | faas-chain run --run $R -o lines chain.json");
    let mut ports = BTreeSet::new();
    for line in out.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.len(), 3, "{line}");
        assert_ne!(words[1], words[2]);
        ports.extend(words[1..].iter().map(|port| (*port).to_owned()));
    }
    assert_eq!((out.lines().count(), ports.len()), (10, 2), "one server each: {out}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn it_may_have_the_port_that_its_url_names() {
    let sandbox = sandbox();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let url = format!("http://127.0.0.1:{port}/port");
    let out = sandbox.ok(&format!("echo 1 | faas-invoke -o lines --url {url} -- ./web.py"));
    assert_eq!(out, format!("1 {port}\n"));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Whoever else listens there is not asked.
#[test]
fn a_port_that_somebody_has_is_not_asked() {
    let sandbox = sandbox();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("it is bound").port();
    let flags = "--timeout 5s --retries 0 --dead dead.ndjson";
    let url = format!("http://127.0.0.1:{port}/upper");
    let came = sandbox.sh(&format!("echo a | faas-invoke {flags} --url {url} -- ./web.py"));
    assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{came:?}");
    let reason = &dead(&sandbox)[0].1;
    assert!(reason.contains("address already in use"), "{reason}");
    other.set_nonblocking(true).expect("a socket");
    while let Ok((mut stranger, _)) = other.accept() {
        let mut asked = String::new();
        let _ = std::io::Read::read_to_string(&mut stranger, &mut asked);
        assert_eq!(asked, "", "the message went to a stranger");
    }
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// It dies of the hundredth message, once. That costs no other message an
/// attempt: what was refused meanwhile was not asked.
#[test]
fn a_server_that_dies_is_started_again_and_the_others_lose_no_attempt() {
    for jobs in ["-j1", "-j3"] {
        let sandbox = sandbox();
        let url = "http://127.0.0.1:0/dies";
        let flags = format!("-v {jobs} --retries 1 --backoff 1ms --dead dead.ndjson -o lines");
        let script = format!("seq 400 | faas-invoke {flags} --url {url} -- ./web.py | sort -n");
        let came = sandbox.sh(&script);
        assert!(dead(&sandbox).is_empty(), "{jobs}: {:?}", dead(&sandbox));
        assert_eq!(came.stdout, numbers(400), "{jobs}: {}", came.stderr);
        assert_eq!(pids(&sandbox).len(), 2, "{}", came.stderr);
        let calls = text(&sandbox, "calls");
        // With several at once, those in flight have died with it, and those
        // whose connection the kernel still took for it.
        let again: Vec<&str> = calls.lines().filter(|call| !call.ends_with(" 1")).collect();
        let most = if jobs == "-j1" { 1 } else { 12 };
        assert!(again.len() <= most, "{jobs}: tried again: {again:?}");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn a_server_that_is_killed_between_messages_is_started_again() {
    let sandbox = sandbox();
    let flags = "-v --retries 9 --backoff 1ms --dead dead.ndjson";
    let url = "http://127.0.0.1/upper";
    let mut fed = Fed::new(&sandbox, &format!("{flags} --url {url} -- ./web.py"));
    for round in 1..=3 {
        assert_eq!(fed.ask("a"), "A");
        let pids = pids(&sandbox);
        assert_eq!(pids.len(), round);
        signal(pids[round - 1], Signal::SIGKILL);
    }
    fed.put(&numbers(50));
    let (code, answers) = fed.end();
    assert_eq!((code, answers.len()), (0, 50), "{}", said(&sandbox));
    assert!(said(&sandbox).contains("53 done, 0 dropped, 0 dead"), "{}", said(&sandbox));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_server_is_gone_when_its_invoker_is() {
    for how in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        let sandbox = sandbox();
        let mut fed = Fed::new(&sandbox, "--url http://127.0.0.1/upper -- ./web.py");
        assert_eq!(fed.ask("a"), "A");
        if let Some(how) = how {
            signal(fed.pid(), how);
        }
        let (code, answers) = fed.end();
        assert_eq!(answers, Vec::<String>::new());
        assert!(how.is_some() || code == 0, "{}", said(&sandbox));
        assert_eq!(pids(&sandbox).len(), 1);
        assert_eq!(sandbox.left_behind(), Vec::<String>::new(), "{how:?}");
    }
}

#[test]
fn killing_the_guard_loses_no_message() {
    let sandbox = sandbox();
    let flags = "-v --retries 9 --backoff 1ms";
    let url = "http://127.0.0.1/upper";
    let mut fed = Fed::new(&sandbox, &format!("{flags} --url {url} -- ./web.py"));
    assert_eq!(fed.ask("a"), "A");
    kill_guard(&sandbox);
    fed.put(&numbers(50));
    let (code, answers) = fed.end();
    assert_eq!((code, answers.len()), (0, 50), "{}", said(&sandbox));
    assert_eq!(pids(&sandbox).len(), 2, "{}", said(&sandbox));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn kept_never_or_always() {
    let sandbox = sandbox();
    let url = "http://127.0.0.1/upper";
    let out =
        sandbox.ok(&format!("seq 5 | faas-invoke --keep never -o lines --url {url} -- ./web.py"));
    assert_eq!((out, pids(&sandbox).len()), (numbers(5), 5));
    std::fs::remove_file(sandbox.path().join("pids")).expect("it is there");
    let mut fed = Fed::new(&sandbox, &format!("--keep always --url {url} -- ./web.py"));
    let is_up = || !text(&sandbox, "pids").is_empty();
    assert!(sandbox.until(PATIENCE, is_up), "it is started before the first message");
    assert_eq!((fed.ask("a"), fed.ask("b")), ("A".to_owned(), "B".to_owned()));
    assert_eq!(fed.end(), (0, vec![]));
    assert_eq!(pids(&sandbox).len(), 1);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_server_that_never_listens_is_named() {
    let cases =
        [("false", "http: its server ended (exit 1) before it listened"), ("sleep 60", "timeout")];
    for (program, reason) in cases {
        let sandbox = Sandbox::new();
        let flags = "--timeout 1s --retries 1 --backoff 1ms --dead dead.ndjson";
        let url = "http://127.0.0.1/";
        let came = sandbox.sh(&format!("echo 1 | faas-invoke {flags} --url {url} -- {program}"));
        assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{came:?}");
        assert_eq!(dead(&sandbox), [("1".to_owned(), reason.to_owned(), 2)]);
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

/// One call that takes too long costs the others nothing.
#[test]
fn a_timeout_is_that_of_one_call() {
    let sandbox = sandbox();
    let flags = "-j3 --timeout 3s --retries 0 --dead dead.ndjson -o lines";
    let url = "http://127.0.0.1/seven";
    let came = sandbox.sh(&format!("seq 20 | faas-invoke {flags} --url {url} -- ./web.py"));
    assert_eq!((came.code, came.stdout.lines().count()), (1, 19), "{came:?}");
    assert_eq!(dead(&sandbox), [("7".to_owned(), "timeout".to_owned(), 1)]);
    assert_eq!(pids(&sandbox).len(), 1, "its server goes on");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// The path of a program made for another platform; nothing, with the reason
/// said, where it cannot be had.
fn program(what: &str) -> Option<String> {
    let script = repository().join("tests/services/web.sh");
    let output = Command::new("sh").arg(script).arg(what).output().expect("sh runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(69) {
        eprintln!("{what} is not tested: {stderr}");
        return None;
    }
    assert!(output.status.success(), "{stderr}");
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Three orders, given to a program; what it greeted them with. One of them
/// leaves its content type to the JSON format.
fn greeted(flags: &str, function: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.copy("tests/services/functions");
    let order = |id: &str, name: &str| {
        json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "order",
            "datacontenttype": "application/json", "data": { "name": name } })
    };
    let mut orders = [order("o1", "ada"), order("o2", "alan"), order("o3", "grace")];
    orders[1].as_object_mut().expect("an object").remove("datacontenttype");
    let lines: String = orders.iter().map(|order| format!("{order}\n")).collect();
    sandbox.file("orders", &lines);
    let flags = format!("{flags} --dead ../dead.ndjson -o lines --url http://127.0.0.1/");
    let script = format!("cd functions && faas-invoke {flags} -- {function} < ../orders");
    let came = sandbox.sh(&script);
    assert_eq!(came.code, 0, "{came:?} {:?}", dead(&sandbox));
    let mut greetings: Vec<Value> =
        came.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // What had to be tried again comes later.
    greetings.sort_by_key(|greeting| greeting["id"].to_string());
    let greeting = |id: &str, name: &str| json!({ "greeting": format!("hello {name}"), "id": id });
    let expected = [greeting("o1", "ada"), greeting("o2", "alan"), greeting("o3", "grace")];
    assert_eq!(greetings, expected, "{}", came.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    sandbox
}

#[test]
fn functions_framework_for_python_runs_unmodified() {
    let Some(framework) = program("python") else { return };
    let sandbox = greeted("", &format!("{framework} --target greet"));
    let function = format!("{framework} --target record --signature-type cloudevent");
    let script = format!(
        "cd functions && head -n1 ../orders | faas-invoke --url http://127.0.0.1/ -- {function}"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.code, 0, "{came:?}");
    assert!(came.stderr.contains("functions-framework: recorded o1 ada"), "{}", came.stderr);
}

#[test]
fn functions_framework_for_node_runs_unmodified() {
    let Some(framework) = program("node") else { return };
    let modules = framework.split("/.bin/").next().unwrap_or_default().to_owned();
    let env = format!("env NODE_PATH={modules} {framework}");
    let sandbox = greeted("", &format!("{env} --target=greet"));
    let function = format!("{env} --target=record --signature-type=cloudevent");
    let script = format!(
        "cd functions && head -n1 ../orders | faas-invoke --url http://127.0.0.1/ -- {function}"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.code, 0, "{came:?}");
    assert!(came.stderr.contains(": recorded o1 ada"), "{}", came.stderr);
}

#[test]
fn of_watchdog_runs_unmodified() {
    let Some(watchdog) = program("watchdog") else { return };
    // Where it serves its metrics cannot be chosen.
    if TcpListener::bind("0.0.0.0:8081").is_err() {
        eprintln!("of-watchdog is not tested: port 8081 is taken");
        return;
    }
    let start = format!(
        "up=$((PORT - 20000)); export port=$PORT mode=http upstream_url=http://127.0.0.1:$up \
         fprocess=\"python3 handler.py $up\" healthcheck_interval=1ms; exec {watchdog}"
    );
    // It listens before what it starts does, and answers for it meanwhile.
    greeted("--retries 9", &format!("sh -c '{start}'"));
}
