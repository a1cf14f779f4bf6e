//! Warm processes: filters that are kept between messages.

use super::calls::{base, not_started};
use super::timers::Timer;
use super::{Invoker, Running, Work};
use crate::chain::{ExitAction, FunctionInput, KeepWarm, WorkerKind};
use crate::limits::FAREWELL_MAX_MS;
use crate::queue::QueueError;
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::environment;
use crate::worker::filter::{self, Filter};
use crate::worker::guard::{Ended, Outcome, Report};
use crate::worker::keep::Keep;
use crate::worker::token;
use std::io;
use std::time::{Duration, Instant};

/// How soon a process that was not ready is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// After which silence a person is told of it.
const SILENT_AFTER_MS: u64 = 1_000;

/// What a filter does that holds its output back.
const SILENT: &str = "it took a line and waits for the next one without an answer: if it holds its \
    output back, make it print line by line (stdbuf -oL, jq --unbuffered, perl's $| = 1, a flush); \
    if it does not answer every line, it is no filter, but fine as exec";

/// A filter of one of the served functions.
pub(super) struct Warm {
    pub(super) served: usize,
    pub(super) filter: Filter,
    /// Whether what it works on failed before and shares it with nobody.
    is_alone: bool,
    /// Set when it is being killed: for which call (all of them if none), and
    /// how that call ended.
    pub(super) condemned: Option<(Option<u64>, CallEnd)>,
    is_look_set: bool,
    is_idle_set: bool,
    was_silence_said: bool,
}

impl Warm {
    /// How a call in flight ends, if the process is being killed.
    pub(super) fn end_of(&self, call: u64) -> Option<CallEnd> {
        let (culprit, end) = self.condemned.as_ref()?;
        let is_culprit = culprit.is_none_or(|culprit| culprit == call);
        Some(if is_culprit { end.clone() } else { CallEnd::Bystander })
    }

    fn is_open(&self) -> bool {
        self.condemned.is_none() && self.filter.is_open()
    }
}

impl Invoker {
    /// Lines that can be begun now; `again`: of messages that failed before,
    /// which get a process to themselves.
    pub(super) fn filter_places(&self, index: usize, lines: usize, again: bool) -> usize {
        let open = || self.filters.values().filter(|warm| warm.served == index && warm.is_open());
        let unstarted = self.served[index].serve.concurrency.saturating_sub(open().count());
        let room = |warm: &Warm| {
            let in_flight = warm.filter.in_flight();
            if warm.is_alone && in_flight > 0 { 0 } else { lines.saturating_sub(in_flight) }
        };
        if again {
            unstarted + open().filter(|warm| warm.filter.in_flight() == 0).count()
        } else {
            unstarted * lines + open().map(room).sum::<usize>()
        }
    }

    /// Gives a line to a warm process, or to a new one.
    pub(super) fn start_filter(
        &mut self,
        call: u64,
        work: &Work,
    ) -> Result<(u64, Running), CallEnd> {
        let function = &self.routing.chain.functions[self.served[work.served].serve.function];
        let line = filter::line_of(&work.event, function.input == FunctionInput::Event)
            .map_err(CallEnd::Unfit)?;
        let lines = function.pipeline.unwrap_or(1) as usize;
        let is_alone = work.attempts > 1;
        let most = if is_alone { 1 } else { lines };
        let fits = |warm: &Warm| {
            let in_flight = warm.filter.in_flight();
            warm.served == work.served
                && warm.is_open()
                && in_flight < most
                && !(warm.is_alone && in_flight > 0)
        };
        let held = self.filters.iter().filter(|(_, warm)| fits(warm));
        // A process that is up comes before one that boots.
        let best = held.min_by_key(|(_, w)| (w.filter.is_booting(), w.filter.in_flight()));
        let process = match best.map(|(process, _)| *process) {
            Some(process) => process,
            None => {
                self.served[work.served].timing.cold_starts += 1;
                self.start_warm(work.served).map_err(|error| not_started(&error))?
            }
        };
        if let Some(warm) = self.filters.get_mut(&process) {
            warm.is_alone = is_alone;
            warm.filter.ask(call, &work.event.id, line);
        }
        Ok((call, Running::Filter(process)))
    }

    /// Starts a process and returns its number.
    fn start_warm(&mut self, served: usize) -> io::Result<u64> {
        self.next_work += 1;
        let process = self.next_work;
        let index = self.served[served].serve.function;
        let function = &self.routing.chain.functions[index];
        let by_id = function.answers_by_id();
        let env = environment::of_process(&function.name);
        let guard = self.guard.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let at = (process, index);
        let filter = Filter::start(guard, &self.poller, base(process), at, env, by_id)?;
        let warm = Warm {
            served,
            filter,
            is_alone: false,
            condemned: None,
            is_look_set: false,
            is_idle_set: false,
            was_silence_said: false,
        };
        self.filters.insert(process, warm);
        Ok(process)
    }

