//! What the tests of brokers share: a sandbox beside a broker, tools that are
//! disturbed while they work, and what came of it, counted.

use faas_tests::{Came, Sandbox, repository};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long something that was started may take until it shows.
pub const PATIENCE_SECS: u64 = 150;

/// A sandbox and the broker that its queues are on. Scripts have the broker's
/// URL as `$U` and the name of a run that nobody else has as `$R`.
pub struct Place {
    pub sandbox: Sandbox,
    pub url: String,
}

impl Place {
    /// A new sandbox beside this broker.
    pub fn new(url: &str) -> Self {
        Self { sandbox: Sandbox::new(), url: url.to_owned() }
    }

    fn with_url(&self, script: &str) -> String {
        format!("export U='{}'\n{script}", self.url)
    }

    /// Runs a script to its end, at most a minute.
    pub fn sh(&self, script: &str) -> Came {
        self.sandbox.sh(&self.with_url(script))
    }

    /// Runs a script that must end with exit code 0; returns its stdout.
    pub fn ok(&self, script: &str) -> String {
        self.sandbox.ok(&self.with_url(script))
    }

    /// Starts a command that goes on beside the test. Its stdout is in
    /// `NAME.out` and its stderr in `NAME.err`, after what is there.
    pub fn start(&self, name: &str, command: &str) -> Running {
        let log = |end: &str| {
            let path = self.sandbox.path().join(format!("{name}.{end}"));
            Stdio::from(File::options().create(true).append(true).open(path).expect("a file"))
        };
        let mut script = self.sandbox.script(&self.with_url(&format!("exec {command}")));
        Running(script.stdout(log("out")).stderr(log("err")).spawn().expect("it starts"))
    }

    /// A file of the sandbox; nothing if there is none.
    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.sandbox.path().join(file)).unwrap_or_default()
    }

    /// Waits until this holds.
    pub fn until(&self, what: &str, is: impl FnMut() -> bool) {
        let said = || ["one.err", "two.err", "run.err"].map(|file| self.text(file));
        assert!(self.sandbox.until(PATIENCE_SECS, is), "it took too long: {what}\n{:?}", said());
    }

    /// Waits until a file has so many lines.
    pub fn until_lines(&self, file: &str, count: usize) {
        self.until(&format!("{count} lines in {file}"), || {
            self.text(file).lines().count() >= count
        });
    }
}

/// A tool that was started. It is killed with the test.
pub struct Running(Child);

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid is small");
        kill(Pid::from_raw(pid), signal).expect("it is there");
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Tells it to end, and waits until it has: its exit code, 128+N for
    /// signals.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_some()
    }

    /// Waits for its end, four minutes at most: its exit code, 128+N for signals.
    pub fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let patience = Instant::now() + Duration::from_secs(240);
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(Instant::now() < patience, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How often each value and each id came.
#[derive(Debug, Default)]
pub struct Seen {
    pub values: BTreeMap<String, usize>,
    pub ids: BTreeMap<String, usize>,
}

impl Seen {
    /// Of envelopes, one on each line; the rest of a cut line is left out.
    pub fn of(text: &str) -> Self {
        let mut seen = Self::default();
        for line in text.lines() {
            let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            *seen.values.entry(event["data"].to_string()).or_default() += 1;
            *seen.ids.entry(event["id"].to_string()).or_default() += 1;
        }
        seen
    }

    /// Asserts that each number from 1 to `last` came, and nothing else.
    pub fn has_all(&self, last: usize) {
        let missing: Vec<usize> =
            (1..=last).filter(|n| !self.values.contains_key(&n.to_string())).collect();
        assert!(missing.is_empty(), "{} of {last} are lost: {missing:?}", missing.len());
        assert_eq!(self.values.len(), last, "something else came: {:?}", self.values);
    }

    /// Asserts that nothing came twice.
    pub fn has_none_twice(&self) {
        let twice: Vec<_> = self.values.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "came more than once: {twice:?}");
    }
}

/// Runs an example on its own data, as its results and its dead letters.
pub fn example(place: &Place, name: &str, input: &str, flags: &str) -> (Vec<String>, String) {
    place.sandbox.copy(&format!("examples/{name}"));
    let came = place.sh(&format!(
        "cd {name}; faas-chain run --run $R --via \"$U\" -o lines --dead ../dead.ndjson {flags} \
         chain.json < {input}"
    ));
    let dead = place.text("dead.ndjson");
    assert_eq!(came.code, i32::from(!dead.is_empty()), "{came:?}");
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    (sorted(&came.stdout), dead)
}

/// What an example says that it gives: a file below `examples/`.
pub fn expected(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("examples").join(file));
    sorted(&text.expect("it is there"))
}

/// The lines of a text, sorted.
pub fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
