//! Keys and hang-ups, through a pseudo-terminal made by script(1).

use faas_tests::Sandbox;
use std::io::Write;
use std::process::{Child, Stdio};

const CHAIN: &str = r#"{ "chain": "c", "functions": {
    "a": { "run": ["sh", "-c", "sleep 0.05; cat"], "concurrency": 2 },
    "b": { "run": ["cat"] }, "j": { "run": ["jq", "-c", ".a"], "join": "all" } },
  "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;

/// A shell command on a terminal of its own; what is written to its stdin is typed.
fn on_terminal(sandbox: &Sandbox, command: &str) -> Child {
    sandbox.file("chain.json", CHAIN);
    sandbox.file("typed.sh", &format!("#!/bin/bash\n{command}\n"));
    // Whoever runs the tests may ignore signals (nohup), and what they start
    // would too.
    let mut script = sandbox.command("env");
    script.args(["--default-signal", "script", "-q", "-e", "-c", "./typed.sh", "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::null());
    script.spawn().expect("script(1) is there")
}

fn press(terminal: &mut Child, keys: &[u8]) {
    let stdin = terminal.stdin.as_mut().expect("piped");
    stdin.write_all(keys).and_then(|()| stdin.flush()).expect("typed");
}

fn lines(sandbox: &Sandbox, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn accepted(log: &str) -> usize {
    let before = log.split(" in, ").next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

/// Ctrl-C at several moments: what was accepted comes out, all of it, once.
#[test]
fn ctrl_c_drains_what_was_accepted() {
    for wanted in [0, 1, 12] {
        let sandbox = Sandbox::new();
        let command = "seq 2000 > input; faas-chain run --run $R -o lines chain.json < input > out 2> log; echo $? > code";
        let mut terminal = on_terminal(&sandbox, command);
        let started = || sandbox.processes().iter().any(|(_, line)| line.starts_with("sleep"));
        assert!(sandbox.until(20, || started() && lines(&sandbox, "out").len() >= wanted));
        press(&mut terminal, b"\x03");
        assert!(sandbox.until(30, || !lines(&sandbox, "code").is_empty()), "it drains");
        terminal.wait().expect("it ends");
        assert_eq!(lines(&sandbox, "code"), ["130"]);
        let log = lines(&sandbox, "log").join("\n");
        let mut out = lines(&sandbox, "out");
        out.sort();
        out.dedup();
        assert_eq!(out.len(), accepted(&log), "{log}");
        assert!(log.contains(" 0 dead, 0 lost"), "{log}");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

/// A Ctrl-C in a pipeline hits all stages: those that read a pipe drain it.
#[test]
fn ctrl_c_in_a_pipeline_of_tools() {
    let sandbox = Sandbox::new();
    let command = "(trap '' INT; for i in $(seq 60); do echo $i; sleep 0.02; done) | \
                   faas-invoke -q -- cat | faas-chain run -q --run $R chain.json | \
                   faas-invoke -q -o lines -- cat > out; echo ${PIPESTATUS[*]} > code";
    let mut terminal = on_terminal(&sandbox, command);
    assert!(sandbox.until(20, || lines(&sandbox, "out").len() > 3));
    press(&mut terminal, b"\x03");
    assert!(sandbox.until(30, || !lines(&sandbox, "code").is_empty()), "it drains");
    terminal.wait().expect("it ends");
    let mut out = lines(&sandbox, "out");
    out.sort_by_key(|line| line.parse::<u32>().unwrap_or(0));
    let all: Vec<String> = (1..=60).map(|n| n.to_string()).collect();
    assert_eq!(out, all, "what was written comes out at the end: {:?}", lines(&sandbox, "code"));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let sandbox = Sandbox::new();
    let command =
        "faas-chain run --run $R -o lines chain.json < <(seq 2000) > out 2> log; echo $? > code";
    let mut terminal = on_terminal(&sandbox, command);
    assert!(sandbox.until(20, || !lines(&sandbox, "out").is_empty()));
    press(&mut terminal, b"\x03");
    std::thread::sleep(std::time::Duration::from_millis(100));
    press(&mut terminal, b"\x03");
    assert!(sandbox.until(10, || !lines(&sandbox, "code").is_empty()), "it stops");
    terminal.wait().expect("it ends");
    assert_eq!(lines(&sandbox, "code"), ["130"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// The terminal goes away: SIGHUP, as good as a SIGTERM.
#[test]
fn a_terminal_that_goes_away_leaves_nothing() {
    let sandbox = Sandbox::new();
    let command = "faas-chain run -q --run $R -o lines chain.json < <(seq 2000) > out";
    let mut terminal = on_terminal(&sandbox, command);
    assert!(sandbox.until(20, || !lines(&sandbox, "out").is_empty()));
    terminal.kill().expect("it is there");
    terminal.wait().expect("it ends");
    assert!(sandbox.until(30, || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A reader that has seen enough, at the end of a pipeline of all tools.
#[test]
fn head_ends_a_pipeline() {
    let sandbox = Sandbox::new();
    let command = "seq 100000 | faas-invoke -q -- cat | faas-chain run -q --run $R -o lines chain.json | head -2 > out; echo ${PIPESTATUS[*]} > code";
    let mut terminal = on_terminal(&sandbox, command);
    assert!(sandbox.until(30, || !lines(&sandbox, "code").is_empty()), "it ends");
    terminal.wait().expect("it ends");
    assert_eq!(lines(&sandbox, "out").len(), 2);
    let codes = lines(&sandbox, "code").join("");
    assert!(codes.ends_with(" 0 0 0"), "a closed stdout is not an error: {codes}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
