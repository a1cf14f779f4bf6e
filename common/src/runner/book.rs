//! What a collector writes down before it acknowledges a reply, so that a run
//! whose runner was killed can be picked up: ends of branches, what was
//! printed, how far the trigger was.

use crate::chain::ending::Endings;
use crate::event::control::Control;
use crate::event::varint::{Reader, put_bytes};
use crate::journal::Journal;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// The book is written anew, without what has ended, beyond this many bytes
/// and as often again.
const COMPACT: u64 = 4 << 20;

const REPLY: u8 = 1;
const INTENT: u8 = 2;
const ACCEPTED: u8 = 3;
const ENDED: u8 = 4;
const COUNTS: u8 = 5;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A reply was dealt with.
    Reply {
        /// Its control block.
        control: Control,
        /// What tells it from others.
        key: String,
    },
    /// The reply of this key is about to be shown.
    Intent(String),
    /// The trigger of this name has handed over so many events.
    Accepted(String, u64),
    /// Of this trigger all invocations up to a number have ended, and these.
    Ended(String, u64, Vec<u64>),
    /// Results, dead letters and dropped invocations before all else here.
    Counts([u64; 3]),
}

impl Page {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Reply { control, key } => {
                out.push(REPLY);
                put_bytes(&mut out, key.as_bytes());
                control.encode(&mut out);
            }
            Self::Intent(key) => {
                out.push(INTENT);
                put_bytes(&mut out, key.as_bytes());
            }
            Self::Accepted(trigger, count) => {
                out.push(ACCEPTED);
                put_bytes(&mut out, trigger.as_bytes());
                out.extend_from_slice(&count.to_le_bytes());
            }
            Self::Ended(trigger, below, above) => {
                out.push(ENDED);
                put_bytes(&mut out, trigger.as_bytes());
                for number in std::iter::once(below).chain(above) {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            Self::Counts(counts) => {
                out.push(COUNTS);
                counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
            }
        }
        out
    }

    /// Reads a record; `None` when it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let mut reader = Reader::new(rest);
        let mut text = || String::from_utf8(reader.bytes().ok()?.to_vec()).ok();
        let numbers = |rest: &[u8]| {
            let words = rest.chunks_exact(8).filter_map(|word| word.try_into().ok());
            words.map(u64::from_le_bytes).collect::<Vec<u64>>()
        };
        Some(match kind {
            REPLY => {
                let key = text()?;
                Self::Reply { control: Control::decode(reader.rest()).ok()?, key }
            }
            INTENT => Self::Intent(text()?),
            ACCEPTED => {
                let trigger = text()?;
                Self::Accepted(trigger, *numbers(reader.rest()).first()?)
            }
            ENDED => {
                let trigger = text()?;
                let words = numbers(reader.rest());
                let (below, above) = words.split_first()?;
                Self::Ended(trigger, *below, above.to_vec())
            }
            COUNTS => Self::Counts(numbers(rest).try_into().ok()?),
            _ => return None,
        })
    }
}

/// The book of a run.
pub(super) struct Book {
    journal: Journal,
    path: PathBuf,
    /// Replies of invocations that have not ended.
    open: HashMap<String, Vec<Page>>,
    accepted: HashMap<String, u64>,
    /// Replies about to be shown.
    intents: HashSet<String>,
    compact_at: u64,
}

/// What a book says of a run so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) endings: Endings,
    /// Results, dead letters, dropped invocations.
    pub(super) counts: [u64; 3],
    /// What each trigger handed over, as far as it said.
    pub(super) accepted: HashMap<String, u64>,
    /// Replies that may have been shown and are not known to have been.
    pub(super) doubtful: HashSet<String>,
}

