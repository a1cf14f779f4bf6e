//! Processes started ahead of their message (`ahead`): each waits at its
//! stdin, and never sees the end of an input that was not given to it.

use super::calls::{base, not_started};
use super::timers::Timer;
use super::{Invoker, Running, Stop, Work};
use crate::chain::FunctionInput;
use crate::worker::end::{CallEnd, Kill};
use crate::worker::environment;
use crate::worker::exec::Call;
use crate::worker::guard::Outcome;
use std::time::{Duration, Instant};

/// A call that takes longer than this has its successor started meanwhile;
/// before it is over, starting one would only hold it up.
const SUCCESSOR_AFTER: Duration = Duration::from_millis(2);

impl Invoker {
    /// Gives the message to a process that waits for one; without one, to a
    /// process of its own.
    pub(super) fn start_ahead(
        &mut self,
        call: u64,
        work: &Work,
    ) -> Result<(u64, Running), CallEnd> {
        let due = Instant::now() + SUCCESSOR_AFTER;
        self.timers.set(due, Timer::Spare(work.served));
        let waiting = self.spares.iter().find(|(_, (served, _))| *served == work.served);
        let Some(number) = waiting.map(|(number, _)| *number) else {
            return self.start_process(call, work);
        };
        let function = &self.routing.chain.functions[self.served[work.served].serve.function];
        let whole_event = function.input == FunctionInput::Event;
        let Some((_, mut spare)) = self.spares.remove(&number) else {
            return self.start_process(call, work);
        };
        match spare.give(&work.event, whole_event) {
            Ok(()) => Ok((number, Running::Exec(Box::new(spare)))),
            Err(error) => {
                self.spares.insert(number, (work.served, spare));
                Err(not_started(&error))
            }
        }
    }

    /// Writes to a process that was started ahead; at the end of the body its
    /// input ends.
    pub(super) fn feed(&mut self, process: u64) {
        let Some((_, Running::Exec(running))) = self.calls.get_mut(&process) else { return };
        if running.feed(&self.poller, base(process)).is_err() {
            // It must not take what it has for the whole.
            self.kill(process, Kill::Timeout);
        }
    }

    /// Starts what waits for the next messages: never more processes than
    /// there may be calls at once.
    pub(super) fn top_up(&mut self, index: usize) {
        let served = &self.served[index];
        let function = &self.routing.chain.functions[served.serve.function];
        if !function.ahead || self.stop != Stop::No || served.is_hopeless {
            return;
        }
        let waiting = self.spares.values().filter(|(of, _)| *of == index).count();
        let wanted = served.serve.concurrency.saturating_sub(waiting);
        for _ in 0..wanted {
            let Some(guard) = &self.guard else { return };
            self.next_work += 1;
            let number = self.next_work;
            let env = environment::of_process(&function.name);
            let at = (number, served.serve.function);
            match Call::ahead(guard, &self.poller, base(number), at, env, self.spool.clone()) {
                Ok(spare) => drop(self.spares.insert(number, (index, spare))),
                // Its message will find out why.
                Err(_) => return,
            }
        }
    }

    /// A process ended before its message came: the next ones start theirs
    /// when they come.
    pub(super) fn on_spare_end(&mut self, index: usize, mut spare: Call, outcome: Outcome) {
        let end = spare.finish(outcome);
        let function = self.served[index].serve.function;
        let name = &self.routing.chain.functions[function].name;
        spare.stderr.finish().iter().for_each(|line| self.log.of_function(name, line));
        if !std::mem::replace(&mut self.served[index].is_hopeless, true) {
            self.log.line(&format!(
                "{name}: started ahead, it ended before its message came ({end}); \
                 from now on it is started with each message"
            ));
        }
    }
}
