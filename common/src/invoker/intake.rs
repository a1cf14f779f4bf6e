//! Taking messages: never more than there are free workers for.

use super::{Invoker, Stop};
use crate::limits::{BACKOFF_WAITING_MAX, CRASHES_MAX, DEAD_WAITING_MAX};
use crate::queue::{QueueError, Taken};
use std::time::Instant;

impl Invoker {
    /// Takes what there are workers for, and says which queues it waits on.
    pub(super) fn take_in(&mut self) -> Result<(), QueueError> {
        let mut taken = Vec::new();
        for index in 0..self.served.len() {
            self.start_due(index)?;
            let free = self.free_workers(index);
            if free == 0 {
                self.listen(index, false)?;
                continue;
            }
            let port = self.served[index].serve.from;
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

    fn free_workers(&self, index: usize) -> usize {
        let served = &self.served[index];
        let left = self.until.count.map_or(u64::MAX, |count| count.saturating_sub(self.taken));
        let waiting =
            served.backing_off >= BACKOFF_WAITING_MAX || served.burying >= DEAD_WAITING_MAX;
        if self.stop != Stop::No || waiting {
            return 0;
        }
        let busy = served.running + served.handing;
        served
            .serve
            .concurrency
            .saturating_sub(busy)
            .min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Attempts whose back-off is over come before new messages.
    fn start_due(&mut self, index: usize) -> Result<(), QueueError> {
        let stopping = self.stop != Stop::No && !self.reads_pipe();
        loop {
            let served = &mut self.served[index];
            let busy = served.running + served.handing >= served.serve.concurrency;
            if busy || stopping {
                return Ok(());
            }
            let Some(work) = served.due.pop_front() else { return Ok(()) };
            served.backing_off -= 1;
            self.start(work)?;
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
        let work = super::Work {
            number: self.next_work,
            served,
            receipt: taken.receipt,
            event: taken.event,
            attempts: taken.attempts,
            stderr_line: Vec::new(),
            stderr_passed: 0,
            due: None,
        };
        if let Some(fault) = taken.fault {
            failure.iter().for_each(|failure| self.log.failure(failure));
            return self.bury_told(work, fault, None, Vec::new());
        }
        let function = &self.routing.chain.functions[self.served[served].serve.function];
        if work.attempts > function.retries.saturating_add(CRASHES_MAX) {
            let reason =
                format!("its invoker was killed during attempt {}, the last", work.attempts);
            return self.bury(work, reason, None, Vec::new());
        }
        self.start(work)
    }
}
