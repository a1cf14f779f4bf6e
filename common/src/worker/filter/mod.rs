//! A filter: one warm process, a line in, a line out.
//!
//! A stray or missing line must never shift later answers to the wrong
//! message. So a line is sent only to a process that waits for input and has
//! nothing left to say, and an answer counts once the process waits again
//! ([`stance`]); everything else is a breach of the protocol, for which the
//! process is killed. Programs that cannot be watched (a shell around a
//! pipeline, a container) are trusted with that.

pub mod cure;
pub mod lines;
pub mod stance;

pub use lines::Breach;

use super::guard::{Guard, Stdio};
use super::output::{Stdin, capacity, drain, input_pipe, output_pipe};
use super::stderr::Stderr;
use super::token;
use crate::event::{Event, Show, print_envelope};
use crate::limits::{
    ANSWER_HELD_MAX_MS, FILTER_ASK_MAX_MS, FILTER_OPAQUE_MAX_MS, FILTER_OPAQUE_MS,
};
use crate::poll::{Interest, Poller};
use lines::Lines;
use stance::{Stance, Watch};
use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// How often a process is looked at before its turn comes again later.
const LOOKS_AT_ONCE: u32 = 30;

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Started; it has not asked for input yet.
    Booting,
    /// Up.
    Up,
    /// Its input has ended.
    Leaving,
}

/// What came of a look at a process.
#[derive(Debug, Default)]
pub struct Step {
    /// Answers that count, by call.
    pub answers: Vec<(u64, Vec<u8>)>,
    /// It broke the protocol.
    pub breach: Option<Breach>,
    /// It is to be looked at again in a moment.
    pub again: bool,
    /// How long it took to ask for its first line, when it just did.
    pub booted: Option<Duration>,
}

/// A running filter.
#[derive(Debug)]
pub struct Filter {
    stdin: Option<Stdin>,
    stdout: Option<File>,
    /// Where a read puts what it says: nothing is cleared for each read.
    chunk: Box<[u8]>,
    /// Its log.
    pub stderr: Stderr,
    lines: Lines,
    by_id: bool,
    phase: Phase,
    began: Instant,
    watch: Option<Watch>,
    /// Set for a process that cannot be watched.
    is_opaque: bool,
    /// Whether it was last seen in an event loop with a timer.
    is_timed: bool,
    /// Since when it waits for something else than its input.
    elsewhere_since: Option<Instant>,
    /// Whether it was seen waiting for input since its last answer.
    is_settled: bool,
    /// When its last answer came.
    answered: Option<Instant>,
    /// Calls whose lines were not sent at all, for the process is not ready.
    waiting: Vec<(u64, String, Vec<u8>)>,
    /// What is being sent.
    unsent: Vec<u8>,
    /// Calls whose lines it is.
    untaken: Vec<u64>,
    /// Whether it reads no more.
    is_closed: bool,
    sent: usize,
    /// Whether room in its stdin is waited for.
    wants_room: bool,
    /// When a line was sent last.
    asked: Option<Instant>,
}

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// A function's input as a line of its filter.
///
/// # Errors
/// Why there is no such line.
pub fn line_of(event: &Event, whole_event: bool) -> Result<Vec<u8>, String> {
    if whole_event {
        let mut line = Vec::new();
        print_envelope(event, Show { exact: true, control: false }, &mut line)
            .map_err(|error| error.to_string())?;
        return Ok(line);
    }
    let Some(body) = &event.body else { return Ok(b"\n".to_vec()) };
    let bytes = body.load().map_err(|error| crate::error::plain_io(&error))?;
    if bytes.contains(&b'\n') {
        return Err("filter: a body with a line break is no line".to_owned());
    }
    let mut line = Vec::with_capacity(bytes.len() + 1);
    line.extend_from_slice(&bytes);
    line.push(b'\n');
    Ok(line)
}

