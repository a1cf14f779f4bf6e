//! The book of the bodies beside one queue: an entry for each, with what has
//! become of it. All changes are made under the ledger's lock; a process that
//! dies leaves an entry in one of few states, from each of which the others
//! can tell whether somebody still needs the body:
//!
//! - `WRITING`: its sender writes it, or has recorded it to be sent. When the
//!   sender is dead and no record of outputs and no spill names it, it is freed.
//! - `SENT`: its message is in the queue. Messages with bodies are numbered
//!   and sent under the lock, so they arrive in the order of their numbers:
//!   when a later one has arrived and no slot holds this one, its sender died
//!   before the send, and it is freed.
//! - `HELD`: its message is in a slot; settling frees it.

use super::marker::marker;
use crate::queue::QueueError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"FAASLDG1");

/// Bytes of the header and of each entry.
const ENTRY: u64 = 64;

/// Words of the header.
const WORD_MAGIC: u64 = 0;
const WORD_COUNT: u64 = 1;
const WORD_SEQ: u64 = 2;
const WORD_RECEIVED: u64 = 3;
/// No entry before this one is free.
const WORD_HINT: u64 = 4;

/// Entries that are read at once to find a free one.
const BLOCK: u64 = 64;

/// What has become of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyState {
    /// Nobody's.
    Free = 0,
    /// Its sender writes it, or has recorded it.
    Writing = 1,
    /// Its message is in the queue.
    Sent = 2,
    /// Its message is in a slot.
    Held = 3,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What has become of it.
    pub state: BodyState,
    /// Tells this use of the entry from others.
    pub nonce: u64,
    /// Its place among the messages with bodies that were sent.
    pub seq: u64,
    /// Who writes it.
    pub owner: u64,
}

impl Entry {
    const FREE: Self = Self { state: BodyState::Free, nonce: 0, seq: 0, owner: 0 };

    fn encode(self) -> [u8; ENTRY as usize] {
        let mut bytes = [0; ENTRY as usize];
        let words = [self.state as u64, self.nonce, self.seq, self.owner];
        for (at, word) in words.into_iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads an entry; `None` when it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let slice = bytes.get(at * 8..at * 8 + 8)?;
            Some(u64::from_le_bytes(slice.try_into().ok()?))
        };
        let state = match word(0)? {
            0 => BodyState::Free,
            1 => BodyState::Writing,
            2 => BodyState::Sent,
            3 => BodyState::Held,
            _ => return None,
        };
        Some(Self { state, nonce: word(1)?, seq: word(2)?, owner: word(3)? })
    }
}

/// The ledger of one queue.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    path: std::path::PathBuf,
}

/// The ledger while it is locked.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    ledger: &'a Ledger,
    _lock: Flock<File>,
}

impl Ledger {
    /// Opens the ledger at `path`, or makes an empty one.
    pub(super) fn open(path: &Path) -> Result<Self, QueueError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(QueueError::io("opening a ledger"))?;
        let ledger = Self { file, path: path.to_owned() };
        let locked = ledger.lock()?;
        match locked.word(WORD_MAGIC)? {
            MAGIC => {}
            // Its maker may have died before it wrote the mark.
            0 if locked.word(WORD_COUNT)? == 0 => locked.set_word(WORD_MAGIC, MAGIC)?,
            _ => return Err(ledger.damaged("its mark is wrong")),
        }
        drop(locked);
        Ok(ledger)
    }

    pub(super) fn lock(&self) -> Result<Locked<'_>, QueueError> {
        // A description of its own: locks of one description do not exclude.
        let file = File::open(&self.path).map_err(QueueError::io("locking a ledger"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| QueueError::io("locking a ledger")(errno.into()))?;
        Ok(Locked { ledger: self, _lock: lock })
    }

    fn damaged(&self, why: &str) -> QueueError {
        QueueError::Damaged {
            file: self.path.display().to_string(),
            why: why.to_owned(),
            cure: format!("rm {}", self.path.display()),
        }
    }
}

