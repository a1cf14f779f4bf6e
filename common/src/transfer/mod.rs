//! Moving events from one place to another without a function between: what
//! a trigger does, and `put` and `get`. The order is kept, and what is taken
//! is settled only after it has arrived.

mod copier;
mod edit;
mod errand;
mod hold;
mod journal;
mod mover;
mod state;
mod viewed;
mod window;

pub use copier::Copier;
pub use edit::Edit;
pub use errand::{Errand, Outcome};
pub use hold::Held;
pub use journal::{CopyJournal, Origin};
pub use mover::{Mover, strip};
pub use viewed::Viewed;
pub use window::Window;

use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::limits::{ANSWER_MAX_MS, DRAIN_MAX_MS, IDLE_LOOK_MS};
use crate::poll::{Interest, Poller};
use crate::queue::{Desk, Handed, Handoff, Port, QueueError, Taken, pipe};
use crate::signals::Signals;
use state::State;
use std::rc::Rc;
use std::time::{Duration, Instant};

const SIGNALS: u64 = 1 << 60;
const WINDOW: u64 = 1 << 61;

/// Most messages taken at once.
const BATCH: usize = 64;

/// When a transfer ends, other than with its source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    /// After this many events.
    pub count: Option<u64>,
    /// When no event could be moved for this long. Zero: what is there now.
    pub timeout: Option<Duration>,
    /// After so many were taken, also those that are kept.
    pub looked: Option<u64>,
    /// Whether a target without room is waited for all the same.
    pub waits_for_room: bool,
    /// Whether whoever reads what is written is waited for, however long.
    pub waits_for_reader: bool,
    /// Whether a message that can never arrive is left, and the others go on.
    pub passes_refused: bool,
    /// Whether the source is waited for, however long it is silent: then the
    /// timeout is that of what is on its way.
    pub waits_for_source: bool,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Events that arrived.
    pub moved: u64,
    /// Records that were no events, or could not be written.
    pub bad: u64,
    /// Messages that were not settled.
    pub kept: u64,
    /// Of them, those that their target can never take.
    pub refused: u64,
    /// Messages that were taken, whatever became of them.
    pub looked: u64,
    /// What ended it.
    pub end: End,
}

/// What ended a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The source, or the count.
    Done,
    /// The timeout.
    TimedOut,
    /// The timeout, with something on its way.
    GaveUp,
    /// The reader of its output has seen enough.
    Closed,
    /// This signal.
    Signal(i32),
}

impl Report {
    /// The exit code it makes.
    pub fn exit(&self) -> Exit {
        match self.end {
            End::Signal(signal) => Exit::by_signal(signal),
            End::TimedOut | End::GaveUp => Exit::TryAgain,
            End::Done if self.bad + self.refused > 0 => Exit::SomeFailed,
            End::Done | End::Closed => Exit::Done,
        }
    }
}

/// What to do with an event that was taken.
pub enum Step {
    /// Send these, then settle it.
    Send(Vec<(Port, Event)>),
    /// It is no event: it was dealt with, settle it.
    Bad(Vec<(Port, Event)>),
    /// It is not meant: settle it, and do not count it.
    Skip,
    /// Send these, and give it back in the end.
    Keep(Vec<(Port, Event)>),
}

impl Step {
    /// What is sent, whether that counts, and whether what was taken is kept.
    fn parts(self) -> (Vec<(Port, Event)>, bool, bool) {
        match self {
            Self::Send(outputs) => (outputs, true, false),
            Self::Bad(outputs) => (outputs, false, false),
            Self::Skip => (Vec::new(), false, false),
            Self::Keep(outputs) => {
                let counts = !outputs.is_empty();
                (outputs, counts, true)
            }
        }
    }
}

/// A step that sends every event on to `to`. One that is damaged goes too,
/// with what is wrong with it as an attribute: whoever looks shall see it.
///
/// # Errors
/// None; the type is that of all steps.
pub fn show(taken: Taken, to: Port) -> Result<Step> {
    let mut event = taken.event;
    Ok(match taken.fault {
        None => Step::Send(vec![(to, event)]),
        Some(fault) => {
            event.note("faasreason", fault);
            Step::Bad(vec![(to, event)])
        }
    })
}

