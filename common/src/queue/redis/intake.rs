//! Taking messages: never more than were asked for. What is asked for goes
//! out as a look that does not wait, together with the hand-offs of the same
//! turn; only when that finds nothing does the other connection wait.

use super::entry::{bytes, event, items, text};
use super::keys::{NOBODY, beside};
use super::{Expect, Held, RedisConnection, scripts};
use crate::queue::{QueueId, Receipt, Taken};
use redis::{Cmd, Value, cmd};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a wait for messages lasts until it is begun anew, so that a dead
/// connection shows.
const WAIT_MS: u64 = 2_000;

/// Most messages asked for at once.
const READ_MAX: usize = 256;

/// Queues looked at in one turn of looking after.
const LOOKED_AT: usize = 64;

/// How long a leaving reader waits for the server to hear of it.
const LEAVE_MAX: Duration = Duration::from_millis(500);

/// What was asked of the server and not answered.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Whether a look is under way.
    is_looking: bool,
    /// The queues that are waited for.
    waits: Vec<QueueId>,
    /// Whether that wait is being ended.
    is_ending: bool,
    /// Whether answers with messages may have been lost.
    has_lost: bool,
    /// Messages that others had when leases were last renewed.
    lost: u64,
    /// Queues that gave less than was asked for when they were last read.
    empty: BTreeSet<QueueId>,
    /// Queues that messages are asked for from.
    wanting: BTreeSet<QueueId>,
    /// Queues with messages in their inbox.
    pub(super) filled: BTreeSet<QueueId>,
}

impl RedisConnection {
    pub(super) fn set_listening(&mut self, id: QueueId, on: bool) {
        let queue = self.queue(id);
        queue.listening = on;
        let wants = if on { queue.wants.max(1) } else { 0 };
        self.want(id, wants);
        if !on && self.intake.waits.contains(&id) {
            self.end_wait();
        }
    }

    /// Asks for so many messages of a queue from now on.
    pub(super) fn want(&mut self, id: QueueId, count: usize) {
        self.queue(id).wants = count;
        match count {
            0 => self.intake.wanting.remove(&id),
            _ => self.intake.wanting.insert(id),
        };
    }

    /// Sends looks and waits for what is wanted and not under way.
    pub(super) fn ask_for_messages(&mut self) {
        if !self.main.is_up() || !self.has_recovered() {
            return;
        }
        let wanted: Vec<QueueId> = self.wanted();
        for id in wanted.iter().copied() {
            if !self.is_adopting(id) && !std::mem::replace(&mut self.queue(id).adopted, true) {
                self.adopt(id);
            }
        }
        let waits = &self.intake.waits;
        // What dead readers left comes first, and counts.
        let is_new = |id: &&QueueId| {
            !waits.contains(id) && !self.intake.empty.contains(id) && !self.is_adopting(**id)
        };
        let fresh: Vec<QueueId> = wanted.iter().filter(is_new).copied().collect();
        if !fresh.is_empty() && !self.intake.is_looking {
            let (look, most) = self.read(&fresh, None);
            self.intake.is_looking = self.main.send(&look, Expect::Read(fresh, most));
        }
        let empty: Vec<QueueId> =
            wanted.into_iter().filter(|id| self.intake.empty.contains(id)).collect();
        if empty.iter().any(|id| !self.intake.waits.contains(id)) {
            self.wait_for(empty);
        }
    }

    fn is_adopting(&self, id: QueueId) -> bool {
        self.main.expects().any(|expect| matches!(expect, Expect::Adopt(held, _) if *held == id))
    }

    /// Whether it is not known yet if there is something to take.
    pub(super) fn is_answer_due(&self, id: QueueId) -> bool {
        let wants = self.open[id.0 as usize].wants > 0;
        wants && (!self.intake.empty.contains(&id) || self.is_adopting(id))
    }

