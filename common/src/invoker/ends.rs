//! What follows from the end of a call: outputs on their way, another
//! attempt, or a dead letter.

use super::calls::time_left;
use super::dead::Obituary;
use super::timers::Timer;
use super::watchdog::Watch;
use super::work::Handing;
use super::{Invoker, Work, outputs};
use crate::chain::ExitAction;
use crate::chain::route::{self, Branch, Emission};
use crate::clock;
use crate::event::{Event, Verdict};
use crate::limits::{CRASHES_MAX, IDLE_LOOK_MS, UNASKED_MAX};
use crate::queue::{Handed, Handoff, Port, QueueError};
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::retry;
use std::time::{Duration, Instant};

impl Invoker {
    /// Decides what the end of a call means.
    pub(super) fn after_call(
        &mut self,
        mut work: Work,
        end: CallEnd,
        output: Output,
        stderr: Vec<u8>,
    ) -> Result<(), QueueError> {
        let index = work.served;
        let function = &self.routing.chain.functions[self.served[index].serve.function];
        let action = match end {
            CallEnd::Exit(code) => function.exit_action(u16::try_from(code).unwrap_or(255)),
            CallEnd::Status(status, _) => function.status_action(status),
            CallEnd::Unfit(_) => ExitAction::Dead,
            CallEnd::NotStarted(nix::libc::ENOENT | nix::libc::EACCES | nix::libc::ENOEXEC) => {
                ExitAction::Dead
            }
            CallEnd::Killed(Kill::OutputTooLarge) => ExitAction::Dead,
            CallEnd::NotStarted(errno) if is_scarcity(errno) => {
                work.attempts -= 1;
                self.wait_for_resources(work, end);
                return Ok(());
            }
            _ => ExitAction::Retry,
        };
        if end == CallEnd::Unasked && work.unasked < UNASKED_MAX {
            work.attempts -= 1;
            work.unasked += 1;
            let pause = retry::wait(Duration::from_millis(1), work.unasked, clock::random_u64());
            self.back_off(work, pause);
            return Ok(());
        }
        // An attempt that ended with its guard is no fault of the function.
        let is_innocent = matches!(end, CallEnd::GuardDied | CallEnd::Bystander);
        work.crashes += u32::from(is_innocent);
        let is_over = if is_innocent {
            work.crashes > CRASHES_MAX
        } else {
            work.attempts - work.crashes.min(work.attempts) > function.retries
        };
        // What is settled already must not be delivered again.
        let is_last = work.receipt.is_none() || is_over;
        match action {
            ExitAction::Ok => self.succeed(work, output, stderr),
            ExitAction::Drop => self.emit(work, Vec::new()),
            ExitAction::Dead => self.bury(work, end.to_string(), Some(end), stderr),
            ExitAction::Retry if is_last => self.bury(work, end.to_string(), Some(end), stderr),
            ExitAction::Retry => {
                let pause = retry::wait(function.backoff, work.attempts, clock::random_u64());
                let pause = pause.max(self.asked_pause(index, &end));
                self.back_off(work, pause);
                Ok(())
            }
        }
    }

    /// What the function's server asked for: nothing is sent to it before.
    fn asked_pause(&mut self, index: usize, end: &CallEnd) -> Duration {
        let CallEnd::Status(_, Some(wait)) = end else { return Duration::ZERO };
        self.served[index].paused_until = Instant::now().checked_add(*wait);
        if let Some(until) = self.served[index].paused_until {
            self.timers.set(until, Timer::Resume);
        }
        *wait
    }

    /// Waits, but not past the end of the invocation's time.
    fn back_off(&mut self, work: Work, pause: Duration) {
        let pause = time_left(pause, &work.event);
        self.timers.set(Instant::now() + pause, Timer::Retry(work.number));
        self.served[work.served].backing_off += 1;
        self.waiting.insert(work.number, work);
    }

