//! Events in by HTTP. A POST is an event, or several; it is answered when the
//! first queue has it (202), or with the results when they are waited for:
//! 200, 502 when a branch failed, 504 when it takes too long. Whoever asked
//! may be gone by then: the invocation goes on.

mod listen;
mod requests;
mod waiting;

pub use listen::Listen;

use super::Destination;
use crate::chain::naming;
use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::http::visitor::{Answer, Asked, Inbox, Patience, Visitor};
use crate::invoker::DeadSink;
use crate::limits::{
    FAREWELL_MAX_MS, IDLE_LOOK_MS, REQUEST_BODY_MAX_MS, REQUEST_HEADERS_MAX_MS, SPILL_MAX,
    VISITORS_MAX,
};
use crate::poll::{Interest, Poller, Ready};
use crate::queue::{Desk, Port, QueueError, QueueSpec};
use crate::signals::Signals;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::{Duration, Instant};
use waiting::Waiting;

const LISTENER: u64 = 1 << 59;
const SIGNALS: u64 = 1 << 60;
const VISITOR: u64 = 1 << 61;

/// What is served, and how.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// Where.
    pub listen: Listen,
    /// Whether requests wait for their results.
    pub wait: bool,
    /// How long they wait at most.
    pub timeout: Duration,
    /// Largest body of a request.
    pub body_max: u64,
    /// Stop after this many events.
    pub count: Option<u64>,
}

/// See the module.
pub struct WebTrigger {
    options: WebOptions,
    destination: Destination,
    desk: Desk,
    poller: Rc<Poller>,
    signals: Signals,
    /// None once nobody new is received.
    listener: Option<TcpListener>,
    is_listening: bool,
    visitors: HashMap<u64, Visitor>,
    next_visitor: u64,
    visitors_max: usize,
    inbox: Inbox,
    /// Requests that were not looked at, and since when.
    queue: VecDeque<(Instant, Asked)>,
    /// The hand-off that waits for room, and its request.
    sending: Option<(u64, requests::Accepted)>,
    /// Those that are on their way, by ticket.
    sent: HashMap<u64, requests::Accepted>,
    /// Answers that are owed, by request.
    answers: HashMap<u64, (u64, Answer)>,
    /// Visitors whose last answer is being written.
    closing: HashSet<u64>,
    waiting: Waiting,
    replies: Option<(Port, String)>,
    dead: DeadSink,
    name: String,
    number: u64,
    /// Requests that were given a number.
    asked: u64,
    accepted: u64,
    stopped_by: Option<i32>,
    looked: Instant,
    log: Log,
}

impl WebTrigger {
    /// Begins to listen.
    ///
    /// # Errors
    /// The address is taken, or waiting for results is impossible.
    pub fn new(
        options: WebOptions,
        destination: Destination,
        mut desk: Desk,
        poller: Rc<Poller>,
        dead: &std::path::Path,
        mut log: Log,
    ) -> Result<Self> {
        let failed = |error: &std::io::Error| Failure::io("wait for", "requests", error);
        let (listener, address) = options.listen.bind()?;
        poller.add(&listener, LISTENER, Interest::Read).map_err(|error| failed(&error))?;
        let signals = Signals::catch().map_err(|error| failed(&error))?;
        poller.add(&signals, SIGNALS, Interest::Read).map_err(|error| failed(&error))?;
        let name = format!("{:012x}", crate::clock::random_u64() & 0xFFFF_FFFF_FFFF);
        let replies = match (&destination, options.wait) {
            (Destination::Run(start), true) => Some(reply_queue(&mut desk, start, &name)?),
            (Destination::Queue(_), true) => {
                let failure =
                    Failure::new(Exit::Usage, "wait for", "results", "a queue gives none back");
                return Err(failure.cure("--run NAME, a chain that is running"));
            }
            (_, false) => None,
        };
        desk.wait_rather_than_spill();
        log.line(&format!("listening on http://{address}{}", options.listen.path));
        Ok(Self {
            options,
            destination,
            desk,
            poller,
            signals,
            listener: Some(listener),
            is_listening: true,
            visitors: HashMap::new(),
            next_visitor: 0,
            visitors_max: visitors_max(),
            inbox: Inbox::default(),
            queue: VecDeque::new(),
            sending: None,
            sent: HashMap::new(),
            answers: HashMap::new(),
            closing: HashSet::new(),
            waiting: Waiting::default(),
            replies,
            dead: DeadSink::file(dead),
            name,
            number: 0,
            asked: 0,
            accepted: 0,
            stopped_by: None,
            looked: Instant::now(),
            log,
        })
    }