/// A transfer from one queue or pipe.
pub struct Transfer {
    /// The connections.
    pub desk: Desk,
    /// Their epoll set.
    pub poller: Rc<Poller>,
    /// Where events come from.
    pub from: Port,
    /// When to end.
    pub until: Until,
    /// What it does, for messages: `put into`, `mq:/jobs`.
    pub doing: (&'static str, String),
    /// Where to talk.
    pub log: Log,
    /// How many of them may be under way at once, where that is bounded.
    pub window: Option<Window>,
}

impl Transfer {
    /// Moves events: `step` says where each goes, `moved` is told how many
    /// have arrived whenever that changes.
    ///
    /// # Errors
    /// A queue failed for good, or can never carry one of the events.
    pub fn run(
        &mut self,
        mut step: impl FnMut(Taken) -> Result<Step>,
        mut moved: impl FnMut(u64) -> Result<()>,
    ) -> Result<Report> {
        self.desk.wait_rather_than_spill();
        let mut signals =
            Signals::catch().map_err(|error| Failure::io("catch", "signals", &error))?;
        self.poller
            .add(&signals, SIGNALS, Interest::Read)
            .map_err(|error| Failure::io("wait for", "signals", &error))?;
        if let Some(window) = &self.window {
            self.poller
                .add(window, WINDOW, Interest::Read)
                .map_err(|error| Failure::io("wait for", "ends of invocations", &error))?;
        }
        let mut report =
            Report { moved: 0, bad: 0, kept: 0, refused: 0, looked: 0, end: End::Done };
        let mut state = State::new(self.desk.under_way_max());
        loop {
            match self.turn(&mut state, &mut report, &mut step, &mut moved, &mut signals) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Fault::Queue(QueueError::Closed)) => {
                    report.end = End::Closed;
                    break;
                }
                Err(fault) => {
                    self.drain(&mut state, &mut report, &mut moved);
                    return Err(match fault {
                        Fault::Told(failure) => failure,
                        Fault::Queue(error) => error.failure(self.doing.0, &self.doing.1),
                    });
                }
            }
        }
        self.log.flush();
        Ok(report)
    }

    /// Lets what is on its way arrive, for a moment: what has arrived and is not
    /// settled would come again. What fails now comes too late to be told.
    fn drain(
        &mut self,
        state: &mut State,
        report: &mut Report,
        moved: &mut impl FnMut(u64) -> Result<()>,
    ) {
        let (begin, most) = (Instant::now(), Duration::from_millis(DRAIN_MAX_MS));
        let mut ready = Vec::new();
        while !state.sent.is_empty() && begin.elapsed() < most {
            if self.desk.flush().is_err()
                || self.poller.wait(Duration::from_millis(10), &mut ready).is_err()
            {
                break;
            }
            for one in ready.drain(..).filter(|one| self.desk.owns(one.token)).collect::<Vec<_>>() {
                self.desk.on_ready(one);
            }
            let Ok(tickets) = self.desk.advance() else { break };
            tickets.into_iter().for_each(|ticket| state.finish(ticket, report));
            if arrived(state, report, moved).is_err() {
                break;
            }
        }
    }

    fn turn(
        &mut self,
        state: &mut State,
        report: &mut Report,
        step: &mut impl FnMut(Taken) -> Result<Step>,
        moved: &mut impl FnMut(u64) -> Result<()>,
        signals: &mut Signals,
    ) -> std::result::Result<bool, Fault> {
        while state.may_send() {
            let Some(taken) = state.batch.pop_front() else { break };
            let receipt = (self.from.connection, taken.receipt);
            let step = step(taken)?;
            report.bad += u64::from(matches!(step, Step::Bad(_)));
            // What is not meant does not use up the count.
            state.taken -= u64::from(matches!(step, Step::Skip));
            let (outputs, good, is_kept) = step.parts();
            if is_kept {
                report.kept += 1;
                // What is only left where it is does not use up the count.
                state.taken -= u64::from(!good);
            }
            let size = outputs.iter().map(|(_, event)| event.body_len()).sum();
            let id = outputs.first().map(|(_, event)| event.id.clone()).unwrap_or_default();
            let taken = Some(receipt).filter(|_| !is_kept);
            match self.desk.hand_over(Handoff { taken, outputs })? {
                Handed::Done => state.push(None, good, 0),
                Handed::Later(ticket) => {
                    state.push(Some(ticket), good, size);
                    state.waits_for = Some(ticket);
                }
                Handed::Sent(ticket) => state.push(Some(ticket), good, size),
                Handed::Refused(error) => self.pass_over(state, report, &id, error)?,
            }
        }
        arrived(state, report, moved)?;
        if state.may_take() && !self.take(state, report)? {
            return Ok(false);
        }
        self.wait(state, report, moved, signals)
    }

    /// What can never arrive is told of, and stays where it is.
    fn pass_over(
        &mut self,
        state: &mut State,
        report: &mut Report,
        id: &str,
        error: QueueError,
    ) -> std::result::Result<(), Fault> {
        if !self.until.passes_refused || !matches!(error, QueueError::Refused { .. }) {
            return Err(Fault::Queue(error.of_message(id)));
        }
        let (action, place) = &self.doing;
        let failure = error.of_message(id).failure(action, place);
        self.log.failure(&Failure { exit: Exit::SomeFailed, ..failure });
        report.refused += 1;
        report.kept += 1;
        state.taken -= 1;
        state.push(None, false, 0);
        Ok(())
    }

    /// Takes the next batch; `false` when the transfer is over.
    fn take(&mut self, state: &mut State, report: &mut Report) -> std::result::Result<bool, Fault> {
        let left = self.until.count.map_or(u64::MAX, |count| count.saturating_sub(state.taken));
        let looked = self.until.looked.map_or(u64::MAX, |most| most.saturating_sub(state.looked));
        let left = left.min(looked);
        let open = self.window.as_ref().map_or(u64::MAX, |window| window.left(state.taken));
        if !state.sent.is_empty() && (state.stop.is_some() || left == 0) {
            // What is on its way arrives first.
            return Ok(true);
        }
        if let Some(signal) = state.stop {
            report.end = End::Signal(signal);
            return Ok(false);
        }
        if left == 0 {
            return Ok(false);
        }
        if open == 0 {
            return Ok(true);
        }
        let most = usize::try_from(left.min(open)).unwrap_or(BATCH).min(BATCH);
        let mut taken = Vec::new();
        self.desk.receive(self.from, most, &mut taken)?;
        if self.until.waits_for_source && state.sent.is_empty() && !taken.is_empty() {
            state.last = Instant::now();
        }
        state.batch.extend(taken);
        state.taken += state.batch.len() as u64;
        report.looked += state.batch.len() as u64;
        state.looked += state.batch.len() as u64;
        if !state.batch.is_empty() {
            return Ok(true);
        }
        if !state.sent.is_empty() {
            return Ok(true);
        }
        if self.desk.is_exhausted(self.from) {
            return Ok(false);
        }
        let timeout = self.until.timeout.filter(|_| !self.until.waits_for_source);
        let due = timeout.is_some_and(|timeout| {
            let grace = Duration::from_millis(ANSWER_MAX_MS);
            let waits = self.desk.is_asking(self.from) && state.last.elapsed() < timeout + grace;
            state.last.elapsed() >= timeout && !waits
        });
        if due {
            let enough = self.until.timeout == Some(Duration::ZERO) && report.moved > 0;
            report.end = if enough { End::Done } else { End::TimedOut };
            return Ok(false);
        }
        Ok(true)
    }

    fn wait(
        &mut self,
        state: &mut State,
        report: &mut Report,
        moved: &mut impl FnMut(u64) -> Result<()>,
        signals: &mut Signals,
    ) -> std::result::Result<bool, Fault> {
        let is_open = self.window.as_ref().is_none_or(|window| window.left(state.taken) > 0);
        let is_wanted = self.until.count.is_none_or(|count| state.taken < count)
            && self.until.looked.is_none_or(|most| state.looked < most);
        let idle = state.may_take() && is_open && is_wanted && state.stop.is_none();
        self.desk.listen(self.from, idle)?;
        let mut sleep = Duration::from_millis(IDLE_LOOK_MS);
        let waits = state.waits_for.is_some() && self.until.waits_for_room;
        let waits = waits || (self.until.waits_for_source && state.sent.is_empty());
        if let Some(timeout) = self.until.timeout.filter(|_| !waits) {
            sleep = sleep
                .min(timeout.saturating_sub(state.last.elapsed()).max(Duration::from_millis(1)));
        }
        if self.desk.is_waiting() {
            // A queue that stays full is told of after a second.
            sleep = sleep.min(Duration::from_millis(100));
        }
        self.desk.flush()?;
        let busy = state.may_send();
        if busy || (idle && self.desk.has_more()) {
            sleep = Duration::ZERO;
        }
        let mut ready = Vec::new();
        self.poller.wait(sleep, &mut ready).map_err(QueueError::io("waiting"))?;
        for one in ready {
            if one.token == SIGNALS {
                while let Some(signal) = signals.next() {
                    if self.stops_for(state, signal) {
                        report.end = End::Signal(signal);
                        return Ok(false);
                    }
                }
            } else if one.token == WINDOW {
                self.window.iter_mut().for_each(Window::update);
            } else if self.desk.owns(one.token) {
                self.desk.on_ready(one);
            }
        }
        for ticket in self.desk.advance()? {
            state.waits_for.take_if(|waited| *waited == ticket);
            state.finish(ticket, report);
        }
        if let Some((_, error)) = self.desk.refused().into_iter().next() {
            return Err(Fault::Queue(error));
        }
        arrived(state, report, moved)?;
        for notice in self.desk.look_after()? {
            self.log.line(&notice);
        }
        // Whoever stops waits no longer than a moment for what found no room.
        let patience = Duration::from_millis(DRAIN_MAX_MS);
        if let (Some(signal), Some(at)) = (state.stop, state.stopped_at)
            && at.elapsed() >= patience
        {
            report.end = End::Signal(signal);
            return Ok(false);
        }
        let gave_up = self.gives_up(state);
        if gave_up {
            report.end = End::GaveUp;
        }
        Ok(!gave_up)
    }

    /// Whether what is on its way takes too long.
    fn gives_up(&self, state: &State) -> bool {
        if self.until.waits_for_reader {
            return false;
        }
        // Who takes what is there waits for no room, but for answers.
        let patience = self.until.timeout.map(|timeout| match state.waits_for {
            None if timeout.is_zero() => Duration::from_millis(ANSWER_MAX_MS),
            Some(_) if self.until.waits_for_room => Duration::MAX,
            _ => timeout,
        });
        !state.sent.is_empty() && patience.is_some_and(|patience| state.last.elapsed() >= patience)
    }

    /// Whether to stop at once; otherwise what was taken is finished first.
    /// A Ctrl-C reaches the other end of a pipe too: then it is read to its end.
    fn stops_for(&mut self, state: &mut State, signal: i32) -> bool {
        let from_pipe = self.desk.connection(self.from.connection).capabilities().scheme == "-";
        if signal == nix::libc::SIGINT && from_pipe && pipe::stdin_is_pipe() && !state.interrupted {
            state.interrupted = true;
            return false;
        }
        let again = state.stop.is_some();
        state.stop = Some(signal);
        state.stopped_at.get_or_insert_with(Instant::now);
        again
    }
}

/// Tells what has arrived.
fn arrived(
    state: &mut State,
    report: &mut Report,
    moved: &mut impl FnMut(u64) -> Result<()>,
) -> std::result::Result<(), Fault> {
    state.count(report);
    if std::mem::take(&mut state.is_news) {
        state.last = Instant::now();
        moved(state.arrived)?;
    }
    Ok(())
}

enum Fault {
    Told(Failure),
    Queue(QueueError),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}