impl Book {
    /// A new, empty one.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Self::at(path, true)
    }

    fn at(path: &Path, create: bool) -> io::Result<Self> {
        let journal = Journal::open(path, create, 0)?;
        Ok(Self {
            journal,
            path: path.to_owned(),
            open: HashMap::new(),
            accepted: HashMap::new(),
            intents: HashSet::new(),
            compact_at: COMPACT,
        })
    }

    /// Opens the book of an earlier runner and reads it.
    pub(super) fn read(path: &Path) -> io::Result<(Self, Past)> {
        let mut book = Self::at(path, true)?;
        let mut past = Past::default();
        for record in book.journal.catch_up()? {
            let page = Page::decode(&record.head);
            let page = page.ok_or_else(|| io::Error::other("a page of its book is damaged"))?;
            book.take_in(&mut past, page);
        }
        past.accepted.clone_from(&book.accepted);
        past.doubtful.clone_from(&book.intents);
        Ok((book, past))
    }

    fn take_in(&mut self, past: &mut Past, page: Page) {
        match &page {
            Page::Intent(key) => drop(self.intents.insert(key.clone())),
            Page::Accepted(trigger, count) => drop(self.accepted.insert(trigger.clone(), *count)),
            Page::Ended(trigger, below, above) => past.endings.restore(trigger, *below, above),
            Page::Counts(counts) => past.counts = *counts,
            Page::Reply { control, key } => {
                self.intents.remove(key);
                let told = past.endings.reply(control, key);
                past.counts[0] += u64::from(told.fresh && control.is_result());
                past.counts[1] += u64::from(told.fresh && control.is_dead());
                let dropped = told.ended.is_some_and(|ended| ended.results == 0 && !ended.dead);
                past.counts[2] += u64::from(dropped);
                self.note(&page, told.fresh, told.ended.is_some());
            }
        }
    }

    /// Keeps what is needed for a new edition.
    fn note(&mut self, page: &Page, fresh: bool, ended: bool) {
        let Page::Reply { control, .. } = page else { return };
        if ended {
            self.open.remove(&control.invocation);
        } else if fresh || self.open.contains_key(&control.invocation) {
            self.open.entry(control.invocation.clone()).or_default().push(page.clone());
        }
    }

    /// A result or a dead letter is about to be shown.
    pub(super) fn intend(&mut self, key: &str) -> io::Result<()> {
        self.intents.insert(key.to_owned());
        self.journal.append(&Page::Intent(key.to_owned()).encode(), &[]).map(drop)
    }

    /// A reply was dealt with and can be acknowledged.
    pub(super) fn reply(
        &mut self,
        control: Control,
        key: String,
        fresh: bool,
        ended: bool,
    ) -> io::Result<()> {
        self.intents.remove(&key);
        let page = Page::Reply { control, key };
        self.journal.append(&page.encode(), &[])?;
        self.note(&page, fresh, ended);
        Ok(())
    }

    /// The trigger has said how far it is.
    pub(super) fn accepted(&mut self, trigger: &str, count: u64) -> io::Result<()> {
        self.accepted.insert(trigger.to_owned(), count);
        self.journal.append(&Page::Accepted(trigger.to_owned(), count).encode(), &[]).map(drop)
    }

    /// Writes a new edition when this one is mostly about what has ended.
    pub(super) fn keep_short(&mut self, endings: &Endings, counts: [u64; 3]) -> io::Result<()> {
        if self.journal.end() < self.compact_at {
            return Ok(());
        }
        let next = self.path.with_extension("next");
        let mut edition = Self::new(&next)?;
        let ended = endings
            .ended()
            .map(|(trigger, below, above)| Page::Ended(trigger.to_owned(), below, above));
        let accepted = self.accepted.iter().map(|(name, n)| Page::Accepted(name.clone(), *n));
        // What open invocations gave is counted again when their pages are read.
        let again = self.open.values().flatten();
        let counted = |is: fn(&Control) -> bool| {
            let keys: HashSet<&String> = again
                .clone()
                .filter_map(|page| match page {
                    Page::Reply { control, key } if is(control) => Some(key),
                    _ => None,
                })
                .collect();
            keys.len() as u64
        };
        let counts = [
            counts[0].saturating_sub(counted(Control::is_result)),
            counts[1].saturating_sub(counted(Control::is_dead)),
            counts[2],
        ];
        let intents = self.intents.iter().cloned().map(Page::Intent);
        let head =
            std::iter::once(Page::Counts(counts)).chain(ended).chain(accepted).chain(intents);
        for page in head.chain(again.clone().cloned()) {
            edition.journal.append(&page.encode(), &[])?;
        }
        std::fs::rename(&next, &self.path)?;
        self.journal = edition.journal;
        self.compact_at = (2 * self.journal.end()).max(COMPACT);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use crate::event::credit::Credit;

    #[test]
    fn a_new_edition_says_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("book");
        let mut book = Book::new(&path).expect("it opens");
        book.compact_at = 1;
        let shares = Credit::whole().split(2);
        let reply = |number: u64, half: usize| Control {
            invocation: format!("t-{number}"),
            credit: shares[half].clone(),
            verdict: Some(Verdict::Result),
            ..Control::default()
        };
        let mut endings = Endings::default();
        let mut results = 0;
        for (number, half) in [(1, 0), (1, 1), (3, 0), (3, 1), (2, 0)] {
            let (control, key) = (reply(number, half), format!("{number}.{half}"));
            let told = endings.reply(&control, &key);
            results += 1;
            book.intend(&key).expect("room");
            book.reply(control, key, told.fresh, told.ended.is_some()).expect("room");
        }
        book.accepted("t", 3).expect("room");
        book.intend("doubt").expect("room");
        let (_, before) = Book::read(&path).expect("it reads");
        assert_eq!(before.doubtful.len(), 1);
        book.keep_short(&endings, [results, 0, 0]).expect("room");
        let (_, mut past) = Book::read(&path).expect("it reads");
        assert_eq!(past.counts, [5, 0, 0]);
        assert_eq!(past.accepted["t"], 3);
        assert_eq!(past.doubtful.len(), 1, "what is in doubt stays so");
        assert_eq!(past.endings.missing("t", 3), [2]);
        assert!(past.endings.reply(&reply(2, 1), "2.1").ended.is_some());
        assert!(!past.endings.reply(&reply(1, 1), "1.1").fresh);
    }
}
