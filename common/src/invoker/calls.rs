//! Calls: starting them, and watching them while they run.

use super::intake::deadline_us;
use super::timers::Timer;
use super::{CALLS, GUARD, Invoker, Running, Work};
use crate::chain::{FunctionInput, WorkerKind};
use crate::clock;
use crate::event::Event;
use crate::limits::KILL_MAX_MS;
use crate::poll::Interest;
use crate::queue::QueueError;
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::exec::{Call, Start};
use crate::worker::guard::{Ended, Guard, Outcome, Started};
use crate::worker::token;
use std::io;
use std::time::{Duration, Instant};

impl Invoker {
    /// Starts an attempt.
    pub(super) fn start(&mut self, mut work: Work) -> Result<(), QueueError> {
        let serve = &self.served[work.served].serve;
        let (from, index) = (serve.from, serve.function);
        if let Some(receipt) = work.receipt {
            self.desk.connection(from.connection).count_attempt(receipt);
        }
        work.attempts += 1;
        self.tally.retried += u64::from(work.attempts > 1);
        self.served[work.served].running += 1;
        self.next_work += 1;
        let call = self.next_work;
        let function = &self.routing.chain.functions[index];
        let timeout = function.timeout;
        let started = match function.worker {
            WorkerKind::Exec if function.ahead => self.start_ahead(call, &work),
            WorkerKind::Exec => self.start_process(call, &work),
            WorkerKind::Http => self.start_web(call, work.served),
            WorkerKind::Filter => self.start_filter(call, &work),
        };
        match started {
            Ok((call, running)) => {
                work.began = Instant::now();
                work.due = work.began.checked_add(time_left(timeout, &work.event));
                if let Some(due) = work.due {
                    self.timers.set(due, Timer::Timeout(call));
                }
                let process = if let Running::Filter(process) = running { process } else { call };
                let is_web = matches!(running, Running::Web(_));
                self.calls.insert(call, (work, running));
                if is_web { self.ask_web(call) } else { self.look_at(process) }
            }
            Err(end) => {
                self.served[work.served].running -= 1;
                self.after_call(work, end, Output::default(), Vec::new())
            }
        }
    }

