//! Several connections behind one desk: hand-offs whose outputs go to other
//! middlewares than the message came from, and senders that wait for room.
//!
//! Within one connection a hand-off is that connection's settle. Across two
//! it is: send there, then settle here.

use super::tap::{self, Tap};
use super::{Connection, Outgoing, QueueError, QueueId, Receipt, Settled, Settlement, Taken};
use crate::event::Event;
use crate::limits::{FULL_NOTICE_MS, IDLE_LOOK_MS};
use crate::poll::{Poller, Ready};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A queue of one of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// Index of the connection.
    pub connection: usize,
    /// The queue.
    pub queue: QueueId,
}

/// A message that is done, and what follows from it.
#[derive(Debug, Default)]
pub struct Handoff {
    /// What was taken, and from which connection.
    pub taken: Option<(usize, Receipt)>,
    /// What goes where.
    pub outputs: Vec<(Port, Event)>,
}

/// What became of a hand-off.
#[derive(Debug)]
pub enum Handed {
    /// All of it is done.
    Done,
    /// It waits for room; its ticket will come from [`Desk::advance`].
    Later(u64),
    /// It is on its way; its ticket will come from [`Desk::advance`].
    Sent(u64),
    /// A target can never carry one of the outputs. Nothing was sent there
    /// and nothing is settled; what was taken is for the caller to decide on.
    Refused(QueueError),
}

/// Connections, and the hand-offs that wait.
pub struct Desk {
    pub(super) connections: Vec<Box<dyn Connection>>,
    /// Where copies of what is handed over go.
    pub(super) tap: Option<Tap>,
    pub(super) poller: Rc<Poller>,
    under_way: HashMap<u64, Stage>,
    tickets: u64,
    /// Settlements that found no room for a body, to be tried again.
    no_room: Vec<(u64, usize, Settlement, String)>,
    /// Since when a queue has been full, and whether that was said.
    full_since: BTreeMap<Port, (Instant, bool)>,
    no_room_since: Option<(Instant, bool)>,
    looked_at: Instant,
    no_room_is_fatal: bool,
    /// Hand-offs that are done, but whose message another reader had.
    void: HashSet<u64>,
    /// Hand-offs that were on their way and can never be done.
    refused: Vec<(u64, QueueError)>,
}

/// What a waiting hand-off still needs.
struct Stage {
    waits_for: usize,
    home: Option<(usize, Settlement)>,
}

/// Bits of a token below a connection's own.
pub(super) const SHIFT: u32 = 32;

impl Desk {
    /// An empty desk on the caller's epoll set. Tokens below `1 << 48` are
    /// the desk's.
    pub fn new(poller: Rc<Poller>) -> Self {
        Self {
            connections: Vec::new(),
            tap: None,
            poller,
            under_way: HashMap::new(),
            tickets: 0,
            no_room: Vec::new(),
            full_since: BTreeMap::new(),
            no_room_since: None,
            looked_at: Instant::now(),
            no_room_is_fatal: false,
            void: HashSet::new(),
            refused: Vec::new(),
        }
    }

    /// For senders that would rather fail than wait when there is no room
    /// for a body.
    pub fn fail_without_room(&mut self) {
        self.no_room_is_fatal = true;
    }

    /// What this desk sends begins something new; see
    /// [`Connection::wait_rather_than_spill`].
    pub fn wait_rather_than_spill(&mut self) {
        self.connections.iter_mut().for_each(|connection| connection.wait_rather_than_spill());
    }

    /// Adds a connection and returns its index.
    pub fn add(&mut self, mut connection: Box<dyn Connection>) -> usize {
        let index = self.connections.len();
        connection.attach(self.poller.clone(), (index as u64) << SHIFT);
        self.connections.push(connection);
        index
    }

    /// How many hand-offs a sender of many keeps on their way.
    pub fn under_way_max(&self) -> usize {
        let each = self.connections.iter().map(|one| one.capabilities().under_way_max);
        each.max().unwrap_or(1)
    }

    /// One of the connections.
    pub fn connection(&mut self, index: usize) -> &mut dyn Connection {
        self.connections[index].as_mut()
    }

    /// Whether a token is one of the desk's.
    pub fn owns(&self, token: u64) -> bool {
        let place = token >> SHIFT;
        place < self.connections.len() as u64 || (place == tap::PLACE && self.tap.is_some())
    }

    /// Passes readiness on to the connection it is for.
    pub fn on_ready(&mut self, ready: Ready) {
        match (self.connections.get_mut((ready.token >> SHIFT) as usize), &mut self.tap) {
            (Some(connection), _) => connection.on_ready(ready),
            (None, Some(tap)) => tap.on_ready(ready),
            (None, None) => {}
        }
    }

