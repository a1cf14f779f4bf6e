//! Where messages wait that must not make their sender wait: a file beside
//! the queue, first in, first out. While it holds anything, what is sent goes
//! behind it; whoever makes room in the queue, or finds some, moves messages
//! from here into it.

use super::dirs::Dirs;
use super::marker::marker;
use crate::queue::QueueError;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// Bytes before the first record: mark, head, tail, count.
const HEADER: u64 = 32;
const MAGIC: u64 = u64::from_le_bytes(*b"FAASSPL1");

/// Length and CRC-32 of a record.
const RECORD: u64 = 8;

/// How much is read out before its memory is given back.
const HOLE: u64 = 256 << 10;

/// The spill of one queue.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    path: PathBuf,
    /// Most bytes that wait here.
    bound: u64,
}

/// Where its records are: the first that waits, behind the last, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    head: u64,
    tail: u64,
    count: u64,
}

const EMPTY: Marks = Marks { head: HEADER, tail: HEADER, count: 0 };

impl Spill {
    /// Opens or makes the spill of a queue.
    pub(super) fn open(dirs: &Dirs, queue: &str, bound: u64) -> Result<Self, QueueError> {
        let path = dirs.spills()?.join(queue);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(QueueError::io("opening a spill file"))?;
        Ok(Self { file, path, bound })
    }

    fn lock(&self) -> Result<Flock<File>, QueueError> {
        // A description of its own: locks of one description do not exclude.
        let file = File::open(&self.path).map_err(QueueError::io("locking a spill file"))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| QueueError::io("locking a spill file")(errno.into()))
    }

    fn marks(&self) -> Result<Marks, QueueError> {
        let mut bytes = [0; HEADER as usize];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(EMPTY),
            Err(error) => return Err(QueueError::io("reading a spill file")(error)),
        }
        // The first record is written before the first header.
        if bytes == [0; HEADER as usize] {
            return Ok(EMPTY);
        }
        let word = |at: usize| {
            bytes[at..at + 8].iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
        };
        let marks = Marks { head: word(8), tail: word(16), count: word(24) };
        if word(0) != MAGIC || marks.head < HEADER || marks.head > marks.tail {
            return Err(self.damaged("its header is wrong"));
        }
        Ok(marks)
    }

    /// One write, so that no crash leaves half of it.
    fn set_marks(&self, marks: Marks) -> io::Result<()> {
        let mut bytes = [0; HEADER as usize];
        for (at, word) in [MAGIC, marks.head, marks.tail, marks.count].into_iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        marker();
        self.file.write_all_at(&bytes, 0)
    }

    /// How many messages wait, and how many bytes they are.
    pub(super) fn held(&self) -> Result<(u64, u64), QueueError> {
        let marks = self.marks()?;
        Ok((marks.count, marks.tail - marks.head))
    }

    /// Why nothing new should be begun: more than half of the file is full.
    pub(super) fn fullness(&self) -> Result<Option<String>, QueueError> {
        let (_, bytes) = self.held()?;
        let text = || {
            let (at, of) = (crate::units::show_size(bytes), crate::units::show_size(self.bound));
            format!("{} is full ({at} of at most {of})", self.path.display())
        };
        Ok((bytes > self.bound / 2).then(text))
    }

    /// Appends a message; `false` when the bound is reached.
    pub(super) fn append(&self, packet: &[u8]) -> Result<bool, QueueError> {
        let _lock = self.lock()?;
        let marks = self.marks()?;
        let len = RECORD + packet.len() as u64;
        if marks.tail - marks.head + len > self.bound {
            return Ok(false);
        }
        let mut record = Vec::with_capacity(len as usize);
        record.extend_from_slice(&(packet.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(packet).to_le_bytes());
        record.extend_from_slice(packet);
        marker();
        let written = self.file.write_all_at(&record, marks.tail).and_then(|()| {
            self.set_marks(Marks { tail: marks.tail + len, count: marks.count + 1, ..marks })
        });
        match written {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(QueueError::io("writing a spill file")(error)),
        }
    }

    /// Moves messages into the queue while `send` finds room for them.
    /// Returns whether none waits any more.
    pub(super) fn drain(
        &self,
        mut send: impl FnMut(&[u8]) -> Result<bool, QueueError>,
    ) -> Result<bool, QueueError> {
        let _lock = self.lock()?;
        let mut marks = self.marks()?;
        while marks.count > 0 {
            let (packet, next) = self.record(marks.head)?;
            if !send(&packet)? {
                return Ok(false);
            }
            marks = Marks { head: next, count: marks.count - 1, ..marks };
            self.forget(&mut marks).map_err(QueueError::io("writing a spill file"))?;
        }
        Ok(true)
    }

    /// Notes that messages have left, and gives their memory back.
    fn forget(&self, marks: &mut Marks) -> io::Result<()> {
        let before = marks.head;
        if marks.count == 0 {
            *marks = EMPTY;
        }
        self.set_marks(*marks)?;
        if marks.count == 0 {
            return self.file.set_len(HEADER);
        }
        if marks.head / HOLE > before / HOLE {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let end = marks.head / HOLE * HOLE;
            // Where holes cannot be made the memory comes back at the end.
            let _ = fallocate(&self.file, flags, 4096, (end.saturating_sub(4096)) as i64);
        }
        Ok(())
    }

    /// Gives back what a process left here that died while it wrote.
    pub(super) fn tidy(&self) -> Result<(), QueueError> {
        let failed = QueueError::io("writing a spill file");
        let len = |file: &File| file.metadata().map_or(0, |meta| meta.len());
        if len(&self.file) <= HEADER || self.held()?.0 > 0 {
            return Ok(());
        }
        let _lock = self.lock()?;
        if self.held()?.0 > 0 {
            return Ok(());
        }
        self.file.set_len(HEADER).map_err(failed)
    }

    fn record(&self, at: u64) -> Result<(Vec<u8>, u64), QueueError> {
        let mut head = [0; RECORD as usize];
        let read = |bytes: &mut [u8], at| {
            let result = self.file.read_exact_at(bytes, at);
            result.map_err(|_| self.damaged("a record cannot be read"))
        };
        read(&mut head, at)?;
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        if word(0) == 0 || u64::from(word(0)) > self.bound {
            return Err(self.damaged("a record's length is wrong"));
        }
        let mut packet = vec![0; word(0) as usize];
        read(&mut packet, at + RECORD)?;
        if crc32fast::hash(&packet) != word(4) {
            return Err(self.damaged("a record's checksum is wrong"));
        }
        Ok((packet, at + RECORD + u64::from(word(0))))
    }

    /// Whether a message waits here.
    pub(super) fn contains(&self, packet: &[u8]) -> Result<bool, QueueError> {
        let _lock = self.lock()?;
        Ok(self.packets()?.iter().any(|waiting| waiting == packet))
    }

    /// All that waits, for whoever looks for bodies. Without the lock, as its
    /// caller holds one that is taken after it: when others are at it, this
    /// may fail.
    pub(super) fn packets(&self) -> Result<Vec<Vec<u8>>, QueueError> {
        let marks = self.marks()?;
        let (mut packets, mut at) = (Vec::new(), marks.head);
        while at < marks.tail {
            let (packet, next) = self.record(at)?;
            packets.push(packet);
            at = next;
        }
        Ok(packets)
    }

    fn damaged(&self, why: &str) -> QueueError {
        QueueError::Damaged {
            file: self.path.display().to_string(),
            why: why.to_owned(),
            cure: format!("rm {}", self.path.display()),
        }
    }
}
