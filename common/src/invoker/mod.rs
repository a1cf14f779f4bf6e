//! The invoker: take a message, run its function, route the output, settle.
//! One loop, one thread: queues, function pipes, timers, signals and the
//! guard are all in one epoll set, and nothing in the loop ever blocks.

mod calls;
pub mod dead;
mod ends;
mod intake;
mod order;
pub mod outputs;
mod routing;
mod served;
mod spares;
mod timers;
mod warm;
pub mod watchdog;
mod web;
mod work;

pub use dead::DeadSink;
pub use routing::{Routing, check_programs, spec_of, specs};
pub use served::Serve;
pub use work::{Tally, Timing};

use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::limits::{DRAIN_MAX_MS, IDLE_LOOK_MS};
use crate::poll::{Interest, Poller, Ready};
use crate::queue::{Desk, Port, QueueError, pipe};
use crate::signals::Signals;
use crate::worker::exec::Call;
use crate::worker::guard::{Guard, Report};
use crate::worker::token;
use served::Served;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timers::{Timer, Timers};
use warm::Warm;
use web::{Kept, Site, WebCall};
use work::{Handing, Running, Work};

const WEB: u64 = 1 << 59;
const SIGNALS: u64 = 1 << 60;
const GUARD: u64 = 1 << 61;
const CALLS: u64 = 1 << 62;

/// When an invoker ends by itself.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// After this long without a message.
    pub idle: Option<Duration>,
    /// After this many messages.
    pub count: Option<u64>,
    /// When this run is gone.
    pub run: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// No more intake; what is under way is finished.
    Draining,
    Now,
}

/// See the module.
pub struct Invoker {
    desk: Desk,
    poller: Rc<Poller>,
    routing: Routing,
    served: Vec<Served>,
    guard: Option<Guard>,
    signals: Signals,
    timers: Timers,
    calls: HashMap<u64, (Work, Running)>,
    /// Warm processes, by the guard's number.
    filters: HashMap<u64, Warm>,
    /// Processes that were started ahead of their message, by number: of
    /// which served function.
    spares: HashMap<u64, (usize, Call)>,
    /// Where functions behind URLs are, by served function.
    sites: HashMap<usize, Site>,
    connections: HashMap<u64, WebCall>,
    /// Functions behind URLs that we started, by number.
    servers: HashMap<u64, Kept>,
    /// Messages that wait out a back-off, by their work number.
    waiting: HashMap<u64, Work>,
    /// Hand-offs that wait or are on their way, by ticket.
    handing: HashMap<u64, Handing>,
    /// Messages that are settled before their function runs, by the ticket of
    /// that.
    settling: HashMap<u64, Work>,
    next_work: u64,
    stop: Stop,
    stopped_by: Option<i32>,
    stopped_at: Option<Instant>,
    /// Where large outputs go, so that the queues can take them as they are.
    spool: Option<PathBuf>,
    /// Whether a lack of descriptors was said.
    scarcity_said: bool,
    until: Until,
    last_message: Instant,
    looked: Instant,
    /// Hand-offs refused since then, for another reader has what was taken.
    taken_over: u64,
    taken: u64,
    tally: Tally,
    log: Log,
}

impl Invoker {
    /// An invoker that serves `serve` out of the routing's chain. The guard
    /// was started while the process had a single thread.
    ///
    /// # Errors
    /// No processes or descriptors left.
    pub fn new(
        guard: Guard,
        mut desk: Desk,
        poller: Rc<Poller>,
        routing: Routing,
        serve: Vec<Serve>,
        until: Until,
        log: Log,
    ) -> Result<Self> {
        let start = |error: &io::Error| Failure::io("start", "the guard of functions", error);
        poller.add(&guard, GUARD, Interest::Read).map_err(|error| start(&error))?;
        let signals = Signals::catch().map_err(|error| start(&error))?;
        poller.add(&signals, SIGNALS, Interest::Read).map_err(|error| start(&error))?;
        watchdog::install().map_err(|error| start(&error))?;
        // Recovered messages may be there before anything is announced.
        let _ = desk.look_after();
        let spool = desk.connection(routing.results.connection).spool_folder();
        let sites = web::sites(&routing.chain, &serve);
        let served = serve
            .into_iter()
            .map(|serve| {
                let keep = routing.chain.functions[serve.function].keep;
                Served::new(serve, keep)
            })
            .collect();
        Ok(Self {
            desk,
            poller,
            routing,
            served,
            guard: Some(guard),
            signals,
            timers: Timers::default(),
            calls: HashMap::new(),
            filters: HashMap::new(),
            spares: HashMap::new(),
            sites,
            connections: HashMap::new(),
            servers: HashMap::new(),
            waiting: HashMap::new(),
            handing: HashMap::new(),
            settling: HashMap::new(),
            next_work: 0,
            stop: Stop::No,
            stopped_by: None,
            stopped_at: None,
            spool,
            scarcity_said: false,
            until,
            last_message: Instant::now(),
            looked: Instant::now(),
            taken_over: 0,
            taken: 0,
            tally: Tally::default(),
            log,
        })
    }

