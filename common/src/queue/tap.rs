//! A copy aside of what a desk hands over, for whoever looks at a run. It is
//! off unless somebody reads the queue of copies, costs a question now and
//! then, and never makes anybody wait or fail: a copy that finds no room is
//! not made, and whatever goes wrong with copies ends them alone.

use super::{Connection, Desk, Outgoing, Port, QueueError, QueueId, QueueUrl, Settlement};
use crate::event::{Attr, Event};
use crate::poll::{Poller, Ready};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a desk asks whether somebody reads.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The tap's place among the connections of a desk.
pub(super) const PLACE: u64 = 0xFFFF;

/// Where copies go.
pub(super) struct Tap {
    /// The connection that is asked whether somebody reads.
    home: usize,
    url: QueueUrl,
    /// The queue of copies.
    name: String,
    looked: Instant,
    /// A connection of its own while somebody reads, so that a full queue of
    /// copies stops nothing.
    open: Option<(Box<dyn Connection>, QueueId)>,
}

impl Tap {
    fn open(&mut self, poller: Rc<Poller>, base: u64) -> Result<(), QueueError> {
        let mut connection = super::connect(&self.url)?;
        connection.attach(poller, base);
        let queue = connection.open_send(&self.name)?;
        self.open = Some((connection, queue));
        Ok(())
    }

    /// Does something with the connection; when it fails, copies end.
    fn with(&mut self, act: impl FnOnce(&mut dyn Connection, QueueId) -> Result<(), QueueError>) {
        let failed = match &mut self.open {
            Some((connection, queue)) => act(connection.as_mut(), *queue).is_err(),
            None => false,
        };
        if failed {
            self.close();
        }
    }

    /// Copies that are on their way to a queue that is gone never arrive.
    fn close(&mut self) {
        if let Some((mut connection, _)) = self.open.take() {
            connection.forget_outputs();
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready) {
        self.with(|connection, _| {
            connection.on_ready(ready);
            Ok(())
        });
    }

    pub(super) fn flush(&mut self) {
        self.with(|connection, _| connection.flush());
    }

    /// Goes on with copies on their way; how they end interests nobody.
    pub(super) fn advance(&mut self) {
        self.with(|connection, _| {
            connection.resume(&mut Vec::new())?;
            connection.voided();
            connection.refused();
            connection.notices();
            Ok(())
        });
    }
}

impl Desk {
    /// From now on what is handed over is copied to the queue `name` while
    /// somebody takes from that; `home` is the connection to its middleware.
    pub fn tap(&mut self, home: usize, url: &QueueUrl, name: &str) {
        let (url, name) = (url.clone(), name.to_owned());
        self.tap = Some(Tap { home, url, name, looked: Instant::now(), open: None });
    }

    /// Asks now and then whether somebody reads copies.
    pub(super) fn look_for_tap(&mut self) {
        let Some(tap) = self.tap.as_mut() else { return };
        tap.with(|connection, _| connection.look_after());
        if tap.looked.elapsed() < LOOK_EVERY {
            return;
        }
        let is_watched = self.connections[tap.home].is_watched(&tap.name);
        tap.looked = Instant::now();
        match (is_watched, tap.open.is_some()) {
            // What fails here is tried again.
            (true, false) => _ = tap.open(self.poller.clone(), PLACE << super::desk::SHIFT),
            (false, true) => tap.close(),
            (true, true) | (false, false) => {}
        }
    }

    /// Copies what goes to queues.
    pub(super) fn copy_aside(&mut self, outputs: &[(Port, Event)]) {
        let Some(tap) = self.tap.as_mut().filter(|tap| tap.open.is_some()) else { return };
        let connections = &self.connections;
        tap.with(|connection, queue| {
            if !connection.stuck().is_empty() {
                return Ok(());
            }
            let copy = |(to, event): &(Port, Event)| {
                let target = connections[to.connection].as_ref();
                let url = target.url_of(&target.name_of(to.queue));
                let mut event = event.clone();
                event.extensions.insert("faasto".to_owned(), Attr::Text(url));
                (target.capabilities().scheme != "-").then_some(Outgoing { queue, event })
            };
            let outputs: Vec<Outgoing> = outputs.iter().filter_map(copy).collect();
            if outputs.is_empty() {
                return Ok(());
            }
            let mut copied = Settlement { ticket: 0, taken: Vec::new(), outputs };
            connection.settle(&mut copied).map(drop)
        });
    }
}
