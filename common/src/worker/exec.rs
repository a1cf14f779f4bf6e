//! One call of an `exec` function: a process for this message alone.

use super::guard::{Guard, Outcome, Stdio};
use super::{environment, stdin};
use crate::event::{Body, Event, Show, print_envelope};
use crate::limits::{BODY_MAX, STDERR_KEPT};
use crate::poll::{Interest, Poller};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// How much of one call's output is read before others have their turn.
const READ_AT_ONCE: usize = 1 << 20;

/// Marks a token as a call's stderr; without it, its stdout.
pub const STDERR: u64 = 1;

/// What is called, for what.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The call's number.
    pub call: u64,
    /// The function's index with the guard.
    pub function: usize,
    /// Its name.
    pub name: &'a str,
    /// The event it works on.
    pub event: &'a Event,
    /// Whether it gets the whole envelope instead of the body.
    pub whole_event: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Call {
    stdout: Option<File>,
    stderr: Option<File>,
    /// What it printed so far.
    pub output: Vec<u8>,
    /// The end of what it said on stderr.
    pub stderr_tail: Vec<u8>,
    /// Why it was killed by us, if it was.
    pub killed: Option<Kill>,
}

/// Why a call was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// It took longer than its timeout.
    Timeout,
    /// It printed more than a body may have.
    OutputTooLarge,
}

/// How a call ended, all told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// With an exit code.
    Exit(i32),
    /// By a signal that we did not send.
    Signal(i32),
    /// It could not be started; the system's error number.
    NotStarted(i32),
    /// We killed it.
    Killed(Kill),
    /// Its guard died, and it with it.
    GuardDied,
}

impl Call {
    /// Starts a function for an event.
    ///
    /// # Errors
    /// No descriptors left, a body that cannot be read, or no guard.
    pub fn start(
        guard: &Guard,
        poller: &Poller,
        token: u64,
        start: &Start<'_>,
    ) -> io::Result<Self> {
        let event = start.event;
        let input = if start.whole_event { Some(envelope_of(event)?) } else { event.body.clone() };
        let (stdout, their_stdout) = output_pipe()?;
        let (stderr, their_stderr) = output_pipe()?;
        let stdio =
            Stdio { stdin: stdin::of(input.as_ref())?, stdout: their_stdout, stderr: their_stderr };
        poller.add(&stdout, token, Interest::Read)?;
        poller.add(&stderr, token | STDERR, Interest::Read)?;
        let env = environment::of(event, start.name, start.attempt);
        guard.spawn(start.call, start.function, env, &stdio)?;
        Ok(Self {
            stdout: Some(stdout),
            stderr: Some(stderr),
            output: Vec::new(),
            stderr_tail: Vec::new(),
            killed: None,
        })
    }

    /// Reads what is in its stdout; `false` when it printed too much.
    pub fn read_stdout(&mut self) -> bool {
        drain(&mut self.stdout, &mut self.output, READ_AT_ONCE);
        self.output.len() as u64 <= BODY_MAX
    }

    /// Reads what is in its stderr and returns it.
    pub fn read_stderr(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        drain(&mut self.stderr, &mut said, 64 << 10);
        self.stderr_tail.extend_from_slice(&said);
        let over = self.stderr_tail.len().saturating_sub(STDERR_KEPT);
        self.stderr_tail.drain(..over);
        said
    }

    /// Reads the rest once its process is gone, and says how it ended. What
    /// is in the pipes by then counts, no more: somebody it left behind may
    /// still be writing.
    pub fn finish(&mut self, outcome: Outcome) -> (CallEnd, Vec<u8>) {
        let left = capacity(self.stdout.as_ref());
        drain(&mut self.stdout, &mut self.output, left);
        let fits = self.output.len() as u64 <= BODY_MAX;
        let said = self.read_stderr();
        let end = match (self.killed, outcome) {
            (Some(kill), _) => CallEnd::Killed(kill),
            (None, _) if !fits => CallEnd::Killed(Kill::OutputTooLarge),
            (None, Outcome::Exit(code)) => CallEnd::Exit(code),
            (None, Outcome::Signal(signal)) => CallEnd::Signal(signal),
            (None, Outcome::NotStarted(errno)) => CallEnd::NotStarted(errno),
        };
        (end, said)
    }
}

fn envelope_of(event: &Event) -> io::Result<Body> {
    let mut line = Vec::new();
    print_envelope(event, Show { exact: true, control: false }, &mut line)?;
    Ok(Body::Inline(line))
}

/// Our end, which never blocks, and theirs.
fn output_pipe() -> io::Result<(File, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((File::from(ours), theirs))
}

/// How much a pipe can hold at most.
fn capacity(pipe: Option<&File>) -> usize {
    let size = pipe.and_then(|pipe| fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok());
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(64 << 10)
}

/// Reads until there is nothing, the end (then the pipe is closed), or
/// `most` bytes were read.
fn drain(pipe: &mut Option<File>, into: &mut Vec<u8>, most: usize) {
    let Some(file) = pipe else { return };
    let mut chunk = [0_u8; 16 << 10];
    let mut left = most;
    while left > 0 {
        let len = left.min(chunk.len());
        match file.read(&mut chunk[..len]) {
            Ok(0) => break,
            Ok(len) => {
                into.extend_from_slice(&chunk[..len]);
                left -= len;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => break,
        }
    }
    if left > 0 {
        *pipe = None;
    }
}

impl std::fmt::Display for CallEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Self::NotStarted(errno) => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "cannot be started: {}", crate::error::plain_io(&error))
            }
            Self::Killed(Kill::Timeout) => f.write_str("timeout"),
            Self::Killed(Kill::OutputTooLarge) => f.write_str("output over the limit of 1 GiB"),
            Self::GuardDied => f.write_str("its guard was killed"),
        }
    }
}