    /// The system has no descriptors, processes or memory left for one more
    /// call: the message waits, and that is no attempt.
    fn wait_for_resources(&mut self, work: Work, end: CallEnd) {
        if !std::mem::replace(&mut self.scarcity_said, true) {
            let function = self.served[work.served].serve.function;
            let name = &self.routing.chain.functions[function].name;
            self.log.line(&format!("{name} {end}; going on with fewer calls at once (ulimit -n)"));
        }
        self.back_off(work, Duration::from_millis(20));
    }

    /// There is no room to keep a part: it waits, and that is no attempt.
    pub(super) fn wait_for_room(&mut self, work: Work, error: &QueueError) {
        if !std::mem::replace(&mut self.scarcity_said, true) {
            self.log.line(&format!("waiting: {error}"));
        }
        self.back_off(work, Duration::from_millis(IDLE_LOOK_MS));
    }

    fn succeed(&mut self, work: Work, output: Output, stderr: Vec<u8>) -> Result<(), QueueError> {
        let index = self.served[work.served].serve.function;
        let function = &self.routing.chain.functions[index];
        let (source, time) = (&self.routing.source, clock::rfc3339_now());
        let parsed =
            outputs::parse(function, &work.event, output, source, &time, self.routing.exact);
        match parsed {
            Ok(events) => {
                let routed = events
                    .into_iter()
                    .map(|event| {
                        let branches = self.judge(&work, index, &event, false);
                        (event, branches)
                    })
                    .collect();
                self.emit(work, routed)
            }
            Err(reason) => self.bury(work, reason, Some(CallEnd::Exit(0)), stderr),
        }
    }

    fn judge(
        &mut self,
        work: &Work,
        function: usize,
        output: &Event,
        on_dead: bool,
    ) -> Vec<Branch> {
        let rules = self.routing.rules.on(&self.routing.chain, function, on_dead);
        let counts = work.event.control.as_ref().map_or(&[][..], |control| &control.counts);
        if !rules.iter().any(|(_, rule)| rule.when.is_some()) {
            return route::branches(&rules, &Ok(vec![false; rules.len()]), counts);
        }
        let from = self.served[work.served].serve.from;
        let connection = self.desk.connection(from.connection);
        let mark = work.receipt.and_then(|receipt| connection.poison_mark(receipt));
        let watch = Watch::start(mark);
        let holds = self.routing.conditions.judge(&rules, output, Watch::rule);
        drop(watch);
        route::branches(&rules, &holds.map_err(|error| error.to_string()), counts)
    }

    fn emit(&mut self, work: Work, outputs: Vec<(Event, Vec<Branch>)>) -> Result<(), QueueError> {
        let function = self.served[work.served].serve.function;
        self.tally.done += u64::from(!outputs.is_empty());
        self.tally.dropped += u64::from(outputs.is_empty());
        for branch in outputs.iter().flat_map(|(_, branches)| branches) {
            if let Branch::Dead(reason) = branch {
                self.tell_of(&work.event.id, work.served, reason);
            }
        }
        let emissions = self.routing.router().emit(function, &work.event, outputs);
        self.send(work, emissions)
    }

    /// The message failed: it goes by the function's rules for that, or
    /// becomes a dead letter, and that is said.
    pub(super) fn bury(
        &mut self,
        work: Work,
        reason: String,
        end: Option<CallEnd>,
        stderr: Vec<u8>,
    ) -> Result<(), QueueError> {
        let function = self.served[work.served].serve.function;
        if !self.routing.rules.on(&self.routing.chain, function, true).is_empty() {
            let letter = self.letter(&work, reason.clone(), end.clone(), &stderr);
            let branches = self.judge(&work, function, &letter, true);
            if !branches.iter().any(|branch| matches!(branch, Branch::Dead(_))) {
                let outputs = vec![(letter, branches)];
                let emissions = self.routing.router().emit(function, &work.event, outputs);
                return self.send(work, emissions);
            }
        }
        self.tell_of(&work.event.id, work.served, &reason);
        self.bury_told(work, reason, end, stderr)
    }

