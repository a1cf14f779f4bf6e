//! Hand-offs on their way. One batch is under way at a time and what comes
//! meanwhile gathers for the next, so that order is kept, a busy sender sends
//! much at once, and an idle one waits for nobody.

use super::keys::{beside, place};
use super::{BODY_MAX, Expect, RedisConnection};
use crate::queue::{Connection, QueueError, QueueId, Settled, Settlement};
use redis::cmd;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Most hand-offs in one batch: a script keeps all others waiting.
const BATCH_MAX: usize = 256;

/// Most bytes of bodies in one batch, unless one alone has more.
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// Hand-offs that are worth a batch although more are about to come.
const WORTH: usize = 32;

/// How long hand-offs wait for others, at most.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// Hand-offs that are worth packing before they can be sent.
const AHEAD_MIN: usize = 64;

/// How long the answer to a batch is kept, in seconds.
const SENT_KEPT_S: u32 = 900;

/// How long one question for replicas waits, in milliseconds.
const REPLICAS_MS: u32 = 1_000;

/// What is to be sent, is under way, and has come back.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: VecDeque<Settlement>,
    /// Since when the first of these waits for others to go with it.
    since: Option<Instant>,
    /// The batch after the one that is under way.
    next: Option<Batch>,
    under_way: Option<Batch>,
    number: u64,
    /// Queues that had no room when they were last tried.
    full: HashSet<QueueId>,
    pub(super) done: Vec<u64>,
    pub(super) void: Vec<u64>,
    pub(super) refused: Vec<(u64, QueueError)>,
    /// Where answers to our batches are kept.
    pub(super) sent_keys: BTreeSet<String>,
    /// Whether those queues are tried once more.
    tries_full: bool,
    /// Whether the lack of replicas, or of memory, was said.
    lack_said: bool,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    items: Vec<Settlement>,
    /// The keys of the script, to know what an answer is about.
    keys: Vec<String>,
    /// Empty when it is to be packed anew.
    packed: Vec<u8>,
    /// The queue that it adds to in a transaction, and of how many commands
    /// before its end.
    bulk: Option<(QueueId, usize)>,
    /// Whether queues without room were tried with it.
    tries_full: bool,
    is_sent: bool,
    /// The answer, while replicas are waited for.
    answer: Option<String>,
}

impl Outbox {
    pub(super) fn blocked(&self) -> Vec<QueueId> {
        if self.full.is_empty() {
            return Vec::new();
        }
        let outputs = self.pending.iter().flat_map(|settlement| &settlement.outputs);
        let queues: HashSet<QueueId> = outputs.map(|output| output.queue).collect();
        queues.intersection(&self.full).copied().collect()
    }

    pub(super) fn stuck(&self) -> Vec<u64> {
        if self.full.is_empty() {
            return Vec::new();
        }
        let is_stuck = |one: &&Settlement| one.outputs.iter().any(|o| self.full.contains(&o.queue));
        self.pending.iter().filter(is_stuck).map(|settlement| settlement.ticket).collect()
    }

    /// Whether something on its way is for this queue.
    pub(super) fn mentions(&self, id: QueueId) -> bool {
        let batches = self.under_way.iter().chain(&self.next);
        let packed = batches.flat_map(|batch| &batch.items);
        let mut outputs = self.pending.iter().chain(packed).flat_map(|item| &item.outputs);
        outputs.any(|output| output.queue == id)
    }

    /// There may be room again.
    pub(super) fn try_full_again(&mut self) {
        self.tries_full = true;
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.next.is_none() && self.under_way.is_none()
    }

    /// The connection broke: what was under way goes out once more. The
    /// server knows by its number whether it was done.
    pub(super) fn send_again(&mut self) {
        if let Some(batch) = &mut self.under_way {
            batch.is_sent = false;
        }
        // A transaction is sent once: only a script looks first whether the
        // batch was done.
        for batch in self.under_way.iter_mut().chain(&mut self.next) {
            if batch.bulk.take().is_some() {
                batch.packed.clear();
            }
        }
    }

    /// Messages for a queue that are packed and will be added to it next.
    pub(super) fn added_next(&self, id: QueueId) -> u64 {
        let next = self.next.as_ref().filter(|next| next.bulk.is_some_and(|bulk| bulk.0 == id));
        next.map_or(0, |next| next.items.len() as u64)
    }

