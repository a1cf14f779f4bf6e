//! Programs that the measurements start, and end again.

use std::io::Read;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

/// One of our tools, from where this program is: built in the same way.
pub fn tool(name: &str) -> Command {
    let exe = std::env::current_exe().expect("it has a path");
    Command::new(exe.with_file_name(name))
}

/// A process of ours; killed and waited for when dropped.
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("it can be started"))
    }

    /// Around one that runs.
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Its pipes, for good: it ends when its stdin does.
    pub fn split(mut self) -> (ChildStdin, ChildStdout) {
        let pipes = self.pipes();
        // The process outlives this handle on purpose.
        std::mem::forget(self);
        pipes
    }

    /// Its pipes.
    pub fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        (self.0.stdin.take().expect("piped"), self.0.stdout.take().expect("piped"))
    }

    /// Waits for a line on its stdout.
    pub fn wait_ready(&mut self) {
        let stdout = self.0.stdout.as_mut().expect("piped");
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("it becomes ready");
            line.push(byte[0]);
        }
    }

    /// Asks it to end, and returns what it said until then.
    pub fn finish(mut self) -> String {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let mut text = String::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            let _ = stdout.read_to_string(&mut text);
        }
        text
    }

    /// A figure of `/proc/PID/FILE`, by its label.
    pub fn figure(&self, file: &str, label: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id()));
        let text = text.expect("it is there");
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        let digits = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
        digits.and_then(|digits| digits.parse().ok()).expect("a figure")
    }
}

impl Drop for Process {
    /// Asked first: what it has started itself would outlive it.
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(2);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