    /// Works until there is nothing more to do, or it is told to stop.
    ///
    /// # Errors
    /// A queue or the system failed for good. Messages under way stay where
    /// their queue keeps them.
    pub fn run(&mut self) -> Result<(Exit, Tally)> {
        let mut ready = Vec::new();
        self.warm_up();
        let ended = loop {
            match self.turn(&mut ready) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let desk = &mut self.desk;
        if let Some(said) = self.routing.dead.as_ref().and_then(|dead| dead.said(desk)) {
            self.log.line(&said);
        }
        self.take_leave();
        self.tell_of_taken_over();
        self.log.flush();
        match ended {
            // Whoever read our output has seen enough: not an error.
            Err(QueueError::Closed) => Ok((Exit::Done, self.tally)),
            // The run is over.
            Err(QueueError::Removed { .. }) if self.until.run.is_some() => {
                Ok((self.exit(), self.tally))
            }
            Err(error) => Err(error.failure("go on with", "the queues")),
            Ok(()) => Ok((self.exit(), self.tally)),
        }
    }

    /// What calls cost, by function.
    pub fn timings(&self) -> Vec<(String, Timing)> {
        let of = |served: &Served| {
            let function = &self.routing.chain.functions[served.serve.function];
            (function.name.clone(), served.timing.clone())
        };
        self.served.iter().map(of).collect()
    }

    fn turn(&mut self, ready: &mut Vec<Ready>) -> std::result::Result<bool, QueueError> {
        self.take_in()?;
        if self.stop == Stop::Now || self.is_finished() {
            return Ok(false);
        }
        self.desk.flush()?;
        let sleep = self.sleep();
        self.poller.wait(sleep, ready).map_err(QueueError::io("waiting"))?;
        for &one in ready.iter() {
            self.on_ready(one)?;
        }
        for timer in self.timers.due(Instant::now()) {
            self.on_timer(timer)?;
        }
        for ticket in self.desk.advance()? {
            self.handed(ticket)?;
        }
        for (ticket, error) in self.desk.refused() {
            self.refused(ticket, error)?;
        }
        if self.looked.elapsed() >= Duration::from_millis(IDLE_LOOK_MS) {
            self.look_after()?;
        }
        Ok(true)
    }

    fn on_ready(&mut self, ready: Ready) -> std::result::Result<(), QueueError> {
        match ready.token {
            SIGNALS => self.on_signal(),
            GUARD => self.on_guard()?,
            token if token & CALLS != 0 => {
                let pipe = token & ((1 << token::BITS) - 1);
                self.on_pipe((token & !CALLS) >> token::BITS, pipe)?;
            }
            token if token & WEB != 0 => self.on_connection(token & !WEB)?,
            token if self.desk.owns(token) => {
                self.desk.on_ready(ready);
                if ready.readable {
                    let one = self.desk.announces(ready);
                    let is_meant =
                        |served: &&mut Served| one.is_none_or(|p| p == served.serve.from);
                    self.served.iter_mut().filter(is_meant).for_each(|served| served.look = true);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_guard(&mut self) -> std::result::Result<(), QueueError> {
        loop {
            match self.guard.as_ref().map_or(Report::Died, Guard::report) {
                Report::Ended(ended) => self.on_end(ended)?,
                Report::Started(started) => self.on_started(started)?,
                Report::Nothing => return Ok(()),
                Report::Died => return self.replace_guard(),
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) -> std::result::Result<(), QueueError> {
        match timer {
            Timer::Timeout(call) => self.on_timeout(call)?,
            Timer::Overdue(process) => self.on_overdue(process),
            Timer::Look(process) => self.on_look(process)?,
            // The loop looks at what is due by itself.
            Timer::Resume => {}
            Timer::Idle(process) => self.on_idle(process),
            Timer::Spare(index) => self.top_up(index),
            Timer::Retry(work) => {
                if let Some(work) = self.waiting.remove(&work) {
                    self.served[work.served].due.push_back(work);
                }
            }
        }
        Ok(())
    }

    /// First signal: no more intake, but stdin is read to its end on Ctrl-C,
    /// for it reaches every stage of a pipeline at once. Second: stop now.
    fn on_signal(&mut self) {
        while let Some(signal) = self.signals.next() {
            let drains_stdin =
                signal == nix::libc::SIGINT && self.reads_pipe() && pipe::stdin_is_pipe();
            let again = self.stopped_by.is_some();
            self.stopped_by = Some(signal);
            self.stopped_at.get_or_insert_with(Instant::now);
            self.stop = match (again, drains_stdin) {
                (true, _) => Stop::Now,
                (false, true) => Stop::No,
                (false, false) => Stop::Draining,
            };
        }
    }

    fn look_after(&mut self) -> std::result::Result<(), QueueError> {
        self.looked = Instant::now();
        self.look_for_silence();
        let notices = match (self.desk.look_after(), &self.until.run) {
            // The run is over: there is nothing to do and nobody to tell.
            (Err(QueueError::Removed { .. }), Some(_)) => {
                self.stop = Stop::Now;
                return Ok(());
            }
            (looked, _) => looked?,
        };
        notices.iter().for_each(|notice| self.log.line(notice));
        self.tell_of_taken_over();
        self.served.iter_mut().for_each(|served| served.look = true);
        Ok(())
    }

    /// Hand-offs that were refused since the last time; the first was told.
    fn tell_of_taken_over(&mut self) {
        if let more @ 1.. = std::mem::take(&mut self.taken_over).saturating_sub(1) {
            self.log.line(&format!("{more} more were taken over by other readers"));
        }
    }

    fn sleep(&self) -> Duration {
        if self.desk.has_more() && self.stop == Stop::No && self.served.iter().any(|s| s.listening)
        {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let tick = Duration::from_millis(IDLE_LOOK_MS).saturating_sub(now - self.looked);
        self.timers.next().map_or(tick, |due| tick.min(due.saturating_duration_since(now)))
    }

    fn reads_pipe(&mut self) -> bool {
        let ports: Vec<Port> = self.served.iter().map(|served| served.serve.from).collect();
        ports.iter().any(|port| self.is_pipe(*port))
    }

    fn is_pipe(&mut self, port: Port) -> bool {
        self.desk.connection(port.connection).capabilities().scheme == "-"
    }

    fn is_finished(&mut self) -> bool {
        // A message from a queue stays there while it waits out a back-off, or
        // while its outputs wait for room; one from a pipe is nowhere else.
        let kept = self.stop != Stop::No && !self.reads_pipe() && !self.has_settled_work();
        let patience = Duration::from_millis(DRAIN_MAX_MS);
        let drained = kept && self.stopped_at.is_none_or(|at| at.elapsed() >= patience);
        let backing_off =
            self.served.iter().any(|served| served.backing_off > 0 || !served.turns.is_empty());
        if !self.calls.is_empty() || (self.desk.is_waiting() && !drained) {
            if self.calls.is_empty() && !backing_off && self.is_enough() {
                // All that is left is to find room; the queues keep it too.
                self.stop = Stop::Draining;
                self.stopped_at.get_or_insert_with(Instant::now);
            }
            return false;
        }
        let waits = backing_off && !kept;
        let exhausted = self.served.iter().all(|served| self.desk.is_exhausted(served.serve.from));
        !waits && (self.stop != Stop::No || exhausted || self.is_enough())
    }

    /// Whether there is work that no queue keeps: settled before its function
    /// ran, and not handed over yet.
    pub(super) fn has_settled_work(&self) -> bool {
        self.waiting.values().chain(self.settling.values()).any(|work| work.receipt.is_none())
            || self.served.iter().any(|served| {
                served.serve.at_most_once
                    && (served.handing > 0 || !served.turns.is_empty() || !served.due.is_empty())
            })
    }

    /// Whether the idle time is over or the count reached.
    fn is_enough(&self) -> bool {
        let idle = self.until.idle.is_some_and(|idle| self.last_message.elapsed() >= idle);
        idle || self.until.count.is_some_and(|count| self.taken >= count)
    }

    fn exit(&mut self) -> Exit {
        let unread = self.served.iter().any(|served| !self.desk.is_exhausted(served.serve.from));
        let cut_off = self.stop == Stop::Now || (unread && self.reads_pipe());
        match self.stopped_by {
            Some(signal) if cut_off => Exit::by_signal(signal),
            _ if self.tally.dead > 0 => Exit::SomeFailed,
            _ => Exit::Done,
        }
    }
}