    /// The next batch is not what it was made for: what is in it comes after
    /// what came back.
    fn unpack_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.number -= 1;
            // Room that it was made for is not used.
            self.tries_full |= next.tries_full;
            next.items.into_iter().rev().for_each(|item| self.pending.push_front(item));
        }
    }

    /// What goes into the next batch: in order, but around queues without
    /// room, and in a cluster on one node.
    fn next_items(&mut self, mut place_of: impl FnMut(&Settlement) -> String) -> Vec<Settlement> {
        let mut closed = match std::mem::take(&mut self.tries_full) {
            true => HashSet::new(),
            false => self.full.clone(),
        };
        let (mut items, mut behind) = (Vec::new(), Vec::new());
        let (mut bytes, mut place) = (0, None);
        while let Some(settlement) = self.pending.pop_front() {
            let size: u64 = settlement.outputs.iter().map(|o| o.event.body_len()).sum();
            let fits = items.is_empty() || bytes + size <= BATCH_BYTES_MAX;
            if !fits || items.len() == BATCH_MAX {
                self.pending.push_front(settlement);
                break;
            }
            let is_open = settlement.outputs.iter().all(|o| !closed.contains(&o.queue));
            let here = place_of(&settlement);
            if is_open && place.as_ref().is_none_or(|place| *place == here) {
                bytes += size;
                place = Some(here);
                items.push(settlement);
            } else {
                closed.extend(settlement.outputs.iter().map(|output| output.queue));
                behind.push(settlement);
            }
        }
        behind.into_iter().rev().for_each(|settlement| self.pending.push_front(settlement));
        items
    }
}

impl RedisConnection {
    pub(super) fn take_settlement(
        &mut self,
        settlement: &mut Settlement,
    ) -> Result<Settled, QueueError> {
        let largest = settlement.outputs.iter().map(|output| output.event.body_len()).max();
        if largest.is_some_and(|largest| largest >= BODY_MAX) {
            return Err(QueueError::Refused {
                what: "a body of 512 MiB or more is too large for Redis".to_owned(),
                alternative: "a smaller body, or mq:".to_owned(),
            });
        }
        let taken = std::mem::take(settlement);
        if taken.taken.is_empty() && taken.outputs.is_empty() {
            return Ok(Settled::Done);
        }
        let waits = taken.outputs.iter().any(|output| self.outbox.full.contains(&output.queue));
        if !waits && self.outbox.since.is_none() && !self.intake.filled.is_empty() {
            self.outbox.since = Some(Instant::now());
            self.alarm.ring_after(GATHER_MAX);
        }
        self.outbox.pending.push_back(taken);
        Ok(if waits { Settled::Waiting } else { Settled::Sent })
    }

    /// Sends the next batch, unless more for it is about to come: while
    /// messages wait that quick functions will be given at once, hand-offs of
    /// a millisecond go together, for a batch of one costs the server as much
    /// as a batch of several.
    pub(super) fn send_when_worth(&mut self) {
        let outbox = &mut self.outbox;
        let may_wait = outbox.under_way.is_none() && outbox.next.is_none();
        let is_early = outbox.since.is_some_and(|since| since.elapsed() < GATHER_MAX);
        let more_comes = !self.intake.filled.is_empty() && outbox.pending.len() < WORTH;
        if !(may_wait && is_early && more_comes) {
            self.send_batch();
        }
    }

    /// Sends the next batch, if none is under way; else prepares it, if there
    /// is much to send.
    pub(super) fn send_batch(&mut self) {
        if !self.main.is_up() || self.is_hopeless {
            return;
        }
        self.outbox.since = None;
        if self.outbox.under_way.is_none() {
            self.outbox.under_way = self.outbox.next.take().or_else(|| self.make_batch());
        } else if self.outbox.next.is_none() && self.outbox.pending.len() >= AHEAD_MIN {
            self.outbox.next = self.make_batch();
        }
        let Some(mut batch) = self.outbox.under_way.take() else { return };
        if !batch.is_sent {
            batch.answer = None;
            self.send_packed(&mut batch);
        }
        self.outbox.under_way = Some(batch);
    }

    fn send_packed(&mut self, batch: &mut Batch) {
        if batch.packed.is_empty() {
            let answer_key = batch.keys.first().cloned().unwrap_or_default();
            match self.pack(batch.number, answer_key, &batch.items) {
                Ok((keys, packed)) => (batch.keys, batch.packed) = (keys, packed),
                Err(error) => {
                    self.failed = Some(QueueError::io("reading a body")(error));
                    return;
                }
            }
        }
        let (before, last) = match batch.bulk {
            Some((id, commands)) => (commands, Expect::Added(id)),
            None => (0, Expect::Batch),
        };
        let expect = std::iter::repeat_with(|| Expect::Queued).take(before).chain([last]);
        batch.is_sent = self.main.send_packed(&batch.packed, expect);
    }

