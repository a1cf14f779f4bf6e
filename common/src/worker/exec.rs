//! One call of an `exec` function: a process for this message alone.

use super::end::{CallEnd, Kill};
use super::guard::{Guard, Outcome, Stdio};
use super::output::{Stdin, capacity, input_pipe, output_pipe};
use super::spool::Spool;
use super::stderr::Stderr;
use super::{environment, stdin, token};
use crate::event::{Body, Event, Show, print_envelope};
use crate::limits::BODY_MAX;
use crate::poll::{Interest, Poller};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How much of one call's output is read before others have their turn.
const READ_AT_ONCE: usize = 1 << 20;

/// How much of a body in a file is fed to a spare at once.
const FEED_AT_ONCE: usize = 64 << 10;

/// What is called, for what.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The call's number.
    pub call: u64,
    /// The function's index with the guard.
    pub function: usize,
    /// Its name.
    pub name: &'a str,
    /// Whether it is told of the event in its environment.
    pub tells: bool,
    /// The event it works on.
    pub event: &'a Event,
    /// Whether it gets the whole envelope instead of the body.
    pub whole_event: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where large output goes; none for memory.
    pub spool: Option<&'a Path>,
}

/// A call that is under way, or a process that waits for one.
#[derive(Debug)]
pub struct Call {
    stdout: Option<File>,
    /// Its log.
    pub stderr: Stderr,
    /// What it printed so far.
    pub output: Spool,
    /// Why it was killed by us, if it was.
    pub killed: Option<Kill>,
    /// The stdin of a process that was started ahead of its message.
    stdin: Option<Stdin>,
    input: Option<Body>,
    fed: u64,
    wants_room: bool,
    /// When its output ended.
    output_ended: Option<Instant>,
}

impl Call {
    /// Starts a function for an event. `base` is the token of its stdout;
    /// with [`token`] of its other pipes.
    ///
    /// # Errors
    /// No descriptors left, a body that cannot be read, or no guard.
    pub fn start(guard: &Guard, poller: &Poller, base: u64, start: &Start<'_>) -> io::Result<Self> {
        let input = input_of(start.event, start.whole_event)?;
        let env = if start.tells {
            environment::of(start.event, start.name, start.attempt)
        } else {
            environment::of_process(start.name)
        };
        let stdin = (stdin::of(input.as_ref())?, None);
        let folder = start.spool.map(Path::to_owned);
        Self::spawn(guard, poller, base, (start.call, start.function), env, stdin, folder)
    }

    /// Starts a process before its message is there: it waits at its stdin.
    ///
    /// # Errors
    /// As [`Call::start`].
    pub fn ahead(
        guard: &Guard,
        poller: &Poller,
        base: u64,
        process: (u64, usize),
        env: Vec<(String, String)>,
        spool: Option<PathBuf>,
    ) -> io::Result<Self> {
        let (theirs, ours, spare) = input_pipe()?;
        let stdin = (theirs, Some(spare));
        let mut call = Self::spawn(guard, poller, base, process, env, stdin, spool)?;
        call.stdin = Some(ours);
        Ok(call)
    }

    fn spawn(
        guard: &Guard,
        poller: &Poller,
        base: u64,
        process: (u64, usize),
        env: Vec<(String, String)>,
        stdin: (OwnedFd, Option<OwnedFd>),
        folder: Option<PathBuf>,
    ) -> io::Result<Self> {
        let (stdout, their_stdout) = output_pipe()?;
        let (stderr, their_stderr) = output_pipe()?;
        let stdio =
            Stdio { stdin: stdin.0, stdout: their_stdout, stderr: their_stderr, held: stdin.1 };
        poller.add(&stdout, base, Interest::Read)?;
        poller.add(&stderr, base | token::STDERR, Interest::Read)?;
        guard.spawn(process.0, process.1, env, &stdio)?;
        Ok(Self {
            stdout: Some(stdout),
            stderr: Stderr::new(stderr),
            output: Spool::new(folder),
            killed: None,
            stdin: None,
            input: None,
            fed: 0,
            wants_room: false,
            output_ended: None,
        })
    }

    /// Gives a process that was started ahead its message.
    ///
    /// # Errors
    /// A body that cannot be read.
    pub fn give(&mut self, event: &Event, whole_event: bool) -> io::Result<()> {
        self.input = input_of(event, whole_event)?;
        Ok(())
    }

    /// Writes what there is room for; once all of it is written its stdin
    /// ends. A process that closed it early reads no more.
    ///
    /// # Errors
    /// The body cannot be read; the process must be killed, for its input has
    /// no end yet.
    pub fn feed(&mut self, poller: &Poller, base: u64) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        let len = self.input.as_ref().map_or(0, Body::len);
        let mut chunk = Vec::new();
        while self.fed < len {
            let piece = match &self.input {
                Some(Body::Inline(bytes)) => &bytes[self.fed as usize..],
                Some(Body::File(kept)) => {
                    chunk.resize(FEED_AT_ONCE.min((len - self.fed) as usize), 0);
                    kept.file.read_exact_at(&mut chunk, self.fed)?;
                    &chunk
                }
                None => &[],
            };
            match stdin.pipe.write(piece) {
                Ok(written) => self.fed += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !std::mem::replace(&mut self.wants_room, true) {
                        let token = base | token::STDIN;
                        poller.add(&stdin.pipe, token, Interest::Write)?;
                    }
                    return Ok(());
                }
                Err(_) => break,
            }
        }
        if let Some(stdin) = self.stdin.take() {
            stdin.end();
        }
        self.input = None;
        Ok(())
    }

    /// Reads what is in its stdout; `false` when it printed too much.
    pub fn read_stdout(&mut self) -> bool {
        self.output.fill(&mut self.stdout, READ_AT_ONCE);
        if self.stdout.is_none() {
            self.output_ended.get_or_insert_with(Instant::now);
        }
        self.output.len() <= BODY_MAX
    }

    /// When the end of its output was seen, if it was before its own.
    pub fn output_ended(&self) -> Option<Instant> {
        self.output_ended
    }

    /// Reads the rest once its process is gone, and says how it ended. What
    /// is in the pipes by then counts, no more: somebody it left behind may
    /// still be writing.
    pub fn finish(&mut self, outcome: Outcome) -> CallEnd {
        let left = capacity(self.stdout.as_ref());
        self.output.fill(&mut self.stdout, left);
        // In memory it stops early, to go on in a file.
        self.output.fill(&mut self.stdout, left);
        let fits = self.output.len() <= BODY_MAX;
        match (self.killed, outcome) {
            (Some(kill), _) => CallEnd::Killed(kill),
            (None, _) if !fits => CallEnd::Killed(Kill::OutputTooLarge),
            (None, outcome) => outcome.into(),
        }
    }
}

impl From<Outcome> for CallEnd {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Exit(code) => Self::Exit(code),
            Outcome::Signal(signal) => Self::Signal(signal),
            Outcome::NotStarted(errno) => Self::NotStarted(errno),
        }
    }
}

fn input_of(event: &Event, whole_event: bool) -> io::Result<Option<Body>> {
    if !whole_event {
        return Ok(event.body.clone());
    }
    let mut line = Vec::new();
    print_envelope(event, Show { exact: true, control: false }, &mut line)?;
    Ok(Some(Body::Inline(line)))
}
