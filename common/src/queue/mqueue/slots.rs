//! Where a taken message is until it is settled: a slot of a file in shared
//! memory that outlives the process. The reader holds a lock on its file;
//! when the lock is free the reader is dead, and another one takes over.
//!
//! A slot goes through these states, each entered by one store:
//!
//! 1. `FREE`, buffer zero: empty. The kernel copies a message in; from that
//!    moment the message is here and nowhere else.
//! 2. `FREE`, buffer not zero: taken, being worked on.
//! 3. `SENDING`: the outputs are recorded in the outbox; `sent` of them are out.
//! 4. `SETTLED`: all are out. What remains is to unlink the body and to clear.
//!
//! A successor goes on from the state it finds: works on the message again
//! (2), sends the rest of the recorded outputs without running the function
//! again (3), or clears (4).

#![allow(unsafe_code)]

pub(super) use super::protocol::State;

use super::marker::marker;
use super::protocol::Words;
use crate::queue::QueueError;
use memmap2::MmapMut;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Slots of one file.
pub(super) const SLOTS: usize = 16;

/// Room for recorded outputs in each slot; larger records go to a file.
const OUTBOX: usize = 4096;

pub(super) const MAGIC: [u8; 8] = *b"FAASLOT1";
pub(super) const FILE_HEADER: usize = 64;
pub(super) const SLOT_HEADER: usize = 64;

/// Words of a slot's header, by their index.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    State = 0,
    Attempts = 1,
    Sent = 2,
    OutboxLen = 3,
    Poison = 4,
}

/// A file of slots that this process owns.
#[derive(Debug)]
pub(super) struct SlotFile {
    map: MmapMut,
    /// Held while the process lives.
    _lock: Flock<File>,
    path: PathBuf,
    message_size: usize,
    in_use: [bool; SLOTS],
}

impl SlotFile {
    /// Makes a new file with all slots free.
    pub(super) fn create(dir: &Path, message_size: usize) -> Result<Self, QueueError> {
        let name = format!("{}-{:08x}", std::process::id(), crate::clock::random_u64() as u32);
        let hidden = dir.join(format!(".{name}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&hidden)
            .map_err(QueueError::io("making a slot file"))?;
        let len = file_len(message_size);
        let reserved = fallocate(&file, FallocateFlags::empty(), 0, len as i64);
        if let Err(errno) = reserved {
            let _ = fs::remove_file(&hidden);
            return Err(match errno {
                nix::errno::Errno::ENOSPC => {
                    QueueError::NoRoom { bytes: len as u64, place: dir.display().to_string() }
                }
                errno => QueueError::io("reserving a slot file")(errno.into()),
            });
        }
        let path = dir.join(name);
        let mut slots = Self::map(file, path, message_size)?.ok_or_else(|| {
            QueueError::io("locking a slot file")(std::io::ErrorKind::Other.into())
        })?;
        slots.map[..8].copy_from_slice(&MAGIC);
        slots.map[8..16].copy_from_slice(&(message_size as u64).to_le_bytes());
        // Only a complete and locked file gets the name that others look for.
        fs::rename(&hidden, &slots.path).map_err(QueueError::io("naming a slot file"))?;
        Ok(slots)
    }

    /// Takes over a file whose owner is dead. `Ok(None)`: its owner lives, or
    /// somebody else took it.
    pub(super) fn adopt(path: PathBuf, message_size: usize) -> Result<Option<Self>, QueueError> {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else {
            return Ok(None);
        };
        let damaged = |why| damaged(&path, why);
        let meta = file.metadata().map_err(QueueError::io("reading a slot file"))?;
        if meta.len() != file_len(message_size) as u64 {
            return Err(set_aside(&path, damaged("its length is wrong")));
        }
        let Some(slots) = Self::map(file, path.clone(), message_size)? else { return Ok(None) };
        // It may have been unlinked between opening and locking.
        let linked = fs::metadata(&path).is_ok_and(|now| now.ino() == meta.ino());
        if !linked {
            return Ok(None);
        }
        if slots.map[..8] != MAGIC || slots.map[8..16] != (message_size as u64).to_le_bytes() {
            return Err(set_aside(&path, damaged("its header is wrong")));
        }
        Ok(Some(slots))
    }

    fn map(file: File, path: PathBuf, message_size: usize) -> Result<Option<Self>, QueueError> {
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(QueueError::io("locking a slot file")(errno.into())),
        };
        // SAFETY: the file is in a directory of mode 0700 of this user, has
        // its full length and reserved space, is never truncated, and while
        // the lock is held only this process writes it. Others read it with
        // plain reads, for their statistics alone.
        let mut map =
            unsafe { MmapMut::map_mut(&*lock) }.map_err(QueueError::io("mapping a slot file"))?;
        // A page fault in the middle of mq_receive could meet a SIGKILL and
        // lose the message: every page is written to and, as far as
        // RLIMIT_MEMLOCK lets us, kept.
        for at in (0..map.len()).step_by(4096) {
            let byte = map[at];
            map[at] = std::hint::black_box(byte);
        }
        let _ = map.lock();
        Ok(Some(Self { map, _lock: lock, path, message_size, in_use: [false; SLOTS] }))
    }

    fn base(&self, slot: usize) -> usize {
        FILE_HEADER + slot * stride(self.message_size)
    }

    fn word(&self, slot: usize, word: At) -> &AtomicU32 {
        let at = self.base(slot) + word as usize * 4;
        // SAFETY: in bounds and 4-aligned, for the mapping is page-aligned and
        // all offsets are multiples of 64; atomics make concurrent access by
        // a signal handler of this process well defined.
        unsafe { &*self.map.as_ptr().add(at).cast::<AtomicU32>() }
    }

    /// A slot to receive into, if one is free.
    pub(super) fn free_slot(&self) -> Option<usize> {
        self.in_use.iter().position(|used| !used)
    }

    /// Says that a slot holds a message now.
    pub(super) fn occupy(&mut self, slot: usize) {
        self.in_use[slot] = true;
    }

    /// Whether no slot holds anything.
    pub(super) fn is_empty(&self) -> bool {
        !self.in_use.contains(&true)
    }

    pub(super) fn buffer(&self, slot: usize) -> &[u8] {
        let start = self.base(slot) + SLOT_HEADER;
        &self.map[start..start + self.message_size]
    }

    pub(super) fn buffer_mut(&mut self, slot: usize) -> &mut [u8] {
        let start = self.base(slot) + SLOT_HEADER;
        &mut self.map[start..start + self.message_size]
    }

    fn words(&self, slot: usize) -> Words<'_, AtomicU32> {
        Words {
            state: self.word(slot, At::State),
            attempts: self.word(slot, At::Attempts),
            sent: self.word(slot, At::Sent),
            outbox_len: self.word(slot, At::OutboxLen),
            poison: self.word(slot, At::Poison),
        }
    }

