//! A connection of ours and the turns it needs. On one host a call does all
//! there is to do; over a network it asks, and the answers come between the
//! caller's turns.

use crate::subject::PATIENCE;
use faas_common::limits::IDLE_LOOK_MS;
use faas_common::poll::Poller;
use faas_common::queue::{Connection, Settled, Settlement};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// See the module.
pub struct Link {
    /// The connection.
    pub connection: Box<dyn Connection>,
    /// Whether it goes over a network.
    pub is_remote: bool,
    poller: Rc<Poller>,
    tickets: u64,
    looked_at: Instant,
}

impl Link {
    /// Around a connection with nothing open.
    pub fn new(mut connection: Box<dyn Connection>) -> Self {
        let poller = Rc::new(Poller::new().expect("a poller"));
        connection.attach(poller.clone(), 0);
        let is_remote = !connection.capabilities().on_one_host;
        Self { connection, is_remote, poller, tickets: 0, looked_at: Instant::now() }
    }

    /// Hands over, under a ticket of its own; [`Link::flush`] sends it.
    pub fn settle(&mut self, mut settlement: Settlement) -> Settled {
        self.tickets += 1;
        settlement.ticket = self.tickets;
        let settled = self.connection.settle(&mut settlement).expect("it settles");
        assert!(!self.is_remote || settled != Settled::Waiting, "a broker's queue has room");
        settled
    }

    /// Sends what was asked for.
    pub fn flush(&mut self) {
        if self.is_remote {
            self.connection.flush().expect("it sends");
        }
    }

    /// Sleeps until something may have come, and takes in what came over a
    /// network: tickets that are done.
    pub fn wait(&mut self) -> Vec<u64> {
        let (mut ready, mut done) = (Vec::new(), Vec::new());
        if !self.is_remote {
            self.poller.wait(PATIENCE, &mut ready).expect("it waits");
            return done;
        }
        self.flush();
        let idle = Duration::from_millis(IDLE_LOOK_MS);
        let sleep = if self.connection.has_more() { Duration::ZERO } else { idle };
        self.poller.wait(sleep, &mut ready).expect("it waits");
        for one in ready {
            self.connection.on_ready(one);
        }
        self.connection.resume(&mut done).expect("it goes on");
        if self.looked_at.elapsed() >= idle {
            self.looked_at = Instant::now();
            self.connection.look_after().expect("it can be looked after");
        }
        done
    }
}
