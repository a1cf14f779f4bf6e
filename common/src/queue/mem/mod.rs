//! Queues in memory, inside one process: the reference the conformance suite
//! is read against, and what the simulations run on.

use super::{
    Capabilities, Connection, Flaws, Granted, Order, QueueError, QueueId, QueueSpec, QueueStat,
    QueueUrl, Receipt, Settled, Settlement, Taken, Waiting, WhenFull,
    gather::{Arrival, Gathered, Table},
};
use crate::event::Event;
use crate::poll::{Interest, Poller, Ready};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What these queues can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    scheme: "mem",
    title: "queues inside one process",
    between_processes: false,
    orders: &[Order::Fifo, Order::Lifo],
    when_full: &[WhenFull::Block, WhenFull::Reject, WhenFull::DropOldest, WhenFull::DropNewest],
    capacity_default: 10,
    waiting: Waiting::FirstCome,
    acknowledge: true,
    delayed: false,
    peek: false,
    replay: false,
    atomic_settle: true,
    exactly_once: true,
    drops_known_ids: false,
    gather: true,
    on_one_host: true,
    bounded: true,
    counts_held: true,
    queues_tested: Some(10_000),
    under_way_max: crate::limits::UNDER_WAY_SHORT,
    process_killed: Flaws { may_lose: true, may_duplicate: false },
    host_lost: Flaws { may_lose: true, may_duplicate: false },
};

/// The queues themselves, shared by the connections of a process.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Mutex<BTreeMap<String, MemQueue>>>);

#[derive(Debug, Default)]
struct MemQueue {
    messages: VecDeque<Message>,
    /// Joins, when this is the queue of one.
    table: Table<Event>,
    serials: u64,
    capacity: usize,
    lifo: bool,
    when_full: Option<WhenFull>,
    run: Option<String>,
    held: u64,
    readers: u64,
    /// Doorbells of connections that wait for a message, first come first.
    waiting: VecDeque<Arc<EventFd>>,
    /// Doorbells of connections that wait for room.
    wants_room: Vec<Arc<EventFd>>,
}