impl Locked<'_> {
    fn word(&self, word: u64) -> Result<u64, QueueError> {
        let mut bytes = [0; 8];
        match self.ledger.file.read_exact_at(&mut bytes, word * 8) {
            Ok(()) => Ok(u64::from_le_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(QueueError::io("reading a ledger")(error)),
        }
    }

    fn set_word(&self, word: u64, value: u64) -> Result<(), QueueError> {
        self.write(word * 8, &value.to_le_bytes())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), QueueError> {
        marker();
        self.ledger.file.write_all_at(bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => QueueError::NoRoom {
                bytes: bytes.len() as u64,
                place: self.ledger.path.display().to_string(),
            },
            _ => QueueError::io("writing a ledger")(error),
        })
    }

    /// All entries, with their numbers.
    pub(super) fn entries(&self) -> Result<Vec<(u64, Entry)>, QueueError> {
        let count = self.word(WORD_COUNT)?;
        self.some_entries(0, count)
    }

    fn some_entries(&self, first: u64, count: u64) -> Result<Vec<(u64, Entry)>, QueueError> {
        let len = self.ledger.file.metadata().map_err(QueueError::io("reading a ledger"))?.len();
        if first + count > len / ENTRY {
            return Err(self.ledger.damaged("it is cut short"));
        }
        let mut bytes = vec![0; (count * ENTRY) as usize];
        self.ledger
            .file
            .read_exact_at(&mut bytes, (first + 1) * ENTRY)
            .map_err(QueueError::io("reading a ledger"))?;
        let entries = bytes.chunks_exact(ENTRY as usize).enumerate();
        entries
            .map(|(at, bytes)| {
                let entry = Entry::decode(bytes);
                Ok((first + at as u64, entry.ok_or_else(|| self.ledger.damaged("an entry"))?))
            })
            .collect()
    }

    pub(super) fn entry(&self, number: u64) -> Result<Entry, QueueError> {
        let mut bytes = [0; ENTRY as usize];
        if number >= self.word(WORD_COUNT)? {
            return Ok(Entry::FREE);
        }
        self.ledger
            .file
            .read_exact_at(&mut bytes, (number + 1) * ENTRY)
            .map_err(QueueError::io("reading a ledger"))?;
        Entry::decode(&bytes).ok_or_else(|| self.ledger.damaged("an entry"))
    }

    fn set(&self, number: u64, entry: Entry) -> Result<(), QueueError> {
        self.write((number + 1) * ENTRY, &entry.encode())
    }

    /// Takes a free entry for a body that `owner` is going to write.
    pub(super) fn take(&self, nonce: u64, owner: u64) -> Result<u64, QueueError> {
        let number = match self.free_entry()? {
            Some(number) => number,
            None => {
                let count = self.word(WORD_COUNT)?;
                self.set(count, Entry::FREE)?;
                self.set_word(WORD_COUNT, count + 1)?;
                count
            }
        };
        self.set(number, Entry { state: BodyState::Writing, nonce, seq: 0, owner })?;
        self.set_word(WORD_HINT, number + 1)?;
        Ok(number)
    }

    /// The first free entry there is; not all are read to find it.
    fn free_entry(&self) -> Result<Option<u64>, QueueError> {
        let count = self.word(WORD_COUNT)?;
        let mut number = self.word(WORD_HINT)?;
        while number < count {
            let block = self.some_entries(number, BLOCK.min(count - number))?;
            if let Some((free, _)) = block.iter().find(|(_, e)| e.state == BodyState::Free) {
                return Ok(Some(*free));
            }
            number += BLOCK;
        }
        Ok(None)
    }

    /// The next number of a message with a body.
    pub(super) fn send(&self, number: u64, entry: Entry) -> Result<(), QueueError> {
        let seq = self.word(WORD_SEQ)? + 1;
        self.set_word(WORD_SEQ, seq)?;
        self.set(number, Entry { state: BodyState::Sent, seq, ..entry })
    }

    /// The queue had no room after all.
    pub(super) fn unsend(&self, number: u64, entry: Entry) -> Result<(), QueueError> {
        self.set(number, Entry { state: BodyState::Writing, ..entry })
    }

    /// Its message has arrived in a slot.
    pub(super) fn hold(&self, number: u64, entry: Entry) -> Result<(), QueueError> {
        self.set(number, Entry { state: BodyState::Held, ..entry })?;
        if entry.seq > self.received()? {
            self.set_word(WORD_RECEIVED, entry.seq)?;
        }
        Ok(())
    }

    /// The highest number that has arrived.
    pub(super) fn received(&self) -> Result<u64, QueueError> {
        self.word(WORD_RECEIVED)
    }

    pub(super) fn free(&self, number: u64) -> Result<(), QueueError> {
        if self.word(WORD_HINT)? > number {
            self.set_word(WORD_HINT, number)?;
        }
        self.set(number, Entry::FREE)
    }
}
