//! POSIX message queues: the default, on one host, needing no server.
//!
//! The kernel keeps the messages; beside them we keep what it cannot: bodies
//! that do not fit, slots for messages in work, and records of what there is.

mod admin;
mod dirs;
pub mod gatherings;
pub mod ledger;
mod marker;
mod opened;
mod owner;
pub mod packet;
mod packing;
pub mod parcel;
mod protocol;
mod recovery;
pub mod registry;
mod sending;
pub mod slab;
mod slots;
mod spill;
mod survey;
mod sys;

use super::gather::{Arrival, Gathered};
use super::{
    Capabilities, Connection, Flaws, Granted, Order, QueueDetail, QueueError, QueueId, QueueSpec,
    QueueStat, QueueUrl, Receipt, Settled, Settlement, Taken, Waiting, WhenFull,
};
use crate::event::Event;
use crate::poll::{Interest, Poller, Ready};
use dirs::Dirs;
use gatherings::Gatherings;
pub use marker::show_markers;
use parcel::Parcel;
use slab::Slab;
use slots::SlotFile;
use spill::Spill;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use sys::{Mq, Way};

/// In the name of a reply queue that belongs to a trigger, and goes with it.
const TRIGGERS_REPLY: &str = "._reply-";

/// What these queues can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    scheme: "mq",
    title: "POSIX message queues of this host",
    between_processes: true,
    orders: &[Order::Fifo],
    when_full: &[WhenFull::Block],
    capacity_default: 10,
    waiting: Waiting::FirstCome,
    acknowledge: true,
    delayed: false,
    peek: false,
    replay: false,
    atomic_settle: false,
    exactly_once: false,
    drops_known_ids: false,
    gather: true,
    on_one_host: true,
    bounded: true,
    counts_held: true,
    queues_tested: None,
    under_way_max: crate::limits::UNDER_WAY_SHORT,
    process_killed: Flaws { may_lose: false, may_duplicate: true },
    host_lost: Flaws { may_lose: true, may_duplicate: true },
};

/// Default size of a message; larger bodies go beside the queue. Ten of these
/// let a user have 73 queues under the usual RLIMIT_MSGQUEUE, ten of the
/// largest only nine.
const MESSAGE_SIZE: u64 = 1024;

/// Smallest message: a packet with the name of a file must fit.
const MESSAGE_SIZE_MIN: u64 = 128;

/// Messages a queue can hold when nobody demands more: what the kernel allows
/// to every user.
pub fn capacity_max() -> u64 {
    sys::ceilings().0
}

/// Marks a token as "room in that queue".
const ROOM: u64 = 1 << 31;

/// A connection to the queues of this host.
pub struct MqConnection {
    dirs: Dirs,
    open: Vec<OpenQueue>,
    held: BTreeMap<u64, Held>,
    next_receipt: u64,
    pending: VecDeque<Parcel>,
    poller: Option<(Rc<Poller>, u64)>,
    notices: Vec<String>,
    /// Slots whose recorded outputs are for a queue that is gone.
    stuck: Vec<Place>,
    stuck_said: bool,
    /// Who writes bodies here, once there is one.
    owner: Option<owner::Owner>,
    /// Whether sends wait rather than spill.
    patient: bool,
    /// The spill that was said to be full.
    full_said: Option<String>,
}

struct OpenQueue {
    name: String,
    mq: Mq,
    message_size: usize,
    receives: bool,
    listening: bool,
    waits_for_room: bool,
    files: Vec<Option<SlotFile>>,
    /// Messages of dead readers, to be handed out first.
    recovered: VecDeque<Place>,
    /// Bodies beside it, once there are some.
    slab: Option<Slab>,
    /// Where messages wait that must not make their sender wait.
    spill: Option<Spill>,
    /// Joins, once parts have come.
    gatherings: Option<Gatherings>,
}

/// Which slot of which file of which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    queue: QueueId,
    file: usize,
    slot: usize,
}

struct Held {
    place: Place,
    /// Name of the body beside the queue.
    body: Option<String>,
    /// Instances of a join that fire with it, or may: key and claim.
    fired: Vec<(String, String)>,
}

/// Connects to the queues of this host.
///
/// # Errors
/// The directory for their state cannot be made, or is not ours.
pub fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError> {
    if !url.authority().is_empty() || !url.query().is_empty() {
        return Err(QueueError::Refused {
            what: "POSIX queues have no server part and no options".to_owned(),
            alternative: "mq:/NAME".to_owned(),
        });
    }
    open()
}

