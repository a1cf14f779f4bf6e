//! The functions that are measured, and what both sides start them from.

use crate::process::Process;
use std::io::{BufRead, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A function of the measured chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether it is kept and gets line after line.
    pub is_filter: bool,
    /// Whether its next process is started ahead.
    pub is_ahead: bool,
}

impl Program {
    /// `cat`, which does nothing: kept, or started for each message.
    pub fn cat(is_filter: bool) -> Self {
        Self { argv: vec!["cat".to_owned()], is_filter, is_ahead: false }
    }

    /// A filter that counts to a fixed number for each line.
    pub fn burn(count: u64) -> Self {
        let argv = vec![exe(), "burn".to_owned(), count.to_string()];
        Self { argv, is_filter: true, is_ahead: false }
    }

    /// What a chain file says of it.
    pub fn json(&self) -> String {
        let run = serde_json::to_string(&self.argv).expect("strings");
        let worker = if self.is_filter { "filter" } else { "exec" };
        let ahead = self.is_ahead;
        format!(
            "{{ \"run\": {run}, \"worker\": \"{worker}\", \"ahead\": {ahead}, \"keep\": \"always\" }}"
        )
    }

    /// A command that runs it, on pipes.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

/// A filter that is kept, as a bare loop uses it: a line in, a line out.
pub struct Filter {
    stdin: ChildStdin,
    stdout: ChildStdout,
    line: [u8; 1024],
}

impl Filter {
    /// Starts it.
    pub fn start(program: &Program) -> Self {
        let (stdin, stdout) = Process::start(program.command()).split();
        Self { stdin, stdout, line: [0; 1024] }
    }

    /// What it answers to a body.
    pub fn ask(&mut self, body: &[u8]) -> &[u8] {
        self.line[..body.len()].copy_from_slice(body);
        self.line[body.len()] = b'\n';
        self.stdin.write_all(&self.line[..=body.len()]).expect("it reads");
        let mut have = 0;
        while have == 0 || self.line[have - 1] != b'\n' {
            have += self.stdout.read(&mut self.line[have..]).expect("it answers");
        }
        &self.line[..have - 1]
    }
}

/// This program.
pub fn exe() -> String {
    std::env::current_exe().expect("it has a path").display().to_string()
}

/// The filter that burns: a line in, some work, the line out.
pub fn burn(count: u64) {
    let (stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    for line in stdin.lines() {
        let mut line = line.expect("a line");
        work(count);
        line.push('\n');
        stdout.write_all(line.as_bytes()).expect("a reader");
        stdout.flush().expect("a reader");
    }
}

fn work(count: u64) {
    let mut state = count;
    for step in 0..count {
        state = std::hint::black_box(state.rotate_left(5) ^ step);
    }
}

/// How many steps take that long here; the least of several tries, for the
/// others were disturbed.
pub fn calibrate(time: Duration) -> u64 {
    const STEPS: u64 = 100_000;
    let tries = (0..50).map(|_| {
        let began = Instant::now();
        work(STEPS);
        began.elapsed()
    });
    let least = tries.min().expect("fifty tries");
    (time.as_secs_f64() / least.as_secs_f64() * STEPS as f64) as u64
}
