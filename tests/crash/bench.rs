//! What scenarios are made of: queues of their own, messages, and the look at
//! what is left.

use faas_common::event::credit::Credit;
use faas_common::event::{Attr, Control, Event, JoinShare};
use faas_common::poll::Poller;
use faas_common::queue::gather::{Arrival, Gathered};
use faas_common::queue::{Connection, Outgoing, QueueId, QueueSpec, Settlement, Taken, mqueue};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A connection to queues whose names begin with the scenario's prefix.
pub struct Bench {
    pub connection: Box<dyn Connection>,
    prefix: String,
    state: PathBuf,
}

impl Bench {
    pub fn new(prefix: &str) -> Self {
        let mut connection = mqueue::open().expect("a connection");
        connection.attach(Rc::new(Poller::new().expect("an epoll set")), 0);
        let state = PathBuf::from(std::env::var_os("FAAS_STATE_DIR").expect("it is set"));
        Self { connection, prefix: prefix.to_owned(), state }
    }

    pub fn prefix(&self) -> String {
        self.prefix.clone()
    }

    fn name(&self, queue: &str) -> String {
        format!("{}-{queue}", self.prefix)
    }

    pub fn create(&mut self, queue: &str, capacity: u64, spill: bool) {
        let spill = spill.then_some(1 << 20);
        let spec = QueueSpec { capacity: Some(capacity), spill, ..QueueSpec::default() };
        self.connection.create(&self.name(queue), &spec).expect("it is created");
    }

    pub fn remove(&mut self, queue: &str) {
        self.connection.remove(&self.name(queue)).expect("it is removed");
    }

    pub fn to(&mut self, queue: &str) -> QueueId {
        self.connection.open_send(&self.name(queue)).expect("it opens")
    }

    pub fn from(&mut self, queue: &str) -> QueueId {
        self.connection.open_receive(&self.name(queue)).expect("it opens")
    }

    pub fn take(&mut self, queue: QueueId, max: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        self.connection.try_receive(queue, max, &mut taken).expect("it receives");
        taken
    }

    pub fn settle(&mut self, taken: &[&Taken], outputs: Vec<(QueueId, Event)>) {
        let outputs = outputs.into_iter().map(|(queue, event)| Outgoing { queue, event }).collect();
        let taken = taken.iter().map(|taken| taken.receipt).collect();
        let mut settlement = Settlement { ticket: 1, taken, outputs };
        self.connection.settle(&mut settlement).expect("it settles");
    }

    pub fn send(&mut self, queue: &str, event: Event) {
        let to = self.to(queue);
        self.settle(&[], vec![(to, event)]);
    }

    /// Takes and settles all there is; how often each id came.
    pub fn drain(&mut self, queue: &str) -> BTreeMap<String, usize> {
        let from = self.from(queue);
        let mut came = BTreeMap::new();
        // What waits for room beside the queue comes when there is some.
        loop {
            self.connection.look_after().expect("it looks");
            let _ = self.connection.resume(&mut Vec::new());
            // One by one: a copy that comes later must not need the first one.
            let taken = self.take(from, 1);
            if taken.is_empty() {
                return came;
            }
            for one in &taken {
                assert_eq!(one.fault, None, "{}", one.event.id);
                check_body(&one.event);
                *came.entry(one.event.id.clone()).or_default() += 1;
            }
            self.settle(&taken.iter().collect::<Vec<_>>(), Vec::new());
        }
    }

    pub fn gather(&mut self, taken: &Taken) -> Gathered<Event> {
        let arrival = Arrival::of_event(&taken.event, 0, None).expect("it is a part");
        self.connection.gather(taken.receipt, arrival, &taken.event).expect("it is gathered")
    }

    /// Bytes of the bodies beside a queue, cells that are kept warm left out,
    /// and of its spill; and entries of its ledger that are not free.
    pub fn left(&self, queue: &str) -> Vec<String> {
        let folder = self.state.join("bodies").join(self.name(queue));
        let mut left: Vec<String> = files(&folder);
        left.retain(|name| name != "cells" && name != "ledger");
        let records = files(&self.state.join("slots").join(self.name(queue)));
        left.extend(records.into_iter().filter(|name| name.ends_with(".outbox")));
        let ledger = std::fs::read(folder.join("ledger")).unwrap_or_default();
        for (number, entry) in ledger.chunks_exact(64).enumerate().skip(1) {
            if entry[0] != 0 {
                left.push(format!("entry {} of {queue} in state {}", number - 1, entry[0]));
            }
        }
        let spill = std::fs::metadata(self.state.join("spill").join(self.name(queue)));
        left.extend(spill.ok().filter(|meta| meta.len() > 32).map(|_| "a spill".to_owned()));
        left
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// An event whose body follows from its id and length.
pub fn event(id: &str, len: usize) -> Event {
    let body = id.bytes().cycle().take(len).collect();
    let mut event = Event::bare(id.into(), "/crash".into(), "application/octet-stream", body);
    event.extensions.insert("length".into(), Attr::Int(len as i64));
    event
}

/// An event that is too large for a message even without its body.
pub fn wide_event(id: &str) -> Event {
    let mut event = event(id, 20);
    event.note("wide", "w".repeat(3_000));
    event
}

/// A part of a join: one half of its instance.
pub fn part(id: &str, half: usize, len: usize) -> Event {
    let share = || Credit::whole().split(2).swap_remove(half);
    let joins = vec![JoinShare { join: 0, instance: String::new(), share: share() }];
    let invocation = "t-1".to_owned();
    let control = Control { invocation, credit: share(), joins, ..Control::default() };
    Event { control: Some(Box::new(control)), ..event(id, len) }
}

fn check_body(event: &Event) {
    let Some(Attr::Int(len)) = event.extensions.get("length") else { return };
    let expected: Vec<u8> = event.id.bytes().cycle().take(*len as usize).collect();
    let body = event.body.as_ref().expect("a body").load().expect("it can be read");
    assert!(*body == *expected, "the body of {} is another", event.id);
}