    /// Serves until it is told to stop, or the count is reached.
    ///
    /// # Errors
    /// A queue failed for good.
    pub fn run(mut self) -> Result<(Exit, u64)> {
        let target = match &self.destination {
            Destination::Queue(port) => self.desk.connection(port.connection).name_of(port.queue),
            Destination::Run(start) => start.placement.run.clone(),
        };
        let mut ready = Vec::new();
        let ended = loop {
            match self.turn(&mut ready) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error.failure("send to", &target)),
            }
        };
        if let Some((port, name)) = self.replies.take() {
            // It goes with its run, if that is over.
            let _ = self.desk.connection(port.connection).remove(&name);
        }
        if let Some(said) = self.dead.said(&mut self.desk) {
            self.log.line(&said);
        }
        self.log.flush();
        ended?;
        let exit = self.stopped_by.map_or(Exit::Done, Exit::by_signal);
        Ok((exit, self.accepted))
    }

    fn turn(&mut self, ready: &mut Vec<Ready>) -> std::result::Result<bool, QueueError> {
        self.desk.flush()?;
        self.poller.wait(self.sleep(), ready).map_err(QueueError::io("waiting"))?;
        for one in std::mem::take(ready) {
            match one.token {
                LISTENER => self.receive(),
                SIGNALS if self.on_signal() => return Ok(false),
                token if token & VISITOR != 0 => self.advance(token & !VISITOR),
                token if self.desk.owns(token) => self.desk.on_ready(one),
                _ => {}
            }
        }
        let came = std::mem::take(&mut *self.inbox.borrow_mut());
        self.queue.extend(came.into_iter().map(|asked| (Instant::now(), asked)));
        for ticket in self.desk.advance()? {
            self.handed(ticket);
        }
        for (ticket, error) in self.desk.refused() {
            self.refused(ticket, &error);
        }
        self.take_requests()?;
        self.take_replies()?;
        self.give_up_late();
        if self.looked.elapsed() >= Duration::from_millis(IDLE_LOOK_MS) {
            self.look_after()?;
        }
        Ok(!self.is_finished())
    }

    fn sleep(&self) -> Duration {
        let came = !self.inbox.borrow().is_empty();
        let busy = came || (self.desk.has_more() && self.replies.is_some());
        if busy { Duration::ZERO } else { Duration::from_millis(100) }
    }

    /// First signal: nobody new, what was accepted is answered. Second: now.
    fn on_signal(&mut self) -> bool {
        while let Some(signal) = self.signals.next() {
            if self.stopped_by.replace(signal).is_some() {
                return true;
            }
            self.stop_receiving();
        }
        false
    }

    fn stop_receiving(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.poller.remove(&listener);
        }
    }

    fn is_finished(&mut self) -> bool {
        if self.is_stopping() {
            self.stop_receiving();
        }
        let is_done = self.listener.is_none()
            && self.queue.is_empty()
            && self.sending.is_none()
            && self.sent.is_empty()
            && self.waiting.is_empty()
            && self.answers.is_empty();
        if !is_done {
            return false;
        }
        // As long as somebody reads a last answer, it is written.
        let patience = Duration::from_millis(FAREWELL_MAX_MS);
        let is_reading = |number: &u64| {
            self.visitors.get(number).is_some_and(|visitor| !visitor.is_stalled(patience))
        };
        !self.closing.iter().any(is_reading)
    }

    /// Whether nobody new is received.
    fn is_stopping(&self) -> bool {
        let is_enough = self.options.count.is_some_and(|count| self.accepted >= count);
        self.listener.is_none() || is_enough
    }

    fn receive(&mut self) {
        while let Some(listener) = &self.listener {
            if self.visitors.len() >= self.visitors_max {
                self.listen(false);
                return;
            }
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // No descriptors, perhaps: whoever waits is received later.
                Err(_) => return self.listen(false),
            };
            self.next_visitor += 1;
            let number = self.next_visitor;
            let body_max = usize::try_from(self.options.body_max).unwrap_or(usize::MAX);
            let received = Visitor::receive(number, stream, body_max, self.inbox.clone());
            if let Ok(visitor) = received
                && self.poller.add_edge(&visitor, VISITOR | number).is_ok()
            {
                self.visitors.insert(number, visitor);
                self.advance(number);
            }
        }
    }

    fn listen(&mut self, on: bool) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.is_listening != on) else {
            return;
        };
        self.poller.remove(listener);
        self.is_listening = on && self.poller.add(listener, LISTENER, Interest::Read).is_ok();
    }

    fn advance(&mut self, number: u64) {
        if let Some(visitor) = self.visitors.get_mut(&number)
            && !visitor.advance()
        {
            self.poller.remove(&*visitor);
            self.visitors.remove(&number);
            self.closing.remove(&number);
            self.listen(true);
        }
    }

    fn look_after(&mut self) -> std::result::Result<(), QueueError> {
        self.looked = Instant::now();
        let patience = Patience {
            headers: Duration::from_millis(REQUEST_HEADERS_MAX_MS),
            body: Duration::from_millis(REQUEST_BODY_MAX_MS),
        };
        let late = self.visitors.iter().filter(|(_, visitor)| visitor.is_late(patience));
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            if let Some(visitor) = self.visitors.remove(&number) {
                self.poller.remove(&visitor);
            }
        }
        self.listen(true);
        for notice in self.desk.look_after()? {
            self.log.line(&notice);
        }
        Ok(())
    }
}

/// How many can be served with the descriptors there are: two for each, and
/// some for queues.
fn visitors_max() -> usize {
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, hard)| {
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        if raised.is_ok() { hard } else { soft }
    });
    let most = usize::try_from(limit.saturating_sub(OTHERS) / 2).unwrap_or(VISITORS_MAX);
    most.clamp(1, VISITORS_MAX)
}

/// A reply queue of our own in the run.
fn reply_queue(desk: &mut Desk, start: &super::RunStart, word: &str) -> Result<(Port, String)> {
    let name = naming::reply_of(&start.placement.reply, word);
    let connection = start.reply.connection;
    let run = Some(start.placement.run.clone());
    let spec = QueueSpec { run, spill: Some(SPILL_MAX), ..QueueSpec::default() };
    let target = desk.connection(connection);
    let url = target.url_of(&name);
    let opened = target.create(&name, &spec).and_then(|_| target.open_receive(&name));
    let queue = opened.map_err(|error| error.failure("create", &url))?;
    target.listen(queue, true).map_err(|error| error.failure("read", &url))?;
    Ok((Port { connection, queue }, name))
}
