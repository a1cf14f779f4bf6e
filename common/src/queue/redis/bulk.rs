//! Many entries for one stream at once, as plain commands in a transaction: a
//! script costs the server more for each than adding it does. What has no
//! room, or was there already, is taken out at the end of the same
//! transaction. PROTOCOL.md, "Many at once", is the specification.

use super::batch::sent_key;
use super::error;
use super::keys::beside;
use super::pack::Words;
use super::{Expect, OpenQueue, RedisConnection, entry, scripts};
use crate::queue::{QueueError, QueueId, Settlement, WhenFull};
use redis::{Value, cmd};

/// Hand-offs from which on a transaction is worth it.
const MIN: usize = 32;

/// Most attributes of an event that goes this way: a script says when there are
/// too many.
const ATTRIBUTES_MAX: usize = 1_000;

/// What the script at the end does and must not be refused then.
const LOOK: &str = "redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
redis.call('XDEL', KEYS[1], '0-0') redis.call('TYPE', KEYS[1]) return 1";

/// Whether a server lets us have transactions on this connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Grant {
    /// Nobody asked it.
    #[default]
    Unknown,
    /// The answer is to come, or it was no.
    No,
    Yes,
}

/// A batch as commands.
pub(super) struct Bulk {
    pub(super) keys: Vec<String>,
    pub(super) packed: Vec<u8>,
    /// How many commands there are before its end.
    pub(super) commands: usize,
}

impl RedisConnection {
    /// The stream that hand-offs are all for, if they are nothing but new
    /// messages for it and it has room for them, as far as we know.
    pub(super) fn bulk_of(&mut self, items: &[Settlement]) -> Option<QueueId> {
        let id = items.first()?.outputs.first()?.queue;
        let is_plain = |item: &Settlement| {
            let [output] = item.outputs.as_slice() else { return false };
            item.taken.is_empty()
                && output.queue == id
                && output.event.extensions.len() <= ATTRIBUTES_MAX
        };
        let may_be = items.len() >= MIN && !self.keys.is_cluster && !self.settings.drops_known_ids;
        if !may_be || !items.iter().all(is_plain) {
            return None;
        }
        let capacity = self.capacity_of(id);
        let queue = self.queue(id);
        if queue.is_gone || queue.otherwise.is_some() || !queue.waits_when_full() {
            return None;
        }
        if capacity.is_some() && queue.room < items.len() as u64 {
            let look = cmd("XLEN").arg(&queue.stream).take();
            self.main.send(&look, Expect::Depth(id));
            return None;
        }
        self.is_granted(id).then_some(id)
    }

    /// Whether transactions may be used; the server is asked when that is not
    /// known, for what is refused within one must not take effect alone.
    fn is_granted(&mut self, id: QueueId) -> bool {
        if self.grant == Grant::Unknown {
            self.grant = Grant::No;
            let look = cmd("EVAL").arg(LOOK).arg(1).arg(&self.queue(id).stream).take();
            self.main.send(&cmd("MULTI"), Expect::Queued);
            self.main.send(&look, Expect::Queued);
            self.main.send(&cmd("EXEC"), Expect::Granted);
        }
        self.grant == Grant::Yes
    }

    pub(super) fn on_granted(&mut self, answer: &Value) {
        if matches!(answer, Value::Array(items) if *items == [Value::Int(1)]) {
            self.grant = Grant::Yes;
        }
    }

    /// How much is in a queue: what has room beside it.
    pub(super) fn on_depth(&mut self, id: QueueId, depth: u64) {
        let capacity = self.capacity_of(id).unwrap_or(0);
        let taken = depth + self.outbox.added_next(id);
        self.queue(id).room = capacity.saturating_sub(taken);
    }

    /// What a queue can hold of what we send.
    pub(super) fn capacity_of(&self, id: QueueId) -> Option<u64> {
        let about = &self.open[id.0 as usize].about;
        if self.patient { about.patient_capacity } else { about.capacity }
    }

    /// Packs a batch of one stream's new messages.
    ///
    /// # Errors
    /// A body is in a file that cannot be read.
    pub(super) fn pack_bulk(
        &mut self,
        id: QueueId,
        number: u64,
        items: &[Settlement],
    ) -> std::io::Result<Bulk> {
        let capacity = self.capacity_of(id).unwrap_or(0);
        let stream = self.open[id.0 as usize].stream.clone();
        let about = beside(&stream, "about");
        let mut keys = vec![sent_key(&stream, &self.name), stream, about];
        keys.extend(self.wants_of(id));
        let mut add = Words::default();
        ["XADD", &keys[1], "NOMKSTREAM", "*"].iter().for_each(|word| add.word(word));
        let mut all = Words::default();
        all.command(&["MULTI"]);
        for event in items.iter().flat_map(|item| &item.outputs).map(|output| &output.event) {
            let begin = all.bytes.len();
            all.append(&add);
            entry::write(event, |word| all.bytes(word))?;
            all.end_command(begin);
        }
        let last = items.last().and_then(|item| item.outputs.last());
        let last = last.map_or("", |output| &output.event.id);
        let [count, number, capacity] =
            [items.len() as u64, number, capacity].map(|n| n.to_string());
        let key_count = keys.len().to_string();
        let mut end = vec!["EVAL", scripts::ADDED.source, &key_count];
        end.extend(keys.iter().map(String::as_str));
        end.extend([&number, &count, &capacity, &self.name, last]);
        all.command(&end);
        all.command(&["XLEN", &keys[1]]);
        all.command(&["EXEC"]);
        let queue = self.queue(id);
        queue.room = queue.room.saturating_sub(items.len() as u64);
        // With the entries: the beginning, the script, and the look.
        Ok(Bulk { keys, packed: all.bytes, commands: items.len() + 3 })
    }

    /// Nothing of a transaction took effect: a script does it, or tells why
    /// not, for each hand-off.
    pub(super) fn on_bulk_aborted(&mut self) {
        if self.grant == Grant::Yes {
            self.grant = Grant::Unknown;
        }
        self.outbox.send_again();
        self.send_batch();
        self.write_out();
    }

    /// The answers to a transaction's commands.
    pub(super) fn on_added(&mut self, id: QueueId, answer: Value) {
        let Value::Array(mut answers) = answer else { return self.on_bulk_aborted() };
        if let Some(Value::Int(depth)) = answers.pop() {
            self.on_depth(id, depth as u64);
        }
        match answers.pop() {
            // None of the entries was added.
            Some(Value::BulkString(answer)) if answer.is_empty() => self.on_bulk_aborted(),
            Some(answer @ Value::BulkString(_)) => self.on_batch(entry::text(answer)),
            Some(Value::ServerError(said)) => {
                let unknown = || QueueError::Unreachable {
                    what: format!("the server says: {}", said.details().unwrap_or_default()),
                    cure: "redis-cli".to_owned(),
                };
                self.on_batch_failed(error::of_answer(&said).unwrap_or_else(unknown));
            }
            _ => self.on_bulk_aborted(),
        }
    }
}

impl OpenQueue {
    fn waits_when_full(&self) -> bool {
        matches!(self.about.when_full, None | Some(WhenFull::Block))
    }
}