    /// After a broken connection: what the server gave us in an answer that
    /// never came is asked for first. Nothing else is being read meanwhile, so
    /// that nothing comes by two ways.
    fn has_recovered(&mut self) -> bool {
        if self.intake.has_lost {
            if !self.intake.waits.is_empty() {
                self.end_wait();
                return false;
            }
            self.intake.has_lost = false;
            let receiving = |(index, queue): (usize, &super::OpenQueue)| {
                (queue.receives && !queue.is_gone).then_some(QueueId(index as u32))
            };
            let queues: Vec<QueueId> = self.open.iter().enumerate().filter_map(receiving).collect();
            for id in queues {
                let mut own = cmd("XREADGROUP");
                own.arg("GROUP").arg(&self.settings.group).arg(&self.name).arg("STREAMS");
                own.arg(&self.open[id.0 as usize].stream).arg("0");
                self.main.send(&own, Expect::Own(id));
            }
        }
        !self.main.expects().any(|expect| matches!(expect, Expect::Own(_)))
    }

    /// What was given to us and is not in our hands.
    pub(super) fn on_own(&mut self, id: QueueId, value: Value) {
        let parts = items(value).into_iter().filter_map(|part| items(part).into_iter().nth(1));
        for entry in parts.flat_map(items).collect::<Vec<_>>() {
            let mut entry = items(entry).into_iter();
            let (Some(number), Some(fields)) = (entry.next(), entry.next()) else { continue };
            let number = text(number);
            let is_it = |held: &Held| held.queue == id && held.id == number;
            if !self.held.values().any(is_it) && !matches!(fields, Value::Nil) {
                self.hold(id, number, 1, items(fields));
            }
        }
    }

    /// Queues that want messages and have none on their way.
    fn wanted(&self) -> Vec<QueueId> {
        let wants = |id: &&QueueId| {
            let queue = &self.open[id.0 as usize];
            queue.inbox.is_empty() && !queue.is_gone
        };
        self.intake.wanting.iter().filter(wants).copied().collect()
    }

    fn wait_for(&mut self, queues: Vec<QueueId>) {
        if !self.intake.waits.is_empty() {
            // One more queue: the wait under way ends and begins anew.
            self.end_wait();
            return;
        }
        if !self.reader.is_up() {
            return;
        }
        let (wait, most) = self.read(&queues, Some(WAIT_MS));
        if self.reader.send(&wait, Expect::Wait(queues.clone(), most)) {
            self.intake.waits = queues;
        }
    }

    fn end_wait(&mut self) {
        if !std::mem::replace(&mut self.intake.is_ending, true) {
            let unblock = cmd("CLIENT").arg("UNBLOCK").arg(self.reader.client_id).take();
            self.main.send(&unblock, Expect::Nothing);
        }
    }