    fn make_batch(&mut self) -> Option<Batch> {
        if self.outbox.pending.is_empty() {
            return None;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        let tries_full = outbox.tries_full;
        let items = outbox.next_items(|settlement| self.place_of(settlement));
        self.outbox = outbox;
        if items.is_empty() {
            return None;
        }
        self.outbox.number += 1;
        let number = self.outbox.number;
        let packed = match self.bulk_of(&items) {
            Some(id) => self
                .pack_bulk(id, number, &items)
                .map(|bulk| (bulk.keys, bulk.packed, Some((id, bulk.commands)))),
            None => {
                let first = items.first().and_then(|item| self.first_stream(item));
                let answer_key = sent_key(&first.unwrap_or_default(), &self.name);
                let packed = self.pack(number, answer_key, &items);
                packed.map(|(keys, packed)| (keys, packed, None))
            }
        };
        let (keys, packed, bulk) = match packed {
            Ok(packed) => packed,
            Err(error) => {
                self.failed = Some(QueueError::io("reading a body")(error));
                return None;
            }
        };
        self.outbox.sent_keys.extend(keys.first().cloned());
        Some(Batch { number, items, keys, packed, bulk, tries_full, is_sent: false, answer: None })
    }

    /// Where a hand-off's keys are in a cluster; elsewhere all is one place.
    fn place_of(&self, settlement: &Settlement) -> String {
        if !self.keys.is_cluster {
            return String::new();
        }
        let output = settlement.outputs.first().map(|output| output.queue);
        let taken = settlement.taken.first().and_then(|first| Some(self.held.get(&first.0)?.queue));
        let queue = output.or(taken).map_or(0, |queue| queue.0 as usize);
        self.open.get(queue).map_or_else(String::new, |open| place(&open.stream).to_owned())
    }

    fn first_stream(&self, item: &Settlement) -> Option<String> {
        let output = item.outputs.first().map(|output| output.queue);
        let taken = || Some(self.held.get(&item.taken.first()?.0)?.queue);
        Some(self.open[output.or_else(taken)?.0 as usize].stream.clone())
    }

    /// The answer to a batch; with replicas it counts once they have it.
    pub(super) fn on_batch(&mut self, answer: String) {
        if self.settings.replicas == 0 {
            return self.finish_batch(&answer);
        }
        if let Some(batch) = &mut self.outbox.under_way {
            batch.answer = Some(answer);
        }
        self.wait_for_replicas();
    }

    fn wait_for_replicas(&mut self) {
        // What is waited for is what this connection wrote last, which after a
        // broken one is nothing.
        if let Some(key) = self.outbox.under_way.as_ref().and_then(|batch| batch.keys.first()) {
            let touch = cmd("EXPIRE").arg(key).arg(SENT_KEPT_S).take();
            self.main.send(&touch, Expect::Nothing);
        }
        let wait = cmd("WAIT").arg(self.settings.replicas).arg(REPLICAS_MS).take();
        self.main.send(&wait, Expect::Replicas);
        self.write_out();
    }

    pub(super) fn on_replicas(&mut self, count: u32) {
        if count < self.settings.replicas {
            self.say_lack(&format!(
                "{count} of {} replicas have what was sent; waiting for the others",
                self.settings.replicas
            ));
            return self.wait_for_replicas();
        }
        let answer = self.outbox.under_way.as_mut().and_then(|batch| batch.answer.take());
        if let Some(answer) = answer {
            self.finish_batch(&answer);
        }
    }

    fn say_lack(&mut self, text: &str) {
        if !std::mem::replace(&mut self.outbox.lack_said, true) {
            self.notices.push(text.to_owned());
        }
    }

    fn finish_batch(&mut self, answer: &str) {
        let Some(batch) = self.outbox.under_way.take() else { return };
        if self.outbox.next.is_some() && answer.bytes().all(|byte| matches!(byte, b'd' | b',')) {
            // The server need not wait until we have counted.
            self.send_batch();
            self.write_out();
        }
        let mut stuck = Vec::new();
        for (item, code) in batch.items.into_iter().zip(answer.split(',')) {
            let (kind, about) = code.split_at(code.len().min(1));
            // What the answer is about: the number of a key, from 1.
            let key = about.parse().ok().and_then(|n: usize| batch.keys.get(n.checked_sub(1)?));
            let stream = key.cloned().unwrap_or_default();
            match kind {
                "d" => self.finish(item, false),
                "v" => self.finish(item, true),
                "f" => {
                    self.mark_full(|queue| queue.stream == stream);
                    stuck.push(item);
                }
                "o" => {
                    self.say_lack(&lack(about));
                    self.outbox.full.extend(item.outputs.iter().map(|output| output.queue));
                    stuck.push(item);
                }
                "g" => self.on_gone(item, &stream),
                "r" => {
                    let url = self.url_of(&self.keys.name(&stream));
                    let limit = format!("the capacity of {url}");
                    self.refuse(
                        item,
                        QueueError::Limit { limit, cure: format!("faas-queue get {url}") },
                    );
                }
                _ => {
                    let what = format!("the server refused a message: {about}");
                    let cure = "redis-cli type KEY".to_owned();
                    self.refuse(item, QueueError::Foreign { what, cure });
                }
            }
        }
        if !stuck.is_empty() {
            self.listen_for_room();
            self.outbox.unpack_next();
        }
        stuck.into_iter().rev().for_each(|item| self.outbox.pending.push_front(item));
        self.send_when_worth();
        self.write_out();
    }

    fn mark_full(&mut self, is_it: impl Fn(&super::OpenQueue) -> bool) {
        let full = self.open.iter().enumerate().filter(|(_, queue)| is_it(queue));
        self.outbox.full.extend(full.map(|(index, _)| QueueId(index as u32)));
    }

    fn finish(&mut self, item: Settlement, is_void: bool) {
        for receipt in &item.taken {
            self.held.remove(&receipt.0);
        }
        if !self.outbox.full.is_empty() {
            item.outputs.iter().for_each(|output| _ = self.outbox.full.remove(&output.queue));
        }
        self.outbox.done.push(item.ticket);
        if is_void && !item.taken.is_empty() {
            self.outbox.void.push(item.ticket);
        }
    }

    fn refuse(&mut self, item: Settlement, error: QueueError) {
        self.outbox.refused.push((item.ticket, error));
    }

    /// A target is not there any more.
    fn on_gone(&mut self, item: Settlement, stream: &str) {
        let gone = self.open.iter_mut().filter(|queue| queue.stream == stream);
        gone.for_each(|queue| queue.is_gone = true);
        let error = QueueError::Removed { name: self.url_of(&self.keys.name(stream)) };
        if self.open.iter().any(|queue| queue.stream == stream && queue.is_fleeting()) {
            return self.refuse(item, error);
        }
        self.failed = Some(error);
        self.is_hopeless = true;
        self.outbox.unpack_next();
        self.outbox.pending.push_front(item);
    }

    /// The script itself failed: nothing of the batch was done, or, at the end
    /// of a transaction, nobody knows. Nothing more is sent.
    pub(super) fn on_batch_failed(&mut self, error: QueueError) {
        let Some(batch) = self.outbox.under_way.take() else { return };
        if matches!(error, QueueError::Refused { .. }) && batch.items.len() == 1 {
            batch.items.into_iter().for_each(|item| {
                let error = QueueError::Refused {
                    what: "its queues are on different nodes of the cluster".to_owned(),
                    alternative: "names with the same {tag} in them".to_owned(),
                };
                self.refuse(item, error);
            });
            return;
        }
        self.outbox.unpack_next();
        batch.items.into_iter().rev().for_each(|item| self.outbox.pending.push_front(item));
        self.is_hopeless = true;
        self.failed = Some(error);
    }
}

/// What the server lacks, in words.
fn lack(said: &str) -> String {
    match said.contains("OOM") {
        true => "the server's memory is full (maxmemory); waiting for room".to_owned(),
        false => format!("the server says: {said}; waiting"),
    }
}

/// Where the answer to a sender's last batch is kept.
pub(super) fn sent_key(stream: &str, sender: &str) -> String {
    beside(stream, &format!("sent.{sender}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(tries_full: bool) -> Batch {
        let (items, keys, packed) = (vec![Settlement::default()], Vec::new(), Vec::new());
        Batch {
            number: 1,
            items,
            keys,
            packed,
            bulk: None,
            tries_full,
            is_sent: false,
            answer: None,
        }
    }

    /// Queues without room are tried again only if that batch was to do so:
    /// else what waits for them would go out again at once, before all others.
    #[test]
    fn a_batch_that_came_back_gives_back_what_it_used_up() {
        for tried in [false, true] {
            let next = Some(next(tried));
            let mut outbox = Outbox { number: 1, next, ..Outbox::default() };
            outbox.unpack_next();
            assert_eq!((outbox.pending.len(), outbox.tries_full), (1, tried));
        }
    }
}