impl Filter {
    /// Starts a process; `base` is its token, `by_id` whether it may have
    /// several lines in flight.
    ///
    /// # Errors
    /// No descriptors left, or no guard.
    pub fn start(
        guard: &Guard,
        poller: &Poller,
        base: u64,
        process: (u64, usize),
        env: Vec<(String, String)>,
        by_id: bool,
    ) -> io::Result<Self> {
        let (their_stdin, stdin, spare) = input_pipe()?;
        let (stdout, their_stdout) = output_pipe()?;
        let (stderr, their_stderr) = output_pipe()?;
        poller.add(&stdout, base | token::STDOUT, Interest::Read)?;
        poller.add(&stderr, base | token::STDERR, Interest::Read)?;
        let stdio = Stdio {
            stdin: their_stdin,
            stdout: their_stdout,
            stderr: their_stderr,
            held: Some(spare),
        };
        guard.spawn(process.0, process.1, env, &stdio)?;
        Ok(Self {
            stdin: Some(stdin),
            stdout: Some(stdout),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            stderr: Stderr::new(stderr),
            lines: Lines::new(by_id),
            by_id,
            phase: Phase::Booting,
            began: Instant::now(),
            watch: None,
            is_opaque: false,
            is_timed: false,
            elsewhere_since: None,
            is_settled: false,
            answered: None,
            waiting: Vec::new(),
            unsent: Vec::new(),
            untaken: Vec::new(),
            is_closed: false,
            sent: 0,
            wants_room: false,
            asked: None,
        })
    }

    /// It runs, under this process id.
    pub fn started(&mut self, pid: i32) {
        self.watch = Some(Watch::of(pid));
    }

    /// A line for it; it is sent when the process is ready for it.
    pub fn ask(&mut self, call: u64, id: &str, line: Vec<u8>) {
        if self.in_flight() == 0 {
            self.stderr.begin_call();
        }
        self.waiting.push((call, id.to_owned(), line));
    }

    /// Calls without an accepted answer.
    pub fn in_flight(&self) -> usize {
        self.lines.in_flight() + self.waiting.len()
    }

    /// Whether it took a line, so long ago, and waits for the next one without
    /// an answer: it holds its output back, or does not answer every line.
    pub fn is_silent(&self, for_ms: u64) -> bool {
        let is_due = self.asked.is_some_and(|at| at.elapsed().as_millis() >= for_ms.into());
        let waits = || {
            self.watch.as_ref().is_some_and(|watch| match watch.look() {
                Stance::Waits => true,
                _ => self.is_opaque && watch.heir_waits() == Some(true),
            })
        };
        is_due && self.unsent.is_empty() && self.lines.in_flight() > 0 && waits()
    }