    /// The one queue whose message a ready descriptor announces; none when it
    /// may be any.
    pub fn announces(&self, ready: Ready) -> Option<Port> {
        let connection = (ready.token >> SHIFT) as usize;
        let queue = self.connections.get(connection)?.announces(ready)?;
        Some(Port { connection, queue })
    }

    /// Takes up to `max` messages.
    ///
    /// # Errors
    /// As [`Connection::try_receive`].
    pub fn receive(
        &mut self,
        port: Port,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        self.connections[port.connection].try_receive(port.queue, max, into)
    }

    /// Turns waking on or off for a queue.
    ///
    /// # Errors
    /// As [`Connection::listen`].
    pub fn listen(&mut self, port: Port, on: bool) -> Result<(), QueueError> {
        self.connections[port.connection].listen(port.queue, on)
    }

    /// Whether some connection has something that no descriptor announces.
    pub fn has_more(&self) -> bool {
        self.connections.iter().any(|connection| connection.has_more())
    }

    /// Whether nothing can ever come from a queue again.
    pub fn is_exhausted(&self, port: Port) -> bool {
        self.connections[port.connection].is_exhausted(port.queue)
    }

    /// Whether it is not known yet if a queue has messages.
    pub fn is_asking(&self, port: Port) -> bool {
        self.connections[port.connection].is_asking(port.queue)
    }

    /// Whether hand-offs wait.
    pub fn is_waiting(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Hands over.
    ///
    /// # Errors
    /// A connection failed for good. Nothing taken is lost.
    pub fn hand_over(&mut self, handoff: Handoff) -> Result<Handed, QueueError> {
        self.copy_aside(&handoff.outputs);
        self.tickets += 1;
        let ticket = self.tickets;
        let home = handoff.taken.map(|(connection, _)| connection);
        let mut groups: BTreeMap<usize, Vec<Outgoing>> = BTreeMap::new();
        for (port, event) in handoff.outputs {
            groups.entry(port.connection).or_default().push(Outgoing { queue: port.queue, event });
        }
        let local = home.and_then(|home| groups.remove(&home)).unwrap_or_default();
        let (mut waits_for, mut is_stuck) = (0, false);
        for (connection, outputs) in groups {
            let settlement = Settlement { ticket, taken: Vec::new(), outputs };
            match self.settle(ticket, connection, settlement) {
                Ok(Settled::Done) => {}
                Ok(settled) => {
                    waits_for += 1;
                    is_stuck |= settled == Settled::Waiting;
                }
                Err(error @ QueueError::Refused { .. }) => return Ok(Handed::Refused(error)),
                Err(error) => return Err(error),
            }
        }
        let taken = handoff.taken.map(|(_, receipt)| receipt).into_iter().collect();
        let settlement = home.map(|home| (home, Settlement { ticket, taken, outputs: local }));
        self.under_way.insert(ticket, Stage { waits_for, home: settlement });
        match self.go_on(ticket) {
            Ok(Settled::Done) => Ok(Handed::Done),
            Ok(Settled::Sent) if !is_stuck => Ok(Handed::Sent(ticket)),
            Ok(_) => {
                // From now on its queue counts as full.
                self.mark_full(Instant::now());
                Ok(Handed::Later(ticket))
            }
            Err(error @ QueueError::Refused { .. }) => {
                self.under_way.remove(&ticket);
                Ok(Handed::Refused(error))
            }
            Err(error) => Err(error),
        }
    }

    fn settle(
        &mut self,
        ticket: u64,
        connection: usize,
        mut settlement: Settlement,
    ) -> Result<Settled, QueueError> {
        match self.connections[connection].settle(&mut settlement) {
            Err(error @ QueueError::NoRoom { .. }) if !self.no_room_is_fatal => {
                self.no_room_since.get_or_insert((Instant::now(), false));
                self.no_room.push((ticket, connection, settlement, error.to_string()));
                Ok(Settled::Waiting)
            }
            other => other,
        }
    }

    /// Does the next stage of a hand-off if nothing stands before it.
    fn go_on(&mut self, ticket: u64) -> Result<Settled, QueueError> {
        let Some(stage) = self.under_way.get_mut(&ticket) else { return Ok(Settled::Done) };
        if stage.waits_for > 0 {
            return Ok(Settled::Sent);
        }
        if let Some((home, settlement)) = stage.home.take() {
            let settled = self.settle(ticket, home, settlement)?;
            if settled != Settled::Done {
                if let Some(stage) = self.under_way.get_mut(&ticket) {
                    stage.waits_for = 1;
                }
                return Ok(settled);
            }
        }
        self.under_way.remove(&ticket);
        Ok(Settled::Done)
    }

    /// Sends what was asked for; before the caller sleeps.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub fn flush(&mut self) -> Result<(), QueueError> {
        self.tap.iter_mut().for_each(Tap::flush);
        self.connections.iter_mut().try_for_each(|connection| connection.flush())
    }

