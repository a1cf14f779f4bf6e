//! How the suite reaches a middleware.

use faas_common::event::Event;
use faas_common::poll::{Poller, Ready};
use faas_common::queue::mem::Hub;
use faas_common::queue::{
    Connection, Outgoing, QueueError, QueueId, QueueSpec, QueueUrl, Settled, Settlement, Taken,
    connect, mqueue,
};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A middleware under test. Connections of one fixture see the same queues.
pub trait Fixture: Clone + Send + 'static {
    fn new() -> Self;
    fn connect(&self) -> Box<dyn Connection>;
    /// A queue name nobody else has; removed with the fixture.
    fn name(&self, name: &str) -> String;

    /// How long it takes at most until what was sent can be taken; zero where
    /// it can be at once.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// How long nothing must have come after something did, until that was
    /// all.
    fn quiet(&self) -> Duration {
        self.patience()
    }

    /// A connection with a poller of its own.
    fn user(&self) -> User {
        let mut connection = self.connect();
        let poller = Rc::new(Poller::new().expect("a poller"));
        connection.attach(poller.clone(), 0);
        User { connection, poller, patience: self.patience(), quiet: self.quiet() }
    }
}

/// Somebody who uses queues.
pub struct User {
    pub connection: Box<dyn Connection>,
    pub poller: Rc<Poller>,
    patience: Duration,
    quiet: Duration,
}

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

impl User {
    pub fn create(&mut self, name: &str, spec: &QueueSpec) {
        self.connection.create(name, spec).expect("a queue can be created");
    }

    pub fn sender(&mut self, name: &str) -> QueueId {
        self.connection.open_send(name).expect("it opens for sending")
    }

    pub fn receiver(&mut self, name: &str) -> QueueId {
        self.connection.open_receive(name).expect("it opens for receiving")
    }

    pub fn send(&mut self, queue: QueueId, body: &[u8]) -> Settled {
        self.settle(&[], vec![(queue, event(body))])
    }

    pub fn settle(&mut self, taken: &[&Taken], outputs: Vec<(QueueId, Event)>) -> Settled {
        self.try_settle(taken, outputs).expect("it settles")
    }

    /// Settles, and waits for the answer where there is one to come.
    pub fn try_settle(
        &mut self,
        taken: &[&Taken],
        outputs: Vec<(QueueId, Event)>,
    ) -> Result<Settled, QueueError> {
        let outputs = outputs.into_iter().map(|(queue, event)| Outgoing { queue, event }).collect();
        let taken = taken.iter().map(|taken| taken.receipt).collect();
        let mut settlement = Settlement { ticket: 7, taken, outputs };
        match self.connection.settle(&mut settlement)? {
            Settled::Sent => self.answer(),
            settled => Ok(settled),
        }
    }

    fn answer(&mut self) -> Result<Settled, QueueError> {
        let (mut done, until) = (Vec::new(), Instant::now() + ANSWER);
        while Instant::now() < until {
            self.step(Duration::from_millis(10));
            self.connection.resume(&mut done)?;
            if let Some((_, error)) = self.connection.refused().pop() {
                return Err(error);
            }
            if !done.is_empty() {
                return Ok(Settled::Done);
            }
            if !self.connection.stuck().is_empty() {
                return Ok(Settled::Waiting);
            }
        }
        panic!("no answer came");
    }

    /// Goes on with what waits for room; tickets that are done.
    pub fn resume(&mut self) -> Vec<u64> {
        let (mut done, until) = (Vec::new(), Instant::now() + self.patience);
        loop {
            self.connection.resume(&mut done).expect("it goes on");
            if !done.is_empty() || Instant::now() >= until {
                return done;
            }
            self.step(Duration::from_millis(5));
        }
    }

    pub fn take(&mut self, queue: QueueId, max: usize) -> Vec<Taken> {
        let (mut taken, mut until) = (Vec::new(), Instant::now() + self.patience);
        loop {
            let (left, before) = (max - taken.len(), taken.len());
            self.connection.try_receive(queue, left, &mut taken).expect("it receives");
            if taken.len() > before {
                until = Instant::now() + self.quiet;
            }
            if taken.len() == max || Instant::now() >= until {
                break;
            }
            self.step(Duration::from_millis(5));
        }
        if !self.patience.is_zero() && taken.len() < max {
            // What was asked for and did not come is for others.
            self.connection.listen(queue, false).expect("it stops listening");
            self.step(Duration::from_millis(5));
        }
        taken
    }