    /// Starts what is to be warm before the first message.
    pub(super) fn warm_up(&mut self) {
        for index in 0..self.served.len() {
            let function = &self.routing.chain.functions[self.served[index].serve.function];
            let (worker, always) = (function.worker, function.keep == KeepWarm::Always);
            if worker == WorkerKind::Filter && always {
                // What cannot be started now is tried again with a message.
                let _ = self.start_warm(index);
            }
            if worker == WorkerKind::Http && always {
                let _ = self.start_server(index);
            }
            self.top_up(index);
        }
    }

    pub(super) fn on_filter_pipe(&mut self, process: u64, pipe: u64) -> Result<(), QueueError> {
        if pipe == token::STDERR {
            if let Some(warm) = self.filters.get_mut(&process) {
                let function = self.served[warm.served].serve.function;
                let name = &self.routing.chain.functions[function].name;
                warm.filter.stderr.read().iter().for_each(|line| self.log.of_function(name, line));
            }
            return Ok(());
        }
        self.look_at(process)
    }

    /// Hears a filter out, and sends what it is ready for; feeds a process
    /// that was started ahead.
    pub(super) fn look_at(&mut self, process: u64) -> Result<(), QueueError> {
        if self.servers.contains_key(&process) {
            return self.look_at_server(process);
        }
        let Some(warm) = self.filters.get_mut(&process) else {
            self.feed(process);
            return Ok(());
        };
        if warm.condemned.is_some() {
            return Ok(());
        }
        let step = warm.filter.step(&self.poller, base(process));
        if let Some(boot) = step.booted {
            self.served[warm.served].booted(boot);
        }
        if step.again && !std::mem::replace(&mut warm.is_look_set, true) {
            self.timers.set(Instant::now() + LOOK_AGAIN, Timer::Look(process));
        }
        for (call, line) in step.answers {
            self.answered(process, call, line)?;
        }
        match step.breach {
            Some(breach) => {
                let idle = self.filters.get(&process).is_some_and(|w| w.filter.in_flight() == 0);
                if idle {
                    self.say_of(process, &format!("{breach}; its process is killed"));
                }
                self.condemn(process, None, CallEnd::Protocol(breach.to_string()));
            }
            None => self.rest(process),
        }
        Ok(())
    }

    /// It is time to look again.
    pub(super) fn on_look(&mut self, process: u64) -> Result<(), QueueError> {
        if let Some(warm) = self.filters.get_mut(&process) {
            warm.is_look_set = false;
        }
        self.look_at(process)
    }

    fn answered(&mut self, process: u64, call: u64, line: Vec<u8>) -> Result<(), QueueError> {
        let tail = self.filters.get(&process).map(|warm| warm.filter.stderr.tail().to_vec());
        match self.calls.remove(&call) {
            Some((work, _)) => {
                let output = Output::Printed(line.into());
                self.end_call(call, work, CallEnd::Exit(0), output, tail.unwrap_or_default())
            }
            None => Ok(()),
        }
    }

    /// A call of a filter took longer than its timeout.
    pub(super) fn filter_timed_out(&mut self, process: u64, call: u64) {
        let is_silent = self.filters.get(&process).is_some_and(|warm| warm.filter.is_silent(0));
        let end = if is_silent {
            CallEnd::Protocol(format!("timeout: {SILENT}"))
        } else {
            CallEnd::Killed(Kill::Timeout)
        };
        self.condemn(process, Some(call), end);
    }

    /// Tells a person early what a filter's silence may mean.
    pub(super) fn look_for_silence(&mut self) {
        let silent = |warm: &Warm| {
            !warm.was_silence_said && warm.is_open() && warm.filter.is_silent(SILENT_AFTER_MS)
        };
        let found: Vec<u64> =
            self.filters.iter().filter(|(_, warm)| silent(warm)).map(|(p, _)| *p).collect();
        for process in found {
            self.say_of(process, SILENT);
            if let Some(warm) = self.filters.get_mut(&process) {
                warm.was_silence_said = true;
            }
        }
    }

    /// Kills a process; the calls in flight end when it is gone.
    pub(super) fn condemn(&mut self, process: u64, culprit: Option<u64>, end: CallEnd) {
        if let Some(warm) = self.filters.get_mut(&process)
            && warm.condemned.is_none()
        {
            warm.condemned = Some((culprit, end));
            self.kill_process(process);
        }
    }