    /// Tickets of hand-offs that found no room.
    pub fn stuck(&self) -> HashSet<u64> {
        let stuck = self.connections.iter().flat_map(|connection| connection.stuck());
        stuck.chain(self.no_room.iter().map(|(ticket, ..)| *ticket)).collect()
    }

    /// Hand-offs that were on their way and can never be done. What was taken
    /// is still held, for the caller to decide on.
    pub fn refused(&mut self) -> Vec<(u64, QueueError)> {
        let refused = std::mem::take(&mut self.refused);
        refused.iter().for_each(|(ticket, _)| _ = self.under_way.remove(ticket));
        refused
    }

    /// Whether the message of a hand-off that is done was taken over by
    /// another reader before, so that nothing came of it here. Tells it once.
    pub fn was_void(&mut self, ticket: u64) -> bool {
        self.void.remove(&ticket)
    }

    /// Goes on with what waits; returns the tickets that are done now.
    ///
    /// # Errors
    /// As [`Desk::hand_over`].
    pub fn advance(&mut self) -> Result<Vec<u64>, QueueError> {
        self.tap.iter_mut().for_each(Tap::advance);
        let mut done = Vec::new();
        let mut resumed = Vec::new();
        for connection in &mut self.connections {
            connection.resume(&mut resumed)?;
            self.void.extend(connection.voided());
            self.refused.extend(connection.refused());
        }
        if self.looked_at.elapsed() >= Duration::from_millis(IDLE_LOOK_MS) {
            for (ticket, connection, settlement, _) in std::mem::take(&mut self.no_room) {
                if self.settle(ticket, connection, settlement)? == Settled::Done {
                    resumed.push(ticket);
                }
            }
            if self.no_room.is_empty() {
                self.no_room_since = None;
            }
        }
        for ticket in resumed {
            if let Some(stage) = self.under_way.get_mut(&ticket) {
                stage.waits_for -= 1;
                if self.go_on(ticket)? == Settled::Done {
                    done.push(ticket);
                }
            }
        }
        Ok(done)
    }

    /// Regular work: dead readers' messages, and what to tell people about
    /// queues that have been full for a while.
    ///
    /// # Errors
    /// As [`Connection::look_after`].
    pub fn look_after(&mut self) -> Result<Vec<String>, QueueError> {
        let now = Instant::now();
        if now - self.looked_at >= Duration::from_millis(IDLE_LOOK_MS) {
            self.looked_at = now;
            self.look_for_tap();
            for connection in &mut self.connections {
                connection.look_after()?;
            }
        }
        let mut notices = self.notices(now);
        notices.extend(self.connections.iter_mut().flat_map(|connection| connection.notices()));
        Ok(notices)
    }

    /// Notes since when queues have been full; returns those that are now.
    fn mark_full(&mut self, now: Instant) -> BTreeSet<Port> {
        let mut blocked = BTreeSet::new();
        for (index, connection) in self.connections.iter().enumerate() {
            blocked.extend(
                connection.blocked().into_iter().map(|queue| Port { connection: index, queue }),
            );
        }
        self.full_since.retain(|port, _| blocked.contains(port));
        for port in &blocked {
            self.full_since.entry(*port).or_insert((now, false));
        }
        blocked
    }

    fn notices(&mut self, now: Instant) -> Vec<String> {
        let blocked = self.mark_full(now);
        let late = |since: Instant| now - since >= Duration::from_millis(FULL_NOTICE_MS);
        let mut notices = Vec::new();
        for port in blocked {
            let entry = self.full_since.entry(port).or_insert((now, false));
            if late(entry.0) && !entry.1 {
                entry.1 = true;
                notices.extend(full_notice(self.connections[port.connection].as_mut(), port.queue));
            }
        }
        if let (Some((since, said)), Some(waiting)) =
            (&mut self.no_room_since, self.no_room.first())
            && late(*since)
            && !*said
        {
            *said = true;
            notices.push(format!("waiting: {}", waiting.3));
        }
        notices
    }
}

/// `mq:/jobs is full (10 of 10), no reader`. Nothing for pipes: a slow reader
/// there is nothing to tell of.
fn full_notice(connection: &mut dyn Connection, queue: QueueId) -> Option<String> {
    let name = connection.name_of(queue);
    let stat = connection.stat(&name).ok()?;
    let readers = match stat.readers {
        0 => "no reader".to_owned(),
        1 => "1 reader".to_owned(),
        n => format!("{n} readers"),
    };
    let url = connection.url_of(&name);
    Some(format!("{url} is full ({} of {}), {readers}", stat.depth, stat.capacity))
}