    pub fn bodies(&mut self, queue: QueueId, max: usize) -> Vec<Vec<u8>> {
        let taken = self.take(queue, max);
        let bodies = taken.iter().map(body).collect();
        self.settle(&taken.iter().collect::<Vec<_>>(), Vec::new());
        bodies
    }

    /// Sleeps until something is ready; tells the connection of it. Where
    /// answers come that mean nothing to the caller, until a message or room
    /// is there.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Ready> {
        if self.patience.is_zero() {
            return self.step(timeout);
        }
        let (until, was_stuck) = (Instant::now() + timeout, !self.connection.stuck().is_empty());
        while Instant::now() < until {
            let ready = self.step(Duration::from_millis(5));
            let has_room = was_stuck && self.connection.stuck().is_empty();
            if self.connection.has_more() || has_room {
                return ready.into_iter().chain([READY]).collect();
            }
        }
        Vec::new()
    }

    fn step(&mut self, timeout: Duration) -> Vec<Ready> {
        let mut ready = Vec::new();
        self.connection.flush().expect("it sends");
        self.poller.wait(timeout, &mut ready).expect("it waits");
        ready.iter().for_each(|one| self.connection.on_ready(*one));
        ready
    }
}

/// Something is ready.
const READY: Ready = Ready { token: 0, readable: true, writable: false };

pub fn event(body: &[u8]) -> Event {
    Event::bare("i".into(), "/test".into(), "application/octet-stream", body.to_vec())
}

pub fn body(taken: &Taken) -> Vec<u8> {
    taken.event.body.as_ref().map(|b| b.load().expect("a body").into_owned()).unwrap_or_default()
}

#[derive(Clone)]
pub struct Mem(Hub);

impl Fixture for Mem {
    fn new() -> Self {
        Self(Hub::default())
    }

    fn connect(&self) -> Box<dyn Connection> {
        Box::new(self.0.connection().expect("a connection"))
    }

    fn name(&self, name: &str) -> String {
        name.to_owned()
    }
}

#[derive(Clone)]
pub struct Mq {
    prefix: String,
    _cleaner: std::sync::Arc<Cleaner>,
}

struct Cleaner(String);

impl Fixture for Mq {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("c{}x{count}-", std::process::id());
        Self { _cleaner: std::sync::Arc::new(Cleaner(prefix.clone())), prefix }
    }

    fn connect(&self) -> Box<dyn Connection> {
        mqueue::open().expect("a connection")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let mut connection = mqueue::open().expect("a connection");
        for queue in connection.list().unwrap_or_default() {
            if queue.name.starts_with(&self.0) {
                let _ = connection.remove(&queue.name);
            }
        }
    }
}

/// A server's queues: one prefix for each fixture, one server for all.
#[derive(Clone)]
pub struct Redis {
    prefix: String,
    cleaner: std::sync::Arc<Sweeper>,
}

/// Removes what a test left behind.
struct Sweeper {
    url: QueueUrl,
    prefix: String,
}

impl Sweeper {
    fn new(url: &str) -> std::sync::Arc<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("c{}x{count}-", std::process::id());
        let url = QueueUrl::parse(url).expect("the service has a URL");
        std::sync::Arc::new(Self { url, prefix })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        let Ok(mut connection) = connect(&self.url) else { return };
        for queue in connection.list().unwrap_or_default() {
            if queue.name.starts_with(&self.prefix) {
                let _ = connection.remove(&queue.name);
            }
        }
    }
}

impl Fixture for Redis {
    fn new() -> Self {
        let cleaner = Sweeper::new(&faas_tests::services::shared_redis());
        Self { prefix: cleaner.prefix.clone(), cleaner }
    }

    fn connect(&self) -> Box<dyn Connection> {
        connect(&self.cleaner.url.with_option("lease", "2s")).expect("a connection")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(150)
    }
}

/// The topics of a cluster: one prefix for each fixture, one broker for all.
#[derive(Clone)]
pub struct Kafka {
    prefix: String,
    cleaner: std::sync::Arc<Sweeper>,
}

impl Fixture for Kafka {
    fn new() -> Self {
        let cleaner = Sweeper::new(&faas_tests::services::shared_kafka());
        Self { prefix: cleaner.prefix.clone(), cleaner }
    }

    fn connect(&self) -> Box<dyn Connection> {
        connect(&self.cleaner.url.with_option("partitions", "2")).expect("a connection")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(8)
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(400)
    }
}