/// Connects to the process's own hub.
///
/// # Errors
/// No descriptors left.
pub fn connect(_url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError> {
    static HUB: OnceLock<Hub> = OnceLock::new();
    Ok(Box::new(HUB.get_or_init(Hub::default).connection()?))
}

impl Hub {
    /// A new connection to this hub.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn connection(&self) -> Result<MemConnection, QueueError> {
        let doorbell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|errno| QueueError::io("making a doorbell")(errno.into()))?;
        Ok(MemConnection {
            hub: self.clone(),
            doorbell: Arc::new(doorbell),
            open: Vec::new(),
            held: HashMap::new(),
            next_receipt: 0,
            pending: VecDeque::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, MemQueue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a [`Hub`].
#[derive(Debug)]
pub struct MemConnection {
    hub: Hub,
    doorbell: Arc<EventFd>,
    open: Vec<OpenQueue>,
    held: HashMap<u64, Held>,
    next_receipt: u64,
    pending: VecDeque<Settlement>,
}

/// A message in a queue.
#[derive(Debug, Clone)]
struct Message {
    event: Event,
    attempts: u32,
    /// Its number in this queue, whoever takes it.
    serial: u64,
}

/// A message that was taken.
#[derive(Debug)]
struct Held {
    queue: String,
    message: Message,
    /// The instance of a join that fires with it.
    fired: Option<(String, String)>,
}

#[derive(Debug)]
struct OpenQueue {
    name: String,
    receives: bool,
}

impl MemConnection {
    fn open(&mut self, name: &str, receives: bool) -> Result<QueueId, QueueError> {
        let mut queues = self.hub.lock();
        let queue = queues.get_mut(name).ok_or(QueueError::NoSuchQueue)?;
        queue.readers += u64::from(receives);
        self.open.push(OpenQueue { name: name.to_owned(), receives });
        Ok(QueueId(self.open.len() as u32 - 1))
    }

    /// All or nothing: outputs and acknowledgement are one step here.
    fn attempt(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        let mut queues = self.hub.lock();
        let mut room: HashMap<&str, usize> = HashMap::new();
        for output in &settlement.outputs {
            let name = self.open[output.queue.0 as usize].name.as_str();
            let queue = queues.get_mut(name).ok_or(QueueError::NoSuchQueue)?;
            let free = queue.capacity.saturating_sub(queue.messages.len());
            let left = room.entry(name).or_insert(free);
            match (*left, queue.when_full.unwrap_or(WhenFull::Block)) {
                (0, WhenFull::Block) => {
                    queue.wants_room.push(self.doorbell.clone());
                    return Ok(Settled::Waiting);
                }
                (0, WhenFull::Reject) => {
                    return Err(QueueError::Limit {
                        limit: format!("the capacity of mem:/{name}"),
                        cure: "take something from it".to_owned(),
                    });
                }
                _ => *left = left.saturating_sub(1),
            }
        }
        for output in settlement.outputs.drain(..) {
            if let Some(queue) = queues.get_mut(&self.open[output.queue.0 as usize].name) {
                queue.put(output.event);
            }
        }
        for receipt in settlement.taken.drain(..) {
            if let Some(held) = self.held.remove(&receipt.0)
                && let Some(queue) = queues.get_mut(&held.queue)
            {
                queue.held -= 1;
                if let Some((key, claim)) = held.fired {
                    queue.table.done(&key, &claim);
                }
            }
        }
        Ok(Settled::Done)
    }
}

impl MemQueue {
    fn put(&mut self, event: Event) {
        if self.messages.len() >= self.capacity {
            match self.when_full {
                Some(WhenFull::DropOldest) => drop(self.messages.pop_front()),
                Some(WhenFull::DropNewest) => return,
                _ => {}
            }
        }
        self.serials += 1;
        self.messages.push_back(Message { event, attempts: 0, serial: self.serials });
        if let Some(doorbell) = self.waiting.pop_front() {
            ring(&doorbell);
        }
    }

    fn take(&mut self) -> Option<Message> {
        let taken = if self.lifo { self.messages.pop_back() } else { self.messages.pop_front() };
        if taken.is_some() {
            self.held += 1;
            self.wants_room.drain(..).for_each(|doorbell| ring(&doorbell));
        }
        taken
    }

    fn stat(&self, name: &str) -> QueueStat {
        QueueStat {
            name: name.to_owned(),
            depth: self.messages.len() as u64,
            held: self.held,
            capacity: self.capacity as u64,
            message_size: u64::MAX,
            readers: self.readers,
            run: self.run.clone(),
            orphaned: false,
            created: None,
            sent_total: None,
            done_total: None,
        }
    }
}

/// A full counter has been rung already.
fn ring(doorbell: &EventFd) {
    let _ = doorbell.write(1);
}

impl Connection for MemConnection {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError> {
        let mut queues = self.hub.lock();
        if queues.contains_key(name) {
            return Err(QueueError::Exists);
        }
        let capacity = spec.capacity.unwrap_or(CAPABILITIES.capacity_default);
        let queue = MemQueue {
            capacity: capacity as usize,
            lifo: spec.order == Some(Order::Lifo),
            when_full: spec.when_full,
            run: spec.run.clone(),
            ..MemQueue::default()
        };
        queues.insert(name.to_owned(), queue);
        Ok(Granted { capacity, message_size: u64::MAX })
    }

    fn remove(&mut self, name: &str) -> Result<(), QueueError> {
        self.hub.lock().remove(name).map(drop).ok_or(QueueError::NoSuchQueue)
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        Ok(self.hub.lock().iter().map(|(name, queue)| queue.stat(name)).collect())
    }

    fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        self.hub.lock().get(name).map(|queue| queue.stat(name)).ok_or(QueueError::NoSuchQueue)
    }

    fn open_send(&mut self, name: &str) -> Result<QueueId, QueueError> {
        self.open(name, false)
    }

    fn open_receive(&mut self, name: &str) -> Result<QueueId, QueueError> {
        self.open(name, true)
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        // An eventfd can always be waited on.
        let _ = poller.add(&*self.doorbell, base, Interest::Read);
    }

    fn listen(&mut self, queue: QueueId, on: bool) -> Result<(), QueueError> {
        let mut queues = self.hub.lock();
        let name = &self.open[queue.0 as usize].name;
        let queue = queues.get_mut(name).ok_or(QueueError::NoSuchQueue)?;
        let waits = queue.waiting.iter().any(|bell| Arc::ptr_eq(bell, &self.doorbell));
        if on && !waits {
            queue.waiting.push_back(self.doorbell.clone());
            if !queue.messages.is_empty() {
                ring(&self.doorbell);
            }
        } else if !on {
            queue.waiting.retain(|bell| !Arc::ptr_eq(bell, &self.doorbell));
        }
        Ok(())
    }

    fn try_receive(
        &mut self,
        id: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        let mut queues = self.hub.lock();
        let name = &self.open[id.0 as usize].name;
        let queue = queues.get_mut(name).ok_or(QueueError::NoSuchQueue)?;
        for _ in 0..max {
            let Some(message) = queue.take() else { break };
            self.next_receipt += 1;
            let receipt = Receipt(self.next_receipt);
            let Message { event, attempts, .. } = message.clone();
            self.held.insert(receipt.0, Held { queue: name.clone(), message, fired: None });
            into.push(Taken { receipt, queue: id, event, attempts, fault: None });
        }
        Ok(())
    }

    fn count_attempt(&mut self, receipt: Receipt) {
        if let Some(held) = self.held.get_mut(&receipt.0) {
            held.message.attempts += 1;
        }
    }

    fn gather(
        &mut self,
        receipt: Receipt,
        mut arrival: Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        let held = self.held.get_mut(&receipt.0).ok_or(QueueError::NoSuchQueue)?;
        let mut queues = self.hub.lock();
        let queue = queues.get_mut(&held.queue).ok_or(QueueError::NoSuchQueue)?;
        arrival.claim = held.message.serial.to_string();
        let gathered = queue.table.arrive(&arrival, || part.clone());
        if matches!(gathered, Gathered::Fires(_)) {
            held.fired = Some((arrival.key, arrival.claim));
        }
        Ok(gathered)
    }

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        let settled = self.attempt(settlement)?;
        if settled == Settled::Waiting {
            self.pending.push_back(std::mem::take(settlement));
        }
        Ok(settled)
    }

    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError> {
        for mut settlement in std::mem::take(&mut self.pending) {
            match self.attempt(&mut settlement)? {
                Settled::Done => done.push(settlement.ticket),
                _ => self.pending.push_back(settlement),
            }
        }
        Ok(())
    }

    fn blocked(&self) -> Vec<QueueId> {
        self.pending.iter().flat_map(|s| s.outputs.iter().map(|o| o.queue)).collect()
    }

    fn stuck(&self) -> Vec<u64> {
        self.pending.iter().map(|settlement| settlement.ticket).collect()
    }

    fn on_ready(&mut self, _ready: Ready) {
        let _ = self.doorbell.read();
        // Who is woken has left the line; it gets back in, at the end, here.
        let receiving = (0..self.open.len()).filter(|&i| self.open[i].receives);
        for index in receiving.collect::<Vec<_>>() {
            let _ = self.listen(QueueId(index as u32), true);
        }
    }

    fn name_of(&self, queue: QueueId) -> String {
        self.open[queue.0 as usize].name.clone()
    }
}

impl Drop for MemConnection {
    /// What was taken and not settled goes back to where it was.
    fn drop(&mut self) {
        let mut queues = self.hub.lock();
        for (_, held) in self.held.drain() {
            if let Some(queue) = queues.get_mut(&held.queue) {
                queue.held -= 1;
                queue.messages.push_front(held.message);
                if let Some(doorbell) = queue.waiting.pop_front() {
                    ring(&doorbell);
                }
            }
        }
        for open in self.open.iter().filter(|open| open.receives) {
            if let Some(queue) = queues.get_mut(&open.name) {
                queue.readers -= 1;
                queue.waiting.retain(|bell| !Arc::ptr_eq(bell, &self.doorbell));
            }
        }
    }
}
