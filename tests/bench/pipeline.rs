//! The same functions as a shell would put them together: their stdouts and
//! stdins joined by pipes. Nothing is kept, nothing can branch.

use crate::process::Process;
use crate::program::Program;
use crate::subject::{BODY, Subject};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

/// A pipeline of filters.
pub struct Pipeline {
    _middle: Vec<Process>,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Pipeline {
    /// Starts it.
    pub fn start(hops: usize, program: &Program) -> Self {
        let mut processes = Vec::new();
        let mut first = None;
        let mut last: Option<ChildStdout> = None;
        for _ in 0..hops {
            let mut command = program.command();
            if let Some(before) = last.take() {
                command.stdin(Stdio::from(before));
            }
            let mut child = command.spawn().expect("it can be started");
            first = first.or(child.stdin.take());
            last = child.stdout.take();
            processes.push(Process::of(child));
        }
        let stdout = BufReader::new(last.expect("one at least"));
        Self { _middle: processes, stdin: first, stdout }
    }
}

impl Subject for Pipeline {
    fn name(&self) -> &'static str {
        "shell pipeline"
    }

    fn try_send(&mut self) -> bool {
        let line = [BODY, b"\n"].concat();
        self.stdin.as_mut().expect("open").write_all(&line).expect("it reads");
        true
    }

    fn receive(&mut self) -> Option<u64> {
        let mut line = Vec::new();
        self.stdout.read_until(b'\n', &mut line).expect("it answers");
        assert_eq!(&line[..line.len() - 1], BODY);
        None
    }
}
