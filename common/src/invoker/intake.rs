//! Taking messages: never more than there are free workers for.

use super::Work;
use super::{Invoker, Stop};
use crate::chain::{Join, WorkerKind, join};
use crate::clock;
use crate::event::Event;
use crate::limits::{
    BACKOFF_WAITING_MAX, CRASHES_MAX, DEAD_WAITING_MAX, ORDER_WAITING_MAX, SENT_MAX,
};
use crate::queue::gather::{Arrival, Firing, Gathered};
use crate::queue::{QueueError, Taken};
use std::time::Instant;

impl Invoker {
    /// Takes what there are workers for, and says which queues it waits on.
    pub(super) fn take_in(&mut self) -> Result<(), QueueError> {
        let mut taken = Vec::new();
        self.count_stuck();
        for index in 0..self.served.len() {
            self.start_due(index)?;
            let free = self.free_workers(index);
            if free == 0 {
                self.listen(index, false)?;
                continue;
            }
            let port = self.served[index].serve.from;
            self.read_ahead(index);
            if self.served[index].look || self.desk.has_more() {
                self.desk.receive(port, free, &mut taken)?;
                self.served[index].look = taken.len() == free;
            }
            for one in taken.drain(..) {
                self.taken += 1;
                self.last_message = Instant::now();
                self.begin(index, one)?;
            }
            let more = self.free_workers(index) > 0;
            self.listen(index, more)?;
        }
        Ok(())
    }

    /// With an end by count nothing is fetched that will not be run.
    fn read_ahead(&mut self, index: usize) {
        let served = &mut self.served[index];
        let ahead = if self.until.count.is_some() { 0 } else { served.worth_ahead() };
        if std::mem::replace(&mut served.ahead, ahead) != ahead {
            let from = served.serve.from;
            self.desk.connection(from.connection).read_ahead(from.queue, ahead);
        }
    }

    /// What waits for room keeps its worker; what is merely on its way does not.
    fn count_stuck(&mut self) {
        self.served.iter_mut().for_each(|served| served.stuck = 0);
        if self.handing.is_empty() {
            return;
        }
        let stuck = self.desk.stuck();
        for handing in stuck.iter().filter_map(|ticket| self.handing.get(ticket)) {
            if !handing.is_letter {
                self.served[handing.work.served].stuck += 1;
            }
        }
    }

