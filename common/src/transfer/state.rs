//! How far a transfer is.

use super::Report;
use crate::limits::UNDER_WAY_BYTES_MAX;
use crate::queue::Taken;
use std::collections::VecDeque;
use std::time::Instant;

pub(super) struct State {
    /// Hand-offs that may be under way.
    under_way_max: usize,
    /// When an event last arrived, or the transfer began.
    pub(super) last: Instant,
    pub(super) taken: u64,
    /// The same with those that were kept where they are.
    pub(super) looked: u64,
    /// Events that have arrived, bad ones too.
    pub(super) arrived: u64,
    /// Whether more have than were told of.
    pub(super) is_news: bool,
    /// The hand-off that waits for room.
    pub(super) waits_for: Option<u64>,
    /// Hand-offs in their order.
    pub(super) sent: VecDeque<Sent>,
    /// Bytes of bodies in them.
    pub(super) bytes: u64,
    pub(super) batch: VecDeque<Taken>,
    pub(super) stop: Option<i32>,
    pub(super) stopped_at: Option<Instant>,
    pub(super) interrupted: bool,
}

/// A hand-off that has not arrived, or stands behind one that has not.
pub(super) struct Sent {
    /// They grow; one that was done at once has that of the one before it.
    pub(super) ticket: u64,
    /// Whether it is of a good event.
    pub(super) good: bool,
    /// Bytes of bodies.
    pub(super) size: u64,
    pub(super) is_done: bool,
}

impl State {
    pub(super) fn new(under_way_max: usize) -> Self {
        Self {
            under_way_max,
            last: Instant::now(),
            taken: 0,
            looked: 0,
            arrived: 0,
            is_news: false,
            waits_for: None,
            sent: VecDeque::new(),
            bytes: 0,
            batch: VecDeque::new(),
            stop: None,
            stopped_at: None,
            interrupted: false,
        }
    }

    pub(super) fn may_send(&self) -> bool {
        self.has_room() && !self.batch.is_empty()
    }

    pub(super) fn may_take(&self) -> bool {
        self.has_room() && self.batch.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        let fits = self.sent.len() < self.under_way_max && self.bytes < UNDER_WAY_BYTES_MAX;
        self.waits_for.is_none() && fits
    }

    /// Remembers a hand-off; one without a ticket is done.
    pub(super) fn push(&mut self, ticket: Option<u64>, good: bool, size: u64) {
        let last = self.sent.back().map_or(0, |sent| sent.ticket);
        let is_done = ticket.is_none();
        self.bytes += size;
        self.sent.push_back(Sent { ticket: ticket.unwrap_or(last), good, size, is_done });
    }

    /// A hand-off is done, most often the first of those that were not.
    pub(super) fn finish(&mut self, ticket: u64, report: &mut Report) {
        let place = self.sent.partition_point(|sent| sent.ticket < ticket);
        if let Some(sent) = self.sent.get_mut(place).filter(|sent| sent.ticket == ticket) {
            sent.is_done = true;
        }
        self.count(report);
    }

    /// Counts what has arrived, in order: what is told of is a line number too.
    pub(super) fn count(&mut self, report: &mut Report) {
        while let Some(sent) = self.sent.front().filter(|sent| sent.is_done) {
            report.moved += u64::from(sent.good);
            self.bytes -= sent.size;
            self.sent.pop_front();
            self.arrived += 1;
            self.is_news = true;
        }
    }
}