/// The queues of this host.
///
/// # Errors
/// As [`connect`].
pub fn open() -> Result<Box<dyn Connection>, QueueError> {
    sys::raise_limit();
    Ok(Box::new(MqConnection {
        dirs: Dirs::open()?,
        open: Vec::new(),
        held: BTreeMap::new(),
        next_receipt: 0,
        pending: VecDeque::new(),
        poller: None,
        notices: Vec::new(),
        stuck: Vec::new(),
        stuck_said: false,
        owner: None,
        patient: false,
        full_said: None,
    }))
}

impl Connection for MqConnection {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError> {
        self.create_queue(name, spec)
    }

    fn remove(&mut self, name: &str) -> Result<(), QueueError> {
        self.remove_queue(name)
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        self.list_queues()
    }

    fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        self.stat_queue(name)
    }

    fn detail(&mut self, name: &str) -> Result<QueueDetail, QueueError> {
        self.detail_of(name)
    }

    fn open_send(&mut self, name: &str) -> Result<QueueId, QueueError> {
        self.sender(name)
    }

    fn open_receive(&mut self, name: &str) -> Result<QueueId, QueueError> {
        let id = self.open(name, Way::Receive)?;
        if self.queue(id).message_size < MESSAGE_SIZE_MIN as usize {
            return Err(QueueError::Refused {
                what: "its messages are too small for these tools".to_owned(),
                alternative: format!("a queue with messages of {MESSAGE_SIZE_MIN} bytes or more"),
            });
        }
        self.adopt(id)?;
        // One file at once: it is also what shows this process as a reader.
        self.free_place(id)?;
        Ok(id)
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        self.poller = Some((poller, base));
    }

    fn listen(&mut self, id: QueueId, on: bool) -> Result<(), QueueError> {
        let Some((poller, base)) = self.poller.clone() else { return Ok(()) };
        let queue = self.queue_mut(id);
        if on && !queue.listening {
            poller
                .add(&queue.mq, base | u64::from(id.0), Interest::ReadAlone)
                .map_err(QueueError::io("waiting for messages"))?;
        } else if !on && queue.listening {
            poller.remove(&queue.mq);
        }
        queue.listening = on;
        Ok(())
    }

    fn try_receive(
        &mut self,
        id: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        for _ in 0..max {
            if let Some(place) = self.queue_mut(id).recovered.pop_front() {
                let taken = self.hand_out(place, None);
                into.push(taken);
                continue;
            }
            let place = self.free_place(id)?;
            let queue = &mut self.open[id.0 as usize];
            let Some(slots) = queue.files[place.file].as_mut() else { break };
            let Some(len) = queue.mq.try_receive(slots.buffer_mut(place.slot))? else { break };
            slots.occupy(place.slot);
            self.drain_spill(id)?;
            let taken = self.hand_out(place, Some(len));
            into.push(taken);
        }
        Ok(())
    }

    fn count_attempt(&mut self, receipt: Receipt) {
        if let Some(place) = self.held.get(&receipt.0).map(|held| held.place)
            && let Some(slots) = self.file(place)
        {
            slots.count_attempt(place.slot);
        }
    }

    fn poison_mark(&mut self, receipt: Receipt) -> Option<*const std::sync::atomic::AtomicU32> {
        let place = self.held.get(&receipt.0)?.place;
        Some(std::ptr::from_ref(self.file(place)?.poison(place.slot)))
    }

    fn gather(
        &mut self,
        receipt: Receipt,
        mut arrival: Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        let Some(place) = self.held.get(&receipt.0).map(|held| held.place) else {
            return Ok(Gathered::Kept);
        };
        let slot = self.file(place).map(|slots| slots.name_of(place.slot)).unwrap_or_default();
        arrival.claim = claim(&slot, &part.id);
        let gathered = self.gatherings(place.queue)?.arrive(&arrival, part)?;
        if let (Gathered::Fires(_), Some(held)) = (&gathered, self.held.get_mut(&receipt.0)) {
            held.fired = vec![(arrival.key, arrival.claim)];
        }
        Ok(gathered)
    }

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        let packets = self.pack(settlement).map_err(|error| self.never_fits(settlement, error))?;
        let home = settlement.taken.first().and_then(|first| Some(self.held.get(&first.0)?.place));
        if let (Some(place), false) = (home, packets.is_empty()) {
            let names: HashMap<QueueId, String> =
                packets.iter().map(|p| (p.queue, self.queue(p.queue).name.clone())).collect();
            let outbox = parcel::write_outbox(&packets, |id| names[&id].as_str());
            let recorded =
                self.file(place).map_or(Ok(()), |slots| slots.record(place.slot, &outbox));
            if let Err(error) = recorded {
                self.drop_bodies(&packets)?;
                return Err(error);
            }
        }
        settlement.outputs.clear();
        let taken = std::mem::take(&mut settlement.taken);
        let mut parcel =
            Parcel { ticket: settlement.ticket, taken, packets, next: 0, home, is_held: false };
        let settled = self.advance(&mut parcel)?;
        if settled == Settled::Waiting {
            self.pending.push_back(parcel);
        }
        Ok(settled)
    }

    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError> {
        let mut failed = None;
        for mut parcel in std::mem::take(&mut self.pending) {
            match self.advance(&mut parcel) {
                Ok(Settled::Done) => done.push(parcel.ticket),
                Ok(_) => self.pending.push_back(parcel),
                Err(error) => {
                    self.pending.push_back(parcel);
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn blocked(&self) -> Vec<QueueId> {
        let waits = self.pending.iter().filter(|parcel| !parcel.is_held);
        waits.filter_map(|p| Some(p.packets.get(p.next)?.queue)).collect()
    }

    fn stuck(&self) -> Vec<u64> {
        self.pending.iter().map(|parcel| parcel.ticket).collect()
    }

    fn on_ready(&mut self, ready: Ready) {
        let sub = ready.token & u64::from(u32::MAX);
        if sub & ROOM != 0
            && let Some(queue) = self.open.get_mut((sub & !ROOM) as usize)
            && std::mem::take(&mut queue.waits_for_room)
            && let Some((poller, _)) = &self.poller
        {
            poller.remove(&queue.mq);
        }
    }

    fn announces(&self, ready: Ready) -> Option<QueueId> {
        let sub = ready.token & u64::from(u32::MAX);
        (sub & ROOM == 0).then_some(QueueId(sub as u32))
    }

    fn has_more(&self) -> bool {
        self.open.iter().any(|queue| queue.listening && !queue.recovered.is_empty())
    }

    fn is_there(&self, queue: QueueId) -> bool {
        let queue = self.queue(queue);
        queue.mq.is_removed(&queue.name).is_ok_and(|removed| !removed)
    }

    fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn look_after(&mut self) -> Result<(), QueueError> {
        for index in 0..self.open.len() {
            let queue = &self.open[index];
            // Dead letters' queues are made again by those that need them, and
            // a trigger takes its own reply queue with it.
            let is_fleeting = queue.name.ends_with(".dead") || queue.name.contains(TRIGGERS_REPLY);
            let may_go = !queue.receives && is_fleeting;
            if !may_go && queue.mq.is_removed(&queue.name)? {
                return Err(QueueError::Removed { name: format!("mq:/{}", queue.name) });
            }
            if queue.receives {
                let id = QueueId(index as u32);
                self.adopt(id)?;
                self.retire_empty(id);
                self.sweep(id)?;
            }
            self.drain_spill(QueueId(index as u32))?;
            self.open[index].spill.as_ref().map_or(Ok(()), Spill::tidy)?;
        }
        if self.open.iter().any(|queue| queue.receives) {
            owner::forget_dead(&self.dirs);
        }
        Ok(())
    }

    fn spool_folder(&self) -> Option<std::path::PathBuf> {
        Some(self.dirs.root().to_owned())
    }

    fn wait_rather_than_spill(&mut self) {
        self.patient = true;
    }

    fn name_of(&self, queue: QueueId) -> String {
        self.queue(queue).name.clone()
    }
}

/// Who makes a join fire: the message, in its slot.
fn claim(slot: &str, id: &str) -> String {
    format!("{slot}:{id}")
}

impl Drop for MqConnection {
    /// Empty slot files go; the others stay for whoever reads next. What no
    /// slot has a record of and was not sent is given up, bodies and all.
    fn drop(&mut self) {
        for parcel in std::mem::take(&mut self.pending) {
            if parcel.home.is_none() {
                // Nobody is left to be told.
                let _ = self.drop_bodies(&parcel.packets[parcel.next..]);
            }
        }
        for queue in &mut self.open {
            for file in queue.files.drain(..).flatten().filter(SlotFile::is_empty) {
                file.remove();
            }
        }
    }
}