    /// The message becomes a dead letter; why was said already.
    pub(super) fn bury_told(
        &mut self,
        work: Work,
        reason: String,
        end: Option<CallEnd>,
        stderr: Vec<u8>,
    ) -> Result<(), QueueError> {
        let function = self.served[work.served].serve.function;
        let letter = self.letter(&work, reason, end, &stderr);
        let emissions = self.routing.router().dead(function, letter);
        self.send(work, emissions)
    }

    fn letter(&self, work: &Work, reason: String, end: Option<CallEnd>, stderr: &[u8]) -> Event {
        let function = self.served[work.served].serve.function;
        let obituary = Obituary {
            reason,
            function: self.routing.chain.functions[function].name.clone(),
            attempts: work.attempts,
            exit: end.map(|end| end.to_string()),
            stderr: String::from_utf8_lossy(stderr).trim_end().to_owned(),
        };
        obituary.letter(work.event.clone())
    }

    /// Settles a message that is delivered at most once, before its function
    /// runs. With nothing to send there is nothing to wait for.
    /// Where a broker has to confirm it, the work comes back once it has.
    pub(super) fn settle_first(&mut self, mut work: Work) -> Result<Option<Work>, QueueError> {
        let from = self.served[work.served].serve.from;
        let Some(receipt) = work.receipt.take() else { return Ok(Some(work)) };
        let taken = Some((from.connection, receipt));
        match self.desk.hand_over(Handoff { taken, outputs: Vec::new() })? {
            Handed::Sent(ticket) => {
                self.served[work.served].settling += 1;
                self.settling.insert(ticket, work);
                Ok(None)
            }
            _ => Ok(Some(work)),
        }
    }

    /// Hands over, in the order of intake where that is kept.
    pub(super) fn send(&mut self, work: Work, emissions: Vec<Emission>) -> Result<(), QueueError> {
        let index = work.served;
        if !self.served[index].serve.keep_order {
            return self.hand_over(work, emissions).map(drop);
        }
        self.served[index].turns.push(work, emissions);
        self.take_turns(index)
    }

    /// Hands over what has its turn.
    pub(super) fn take_turns(&mut self, index: usize) -> Result<(), QueueError> {
        while let Some((work, emissions)) = self.served[index].turns.pop() {
            let waits = self.hand_over(work, emissions)?;
            self.served[index].turns.set_busy(waits);
        }
        Ok(())
    }

    /// Hands over: each emission to its queue, then the message is settled.
    /// Returns whether that waits for room.
    fn hand_over(&mut self, work: Work, emissions: Vec<Emission>) -> Result<bool, QueueError> {
        let from = self.served[work.served].serve.from;
        // A dead letter with a queue of its own holds no worker while it waits.
        let is_letter = self.routing.dead.is_some() && emissions.iter().all(is_dead);
        let taken = work.receipt.map(|receipt| (from.connection, receipt));
        let mut handoff = Handoff { taken, outputs: Vec::new() };
        for emission in emissions {
            if let Some((port, event)) = self.address(emission)? {
                handoff.outputs.push((port, event));
            }
        }
        match self.desk.hand_over(handoff)? {
            Handed::Done => Ok(false),
            Handed::Later(ticket) => {
                self.note_handing(ticket, Handing { work, is_letter, waited: true });
                Ok(true)
            }
            Handed::Sent(ticket) => {
                self.note_handing(ticket, Handing { work, is_letter, waited: false });
                Ok(false)
            }
            Handed::Refused(error) => self.bury_refused(work, error),
        }
    }

    fn note_handing(&mut self, ticket: u64, handing: Handing) {
        let served = &mut self.served[handing.work.served];
        *(if handing.is_letter { &mut served.burying } else { &mut served.handing }) += 1;
        self.handing.insert(ticket, handing);
    }

