//! Files that only grow: records one after the other. A record that was cut
//! short by a crash is the last one; it is taken off before the next is
//! written. PROTOCOL.md, "The journal".
//!
//! The checksum covers the head of a record, which is what readers go by. The
//! rest is for its owner to check, who may also give its memory back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes before a record: its length (4), the length of its head (4), the
/// CRC-32 of these two and the head (4), and that of these twelve bytes (4),
/// so that a wrong length is never taken for a record that was cut short.
const PREFIX: usize = 16;

/// How much is read at once.
const WINDOW: u64 = 256 << 10;

/// A journal that is open for reading and appending. Who shares one with
/// other processes holds a lock of its own while it calls.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Up to here all records are whole and were read.
    end: u64,
}

/// One record, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset of its first byte in the file.
    pub at: u64,
    /// Bytes it has, the head included.
    pub len: usize,
    /// Its head.
    pub head: Vec<u8>,
}

/// Where a look at records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Behind a record; nothing follows, or what follows was not looked at.
    Whole,
    /// In front of a record that was cut short.
    Torn,
    /// In front of something that is no record, although more follows.
    Damaged,
}

impl Journal {
    /// Opens a journal, or makes an empty one where `create`. What is before
    /// `end` was read already.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub fn open(path: &Path, create: bool, end: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false).mode(0o600);
        Ok(Self { file: options.open(path)?, end })
    }

    /// Records written since the last call, by anyone. What is cut short at
    /// the end is taken off.
    ///
    /// # Errors
    /// The file cannot be read, or something in its middle is no record.
    pub fn catch_up(&mut self) -> io::Result<Vec<Record>> {
        let len = self.file.metadata()?.len();
        let (mut all, mut window) = (Vec::new(), WINDOW);
        while self.end < len {
            let size = usize::try_from(window.min(len - self.end)).map_err(io::Error::other)?;
            let bytes = self.read(self.end, size)?;
            let (records, next, tail) = parse(&bytes, self.end, len);
            if next == self.end && tail == Tail::Whole {
                // A head that is larger than the window.
                window *= 2;
                continue;
            }
            all.extend(records);
            self.end = next;
            match tail {
                Tail::Whole => {}
                Tail::Torn => {
                    self.file.set_len(self.end)?;
                    break;
                }
                Tail::Damaged => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a record of its journal is damaged",
                    ));
                }
            }
        }
        Ok(all)
    }

    /// Appends a record of a head and a rest; everything before was caught up
    /// on. Returns where its first byte is.
    ///
    /// # Errors
    /// There is no room, or the file cannot be written; then nothing was added.
    pub fn append(&mut self, head: &[u8], rest: &[u8]) -> io::Result<u64> {
        let record = frame(head, rest)?;
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            // A part of a record is taken off by the next reader, if not now.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        let at = self.end + PREFIX as u64;
        self.end += record.len() as u64;
        Ok(at)
    }

    /// Reads bytes of a record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// The file, for whoever gives memory of it back.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Bytes that were read or appended.
    pub fn end(&self) -> u64 {
        self.end
    }
}

fn frame(head: &[u8], rest: &[u8]) -> io::Result<Vec<u8>> {
    let word = |len: usize| u32::try_from(len).map_err(io::Error::other).map(u32::to_le_bytes);
    let (len, covered) = (word(head.len() + rest.len())?, word(head.len())?);
    let mut record = Vec::with_capacity(PREFIX + head.len() + rest.len());
    record.extend_from_slice(&len);
    record.extend_from_slice(&covered);
    record.extend_from_slice(&checksum(&len, &covered, head).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
    record.extend_from_slice(head);
    record.extend_from_slice(rest);
    Ok(record)
}

fn checksum(len: &[u8], covered: &[u8], head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    [len, covered, head].into_iter().for_each(|bytes| hasher.update(bytes));
    hasher.finalize()
}

/// The records that begin in `bytes`, which stand at `base` in a file of
/// `file_len` bytes; where the next one begins; and what is there.
pub fn parse(bytes: &[u8], base: u64, file_len: u64) -> (Vec<Record>, u64, Tail) {
    let (mut records, mut at) = (Vec::new(), 0_usize);
    let more = base + (bytes.len() as u64) < file_len;
    loop {
        let here = base + at as u64;
        let unread = if more { Tail::Whole } else { Tail::Torn };
        let Some(prefix) = bytes.get(at..at.saturating_add(PREFIX)) else {
            let tail = if at >= bytes.len() { Tail::Whole } else { unread };
            return (records, here, tail);
        };
        let word =
            |i: usize| u32::from_le_bytes([prefix[i], prefix[i + 1], prefix[i + 2], prefix[i + 3]]);
        let (len, covered) = (word(0) as usize, word(4) as usize);
        let start = at + PREFIX;
        let ends = base + start as u64 + len as u64;
        if crc32fast::hash(&prefix[..12]) != word(12) || covered > len {
            return (records, here, Tail::Damaged);
        }
        if ends > file_len {
            return (records, here, Tail::Torn);
        }
        let Some(head) = bytes.get(start..start + covered) else { return (records, here, unread) };
        if checksum(&prefix[..4], &prefix[4..8], head) != word(8) {
            let tail = if ends == file_len { Tail::Torn } else { Tail::Damaged };
            return (records, here, tail);
        }
        records.push(Record { at: base + start as u64, len, head: head.to_vec() });
        at = start + len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_is_taken_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, true, 0).expect("it opens");
        journal.append(b"one", b"rest").expect("room");
        journal.append(b"", b"").expect("room");
        let whole = journal.end();
        journal.append(b"three", b"more").expect("room");
        let bytes = std::fs::read(&path).expect("it is there");
        for cut in whole as usize..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("it is written");
            let mut again = Journal::open(&path, false, 0).expect("it opens");
            assert_eq!(again.catch_up().expect("it reads").len(), 2, "cut at {cut}");
            let at = again.append(b"other", b"").expect("room");
            assert_eq!(again.read(at, 5).expect("it reads"), b"other");
            assert_eq!(heads(&path), [b"one".to_vec(), b"".to_vec(), b"other".to_vec()]);
        }
    }

    #[test]
    fn the_rest_of_a_record_may_be_anything_and_its_head_may_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, true, 0).expect("it opens");
        let at = journal.append(b"head", &vec![7; 3 * WINDOW as usize]).expect("room");
        journal.append(&vec![1; 2 * WINDOW as usize], b"").expect("room");
        journal.append(b"last", b"").expect("room");
        journal.file().write_all_at(&[0; 5000], at + 100).expect("room");
        assert_eq!(heads(&path).len(), 3);
        journal.file().write_all_at(b"X", at).expect("room");
        let mut again = Journal::open(&path, false, 0).expect("it opens");
        assert!(again.catch_up().is_err(), "what follows is not thrown away");
        let len = std::fs::metadata(&path).expect("it is there").len();
        assert_eq!(len, journal.end());
    }

    fn heads(path: &Path) -> Vec<Vec<u8>> {
        let mut journal = Journal::open(path, false, 0).expect("it opens");
        journal.catch_up().expect("it reads").into_iter().map(|record| record.head).collect()
    }
}
