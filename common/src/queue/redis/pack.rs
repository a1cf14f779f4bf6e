//! One batch of hand-offs as the server reads it: the call of its script, with
//! what many hand-offs have in common said once.

use super::keys::beside;
use super::shapes::Entries;
use super::{Held, RedisConnection, scripts};
use crate::queue::{QueueId, Settlement, WhenFull};
use std::collections::BTreeMap;

/// Bytes of a batch of a single small event, and some more.
const BATCH_BYTES: usize = 1024;

/// Words of a command.
#[derive(Default)]
pub(super) struct Words {
    pub(super) bytes: Vec<u8>,
    count: usize,
}

impl Words {
    pub(super) fn bytes(&mut self, word: &[u8]) {
        self.bytes.push(b'$');
        self.bytes.extend_from_slice(itoa::Buffer::new().format(word.len()).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(word);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    /// What was told since there were so many bytes is a command of its own.
    pub(super) fn end_command(&mut self, begin: usize) {
        let end = self.bytes.len();
        self.head();
        let head = self.bytes.len() - end;
        self.bytes[begin..].rotate_right(head);
        self.count = 0;
    }

    /// One more command.
    pub(super) fn command(&mut self, words: &[&str]) {
        let begin = self.bytes.len();
        words.iter().for_each(|word| self.word(word));
        self.end_command(begin);
    }

    /// How many words there are, as a command begins.
    fn head(&mut self) {
        self.bytes.push(b'*');
        self.bytes.extend_from_slice(itoa::Buffer::new().format(self.count).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The words of another.
    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
    }

    pub(super) fn word(&mut self, word: &str) {
        self.bytes(word.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.word(itoa::Buffer::new().format(number));
    }
}

/// Keys of the script, by number from 1.
#[derive(Default)]
struct Keys(Vec<String>);

impl Keys {
    fn number(&mut self, key: String) -> u64 {
        let known = self.0.iter().position(|known| *known == key);
        let place = known.unwrap_or_else(|| {
            self.0.push(key);
            self.0.len() - 1
        });
        place as u64 + 1
    }

    /// 0: there is none.
    fn optional(&mut self, key: Option<String>) -> u64 {
        key.map_or(0, |key| self.number(key))
    }

    /// A key that no other part of the batch has: a join's.
    fn fresh(&mut self, key: String) -> u64 {
        self.0.push(key);
        self.0.len() as u64
    }
}

/// What many hand-offs have in common, by the numbers that the batch gives.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    /// Where each message was taken.
    taken: Vec<u64>,
    /// How many joins fired.
    joins: u64,
    /// Where each output goes, and its shape.
    outputs: Vec<(u64, u64)>,
}

impl Form {
    fn pack(&self, words: &mut Words) {
        words.number(self.taken.len() as u64);
        self.taken.iter().for_each(|source| words.number(*source));
        words.number(self.joins);
        words.number(self.outputs.len() as u64);
        for (target, shape) in &self.outputs {
            words.number(*target);
            words.number(*shape);
        }
    }
}

/// A batch being packed.
#[derive(Default)]
struct Pack {
    keys: Keys,
    words: Words,
}

/// Queues by the number that a batch gives them, from 1, and how many
/// messages of each are in it.
type Numbers = BTreeMap<QueueId, (u64, u64)>;

fn count(numbers: &mut Numbers, queue: QueueId) {
    let next = numbers.len() as u64 + 1;
    numbers.entry(queue).or_insert((next, 0)).1 += 1;
}

fn in_order(numbers: &Numbers) -> Vec<(QueueId, u64)> {
    let mut queues: Vec<_> =
        numbers.iter().map(|(queue, (n, count))| (*n, *queue, *count)).collect();
    queues.sort_unstable();
    queues.into_iter().map(|(_, queue, count)| (queue, count)).collect()
}

impl RedisConnection {
    /// The keys of a batch, and the command. `about` is what the server keeps
    /// its answer under.
    ///
    /// # Errors
    /// A body is in a file that cannot be read.
    pub(super) fn pack(
        &self,
        number: u64,
        answer_key: String,
        items: &[Settlement],
    ) -> std::io::Result<(Vec<String>, Vec<u8>)> {
        let mut pack = Pack::default();
        pack.words.bytes.reserve(BATCH_BYTES);
        pack.keys.fresh(answer_key);
        pack.words.number(number);
        pack.words.word(&self.settings.group);
        pack.words.word(&self.name);
        let (mut sources, mut targets) = (Numbers::new(), Numbers::new());
        for item in items {
            self.held_by(item).for_each(|held| count(&mut sources, held.queue));
            item.outputs.iter().for_each(|output| count(&mut targets, output.queue));
        }
        self.pack_sources(&mut pack, &sources);
        self.pack_targets(&mut pack, &targets);
        let mut entries = Entries::default();
        let outputs = items.iter().flat_map(|item| &item.outputs);
        outputs.into_iter().try_for_each(|output| entries.add(&output.event))?;
        entries.pack_shapes(&mut pack.words);
        let forms = self.pack_forms(&mut pack, items, &sources, &targets, &entries);
        let mut index = 0;
        for (item, form) in items.iter().zip(forms) {
            pack.words.number(form);
            self.pack_taken(&mut pack, item);
            for _ in &item.outputs {
                entries.pack_entry(index, &mut pack.words);
                index += 1;
            }
        }
        Ok((pack.keys.0.clone(), pack.command()))
    }

    fn held_by<'a>(&'a self, item: &'a Settlement) -> impl Iterator<Item = &'a Held> {
        item.taken.iter().filter_map(|receipt| self.held.get(&receipt.0))
    }

    fn pack_sources(&self, pack: &mut Pack, sources: &Numbers) {
        pack.words.number(sources.len() as u64);
        for (queue, count) in in_order(sources) {
            let stream = self.open[queue.0 as usize].stream.clone();
            pack.words.number(pack.keys.number(stream));
            pack.words.number(pack.keys.optional(self.wants_of(queue)));
            pack.words.number(count);
        }
    }

    fn pack_targets(&self, pack: &mut Pack, targets: &Numbers) {
        pack.words.number(targets.len() as u64);
        for (id, _) in in_order(targets) {
            let queue = &self.open[id.0 as usize];
            let otherwise = queue.otherwise.map(|id| self.open[id.0 as usize].stream.clone());
            pack.words.number(pack.keys.number(queue.stream.clone()));
            pack.words.number(pack.keys.optional(self.wants_of(id)));
            pack.words.number(pack.keys.optional(otherwise));
            pack.words.number(self.capacity_of(id).unwrap_or(0));
            pack.words.word(queue.about.when_full.unwrap_or(WhenFull::Block).word());
            let ids = self.settings.drops_known_ids.then(|| {
                let ids = pack.keys.fresh(beside(&queue.stream, "ids"));
                pack.keys.fresh(beside(&queue.stream, "ids.old"));
                ids
            });
            pack.words.number(ids.unwrap_or(0));
        }
    }

    /// The forms of all hand-offs; which each one has.
    fn pack_forms(
        &self,
        pack: &mut Pack,
        items: &[Settlement],
        sources: &Numbers,
        targets: &Numbers,
        entries: &Entries,
    ) -> Vec<u64> {
        let number = |queues: &Numbers, queue| queues.get(&queue).map_or(0, |(number, _)| *number);
        let mut shapes = entries.shapes();
        let mut forms: BTreeMap<Form, u64> = BTreeMap::new();
        let mut of_items = Vec::with_capacity(items.len());
        for item in items {
            let outputs = item.outputs.iter().map(|output| number(targets, output.queue));
            let form = Form {
                taken: self.held_by(item).map(|held| number(sources, held.queue)).collect(),
                joins: self.held_by(item).filter(|held| held.fired.is_some()).count() as u64,
                outputs: outputs.zip(shapes.by_ref()).collect(),
            };
            let next = forms.len() as u64 + 1;
            of_items.push(*forms.entry(form).or_insert(next));
        }
        let mut forms: Vec<(u64, Form)> = forms.into_iter().map(|(form, n)| (n, form)).collect();
        forms.sort_unstable();
        pack.words.number(forms.len() as u64);
        forms.iter().for_each(|(_, form)| form.pack(&mut pack.words));
        of_items
    }

    fn pack_taken(&self, pack: &mut Pack, item: &Settlement) {
        self.held_by(item).for_each(|held| pack.words.word(&held.id));
        for held in self.held_by(item) {
            let Some((key, claim, passed)) = &held.fired else { continue };
            let stream = &self.open[held.queue.0 as usize].stream;
            pack.words.number(pack.keys.fresh(super::joins::instance(stream, key)));
            pack.words.number(pack.keys.fresh(super::joins::parts(stream, key)));
            pack.words.word(claim);
            pack.words.bytes(passed);
        }
    }
}

impl Pack {
    fn command(&self) -> Vec<u8> {
        let mut head = Words::default();
        head.word("EVALSHA");
        head.word(scripts::SETTLE.hash());
        head.number(self.keys.0.len() as u64);
        self.keys.0.iter().for_each(|key| head.word(key));
        let count = head.count + self.words.count;
        let capacity = head.bytes.len() + self.words.bytes.len() + 16;
        let mut command = Words { bytes: Vec::with_capacity(capacity), count };
        command.head();
        command.bytes.extend_from_slice(&head.bytes);
        command.bytes.extend_from_slice(&self.words.bytes);
        command.bytes
    }
}
