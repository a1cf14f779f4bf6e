//! The messages of a run as they move from step to step: copies that its
//! invokers and triggers send aside while somebody looks.

use super::orphans;
use crate::chain::naming;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::limits::IDLE_LOOK_MS;
use crate::poll::{Interest, Poller};
use crate::queue::{
    self, Connection, Desk, Handoff, Order, Port, QueueError, QueueSpec, QueueUrl, Seen, View,
    WhenFull,
};
use crate::signals::Signals;
use std::rc::Rc;
use std::time::{Duration, Instant};

const SIGNALS: u64 = 1 << 60;
/// Copies that may wait to be shown.
const CAPACITY: u64 = 1_000;
/// Bytes of copies that may wait beside a queue that holds few.
const BESIDE: u64 = 16 << 20;

/// A look at a run; its queue of copies goes with it.
pub struct Tap {
    desk: Desk,
    poller: Rc<Poller>,
    from: Port,
    owner: Box<dyn Connection>,
    name: String,
    signals: Signals,
    signal: Option<i32>,
    is_over: bool,
    is_closed: bool,
    shown: u64,
}

impl Tap {
    /// Begins to look at a run; `via` is where it is when it was opened on
    /// another host. Its processes notice within a few seconds.
    ///
    /// # Errors
    /// There is no such run, somebody looks at it already, or its middleware
    /// cannot be reached.
    pub fn open(run: &str, via: Option<&QueueUrl>) -> Result<Self> {
        let io = |what: &'static str| move |error: std::io::Error| Failure::io(what, "run", &error);
        // Before anything begins threads: they leave signals to this one.
        let signals = Signals::catch().map_err(io("catch signals at"))?;
        let home = home_of(run, via)?;
        let failed = |error: QueueError| error.failure("look at run", run);
        let mut owner = queue::connect(&home).map_err(failed)?;
        let is_local = owner.capabilities().on_one_host;
        let name = naming::tap(is_local, run);
        create(owner.as_mut(), &name, run, is_local)?;
        let poller = Rc::new(Poller::new().map_err(io("look at"))?);
        poller.add(&signals, SIGNALS, Interest::Read).map_err(io("look at"))?;
        let mut desk = Desk::new(poller.clone());
        let mut connection = queue::connect(&home).map_err(failed)?;
        let queue = connection.open_receive(&name).map_err(failed)?;
        let from = Port { connection: desk.add(connection), queue };
        let (signal, is_over, is_closed, shown) = (None, false, false, 0);
        Ok(Self { desk, poller, from, owner, name, signals, signal, is_over, is_closed, shown })
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// Ends the look: the queue of copies goes.
    ///
    /// # Errors
    /// It cannot be removed; one that is gone with its run is no error.
    pub fn close(mut self) -> Result<()> {
        self.is_closed = true;
        match self.owner.remove(&self.name) {
            Ok(()) | Err(QueueError::NoSuchQueue) => Ok(()),
            Err(error) => Err(error.failure("remove", &self.owner.url_of(&self.name))),
        }
    }

    fn take(&mut self, most: usize, into: &mut Vec<Seen>) -> std::result::Result<(), QueueError> {
        let mut taken = Vec::new();
        self.desk.receive(self.from, most, &mut taken)?;
        for one in taken {
            let receipt = Some((self.from.connection, one.receipt));
            self.desk.hand_over(Handoff { taken: receipt, outputs: Vec::new() })?;
            self.shown += 1;
            let mark = self.shown.to_string();
            into.push(Seen { lane: 0, mark, time_ms: None, event: one.event, fault: one.fault });
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> std::result::Result<(), QueueError> {
        self.desk.listen(self.from, true)?;
        self.desk.flush()?;
        let wait = if self.desk.has_more() { Duration::ZERO } else { wait };
        let mut ready = Vec::new();
        self.poller.wait(wait, &mut ready).map_err(QueueError::io("waiting"))?;
        for one in ready {
            if one.token == SIGNALS {
                self.signal = self.signal.or(self.signals.next());
            } else if self.desk.owns(one.token) {
                self.desk.on_ready(one);
            }
        }
        self.desk.advance()?;
        self.desk.look_after()?;
        Ok(())
    }

    fn see(
        &mut self,
        most: usize,
        wait: Duration,
        into: &mut Vec<Seen>,
    ) -> std::result::Result<(), QueueError> {
        let (begin, before) = (Instant::now(), into.len());
        self.take(most, into)?;
        while into.len() == before && self.signal.is_none() && begin.elapsed() < wait {
            let left = wait.saturating_sub(begin.elapsed());
            self.turn(left.min(Duration::from_millis(IDLE_LOOK_MS)))?;
            self.take(most, into)?;
        }
        let queue = self.from.queue;
        self.is_over |= !self.desk.connection(self.from.connection).is_there(queue);
        Ok(())
    }
}

impl View for Tap {
    fn next(
        &mut self,
        most: usize,
        wait: Duration,
        into: &mut Vec<Seen>,
    ) -> std::result::Result<(), QueueError> {
        match self.see(most, wait, into) {
            // The run is over, and its queues went with it.
            Err(QueueError::Removed { .. } | QueueError::NoSuchQueue) => {
                self.is_over = true;
                Ok(())
            }
            other => other,
        }
    }

    fn is_at_end(&self) -> bool {
        self.is_over || self.signal.is_some()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.is_closed {
            let _ = self.owner.remove(&self.name);
        }
    }
}

/// Where the reply queue of a run is, and so that of its copies.
fn home_of(run: &str, via: Option<&QueueUrl>) -> Result<QueueUrl> {
    // On this host a run says by itself where it is.
    match via.filter(|via| !is_local(via)) {
        Some(via) if orphans::noted(run, Some(via))?.is_some() => Ok(via.clone()),
        Some(via) => {
            let failure =
                Failure::new(Exit::Unreachable, "look at run", run, "it is not open there");
            Err(failure.cure(format!("faas-queue ls {via}")))
        }
        None => {
            let all = orphans::middlewares_of(run)?;
            Ok(all.into_iter().next().unwrap_or(QueueUrl::local("mq", "")))
        }
    }
}

fn is_local(url: &QueueUrl) -> bool {
    queue::find(url.scheme()).is_some_and(|middleware| middleware.capabilities.on_one_host)
}

/// Makes the queue of copies; one that somebody left is made anew.
fn create(owner: &mut dyn Connection, name: &str, run: &str, is_local: bool) -> Result<()> {
    let spec = QueueSpec {
        capacity: Some(CAPACITY),
        order: Some(Order::Fifo),
        when_full: Some(WhenFull::DropOldest),
        run: Some(run.to_owned()),
        spill: is_local.then_some(BESIDE),
        ..QueueSpec::default()
    };
    let failed = |error: QueueError| error.failure("look at run", run);
    match owner.create(name, &spec) {
        Err(QueueError::Exists) => {}
        other => return other.map(drop).map_err(failed),
    }
    if owner.stat(name).is_ok_and(|stat| stat.readers > 0) {
        let reason = "somebody looks at it already";
        let failure = Failure::new(Exit::SomeFailed, "look at run", run, reason);
        return Err(failure.cure("their screen"));
    }
    owner.remove(name).map_err(failed)?;
    owner.create(name, &spec).map(drop).map_err(failed)
}