    pub(super) fn state(&self, slot: usize) -> State {
        self.words(slot).state()
    }

    /// Whether a slot is not empty.
    pub(super) fn holds(&self, slot: usize) -> bool {
        self.state(slot) != State::Free || self.buffer(slot).iter().any(|&byte| byte != 0)
    }

    pub(super) fn attempts(&self, slot: usize) -> u32 {
        self.word(slot, At::Attempts).load(Ordering::Relaxed)
    }

    pub(super) fn count_attempt(&self, slot: usize) {
        self.words(slot).count_attempt();
    }

    /// Zero, or one more than the rule whose condition ran too long.
    pub(super) fn poison(&self, slot: usize) -> &AtomicU32 {
        self.word(slot, At::Poison)
    }

    pub(super) fn sent(&self, slot: usize) -> usize {
        self.word(slot, At::Sent).load(Ordering::Relaxed) as usize
    }

    /// Marks one more recorded output as sent.
    pub(super) fn mark_sent(&self, slot: usize) {
        self.words(slot).mark_sent();
    }

    /// Records the outputs; from here on they are sent, not computed again.
    pub(super) fn record(&mut self, slot: usize, outbox: &[u8]) -> Result<(), QueueError> {
        marker();
        let len = if outbox.len() <= OUTBOX {
            let start = self.outbox_at(slot);
            self.map[start..start + outbox.len()].copy_from_slice(outbox);
            outbox.len() as u32
        } else {
            fs::write(self.outbox_file(slot), outbox)
                .map_err(|error| self.no_room(slot, outbox, error))?;
            u32::MAX
        };
        self.words(slot).begin_sending(len);
        Ok(())
    }

