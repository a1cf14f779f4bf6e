//! Messages of one queue that go to another, or away: those that are there
//! when it begins.

use super::{End, Mover, Report, Transfer, Until};
use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::look::Filter;
use crate::poll::Poller;
use crate::queue::{
    self, Connection, Desk, Key, Port, Position, QueueError, QueueId, QueueStat, QueueUrl, Range,
};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

/// What is to be done.
pub struct Errand {
    /// Where messages are taken from.
    pub from: QueueUrl,
    /// Where they go; none when they are removed.
    pub to: Option<QueueUrl>,
    /// Which are meant, and what is made of them.
    pub filter: Filter,
    /// How many, at most.
    pub count: Option<u64>,
    /// Whether they lose what a failure added to them.
    pub strips: bool,
    /// What has come to the target since then came from an earlier errand that
    /// did not get to settle it.
    pub resumes: Option<Position>,
}

/// What came of it.
pub struct Outcome {
    /// How the transfer ended.
    pub report: Report,
    /// Messages that could not be moved, and stay.
    pub failed: u64,
    /// Messages that the target had already.
    pub there: u64,
    /// Messages that were there when it began and could not be had: others
    /// took them.
    pub missed: u64,
}

impl Errand {
    /// What waits in the queue, and what is held: readers that are gone leave
    /// that.
    ///
    /// # Errors
    /// There is no such queue, or its middleware cannot be reached.
    pub fn depth(&self) -> Result<u64> {
        self.stat().map(|stat| stat.depth + stat.held)
    }

    /// The queue that messages are taken from.
    ///
    /// # Errors
    /// As [`Self::depth`].
    pub fn stat(&self) -> Result<QueueStat> {
        let stat = queue::connect(&self.from).and_then(|mut open| open.stat(self.from.name()));
        stat.map_err(|error| error.failure("look at", &self.from.to_string()))
    }

    /// Whether it could be done: there is a queue to send to.
    ///
    /// # Errors
    /// There is none, or its middleware cannot be reached.
    pub fn check_target(&self) -> Result<()> {
        let Some(to) = &self.to else { return Ok(()) };
        let stat = queue::connect(to).and_then(|mut open| open.stat(to.name()));
        stat.map(drop).map_err(|error| error.failure("open", &to.to_string()))
    }

    /// How many are meant of so many, as far as that can be told without
    /// taking them.
    ///
    /// # Errors
    /// The queue cannot be looked at.
    pub fn count_meant(&self, depth: u64) -> Result<u64> {
        let most = self.count.map_or(depth, |count| count.min(depth));
        if !self.filter.is_picky() {
            return Ok(most);
        }
        let failed = |error: QueueError| error.failure("look at", &self.from.to_string());
        let range = Range { at: Position::Start, until: Some(Position::End) };
        let mut view = queue::view(&self.from, &range).map_err(failed)?;
        let mut meant = 0;
        let looked = queue::look_through(view.as_mut(), |seen| {
            meant += u64::from(self.filter.picks(&seen.event).unwrap_or(false));
        });
        looked.map_err(failed)?;
        Ok(most.min(meant))
    }

    /// Does it; `arrived` is told how many have arrived, `tell` what could not
    /// be moved. With `quiet`, nothing else is said.
    ///
    /// # Errors
    /// A queue is not there, or failed for good.
    pub fn run(
        self,
        quiet: bool,
        tell: Box<dyn FnMut(&Failure)>,
        mut arrived: impl FnMut(u64),
    ) -> Result<Outcome> {
        let depth = self.depth()?;
        let there = self.there()?;
        let (mut transfer, to) = self.transfer(depth, quiet)?;
        let (filter, strips, count) = (self.filter, self.strips, self.count);
        let mut mover = Mover { filter, to, strips, there, tell, failed: 0, skipped: 0 };
        let report = transfer.run(
            |taken| mover.step(taken),
            |count| {
                arrived(count);
                Ok(())
            },
        )?;
        // Who has as many as were wanted misses none.
        let is_enough = count.is_some_and(|count| report.moved >= count);
        let is_over = matches!(report.end, End::Done | End::TimedOut);
        let wanted = if is_enough || !is_over { 0 } else { depth };
        let missed = wanted.saturating_sub(report.looked);
        let failed = mover.failed + report.refused;
        Ok(Outcome { report, failed, missed, there: mover.skipped })
    }

    /// Source and id of what has arrived already.
    fn there(&self) -> Result<HashSet<Key>> {
        let (Some(at), Some(to)) = (&self.resumes, &self.to) else { return Ok(HashSet::new()) };
        let middleware = queue::find(to.scheme());
        let can_be_looked_at = middleware.is_some_and(|one| one.capabilities.peek);
        let refused = |error| match error {
            QueueError::Refused { what, .. } if !can_be_looked_at => QueueError::Refused {
                what,
                alternative: "the same without --resume; some may come twice".to_owned(),
            },
            other => other,
        };
        let there = queue::keys_from(to, at.clone()).map_err(refused);
        there.map_err(|error| error.failure("look at", &to.to_string()))
    }

    /// The transfer, and where it goes.
    fn transfer(&self, depth: u64, quiet: bool) -> Result<(Transfer, Option<Port>)> {
        crate::signals::block();
        let poller = Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?;
        let poller = Rc::new(poller);
        let mut desk = Desk::new(poller.clone());
        let failed = |error: QueueError| error.failure("open", &self.from.to_string());
        let mut connection = queue::connect(&self.from).map_err(failed)?;
        let queue = connection.open_receive(self.from.name()).map_err(failed)?;
        // Within one middleware a hand-off can be one step.
        let is_one = |to: &&QueueUrl| to.with_name("") == self.from.with_name("");
        let here = self.to.as_ref().filter(is_one);
        let here = here.map(|to| open_send(connection.as_mut(), to)).transpose()?;
        let index = desk.add(connection);
        let from = Port { connection: index, queue };
        let to = match (&self.to, here) {
            (_, Some(queue)) => Some(Port { connection: index, queue }),
            (Some(to), None) => {
                let open = queue::connect(to);
                let mut open = open.map_err(|error| error.failure("open", &to.to_string()))?;
                let queue = open_send(open.as_mut(), to)?;
                Some(Port { connection: desk.add(open), queue })
            }
            (None, None) => None,
        };
        let timeout = Some(Duration::ZERO);
        let (count, looked) = (self.count, Some(depth));
        let until = Until {
            count,
            timeout,
            looked,
            waits_for_room: true,
            passes_refused: true,
            ..Until::default()
        };
        let doing = (if to.is_some() { "move from" } else { "purge" }, self.from.to_string());
        let log = Log::new("faas-queue", quiet);
        Ok((Transfer { desk, poller, from, until, doing, log, window: None }, to))
    }
}

fn open_send(connection: &mut dyn Connection, to: &QueueUrl) -> Result<QueueId> {
    let opened = connection.open_send(to.name());
    opened.map_err(|error| error.failure("open", &to.to_string()))
}