    /// Whether lines can still be sent to it.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Leaving
    }

    /// How long it has been up without asking for its first line.
    pub fn is_booting(&self) -> bool {
        self.phase == Phase::Booting
    }

    /// Ends its input, for good.
    pub fn leave(&mut self) {
        self.phase = Phase::Leaving;
        if let Some(stdin) = self.stdin.take() {
            stdin.end();
        }
    }

    /// Hears it out and sends what it is ready for.
    pub fn step(&mut self, poller: &Poller, base: u64) -> Step {
        let mut step = Step::default();
        if let Err(breach) = self.hear().and_then(|()| self.go_on(&mut step)) {
            step.answers.extend(if self.by_id { self.lines.accept() } else { Vec::new() });
            step.breach = Some(breach);
            return step;
        }
        self.send(poller, base);
        step.again |= !self.waiting.is_empty() && !self.is_closed;
        step
    }

    /// What is left once its process is gone: the answers that were whole,
    /// and the calls that have none, with whether the process had its chance.
    pub fn finish(&mut self) -> (Step, Vec<(u64, bool)>) {
        let mut step = Step::default();
        let mut said = Vec::new();
        let left = capacity(self.stdout.as_ref());
        drain(&mut self.stdout, &mut said, left);
        step.breach = self.lines.hear(&said).err();
        if step.breach.is_none() || self.by_id {
            step.answers = self.lines.accept();
        }
        // One that never asked for a line has failed whoever waits for it.
        let had_chance = self.phase == Phase::Booting;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        // Of a line that could not be written it has seen nothing.
        let untaken = if self.sent == 0 { std::mem::take(&mut self.untaken) } else { Vec::new() };
        let asked = self.lines.abandon().into_iter();
        let asked = asked.map(|call| (call, !untaken.contains(&call)));
        let lost = asked.chain(waiting.map(|(call, ..)| (call, had_chance))).collect();
        (step, lost)
    }

    fn hear(&mut self) -> Result<(), Breach> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        loop {
            let len = match stdout.read(&mut self.chunk) {
                Ok(0) => break self.stdout = None,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if self.phase == Phase::Leaving {
                continue;
            }
            let had_answer = self.lines.has_answer();
            self.lines.hear(&self.chunk[..len])?;
            if self.lines.has_answer() && !had_answer {
                self.answered = Some(Instant::now());
            }
            // What comes after a short read is announced again.
            if len < self.chunk.len() {
                break;
            }
        }
        Ok(())
    }

    fn go_on(&mut self, step: &mut Step) -> Result<(), Breach> {
        if self.phase == Phase::Booting && !self.has_booted(step)? {
            step.again = true;
            return Ok(());
        }
        if !self.lines.has_answer() {
            return Ok(());
        }
        let held_ms = self.answered.map_or(0, |at| at.elapsed().as_millis());
        self.is_settled = self.by_id || self.waits_with_nothing_to_say()?;
        if !self.is_settled && held_ms < ANSWER_HELD_MAX_MS.into() {
            step.again = true;
            return Ok(());
        }
        step.answers = self.lines.accept();
        Ok(())
    }

    /// Whether it asks for its first line.
    fn has_booted(&mut self, step: &mut Step) -> Result<bool, Breach> {
        if self.watch.is_none() {
            return Ok(false);
        }
        let waits = self.waits_with_nothing_to_say()?;
        if !waits && !self.is_stuck() {
            return Ok(false);
        }
        self.hear()?;
        self.is_opaque |= !waits;
        self.is_settled = true;
        self.phase = Phase::Up;
        step.booted = Some(self.began.elapsed());
        Ok(true)
    }

    /// Whether it has waited for something else for so long that it may never
    /// do otherwise: a shell around a pipeline, an event loop with a timer.
    fn is_stuck(&self) -> bool {
        let Some(elsewhere) = self.elsewhere_since.map(|since| since.elapsed()) else {
            return false;
        };
        let is_pipeline =
            || self.watch.as_ref().is_some_and(|watch| watch.heir_waits() == Some(true));
        elsewhere >= Duration::from_millis(FILTER_OPAQUE_MAX_MS)
            || (elsewhere >= Duration::from_millis(FILTER_OPAQUE_MS) && is_pipeline())
    }

    /// Looks whether it waits for input; what it said before counts as heard.
    /// One that cannot be watched is trusted.
    fn waits_with_nothing_to_say(&mut self) -> Result<bool, Breach> {
        let Some(watch) = &self.watch else { return Ok(false) };
        for look in 0..LOOKS_AT_ONCE {
            let stance = watch.look();
            match stance {
                // `look` has told the two apart.
                Stance::Waits | Stance::Several => {
                    // It can be watched after all.
                    (self.is_opaque, self.elsewhere_since) = (false, None);
                    self.hear()?;
                    return Ok(true);
                }
                Stance::Unknown => self.is_opaque = true,
                Stance::Gone => return Ok(false),
                Stance::Busy => self.elsewhere_since = None,
                Stance::Timed | Stance::Elsewhere => {
                    self.elsewhere_since.get_or_insert_with(Instant::now);
                }
            }
            self.is_timed = stance == Stance::Timed;
            if self.is_opaque {
                return Ok(true);
            }
            if self.phase == Phase::Booting && look > 2 {
                break;
            }
            std::thread::yield_now();
        }
        Ok(false)
    }

    /// Whether the next line may be sent. An event loop with a timer may never
    /// be seen to wait for input alone.
    fn is_ready(&mut self) -> bool {
        if self.phase != Phase::Up || self.by_id || self.is_settled {
            return self.phase == Phase::Up;
        }
        // A breach shows when its answer is heard.
        self.is_settled = self.waits_with_nothing_to_say().unwrap_or(true);
        let limit = Duration::from_millis(FILTER_ASK_MAX_MS);
        let is_late = self.answered.is_none_or(|at| at.elapsed() >= limit);
        self.is_settled |= is_late && self.is_timed;
        self.is_settled
    }

    fn send(&mut self, poller: &Poller, base: u64) {
        if !self.waiting.is_empty() && !self.is_closed && self.is_ready() {
            self.untaken.clear();
            for (call, id, line) in self.waiting.drain(..) {
                self.lines.ask(call, &id);
                self.unsent.extend_from_slice(&line);
                self.untaken.push(call);
            }
            (self.is_settled, self.asked) = (false, Some(Instant::now()));
        }
        if self.unsent.is_empty() {
            return;
        }
        let Some(stdin) = &mut self.stdin else { return };
        while self.sent < self.unsent.len() {
            match stdin.pipe.write(&self.unsent[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !std::mem::replace(&mut self.wants_room, true) {
                        // It is in the set at most once.
                        let _ = poller.add(&stdin.pipe, base | token::STDIN, Interest::Write);
                    }
                    return;
                }
                // It closed its stdin: its end will be told.
                Err(_) => {
                    self.is_closed = true;
                    break;
                }
            }
        }
        if std::mem::take(&mut self.wants_room) {
            poller.remove(&stdin.pipe);
        }
        if self.is_closed && self.sent == 0 {
            return;
        }
        self.unsent.clear();
        self.untaken.clear();
        self.sent = 0;
    }
}