    /// What a message led to can never be sent, or not be shown in the shape
    /// that was asked for.
    fn bury_refused(&mut self, mut work: Work, error: QueueError) -> Result<bool, QueueError> {
        work.refusals += 1;
        if work.refusals > 2 {
            // Not even its letter, without its body.
            return Err(error);
        }
        if work.refusals == 1 {
            self.tally.done = self.tally.done.saturating_sub(1);
        }
        let to_pipe = self.is_pipe(self.routing.results);
        let action = if to_pipe { "print" } else { "send on" };
        self.log.failure(&error.failure(action, &work.event.id));
        let mut letter = self.letter(&work, error.to_string(), None, &[]);
        if work.refusals > 1 {
            // The letter itself was too much: better without its body than
            // never.
            letter.body = None;
        }
        let function = self.served[work.served].serve.function;
        let emissions = self.routing.router().dead(function, letter);
        self.hand_over(work, emissions)
    }

    /// A hand-off that was on its way can never be done.
    pub(super) fn refused(&mut self, ticket: u64, error: QueueError) -> Result<(), QueueError> {
        let Some(handing) = self.unhand(ticket) else { return Ok(()) };
        self.bury_refused(handing.work, error).map(drop)
    }

    fn unhand(&mut self, ticket: u64) -> Option<Handing> {
        let handing = self.handing.remove(&ticket)?;
        let served = &mut self.served[handing.work.served];
        *(if handing.is_letter { &mut served.burying } else { &mut served.handing }) -= 1;
        if handing.waited {
            served.turns.set_busy(false);
        }
        Some(handing)
    }

    /// The queue an emission is for; none when there is nothing to send.
    fn address(&mut self, emission: Emission) -> Result<Option<(Port, Event)>, QueueError> {
        let Emission { to, mut event } = emission;
        if let Some(port) = to.and_then(|to| self.routing.inputs[to]) {
            return Ok(Some((port, event)));
        }
        let verdict = event.control.as_ref().and_then(|control| control.verdict);
        if verdict == Some(Verdict::Dead) {
            self.tally.dead += 1;
        }
        if self.routing.dead.is_none() {
            let port = self.routing.reply_port(&event, &mut self.desk)?;
            return Ok(Some((port, event)));
        }
        let Some(dead) = &mut self.routing.dead else { return Ok(None) };
        event.control = None;
        match verdict {
            Some(Verdict::Dropped) => Ok(None),
            Some(Verdict::Dead) => match dead.port(&mut self.desk)? {
                Some(port) => Ok(Some((port, event))),
                None => match dead.append(&event) {
                    Ok(()) => Ok(None),
                    Err(failure) => {
                        self.log.failure(&failure);
                        Err(QueueError::io("keeping a dead letter")(std::io::Error::other(
                            failure.reason,
                        )))
                    }
                },
            },
            Some(Verdict::Result) | None => Ok(Some((self.routing.results, event))),
        }
    }

    fn tell_of(&mut self, id: &str, served: usize, reason: &str) {
        let function = self.served[served].serve.function;
        let name = &self.routing.chain.functions[function].name;
        self.log.line(&format!("dead letter {id} of {name}: {reason}"));
    }

    /// A hand-off that waited or was on its way is done.
    pub(super) fn handed(&mut self, ticket: u64) -> Result<(), QueueError> {
        let is_void = self.desk.was_void(ticket);
        if let Some(work) = self.settling.remove(&ticket) {
            self.served[work.served].settling -= 1;
            // Another reader has it: it is for that one to run.
            return if is_void { Ok(()) } else { self.admit(work) };
        }
        let Some(handing) = self.unhand(ticket) else { return Ok(()) };
        if is_void {
            self.taken_over += 1;
        }
        if is_void && self.taken_over == 1 {
            let id = &handing.work.event.id;
            self.log.line(&format!("{id}: another reader took it over; this settle was refused"));
        }
        self.take_turns(handing.work.served)
    }
}

fn is_dead(emission: &Emission) -> bool {
    let control = emission.event.control.as_ref();
    control.and_then(|control| control.verdict) == Some(Verdict::Dead)
}

/// Whether a process could not be started for a lack that may pass.
fn is_scarcity(errno: i32) -> bool {
    use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOMEM, ETOOMANYREFS};
    matches!(errno, EAGAIN | EMFILE | ENFILE | ENOMEM | ETOOMANYREFS)
}