    /// A warm process is gone: what it answered counts, the rest is tried
    /// again.
    pub(super) fn on_filter_end(&mut self, ended: Ended) -> Result<(), QueueError> {
        let Some(mut warm) = self.filters.remove(&ended.call) else { return Ok(()) };
        let index = self.served[warm.served].serve.function;
        let function = &self.routing.chain.functions[index];
        warm.filter
            .stderr
            .finish()
            .iter()
            .for_each(|line| self.log.of_function(&function.name, line));
        let by_id = function.answers_by_id();
        let (step, lost) = warm.filter.finish();
        let tail = warm.filter.stderr.tail().to_vec();
        let action = |code: i32| function.exit_action(u16::try_from(code).unwrap_or(255));
        let crash = match ended.outcome {
            Outcome::Exit(code)
                if lost.len() == 1
                    && matches!(action(code), ExitAction::Drop | ExitAction::Dead) =>
            {
                CallEnd::Exit(code)
            }
            Outcome::Exit(code) => {
                CallEnd::Protocol(format!("filter: it ended without an answer (exit {code})"))
            }
            other => other.into(),
        };
        let was_expected = warm.condemned.is_some() || !warm.filter.is_open() || !lost.is_empty();
        if !was_expected && step.answers.is_empty() {
            let name = function.name.clone();
            let how = CallEnd::from(ended.outcome);
            self.log.line(&format!("{name} ended ({how}); the next message starts it again"));
        }
        for (call, line) in step.answers {
            let Some((work, _)) = self.calls.remove(&call) else { continue };
            match warm.end_of(call).filter(|_| !by_id) {
                None => {
                    let output = Output::Printed(line.into());
                    self.end_call(call, work, CallEnd::Exit(0), output, tail.clone())?;
                }
                Some(end) => self.end_call(call, work, end, Output::default(), tail.clone())?,
            }
        }
        for (call, had_chance) in lost {
            let Some((work, _)) = self.calls.remove(&call) else { continue };
            let end = if had_chance {
                warm.end_of(call).unwrap_or_else(|| crash.clone())
            } else {
                CallEnd::Unasked
            };
            self.end_call(call, work, end, Output::default(), tail.clone())?;
        }
        Ok(())
    }

    /// What becomes of a process that has nothing to do.
    fn rest(&mut self, process: u64) {
        let Some(warm) = self.filters.get_mut(&process) else { return };
        let is_idle = warm.is_open() && warm.filter.in_flight() == 0 && !warm.filter.is_booting();
        if !is_idle || warm.is_idle_set {
            return;
        }
        let served = &self.served[warm.served];
        match served.keep.keep() {
            Keep::Forever => {}
            Keep::No => self.retire(process),
            Keep::For(time) => {
                warm.is_idle_set = true;
                let due = served.last_arrival.unwrap_or_else(Instant::now) + time;
                self.timers.set(due, Timer::Idle(process));
            }
        }
    }

    /// A process may have been idle for long enough.
    pub(super) fn on_idle(&mut self, process: u64) {
        if self.servers.contains_key(&process) {
            self.on_idle_server(process);
            return;
        }
        let Some(warm) = self.filters.get_mut(&process) else { return };
        warm.is_idle_set = false;
        let served = &self.served[warm.served];
        let silence = served.last_arrival.map_or(Duration::MAX, |at| at.elapsed());
        let over = matches!(served.keep.keep(), Keep::For(time) if silence >= time);
        if over && warm.filter.in_flight() == 0 {
            self.retire(process);
        } else {
            self.rest(process);
        }
    }

    /// Ends a process's input and lets it end by itself.
    fn retire(&mut self, process: u64) {
        let Some(warm) = self.filters.get_mut(&process) else { return };
        warm.filter.leave();
        let patience = Duration::from_millis(FAREWELL_MAX_MS);
        self.timers.set(Instant::now() + patience, Timer::Overdue(process));
    }

    /// At the end: filters see the end of their input and may finish what
    /// they keep, then everything is ended.
    pub(super) fn take_leave(&mut self) {
        let Some(guard) = self.guard.take() else { return };
        let until = Instant::now() + Duration::from_millis(FAREWELL_MAX_MS);
        self.filters.values_mut().for_each(|warm| warm.filter.leave());
        while !self.filters.is_empty() && Instant::now() < until {
            for process in self.filters.keys().copied().collect::<Vec<_>>() {
                self.hear_last_words(process, false);
            }
            match guard.report() {
                Report::Ended(ended) => {
                    self.hear_last_words(ended.call, true);
                    self.filters.remove(&ended.call);
                }
                Report::Started(_) => {}
                Report::Nothing => std::thread::sleep(Duration::from_millis(1)),
                Report::Died => break,
            }
        }
        guard.end();
    }

    /// What a filter says while it ends; what it prints is no answer any more.
    fn hear_last_words(&mut self, process: u64, is_over: bool) {
        let Some(warm) = self.filters.get_mut(&process) else { return };
        let function = self.served[warm.served].serve.function;
        let name = &self.routing.chain.functions[function].name;
        warm.filter.step(&self.poller, base(process));
        let stderr = &mut warm.filter.stderr;
        let said = if is_over { stderr.finish() } else { stderr.read() };
        said.iter().for_each(|line| self.log.of_function(name, line));
    }

    fn say_of(&mut self, process: u64, what: &str) {
        if let Some(warm) = self.filters.get(&process) {
            let function = self.served[warm.served].serve.function;
            let name = &self.routing.chain.functions[function].name;
            self.log.line(&format!("{name}: {what}"));
        }
    }
}
