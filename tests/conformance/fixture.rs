//! How the suite reaches a middleware.

use faas_common::event::Event;
use faas_common::poll::{Poller, Ready};
use faas_common::queue::mem::Hub;
use faas_common::queue::{
    Connection, Outgoing, QueueId, QueueSpec, Settled, Settlement, Taken, mqueue,
};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A middleware under test. Connections of one fixture see the same queues.
pub trait Fixture: Clone + Send + 'static {
    fn new() -> Self;
    fn connect(&self) -> Box<dyn Connection>;
    /// A queue name nobody else has; removed with the fixture.
    fn name(&self, name: &str) -> String;

    /// A connection with a poller of its own.
    fn user(&self) -> User {
        let mut connection = self.connect();
        let poller = Rc::new(Poller::new().expect("a poller"));
        connection.attach(poller.clone(), 0);
        User { connection, poller }
    }
}

/// Somebody who uses queues.
pub struct User {
    pub connection: Box<dyn Connection>,
    pub poller: Rc<Poller>,
}

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
        let outputs = outputs.into_iter().map(|(queue, event)| Outgoing { queue, event }).collect();
        let taken = taken.iter().map(|taken| taken.receipt).collect();
        self.connection.settle(&mut Settlement { ticket: 7, taken, outputs }).expect("it settles")
    }

    pub fn take(&mut self, queue: QueueId, max: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        self.connection.try_receive(queue, max, &mut taken).expect("it receives");
        taken
    }

    pub fn bodies(&mut self, queue: QueueId, max: usize) -> Vec<Vec<u8>> {
        let taken = self.take(queue, max);
        let bodies = taken.iter().map(body).collect();
        self.settle(&taken.iter().collect::<Vec<_>>(), Vec::new());
        bodies
    }

    /// Sleeps until something is ready; tells the connection of it.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Ready> {
        let mut ready = Vec::new();
        self.poller.wait(timeout, &mut ready).expect("it waits");
        ready.iter().for_each(|one| self.connection.on_ready(*one));
        ready
    }
}

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
        mqueue::connect("").expect("a connection")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let mut connection = mqueue::connect("").expect("a connection");
        for queue in connection.list().unwrap_or_default() {
            if queue.name.starts_with(&self.0) {
                let _ = connection.remove(&queue.name);
            }
        }
    }
}
