//! A look at a queue as something to take from, so that it can be copied:
//! what is taken stays where it is.

use crate::poll::Poller;
use crate::queue::{
    Capabilities, Connection, Granted, Places, QueueError, QueueId, QueueSpec, QueueStat, Receipt,
    Seen, Settled, Settlement, Taken, View, pipe,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// How long a look waits for messages; then others have their turn.
const WAIT: Duration = Duration::from_millis(20);

/// See the module.
pub struct Viewed {
    view: Box<dyn View>,
    name: String,
    seen: Vec<Seen>,
    receipts: u64,
    places: SharedPlaces,
    wants: bool,
}

/// Where the messages are that were taken, in their order: lane and mark.
pub type SharedPlaces = Rc<RefCell<VecDeque<(u32, String)>>>;

impl Viewed {
    /// A look at the queue of this name.
    pub fn new(view: Box<dyn View>, name: &str) -> Self {
        let (name, places) = (name.to_owned(), SharedPlaces::default());
        Self { view, name, seen: Vec::new(), receipts: 0, places, wants: false }
    }

    /// Behind what it begins.
    pub fn began_behind(&self) -> Places {
        self.view.began_behind()
    }

    /// How many there are to copy; none where that is not known.
    ///
    /// # Errors
    /// The middleware is gone.
    pub fn left(&mut self) -> Result<Option<u64>, QueueError> {
        self.view.left()
    }

    /// Where taken messages are; whoever copies takes them out as they arrive.
    pub fn places(&self) -> SharedPlaces {
        self.places.clone()
    }
}

/// Notes that so many messages have arrived.
pub fn pass(places: &SharedPlaces, count: u64, into: &mut Places) {
    let mut places = places.borrow_mut();
    for _ in 0..count {
        if let Some((lane, mark)) = places.pop_front() {
            into.insert(lane, mark);
        }
    }
}

fn only_looks<T>() -> Result<T, QueueError> {
    Err(QueueError::Refused {
        what: "this only looks at a queue".to_owned(),
        alternative: "a connection to it".to_owned(),
    })
}

impl Connection for Viewed {
    fn capabilities(&self) -> &'static Capabilities {
        &pipe::CAPABILITIES
    }

    fn create(&mut self, _name: &str, _spec: &QueueSpec) -> Result<Granted, QueueError> {
        only_looks()
    }

    fn remove(&mut self, _name: &str) -> Result<(), QueueError> {
        only_looks()
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        only_looks()
    }

    fn stat(&mut self, _name: &str) -> Result<QueueStat, QueueError> {
        only_looks()
    }

    fn open_send(&mut self, _name: &str) -> Result<QueueId, QueueError> {
        only_looks()
    }

    fn open_receive(&mut self, _name: &str) -> Result<QueueId, QueueError> {
        Ok(QueueId(0))
    }

    fn attach(&mut self, _poller: Rc<Poller>, _base: u64) {}

    fn listen(&mut self, _queue: QueueId, on: bool) -> Result<(), QueueError> {
        self.wants = on;
        Ok(())
    }

    fn try_receive(
        &mut self,
        queue: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        self.view.next(max, WAIT, &mut self.seen)?;
        for seen in self.seen.drain(..) {
            self.receipts += 1;
            self.places.borrow_mut().push_back((seen.lane, seen.mark));
            let receipt = Receipt(self.receipts);
            into.push(Taken { receipt, queue, event: seen.event, attempts: 0, fault: seen.fault });
        }
        Ok(())
    }

    fn count_attempt(&mut self, _receipt: Receipt) {}

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        settlement.taken.clear();
        Ok(Settled::Done)
    }

    fn resume(&mut self, _done: &mut Vec<u64>) -> Result<(), QueueError> {
        Ok(())
    }

    fn blocked(&self) -> Vec<QueueId> {
        Vec::new()
    }

    fn stuck(&self) -> Vec<u64> {
        Vec::new()
    }

    /// A look waits by itself.
    fn has_more(&self) -> bool {
        self.wants && !self.view.is_at_end()
    }

    fn is_exhausted(&self, _queue: QueueId) -> bool {
        self.view.is_at_end()
    }

    fn name_of(&self, _queue: QueueId) -> String {
        self.name.clone()
    }
}