    /// A look, or a wait, and how many messages of a queue it gives at most.
    fn read(&self, queues: &[QueueId], wait_ms: Option<u64>) -> (Cmd, usize) {
        let asked = |id: &QueueId| {
            let queue = &self.open[id.0 as usize];
            queue.wants + queue.ahead
        };
        let most = queues.iter().map(asked).min().unwrap_or(1).clamp(1, READ_MAX);
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.settings.group).arg(&self.name);
        read.arg("COUNT").arg(most);
        if let Some(wait_ms) = wait_ms {
            read.arg("BLOCK").arg(wait_ms);
        }
        read.arg("STREAMS");
        queues.iter().for_each(|id| _ = read.arg(&self.open[id.0 as usize].stream));
        queues.iter().for_each(|_| _ = read.arg(">"));
        (read, most)
    }

    /// The answer to a look.
    pub(super) fn on_read(&mut self, queues: &[QueueId], most: usize, value: Value) {
        self.intake.is_looking = false;
        self.intake.empty.extend(queues);
        self.take_in(queues, most, value);
    }

    /// The answer to a wait.
    pub(super) fn on_wait(&mut self, queues: &[QueueId], most: usize, value: Value) {
        self.intake.waits.clear();
        self.intake.is_ending = false;
        self.take_in(queues, most, value);
    }

    /// A connection broke, and what was asked for on it is forgotten.
    pub(super) fn forget_asked(&mut self, was_main: bool) {
        if was_main {
            self.intake.is_looking = false;
            self.open.iter_mut().for_each(|queue| queue.adopted = false);
        } else {
            self.intake.waits.clear();
        }
        self.intake.is_ending = false;
        self.intake.has_lost = true;
    }

    /// Puts what came into the inboxes of its queues. Where less came than was
    /// asked for there is no more.
    fn take_in(&mut self, asked: &[QueueId], most: usize, value: Value) {
        for part in items(value) {
            let mut part = items(part).into_iter();
            let (Some(stream), Some(entries)) = (part.next(), part.next()) else { continue };
            let stream = bytes(stream);
            let is_it = |id: &&QueueId| self.open[id.0 as usize].stream.as_bytes() == stream;
            let Some(id) = asked.iter().find(is_it).copied() else { continue };
            let entries = items(entries);
            if entries.len() >= most {
                self.intake.empty.remove(&id);
            }
            for entry in entries {
                let mut entry = items(entry).into_iter();
                let (Some(number), Some(fields)) = (entry.next(), entry.next()) else { continue };
                self.hold(id, text(number), 1, items(fields));
            }
        }
    }

    /// What dead readers left in a queue.
    fn adopt(&mut self, id: QueueId) {
        let lease_ms = self.settings.lease.as_millis() as u64;
        let (group, most) = (self.settings.group.clone(), self.queue(id).wants.min(READ_MAX));
        let mut adopt = scripts::ADOPT.call(&[&self.queue(id).stream]);
        adopt.arg(group).arg(&self.name).arg(lease_ms).arg(most);
        self.main.send(&adopt, Expect::Adopt(id, most));
    }

    /// What they left, of which so many were asked for; there may be more.
    pub(super) fn on_adopt(&mut self, id: QueueId, most: usize, value: Value) {
        let entries = items(value);
        self.queue(id).adopted = entries.len() < most;
        for entry in entries {
            let mut entry = items(entry).into_iter();
            let (Some(number), Some(count), Some(fields)) =
                (entry.next(), entry.next(), entry.next())
            else {
                continue;
            };
            let delivered = text(count).parse().unwrap_or(1);
            self.hold(id, text(number), delivered, items(fields));
        }
    }

    /// A message is in our hands.
    fn hold(&mut self, queue: QueueId, id: String, delivered: u32, fields: Vec<Value>) {
        self.next_receipt += 1;
        let receipt = Receipt(self.next_receipt);
        let attempts = delivered.saturating_sub(1);
        let (event, fault) = event(&id, &self.open[queue.0 as usize].name, fields);
        let since = Instant::now();
        let held = Held { queue, id, started: attempts, delivered, since, fired: None };
        self.held.insert(receipt.0, held);
        let open = self.queue(queue);
        let wants = open.wants.saturating_sub(1);
        open.inbox.push_back(Taken { receipt, queue, event, attempts, fault });
        self.intake.filled.insert(queue);
        self.want(queue, wants);
    }

    /// Counts a start. The server counts deliveries, so that the first start
    /// needs no word; later ones are told before the worker begins.
    pub(super) fn note_attempt(&mut self, receipt: Receipt) {
        let Some(held) = self.held.get_mut(&receipt.0) else { return };
        held.started += 1;
        if held.started <= held.delivered {
            return;
        }
        held.delivered = held.started;
        let keep = self.claim(&[receipt.0], "keep");
        self.main.send(&keep, Expect::Keep);
        self.write_out();
    }

    /// Keeps messages, or gives them back.
    fn claim(&self, receipts: &[u64], idle: &str) -> Cmd {
        let held: Vec<&Held> = receipts.iter().filter_map(|r| self.held.get(r)).collect();
        let mut streams: Vec<&str> = Vec::new();
        let places: Vec<usize> = held
            .iter()
            .map(|held| {
                let stream = self.open[held.queue.0 as usize].stream.as_str();
                streams.iter().position(|known| *known == stream).unwrap_or_else(|| {
                    streams.push(stream);
                    streams.len() - 1
                })
            })
            .collect();
        let mut claim = scripts::CLAIM.call(&streams);
        claim.arg(&self.settings.group).arg(&self.name).arg(idle).arg(NOBODY);
        for (held, place) in held.into_iter().zip(places) {
            let count = if idle == "keep" { held.delivered } else { held.started };
            claim.arg(place + 1).arg(&held.id).arg(count);
        }
        claim
    }

    /// Twice a second: leases, what dead readers left, queues that are gone.
    pub(super) fn look(&mut self) {
        // An end that came with the last bytes is not told of.
        self.pump();
        if !self.main.is_up() {
            return self.tell_away();
        }
        self.outbox.try_full_again();
        self.renew();
        for id in self.wanted().into_iter().take(LOOKED_AT) {
            self.queue(id).adopted = false;
        }
        let count = self.open.len();
        for step in 0..count.min(LOOKED_AT) {
            let index = (self.look_from + step) % count;
            let exists = cmd("EXISTS").arg(&self.open[index].stream).take();
            self.main.send(&exists, Expect::There(QueueId(index as u32)));
        }
        self.look_from = (self.look_from + LOOKED_AT) % count.max(1);
        self.ask_for_messages();
        self.send_batch();
        self.write_out();
    }

    /// Leases are renewed three times before they are over.
    fn renew(&mut self) {
        let age = self.settings.lease / 3;
        let old = |(receipt, held): (&u64, &mut Held)| {
            let is_old = held.since.elapsed() >= age;
            is_old.then(|| {
                held.since = Instant::now();
                *receipt
            })
        };
        let due: Vec<u64> = self.held.iter_mut().filter_map(old).collect();
        for some in due.chunks(READ_MAX) {
            let keep = self.claim(some, "keep");
            self.main.send(&keep, Expect::Keep);
        }
    }

    /// Leases were renewed, but for so many messages that others have.
    pub(super) fn on_keep(&mut self, lost: u64) {
        let before = std::mem::replace(&mut self.intake.lost, lost);
        if lost > 0 && lost != before {
            self.notices
                .push(format!("the lease was over: others took over {lost} that were held"));
        }
    }

    /// Gives back what is held, takes our name off, and waits a moment so
    /// that the server has heard of it.
    pub(super) fn leave(&mut self) {
        // Nothing more will be done, so nothing waits for that.
        self.intake.filled.clear();
        self.pump();
        if !self.is_hopeless {
            self.send_batch();
        }
        self.end_wait();
        let lease_ms = self.settings.lease.as_millis().to_string();
        let held: Vec<u64> = self.held.keys().copied().collect();
        for some in held.chunks(READ_MAX) {
            let give_back = self.claim(some, &lease_ms);
            self.main.send(&give_back, Expect::Nothing);
        }
        let receives = |queue: &&super::OpenQueue| queue.receives && !queue.is_gone;
        for queue in self.open.iter().filter(receives) {
            let mut leave = scripts::LEAVE.call(&[&queue.stream]);
            leave.arg(&self.settings.group).arg(&self.name);
            self.main.send(&leave, Expect::Nothing);
        }
        if self.outbox.is_empty() {
            for key in std::mem::take(&mut self.outbox.sent_keys) {
                self.main.send(cmd("UNLINK").arg(key), Expect::Nothing);
            }
        }
        let patience = Instant::now() + LEAVE_MAX;
        while self.main.is_up() && self.main.expects().next().is_some() {
            if Instant::now() >= patience || self.wait_for_answers(patience).is_err() {
                break;
            }
            self.pump();
            if !self.is_hopeless {
                self.send_batch();
                self.write_out();
            }
        }
    }

    /// Where senders note that they want room in a stream.
    pub(super) fn wants_of(&self, id: QueueId) -> Option<String> {
        let queue = &self.open[id.0 as usize];
        queue.about.patient_capacity.map(|_| beside(&queue.stream, "wants"))
    }
}
