//! Calls: starting them, and watching them while they run.

use super::intake::deadline_us;
use super::timers::Timer;
use super::{CALLS, GUARD, Invoker, Work};
use crate::chain::FunctionInput;
use crate::clock;
use crate::event::Event;
use crate::limits::{KILL_MAX_MS, STDERR_PER_CALL_MAX};
use crate::poll::Interest;
use crate::queue::QueueError;
use crate::worker::exec::{Call, CallEnd, Kill, Start};
use crate::worker::guard::{Ended, Guard, Outcome};
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
        let start = Start {
            call,
            function: index,
            name: &function.name,
            event: &work.event,
            whole_event: function.input == FunctionInput::Event,
            attempt: work.attempts,
        };
        let started = match &self.guard {
            Some(guard) => Call::start(guard, &self.poller, CALLS | call << 1, &start),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        match started {
            Ok(running) => {
                work.due = Instant::now().checked_add(time_left(function.timeout, &work.event));
                if let Some(due) = work.due {
                    self.timers.set(due, Timer::Timeout(call));
                }
                self.calls.insert(call, (work, running));
                Ok(())
            }
            Err(error) => {
                self.served[work.served].running -= 1;
                let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
                self.after_call(work, CallEnd::NotStarted(errno), Vec::new(), Vec::new())
            }
        }
    }

    /// A call printed something.
    pub(super) fn on_output(&mut self, call: u64, on_stderr: bool) -> Result<(), QueueError> {
        let Some((work, running)) = self.calls.get_mut(&call) else { return Ok(()) };
        if on_stderr {
            let said = running.read_stderr();
            let function = self.served[work.served].serve.function;
            let name = &self.routing.chain.functions[function].name;
            pass_on(work, name, &said, &mut self.log);
        } else if !running.read_stdout() {
            self.kill(call, Kill::OutputTooLarge);
        }
        Ok(())
    }

    /// A call's time is over.
    pub(super) fn on_timeout(&mut self, call: u64) {
        self.kill(call, Kill::Timeout);
    }

    /// A call that was killed is still there: its guard must be stopped.
    pub(super) fn on_overdue(&mut self, call: u64) {
        if let (true, Some(guard)) = (self.calls.contains_key(&call), &self.guard) {
            guard.give_up();
        }
    }

    fn kill(&mut self, call: u64, why: Kill) {
        if let (Some((_, running)), Some(guard)) = (self.calls.get_mut(&call), &self.guard) {
            running.killed.get_or_insert(why);
            // A guard that is gone is noticed at its socket.
            let _ = guard.kill(call);
            let patience = Duration::from_millis(KILL_MAX_MS);
            self.timers.set(Instant::now() + patience, Timer::Overdue(call));
        }
    }

    /// A call's process is gone.
    pub(super) fn on_end(&mut self, ended: Ended) -> Result<(), QueueError> {
        let Some((mut work, mut running)) = self.calls.remove(&ended.call) else { return Ok(()) };
        if let Some(due) = work.due.take() {
            self.timers.cancel(due, Timer::Timeout(ended.call));
        }
        self.served[work.served].running -= 1;
        let (end, said) = running.finish(ended.outcome);
        let function = self.served[work.served].serve.function;
        let name = &self.routing.chain.functions[function].name;
        pass_on(&mut work, name, &said, &mut self.log);
        if !work.stderr_line.is_empty() {
            pass_on(&mut work, name, b"\n", &mut self.log);
        }
        (work.stderr_line, work.stderr_passed) = (Vec::new(), 0);
        self.after_call(work, end, running.output, running.stderr_tail)
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
        for (_, (work, mut running)) in std::mem::take(&mut self.calls) {
            self.served[work.served].running -= 1;
            // A call that was to be killed is; the others are nobody's fault.
            let (end, _) = running.finish(Outcome::Signal(nix::libc::SIGKILL));
            let end = if running.killed.is_some() { end } else { CallEnd::GuardDied };
            self.after_call(work, end, Vec::new(), running.stderr_tail)?;
        }
        Ok(())
    }
}

/// The time of a call: the function's own, or what its invocation has left.
pub(super) fn time_left(timeout: Duration, event: &Event) -> Duration {
    let left =
        deadline_us(event).map(|due| Duration::from_micros(due.saturating_sub(clock::unix_us())));
    left.map_or(timeout, |left| timeout.min(left))
}

/// A function's stderr is its log: passed on in whole lines, with its name
/// before each, up to a limit for each call.
fn pass_on(work: &mut Work, name: &str, said: &[u8], log: &mut crate::cli::log::Log) {
    for &byte in said {
        if byte != b'\n' {
            // A line without an end must not grow for ever.
            if work.stderr_line.len() < 8 << 10 {
                work.stderr_line.push(byte);
            }
            continue;
        }
        let line = std::mem::take(&mut work.stderr_line);
        let before = work.stderr_passed;
        work.stderr_passed += line.len() + 1;
        if work.stderr_passed <= STDERR_PER_CALL_MAX {
            log.of_function(name, &String::from_utf8_lossy(&line));
        } else if before <= STDERR_PER_CALL_MAX {
            log.of_function(name, "(more on stderr than is passed on)");
        }
    }
}
