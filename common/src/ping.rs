//! Round trips through a queue of one's own: an event is sent, taken and
//! settled, one at a time. The queue is removed in the end.

use crate::clock;
use crate::error::{Failure, Result};
use crate::event::{Body, Event};
use crate::exit::Exit;
use crate::limits::IDLE_LOOK_MS;
use crate::poll::{Interest, Poller};
use crate::queue::{
    self, Desk, Handed, Handoff, Order, Port, QueueError, QueueSpec, QueueUrl, Taken,
};
use crate::signals::Signals;
use crate::stats::Latencies;
use std::rc::Rc;
use std::time::{Duration, Instant};

const SIGNALS: u64 = 1 << 60;

/// What is asked of a middleware.
#[derive(Debug, Clone, Copy)]
pub struct Ping {
    /// Round trips that are measured.
    pub count: u64,
    /// Bytes of each body.
    pub size: u64,
    /// Round trips begun in a second; as fast as they end when there is none.
    pub rate: Option<f64>,
    /// How long one may take.
    pub timeout: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Pong {
    /// The first round trip: whoever reads has to be made known first.
    pub first: Duration,
    /// The others.
    pub latencies: Latencies,
    /// From the second to the last.
    pub took: Duration,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// Measures round trips on the middleware of a URL. `tell` hears of each.
///
/// # Errors
/// The middleware cannot be reached, or a message did not come back in time.
pub fn ping(url: &QueueUrl, ask: &Ping, tell: impl FnMut(&Latencies)) -> Result<Pong> {
    // Before anything begins threads: they leave signals to this one.
    let signals = Signals::catch().map_err(|error| Failure::io("catch", "signals", &error))?;
    let name = format!("faas-ping-{:08x}", clock::random_u64() & 0xFFFF_FFFF);
    let object = url.to_string();
    let failed = |error: QueueError| error.failure("ping", &object);
    let mut owner = queue::connect(url).map_err(failed)?;
    let spec = QueueSpec { order: Some(Order::Fifo), ..QueueSpec::default() };
    owner.create(&name, &spec).map_err(failed)?;
    let outcome =
        Course::begin(url, &name, ask, &object, signals).and_then(|mut course| course.run(tell));
    let removed = owner.remove(&name).map_err(failed);
    let pong = outcome?;
    removed.map(|()| pong)
}

/// The loop.
struct Course<'a> {
    desk: Desk,
    poller: Rc<Poller>,
    to: Port,
    from: Port,
    signals: Signals,
    /// The signal that ends it.
    signal: Option<i32>,
    ask: &'a Ping,
    object: &'a str,
    body: Vec<u8>,
}

impl<'a> Course<'a> {
    fn begin(
        url: &QueueUrl,
        name: &str,
        ask: &'a Ping,
        object: &'a str,
        signals: Signals,
    ) -> Result<Self> {
        let poller = Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?;
        let poller = Rc::new(poller);
        let mut desk = Desk::new(poller.clone());
        let failed = |error: QueueError| error.failure("ping", object);
        let mut sender = queue::connect(url).map_err(failed)?;
        let queue = sender.open_send(name).map_err(failed)?;
        let to = Port { connection: desk.add(sender), queue };
        let mut reader = queue::connect(url).map_err(failed)?;
        let queue = reader.open_receive(name).map_err(failed)?;
        let from = Port { connection: desk.add(reader), queue };
        let added = poller.add(&signals, SIGNALS, Interest::Read);
        added.map_err(|error| Failure::io("wait for", "signals", &error))?;
        let body = vec![b'x'; usize::try_from(ask.size).unwrap_or(usize::MAX)];
        let signal = None;
        Ok(Self { desk, poller, to, from, signals, signal, ask, object, body })
    }

    fn run(&mut self, mut tell: impl FnMut(&Latencies)) -> Result<Pong> {
        let mut latencies = Latencies::new();
        let first = self.round_trip(0, Instant::now())?.unwrap_or_default();
        let begin = Instant::now();
        for number in 0..self.ask.count {
            let after = self.ask.rate.map(|rate| Duration::from_secs_f64(number as f64 / rate));
            // Of one that begins late, the wait counts.
            let began = after.map_or_else(Instant::now, |after| begin + after);
            self.wait_until(began)?;
            let Some(took) = self.round_trip(number + 1, began)? else { break };
            latencies.record(took);
            tell(&latencies);
        }
        Ok(Pong { first, latencies, took: begin.elapsed(), signal: self.signal })
    }

    fn wait_until(&mut self, at: Instant) -> Result<()> {
        while self.signal.is_none() {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.turn(left.min(Duration::from_millis(IDLE_LOOK_MS)), &mut Vec::new())?;
        }
        Ok(())
    }

    /// One event there and back; none when a signal came.
    fn round_trip(&mut self, number: u64, began: Instant) -> Result<Option<Duration>> {
        self.signal = self.signal.or(self.signals.next());
        if self.signal.is_some() {
            return Ok(None);
        }
        let failed = |error: QueueError| error.failure("ping", self.object);
        let kind = "application/octet-stream";
        let id = format!("ping-{number}");
        let mut event = Event::bare(id, "/faas-queue/ping".to_owned(), kind, Vec::new());
        event.body = Some(Body::Inline(self.body.clone()));
        let sent = Handoff { taken: None, outputs: vec![(self.to, event)] };
        if let Handed::Refused(error) = self.desk.hand_over(sent).map_err(failed)? {
            return Err(failed(error).cure("a smaller --size"));
        }
        let (mut taken, sent_at) = (Vec::new(), Instant::now());
        self.desk.flush().map_err(failed)?;
        while taken.is_empty() {
            if sent_at.elapsed() > self.ask.timeout {
                let reason = format!("message {number} did not come back in time");
                return Err(Failure::new(Exit::TryAgain, "ping", self.object, reason)
                    .cure("--timeout, with a longer time"));
            }
            self.turn(Duration::from_millis(IDLE_LOOK_MS), &mut taken)?;
            if self.signal.is_some() {
                return Ok(None);
            }
        }
        let took = began.elapsed();
        for one in taken {
            let handoff =
                Handoff { taken: Some((self.from.connection, one.receipt)), outputs: Vec::new() };
            self.desk.hand_over(handoff).map_err(failed)?;
        }
        self.desk.flush().map_err(failed)?;
        Ok(Some(took))
    }

    /// Takes what is there, or sleeps until something may be.
    fn turn(&mut self, sleep: Duration, taken: &mut Vec<Taken>) -> Result<()> {
        let failed = |error: QueueError| error.failure("ping", self.object);
        self.desk.receive(self.from, 1, taken).map_err(failed)?;
        if !taken.is_empty() {
            return Ok(());
        }
        self.desk.listen(self.from, true).map_err(failed)?;
        self.desk.flush().map_err(failed)?;
        let sleep = if self.desk.has_more() { Duration::ZERO } else { sleep };
        let mut ready = Vec::new();
        let woken = self.poller.wait(sleep, &mut ready);
        woken.map_err(|error| Failure::io("wait for", self.object, &error))?;
        for one in ready {
            if one.token == SIGNALS {
                self.signal = self.signal.or(self.signals.next());
            } else if self.desk.owns(one.token) {
                self.desk.on_ready(one);
            }
        }
        self.desk.advance().map_err(failed)?;
        if let Some((_, error)) = self.desk.refused().into_iter().next() {
            return Err(failed(error));
        }
        self.desk.look_after().map(drop).map_err(failed)
    }
}
