//! Files that only grow: records one after the other, each with its length
//! and a checksum. A record that was cut short by a crash is the last one; it
//! is taken off before the next is written. PROTOCOL.md, "The journal".

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes before a record: its length (4) and its CRC-32 (4).
const HEAD: usize = 8;

/// A journal that is open for reading and appending. Who shares one with
/// other processes holds a lock of its own while it calls.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Up to here all records are whole and were read.
    end: u64,
}

/// One record, and where its payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset of the payload in the file.
    pub at: u64,
    /// What was written.
    pub payload: Vec<u8>,
}

impl Journal {
    /// Opens a journal, or makes an empty one where `create`.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub fn open(path: &Path, create: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).mode(0o600);
        Ok(Self { file: options.open(path)?, end: 0 })
    }

    /// Records written since the last call, by anyone. What is cut short or
    /// damaged at the end is taken off.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn catch_up(&mut self) -> io::Result<Vec<Record>> {
        let len = self.file.metadata()?.len();
        if len <= self.end {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; usize::try_from(len - self.end).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.end)?;
        let (records, whole) = parse(&bytes, self.end);
        self.end += whole as u64;
        if self.end < len {
            self.file.set_len(self.end)?;
        }
        Ok(records)
    }

    /// Appends a record; everything before was caught up on. Returns where
    /// its payload is.
    ///
    /// # Errors
    /// There is no room, or the file cannot be written; then nothing was added.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<u64> {
        let record = frame(payload)?;
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            // A part of a record is taken off by the next reader, if not now.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        let at = self.end + HEAD as u64;
        self.end += record.len() as u64;
        Ok(at)
    }

    /// Reads a part of a payload.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Bytes it has.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }
}

fn frame(payload: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut record = Vec::with_capacity(HEAD + payload.len());
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    record.extend_from_slice(payload);
    Ok(record)
}

/// The whole records at the beginning of `bytes`, which stand at `base` in
/// their file, and how many bytes they take.
pub fn parse(bytes: &[u8], base: u64) -> (Vec<Record>, usize) {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + HEAD) {
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let start = at + HEAD;
        let Some(payload) = bytes.get(start..start.saturating_add(word(0) as usize)) else { break };
        if crc32fast::hash(payload) != word(4) {
            break;
        }
        records.push(Record { at: base + start as u64, payload: payload.to_vec() });
        at = start + payload.len();
    }
    (records, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_is_taken_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, true).expect("it opens");
        journal.append(b"one").expect("room");
        journal.append(b"").expect("room");
        let whole = journal.len();
        journal.append(b"three").expect("room");
        let bytes = std::fs::read(&path).expect("it is there");
        for cut in whole as usize..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("it is written");
            let mut again = Journal::open(&path, false).expect("it opens");
            let records = again.catch_up().expect("it reads");
            assert_eq!(records.len(), 2, "cut at {cut}");
            let at = again.append(b"other").expect("room");
            assert_eq!(again.read(at, 5).expect("it reads"), b"other");
            assert_eq!(journal_of(&path), [b"one".to_vec(), b"".to_vec(), b"other".to_vec()]);
        }
    }

    fn journal_of(path: &Path) -> Vec<Vec<u8>> {
        let mut journal = Journal::open(path, false).expect("it opens");
        journal.catch_up().expect("it reads").into_iter().map(|record| record.payload).collect()
    }
}