    /// A process for this call alone.
    pub(super) fn start_process(
        &mut self,
        call: u64,
        work: &Work,
    ) -> Result<(u64, Running), CallEnd> {
        let function = self.served[work.served].serve.function;
        let model = &self.routing.chain.functions[function];
        let start = Start {
            call,
            function,
            name: &model.name,
            // With or without a spare, it finds the same.
            tells: !model.ahead,
            event: &work.event,
            whole_event: model.input == FunctionInput::Event,
            attempt: work.attempts,
            spool: self.spool.as_deref(),
        };
        let started = match &self.guard {
            Some(guard) => Call::start(guard, &self.poller, base(call), &start),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        self.served[work.served].timing.cold_starts += 1;
        let running = started.map_err(|error| not_started(&error))?;
        Ok((call, Running::Exec(Box::new(running))))
    }

    /// One of a process's pipes is ready.
    pub(super) fn on_pipe(&mut self, process: u64, pipe: u64) -> Result<(), QueueError> {
        if self.filters.contains_key(&process) {
            return self.on_filter_pipe(process, pipe);
        }
        if self.servers.contains_key(&process) {
            self.on_server_pipe(process, pipe);
            return Ok(());
        }
        if let Some((served, spare)) = self.spares.get_mut(&process) {
            let function = self.served[*served].serve.function;
            let name = &self.routing.chain.functions[function].name;
            spare.read_stdout();
            spare.stderr.read().iter().for_each(|line| self.log.of_function(name, line));
            return Ok(());
        }
        let Some((work, Running::Exec(running))) = self.calls.get_mut(&process) else {
            return Ok(());
        };
        match pipe {
            token::STDERR => {
                let function = self.served[work.served].serve.function;
                let name = &self.routing.chain.functions[function].name;
                running.stderr.read().iter().for_each(|line| self.log.of_function(name, line));
            }
            token::STDIN => self.feed(process),
            _ => {
                if !running.read_stdout() {
                    self.kill(process, Kill::OutputTooLarge);
                }
            }
        }
        Ok(())
    }

    /// A call's time is over.
    pub(super) fn on_timeout(&mut self, call: u64) -> Result<(), QueueError> {
        match self.calls.get(&call) {
            Some((_, Running::Filter(process))) => {
                let process = *process;
                self.filter_timed_out(process, call);
            }
            Some((_, Running::Exec(_))) => self.kill(call, Kill::Timeout),
            Some((_, Running::Web(_))) => {
                return self.end_web(call, CallEnd::Killed(Kill::Timeout));
            }
            None => {}
        }
        Ok(())
    }

    /// A process that was killed is still there: its guard must be stopped.
    /// One that was to end by itself is killed.
    pub(super) fn on_overdue(&mut self, process: u64) {
        if let Some(warm) = self.filters.get_mut(&process)
            && warm.condemned.is_none()
        {
            self.condemn(process, None, CallEnd::Killed(Kill::Timeout));
            return;
        }
        if self.servers.get(&process).is_some_and(|server| !server.is_condemned) {
            self.condemn_server(process);
            return;
        }
        let is_there = self.calls.contains_key(&process)
            || self.filters.contains_key(&process)
            || self.servers.contains_key(&process);
        if let (true, Some(guard)) = (is_there, &self.guard) {
            guard.give_up();
        }
    }

    pub(super) fn kill(&mut self, call: u64, why: Kill) {
        if let Some((_, Running::Exec(running))) = self.calls.get_mut(&call) {
            running.killed.get_or_insert(why);
            self.kill_process(call);
        }
    }

    /// Kills a process, and later its guard if it is still there.
    pub(super) fn kill_process(&mut self, process: u64) {
        if let Some(guard) = &self.guard {
            // A guard that is gone is noticed at its socket.
            let _ = guard.kill(process);
        }
        let patience = Duration::from_millis(KILL_MAX_MS);
        self.timers.set(Instant::now() + patience, Timer::Overdue(process));
    }

    /// A process whose stdin is held runs.
    pub(super) fn on_started(&mut self, started: Started) -> Result<(), QueueError> {
        match self.filters.get_mut(&started.call) {
            Some(warm) => {
                warm.filter.started(started.pid);
                self.look_at(started.call)
            }
            None => Ok(()),
        }
    }

    /// A process is gone.
    pub(super) fn on_end(&mut self, ended: Ended) -> Result<(), QueueError> {
        if self.filters.contains_key(&ended.call) {
            return self.on_filter_end(ended);
        }
        if self.servers.contains_key(&ended.call) {
            return self.on_server_end(ended);
        }
        if let Some((served, spare)) = self.spares.remove(&ended.call) {
            self.on_spare_end(served, spare, ended.outcome);
            return Ok(());
        }
        let Some((work, Running::Exec(mut running))) = self.calls.remove(&ended.call) else {
            return Ok(());
        };
        let end = running.finish(ended.outcome);
        let function = self.served[work.served].serve.function;
        let name = &self.routing.chain.functions[function].name;
        running.stderr.finish().iter().for_each(|line| self.log.of_function(name, line));
        if let Some(at) = running.output_ended() {
            self.served[work.served].timing.output.add(at - work.began);
        }
        let (served, tail) = (work.served, running.stderr.tail().to_vec());
        self.end_call(ended.call, work, end, Output::Printed(running.output), tail)?;
        self.top_up(served);
        Ok(())
    }

    /// What every end of a call has in common.
    pub(super) fn end_call(
        &mut self,
        call: u64,
        mut work: Work,
        end: CallEnd,
        output: Output,
        stderr: Vec<u8>,
    ) -> Result<(), QueueError> {
        if let Some(due) = work.due.take() {
            self.timers.cancel(due, Timer::Timeout(call));
        }
        let served = &mut self.served[work.served];
        served.running -= 1;
        served.ran(work.began.elapsed());
        self.after_call(work, end, output, stderr)
    }

    /// The guard was killed: what it guarded is killed too, none of it is
    /// settled, and a new guard takes its place.
    pub(super) fn replace_guard(&mut self) -> Result<(), QueueError> {
        self.log.line("the guard of functions was killed; starting a new one");
        if let Some(dead) = self.guard.take() {
            self.poller.remove(&dead);
            dead.bury();
        }
        let guard =
            Guard::start(&self.routing.specs).map_err(QueueError::io("starting a guard"))?;
        self.poller
            .add(&guard, GUARD, Interest::Read)
            .map_err(QueueError::io("starting a guard"))?;
        self.guard = Some(guard);
        self.spares.clear();
        self.forget_servers();
        let filters = std::mem::take(&mut self.filters);
        for (call, (work, running)) in std::mem::take(&mut self.calls) {
            let (end, tail) = match running {
                Running::Exec(mut running) => {
                    let end = running.finish(Outcome::Signal(nix::libc::SIGKILL));
                    // A call that was to be killed is; the others are nobody's fault.
                    let is_killed = running.killed.is_some();
                    let end = if is_killed { end } else { CallEnd::GuardDied };
                    (end, running.stderr.tail().to_vec())
                }
                Running::Filter(process) => {
                    let condemned = filters.get(&process).and_then(|warm| warm.end_of(call));
                    (condemned.unwrap_or(CallEnd::GuardDied), Vec::new())
                }
                Running::Web(_) if !self.has_server(work.served) => {
                    self.calls.insert(call, (work, running));
                    continue;
                }
                Running::Web(_) => (CallEnd::GuardDied, Vec::new()),
            };
            self.end_call(call, work, end, Output::default(), tail)?;
        }
        Ok(())
    }
}

/// The token of a process's stdout.
pub(super) fn base(process: u64) -> u64 {
    CALLS | process << token::BITS
}

pub(super) fn not_started(error: &io::Error) -> CallEnd {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    // The guard is gone, and it was nobody's turn to say so yet.
    if matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected) {
        return CallEnd::GuardDied;
    }
    CallEnd::NotStarted(error.raw_os_error().unwrap_or(nix::libc::EIO))
}

/// The time of a call: the function's own, or what its invocation has left.
pub(super) fn time_left(timeout: Duration, event: &Event) -> Duration {
    let left =
        deadline_us(event).map(|due| Duration::from_micros(due.saturating_sub(clock::unix_us())));
    left.map_or(timeout, |left| timeout.min(left))
}
