//! What the tests share: a sandbox with a state directory and queue names of
//! its own, ways to run the tools in it, and to see what they left behind.

pub mod screen;
pub mod services;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The folder of the tools under test: where this test was built.
pub fn tools() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    let mut folder = exe.parent().expect("a test is in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("deps is in a folder");
    }
    let missing = ["faas-trigger", "faas-invoke", "faas-chain", "faas-queue"]
        .iter()
        .find(|tool| !folder.join(tool).is_file());
    assert!(missing.is_none(), "{} is not built; run `make test`", missing.expect("checked"));
    folder.to_owned()
}

/// The top folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is in the repository").to_owned()
}

/// A place of a test's own.
pub struct Sandbox {
    folder: tempfile::TempDir,
    prefix: String,
}

/// What a script came to.
#[derive(Debug)]
pub struct Came {
    /// Exit code; 128+N for signals.
    pub code: i32,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl Sandbox {
    /// A new one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("faas-test-").tempdir().expect("a folder");
        // Of one width, so that tables look the same in every run.
        let prefix = format!("t{:07}x{count:03}", std::process::id());
        Self { folder, prefix }
    }

    /// Its folder: working directory of what it runs.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A queue URL that no other test has.
    pub fn url(&self, name: &str) -> String {
        format!("mq:/{}-{name}", self.prefix)
    }

    /// A name for a run that no other test has; scripts have it as `$R`.
    pub fn run(&self) -> String {
        format!("{}-run", self.prefix)
    }

    /// Writes a file and makes it executable if it is a script.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        if text.starts_with("#!") {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&path, mode).expect("its mode can be set");
        }
        path
    }

    /// Copies a folder of the repository into the sandbox.
    pub fn copy(&self, folder: &str) -> PathBuf {
        let to = self.path().join(Path::new(folder).file_name().expect("a folder has a name"));
        let status = Command::new("cp").arg("-r").arg(repository().join(folder)).arg(&to).status();
        assert!(status.expect("cp runs").success());
        to
    }

    /// A command in the sandbox's environment.
    pub fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env("PATH", format!("{}:{path}", tools().display()))
            .env("FAAS_STATE_DIR", self.path().join("state"))
            .env("P", format!("mq:/{}-", self.prefix))
            .env("R", format!("{}-run", self.prefix))
            .env("NO_COLOR", "1")
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env_remove("CI");
        command
    }

    /// A script for bash, not yet run. `$P` stands before queue names.
    pub fn script(&self, script: &str) -> Command {
        let mut command = self.command("bash");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    /// Runs a script for bash to its end, at most a minute.
    pub fn sh(&self, script: &str) -> Came {
        let mut command = self.command("timeout");
        command.args(["-k", "1", "60", "bash", "-c", script]).stdin(Stdio::null());
        // Files, not pipes: who is left behind in the background does not
        // hold up the test.
        let file = || tempfile::tempfile().expect("a file");
        let (mut stdout, mut stderr) = (file(), file());
        let copy = |file: &File| Stdio::from(file.try_clone().expect("a descriptor"));
        command.stdout(copy(&stdout)).stderr(copy(&stderr));
        let status = command.status().expect("timeout runs");
        let all = |file: &mut File| {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0)).expect("it seeks");
            file.read_to_end(&mut bytes).expect("it reads");
            bytes
        };
        self.came(Output { status, stdout: all(&mut stdout), stderr: all(&mut stderr) })
    }

    /// Runs a script that must end with exit code 0; returns its stdout.
    pub fn ok(&self, script: &str) -> String {
        let came = self.sh(script);
        assert_eq!(came.code, 0, "{script}\n{}{}", came.stdout, came.stderr);
        came.stdout
    }

    /// What became of a finished process.
    pub fn came(&self, output: Output) -> Came {
        use std::os::unix::process::ExitStatusExt;
        let signal = || 128 + output.status.signal().unwrap_or(0);
        Came {
            code: output.status.code().unwrap_or_else(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A script's whole outcome for a snapshot: what differs from run to run
    /// is replaced, and what it left behind is said.
    pub fn told(&self, script: &str) -> String {
        let came = self.sh(script);
        let text = format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}--- left behind\n{}",
            came.code,
            came.stdout,
            came.stderr,
            self.left_behind().join("\n"),
        );
        self.redacted(&text)
    }

    /// Takes out what differs from run to run.
    pub fn redacted(&self, text: &str) -> String {
        let folder = self.path().to_string_lossy().into_owned();
        let mut text = text.replace(&folder, "SANDBOX").replace(&self.prefix, "P");
        let uid = nix::unistd::geteuid().to_string();
        text = text.replace(&format!("faas.{uid}."), "faas.UID.");
        for (pattern, word) in [("[0-9a-f]{32}", "ID"), ("[0-9a-f]{12}-", "TRIGGER-")] {
            text = replace_hex(&text, pattern.starts_with("[0-9a-f]{32}"), word);
        }
        text
    }

    /// Queues, processes and files of the sandbox that are still there.
    pub fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        let patience = Instant::now() + Duration::from_secs(2);
        while !self.processes().is_empty() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        left.extend(self.processes().into_iter().map(|(_, name)| format!("process {name}")));
        let state = self.path().join("state");
        for kind in ["queues", "runs", "books", "spill", "owners"] {
            let entries = fs::read_dir(state.join(kind)).into_iter().flatten().flatten();
            left.extend(entries.map(|e| format!("{kind} {}", e.file_name().to_string_lossy())));
        }
        for kind in ["slots", "bodies", "gather"] {
            for queue in fs::read_dir(state.join(kind)).into_iter().flatten().flatten() {
                let files = fs::read_dir(queue.path()).into_iter().flatten().count();
                if files > 0 {
                    left.push(format!("{kind} {files}"));
                }
            }
        }
        left
    }

    /// Processes that run in this sandbox: pid and command line.
    pub fn processes(&self) -> BTreeSet<(i32, String)> {
        let mark = format!("FAAS_STATE_DIR={}/", self.path().display());
        let mut found = BTreeSet::new();
        for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = environ
                .split(|&byte| byte == 0)
                .any(|variable| String::from_utf8_lossy(variable).starts_with(&mark));
            if ours {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let words: Vec<String> = line
                    .split(|&byte| byte == 0)
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .collect();
                found.insert((pid, words.join(" ").trim().to_owned()));
            }
        }
        found
    }

    /// Waits until `is` holds, at most `seconds`.
    pub fn until(&self, seconds: u64, mut is: impl FnMut() -> bool) -> bool {
        let patience = Instant::now() + Duration::from_secs(seconds);
        loop {
            if is() {
                return true;
            }
            if Instant::now() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    /// Queues live in the kernel: what a failed test left is removed here.
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        for entry in fs::read_dir(self.path().join("state/queues")).into_iter().flatten().flatten()
        {
            let name = format!("/{}", entry.file_name().to_string_lossy());
            let _ = nix::mqueue::mq_unlink(name.as_str());
        }
    }
}

/// Replaces runs of exactly 32 hexadecimal digits, or of 12 with a dash after.
fn replace_hex(text: &str, long: bool, word: &str) -> String {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|&&byte| is_hex(byte)).count();
        let dash = bytes.get(at + len) == Some(&b'-');
        let starts = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if starts && ((long && len == 32) || (!long && len == 12 && dash)) {
            out.push_str(word);
            at += len + usize::from(!long);
        } else {
            let step = len.max(text[at..].chars().next().map_or(1, char::len_utf8));
            out.push_str(&text[at..at + step]);
            at += step;
        }
    }
    out
}
