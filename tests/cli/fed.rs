//! An invoker that a test feeds line by line, and whose processes it knows.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a test waits for what is to happen, in seconds: only what hangs
/// takes that long.
pub(super) const PATIENCE: u64 = 20;

/// See the module.
pub(super) struct Fed<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl<'a> Fed<'a> {
    /// Runs `faas-invoke -o lines` with these arguments, as bash reads them.
    /// What it says goes to the file `said`.
    pub(super) fn new(sandbox: &'a Sandbox, arguments: &str) -> Self {
        let mut command = sandbox.script(&format!("exec faas-invoke -o lines {arguments} 2> said"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("bash runs");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("it is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { sandbox, child, stdin, lines }
    }

    /// Writes lines to it.
    pub(super) fn put(&mut self, lines: &str) {
        let stdin = self.stdin.as_mut().expect("its input has not ended");
        stdin.write_all(lines.as_bytes()).expect("it reads");
    }

    /// Its next line.
    pub(super) fn answer(&self) -> String {
        let line = self.lines.recv_timeout(Duration::from_secs(PATIENCE));
        line.unwrap_or_else(|_| panic!("no answer; {}", said(self.sandbox)))
    }

    /// Writes a line and waits for the answer.
    pub(super) fn ask(&mut self, line: &str) -> String {
        self.put(&format!("{line}\n"));
        self.answer()
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Ends its input; its exit code (128+N for signals) and what else it
    /// printed.
    pub(super) fn end(mut self) -> (i32, Vec<String>) {
        self.stdin = None;
        let mut ended = None;
        assert!(
            self.sandbox.until(3 * PATIENCE, || {
                ended = self.child.try_wait().expect("it is ours");
                ended.is_some()
            }),
            "it does not end; {}",
            said(self.sandbox)
        );
        let status = ended.expect("it has ended");
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(PATIENCE)) {
            rest.push(line);
        }
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        (code, rest)
    }
}

/// What the invoker and its functions have said.
pub(super) fn said(sandbox: &Sandbox) -> String {
    text(sandbox, "said")
}

/// A file of the sandbox; nothing if there is none.
pub(super) fn text(sandbox: &Sandbox, file: &str) -> String {
    std::fs::read_to_string(sandbox.path().join(file)).unwrap_or_default()
}

/// Sends a signal to a process.
pub(super) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

/// Kills the guard, which starts all functions.
pub(super) fn kill_guard(sandbox: &Sandbox) {
    let is_guard = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "faas-guard")
    };
    let guard = sandbox.processes().into_iter().map(|(pid, _)| pid).find(is_guard);
    signal(guard.expect("there is a guard"), Signal::SIGKILL);
}

/// The dead letters in `dead.ndjson`: body, reason, attempts.
pub(super) fn dead(sandbox: &Sandbox) -> Vec<(String, String, u64)> {
    let letters = text(sandbox, "dead.ndjson");
    let letters = letters.lines().map(|line| {
        let letter: serde_json::Value = serde_json::from_str(line).expect("an envelope");
        let data = &letter["data"];
        (
            data.as_str().map_or_else(|| data.to_string(), str::to_owned),
            letter["faasreason"].as_str().unwrap_or_default().to_owned(),
            letter["faasattempts"].as_u64().unwrap_or_default(),
        )
    });
    let mut dead: Vec<_> = letters.collect();
    dead.sort();
    dead
}