    fn no_room(&self, slot: usize, outbox: &[u8], error: std::io::Error) -> QueueError {
        // Half a record must not be taken for one.
        let _ = fs::remove_file(self.outbox_file(slot));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                let place = self.path.parent().unwrap_or(&self.path).display().to_string();
                QueueError::NoRoom { bytes: outbox.len() as u64, place }
            }
            std::io::ErrorKind::NotFound => {
                QueueError::Removed { name: self.path.display().to_string() }
            }
            _ => QueueError::io("recording outputs")(error),
        }
    }

    /// The recorded outputs of a slot in [`State::Sending`].
    pub(super) fn recorded(&self, slot: usize) -> Result<Vec<u8>, QueueError> {
        match self.word(slot, At::OutboxLen).load(Ordering::Relaxed) {
            u32::MAX => {
                fs::read(self.outbox_file(slot)).map_err(QueueError::io("reading recorded outputs"))
            }
            len => {
                let start = self.outbox_at(slot);
                let outbox = self.map.get(start..start + (len as usize).min(OUTBOX));
                Ok(outbox.unwrap_or_default().to_vec())
            }
        }
    }

    pub(super) fn mark_settled(&self, slot: usize) {
        self.words(slot).mark_settled();
    }

    /// Removes a record that was being written when its writer died.
    pub(super) fn forget_outbox(&self, slot: usize) {
        let _ = fs::remove_file(self.outbox_file(slot));
    }

    /// Empties a settled slot.
    pub(super) fn clear(&mut self, slot: usize) {
        if self.word(slot, At::OutboxLen).load(Ordering::Relaxed) == u32::MAX {
            let _ = fs::remove_file(self.outbox_file(slot));
        }
        self.buffer_mut(slot).fill(0);
        self.words(slot).clear();
        self.in_use[slot] = false;
    }

    fn outbox_at(&self, slot: usize) -> usize {
        self.base(slot) + SLOT_HEADER + self.message_size.next_multiple_of(64)
    }

    fn outbox_file(&self, slot: usize) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{slot}.outbox"))
    }

    /// What names a slot, whoever owns the file.
    pub(super) fn name_of(&self, slot: usize) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{slot}")
    }

    /// The error that says what is wrong with this file.
    pub(super) fn damaged(&self, why: &str) -> QueueError {
        damaged(&self.path, why)
    }

    /// Unlinks the file; done when it is empty and no longer needed.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes a bad file out of the way of other readers, by a name they pass over.
fn set_aside(path: &Path, error: QueueError) -> QueueError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let _ = fs::rename(path, path.with_file_name(format!(".bad-{name}")));
    error
}

fn damaged(path: &Path, why: &str) -> QueueError {
    QueueError::Damaged {
        file: path.display().to_string(),
        why: why.to_owned(),
        cure: format!("rm {}", path.display()),
    }
}

/// What is in the buffers of all slots of one queue, whoever's they are.
pub(super) fn buffers(dir: &Path, message_size: usize) -> Vec<Vec<u8>> {
    let mut buffers = Vec::new();
    for bytes in whole_files(dir, message_size) {
        for slot in 0..SLOTS {
            let start = FILE_HEADER + slot * stride(message_size) + SLOT_HEADER;
            buffers.push(bytes[start..start + message_size].to_vec());
        }
    }
    buffers
}

fn whole_files(dir: &Path, message_size: usize) -> Vec<Vec<u8>> {
    let whole = |bytes: &Vec<u8>| bytes.len() == file_len(message_size) && bytes[..8] == MAGIC;
    files(dir).iter().filter_map(|path| fs::read(path).ok()).filter(whole).collect()
}

/// Everything that slots of any queue have recorded to be sent, whether it is
/// sent by now or not.
pub(super) fn outboxes(root: &Path) -> Vec<Vec<u8>> {
    let mut outboxes = Vec::new();
    let Ok(queues) = fs::read_dir(root.join("slots")) else { return outboxes };
    for dir in queues.flatten().map(|entry| entry.path()) {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(bytes) = fs::read(&path) else { continue };
            if path.extension().is_some_and(|kind| kind == "outbox") {
                outboxes.push(bytes);
                continue;
            }
            let size = bytes.get(8..16).and_then(|size| size.try_into().ok());
            let size = size.map_or(0, u64::from_le_bytes) as usize;
            if bytes.len() < FILE_HEADER || bytes.len() != file_len(size.min(1 << 24)) {
                continue;
            }
            for slot in 0..SLOTS {
                let base = FILE_HEADER + slot * stride(size);
                let start = base + SLOT_HEADER + size.next_multiple_of(64);
                let len = base + 4 * At::OutboxLen as usize;
                let len = bytes[len..len + 4].try_into().map_or(0, u32::from_le_bytes) as usize;
                outboxes.extend(bytes.get(start..start + len.min(OUTBOX)).map(<[u8]>::to_vec));
            }
        }
    }
    outboxes
}

/// The complete slot files of one queue.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let visible = |path: &PathBuf| {
        path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'))
    };
    entries.filter_map(|entry| entry.ok().map(|e| e.path())).filter(visible).collect()
}

pub(super) fn stride(message_size: usize) -> usize {
    SLOT_HEADER + message_size.next_multiple_of(64) + OUTBOX
}

pub(super) fn file_len(message_size: usize) -> usize {
    FILE_HEADER + SLOTS * stride(message_size)
}