    fn free_workers(&self, index: usize) -> usize {
        let served = &self.served[index];
        let left = self.until.count.map_or(u64::MAX, |count| count.saturating_sub(self.taken));
        let waiting = served.backing_off >= BACKOFF_WAITING_MAX
            || served.burying >= DEAD_WAITING_MAX
            || served.turns.len() >= ORDER_WAITING_MAX
            || served.handing - served.stuck >= SENT_MAX
            || self.is_paused(index);
        if self.stop != Stop::No || waiting {
            return 0;
        }
        self.places(index, false).min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Whether the function's server asked for a pause that is not over.
    fn is_paused(&self, index: usize) -> bool {
        self.served[index].paused_until.is_some_and(|until| Instant::now() < until)
    }

    /// How many calls can be begun now: of new messages, or of those that
    /// failed before, which share no process with others.
    fn places(&self, index: usize, again: bool) -> usize {
        let served = &self.served[index];
        let function = &self.routing.chain.functions[served.serve.function];
        let lines = function.pipeline.unwrap_or(1) as usize;
        let busy = served.running + served.stuck + served.settling;
        let free = (served.serve.concurrency * lines).saturating_sub(busy);
        if function.worker == WorkerKind::Filter {
            free.min(self.filter_places(index, lines, again))
        } else {
            free
        }
    }

    /// Attempts whose back-off is over come before new messages.
    fn start_due(&mut self, index: usize) -> Result<(), QueueError> {
        if self.is_paused(index) {
            return Ok(());
        }
        let stopping = self.stop != Stop::No && !self.reads_pipe() && !self.has_settled_work();
        loop {
            if stopping || self.served[index].due.is_empty() || self.places(index, true) == 0 {
                return Ok(());
            }
            let served = &mut self.served[index];
            let Some(work) = served.due.pop_front() else { return Ok(()) };
            served.backing_off -= 1;
            self.admit(work)?;
        }
    }

    fn listen(&mut self, index: usize, on: bool) -> Result<(), QueueError> {
        if self.served[index].listening != on {
            self.desk.listen(self.served[index].serve.from, on)?;
            self.served[index].listening = on;
        }
        Ok(())
    }

    fn begin(&mut self, served: usize, taken: Taken) -> Result<(), QueueError> {
        self.next_work += 1;
        let failure = taken.failure();
        let work = Work {
            number: self.next_work,
            served,
            receipt: Some(taken.receipt),
            order: self.served[served].turns.take(),
            admitted: false,
            event: taken.event,
            attempts: taken.attempts,
            crashes: 0,
            unasked: 0,
            fault: taken.fault,
            refusals: 0,
            due: None,
            began: Instant::now(),
        };
        self.served[served].arrived(work.began);
        failure.iter().for_each(|failure| self.log.failure(failure));
        let work = self.check_origin(work);
        self.admit(work)
    }

    /// A message of another chain, put here by hand or by mistake, means
    /// nothing to this one.
    fn check_origin(&self, mut work: Work) -> Work {
        let chain = &self.routing.chain;
        let is_join =
            |index: u32| chain.functions.get(index as usize).is_some_and(|f| f.join.is_some());
        let Some(control) = &mut work.event.control else { return work };
        let other = !control.version.is_empty() && control.version != chain.digest;
        if other || !control.joins.iter().all(|held| is_join(held.join)) {
            control.joins.clear();
            work.fault = Some("it belongs to another chain".to_owned());
        }
        work
    }

    /// What comes before a call: a part goes to the others of its join, what
    /// is past its time ends, what is delivered at most once is settled.
    pub(super) fn admit(&mut self, mut work: Work) -> Result<(), QueueError> {
        let index = self.served[work.served].serve.function;
        let function = &self.routing.chain.functions[index];
        let retries = function.retries;
        let control = work.event.control.as_deref();
        let is_gathered = control.is_some_and(|control| control.gathered);
        // Also a part that is past its time, or that ended its invoker: it may
        // be the one that made the join fire. Not one that cannot be read.
        let is_whole = work.fault.as_ref().is_none_or(|fault| fault.starts_with("condition: "));
        if let (Some(join), false, true) = (function.join, is_gathered, is_whole)
            && control.is_some_and(|control| !control.joins.is_empty())
        {
            return self.gather(work, index, join);
        }
        if let Some(fault) = work.fault.take() {
            return self.bury_told(work, fault, None, Vec::new());
        }
        if function.join.is_some() && !is_gathered {
            let reason = "join: it is no part of an invocation".to_owned();
            return self.bury(work, reason, None, Vec::new());
        }
        if deadline_us(&work.event).is_some_and(|due| clock::unix_us() >= due) {
            return self.bury(work, "expired".to_owned(), None, Vec::new());
        }
        if work.attempts > retries.saturating_add(CRASHES_MAX) {
            let reason =
                format!("its invoker was killed during attempt {}, the last", work.attempts);
            return self.bury(work, reason, None, Vec::new());
        }
        if self.served[work.served].serve.at_most_once && !work.admitted {
            work.admitted = true;
            let Some(settled) = self.settle_first(work)? else { return Ok(()) };
            work = settled;
        }
        // What failed before gets a process to itself; it waits for one.
        if work.attempts > 0 && self.places(work.served, true) == 0 {
            let served = &mut self.served[work.served];
            served.backing_off += 1;
            served.due.push_back(work);
            return Ok(());
        }
        self.start(work)
    }

    /// Brings a part to the others of its join.
    fn gather(&mut self, mut work: Work, index: usize, join: Join) -> Result<(), QueueError> {
        let of = match join {
            Join::All => None,
            Join::Of(of) => Some(of),
        };
        let Some(arrival) = Arrival::of_event(&work.event, index as u32, of) else {
            let reason = "join: it is no part of an invocation".to_owned();
            return self.bury(work, reason, None, Vec::new());
        };
        let instance = arrival.key.rsplit('/').next().unwrap_or_default().to_owned();
        let connection = self.served[work.served].serve.from.connection;
        let Some(receipt) = work.receipt else { return Ok(()) };
        match self.desk.connection(connection).gather(receipt, arrival, &work.event) {
            Ok(Gathered::Kept) => self.send(work, Vec::new()),
            Ok(Gathered::Late(load)) => {
                let router = self.routing.router();
                let rest = router.late(index, &work.event, load.credit, load.joins);
                self.send(work, rest)
            }
            Ok(Gathered::Fires(firing)) => {
                let joined = self.assemble(index, &instance, &firing)?;
                work.event = joined.event;
                match joined.flaw {
                    Some(reason) => self.bury(work, reason, None, Vec::new()),
                    None => self.admit(work),
                }
            }
            Err(error @ (QueueError::NoRoom { .. } | QueueError::Unreachable { .. })) => {
                self.wait_for_room(work, &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn assemble(
        &self,
        index: usize,
        instance: &str,
        firing: &Firing<Event>,
    ) -> Result<join::Joined, QueueError> {
        let routing = &self.routing;
        join::assemble(&routing.chain, &routing.scopes, index, instance, firing)
            .map_err(QueueError::io("reading a part of a join"))
    }
}

/// When the time of an event's invocation is over, in Unix microseconds.
pub(super) fn deadline_us(event: &Event) -> Option<u64> {
    event.control.as_ref().map(|control| control.deadline_us).filter(|due| *due > 0)
}
