//! Bodies that do not fit into a message, beside their queue: in cells of one
//! sparse file, larger ones in files of their own, which can be given to a
//! function as they are. The ledger says what has become of each.

use super::dirs::{Dirs, absent_is_fine};
use super::ledger::{BodyState, Ledger, Locked};
use super::marker::marker;
use super::owner::Owner;
use super::sys::Mq;
use crate::clock;
use crate::event::{Body, BodyFile};
use crate::limits;
use crate::queue::QueueError;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, fallocate};
use nix::unistd::linkat;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bodies up to this size are in a cell.
const CELL: u64 = 64 << 10;

/// How long a body must look forgotten before it is freed.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How often what dead owners left is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Bytes of freed cells that keep their memory for the next.
const WARM: u64 = 256 << 10;

/// The bodies beside one queue.
#[derive(Debug)]
pub(super) struct Slab {
    ledger: Ledger,
    cells: File,
    folder: PathBuf,
    root: PathBuf,
    /// Bodies that look forgotten, and since when.
    suspects: BTreeMap<u64, Instant>,
    /// When what dead owners left was last looked for.
    looked: Option<Instant>,
}

/// What became of a body by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not sent.
    Unsent,
    /// Sent, or its sender died between the two.
    Sent,
    /// It has arrived, and perhaps is settled.
    Arrived,
}

/// A body's name: its entry, and the nonce of this use of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    in_cell: bool,
    number: u64,
    nonce: u64,
}

impl Name {
    fn text(self) -> String {
        let kind = if self.in_cell { 'c' } else { 'f' };
        format!("{kind}{}-{:016x}", self.number, self.nonce)
    }

    /// Reads a name; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let (number, nonce) = rest.split_once('-')?;
        Some(Self {
            in_cell: match kind {
                "c" => true,
                "f" => false,
                _ => return None,
            },
            number: number.parse().ok()?,
            nonce: u64::from_str_radix(nonce, 16).ok()?,
        })
    }
}

impl Slab {
    /// Opens or makes the slab of a queue.
    pub(super) fn open(dirs: &Dirs, queue: &str) -> Result<Self, QueueError> {
        let folder = dirs.bodies(queue)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let cells = options.open(folder.join("cells")).map_err(QueueError::io("opening a slab"))?;
        let ledger = Ledger::open(&folder.join("ledger"))?;
        let root = dirs.root().to_owned();
        Ok(Self { ledger, cells, folder, root, suspects: BTreeMap::new(), looked: None })
    }

    /// Writes a body and returns its name. Space is reserved first: running
    /// out is an error, never a signal.
    pub(super) fn store(&mut self, body: &Body, owner: &Owner) -> Result<String, QueueError> {
        let in_cell = body.len() <= CELL;
        let nonce = clock::random_u64();
        let number = self.ledger.lock()?.take(nonce, owner.id())?;
        let name = Name { in_cell, number, nonce };
        let written =
            if in_cell { self.write_cell(name, body) } else { self.write_file(name, body) };
        match written {
            Ok(()) => Ok(name.text()),
            Err(error) => {
                self.release(name)?;
                Err(match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::ENOSPC | Errno::EDQUOT) => QueueError::NoRoom {
                        bytes: body.len(),
                        place: self.root.display().to_string(),
                    },
                    _ => QueueError::io("writing a body beside it")(error),
                })
            }
        }
    }

    fn write_cell(&self, name: Name, body: &Body) -> io::Result<()> {
        let bytes = body.load()?;
        if bytes.is_empty() {
            return Ok(());
        }
        reserve(&self.cells, name.number * CELL, bytes.len() as u64)?;
        marker();
        self.cells.write_all_at(&bytes, name.number * CELL)
    }

    /// A body that is in a file is linked, not copied: such files are never
    /// written again. Where that cannot be (another file system) it is.
    fn write_file(&self, name: Name, body: &Body) -> io::Result<()> {
        if let Body::File(kept) = body {
            let fd = format!("/proc/self/fd/{}", kept.file.as_raw_fd());
            marker();
            let flags = AtFlags::AT_SYMLINK_FOLLOW;
            if linkat(AT_FDCWD, fd.as_str(), AT_FDCWD, &self.path(name), flags).is_ok() {
                return Ok(());
            }
        }
        let mut options = OpenOptions::new();
        let path = self.path(name);
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        reserve(&file, 0, body.len())?;
        marker();
        match body {
            Body::Inline(bytes) => file.write_all(bytes),
            Body::File(kept) => {
                // A fresh description: the kept one's offset may be shared.
                let mut source = File::open(format!("/proc/self/fd/{}", kept.file.as_raw_fd()))?;
                io::copy(&mut source, &mut file).map(drop)
            }
        }
    }

    fn path(&self, name: Name) -> PathBuf {
        self.folder.join(name.text())
    }

    /// Reads a body, `len` bytes long unless that is not known.
    pub(super) fn fetch(&self, name: &str, len: Option<u64>) -> io::Result<Body> {
        let bad = |what: &str| io::Error::other(what.to_owned());
        let name = Name::parse(name).ok_or_else(|| bad("its body has a name that cannot be"))?;
        if name.in_cell {
            let len = len.ok_or_else(|| bad("its body's length is not known"))?;
            if len > CELL {
                return Err(bad("its body does not have the length it should"));
            }
            let mut bytes = vec![0; len as usize];
            self.cells.read_exact_at(&mut bytes, name.number * CELL)?;
            return Ok(Body::Inline(bytes));
        }
        let file = File::open(self.path(name))?;
        let found = file.metadata()?.len();
        if len.is_some_and(|len| len != found) || found > 2 * limits::BODY_MAX {
            return Err(bad("its body does not have the length it should"));
        }
        Ok(Body::File(Arc::new(BodyFile { file, len: found })))
    }

    /// Sends a message whose body is here; `false` when there is no room. The
    /// number and the send are under one lock, so that numbers arrive in order.
    pub(super) fn send(&self, mq: &Mq, packet: &[u8], name: &str) -> Result<bool, QueueError> {
        let locked = self.ledger.lock()?;
        let Some((number, entry)) = find(&locked, name)? else {
            return mq.try_send(packet);
        };
        locked.send(number, entry)?;
        marker();
        let sent = mq.try_send(packet);
        marker();
        if !matches!(sent, Ok(true)) {
            locked.unsend(number, entry)?;
        }
        sent
    }

    /// The message with this body has arrived in a slot; whether there is
    /// such a body.
    pub(super) fn hold(&self, name: &str) -> Result<bool, QueueError> {
        let locked = self.ledger.lock()?;
        let Some((number, entry)) = find(&locked, name)? else { return Ok(false) };
        if entry.state != BodyState::Held {
            locked.hold(number, entry)?;
        }
        Ok(true)
    }

    /// What became of a body.
    pub(super) fn fate(&self, name: &str) -> Result<Fate, QueueError> {
        let found = find(&self.ledger.lock()?, name)?;
        Ok(match found.map(|(_, entry)| entry.state) {
            Some(BodyState::Writing) => Fate::Unsent,
            Some(BodyState::Sent) => Fate::Sent,
            Some(BodyState::Held | BodyState::Free) | None => Fate::Arrived,
        })
    }

    /// Gives a body up; whoever has its file open keeps it.
    pub(super) fn drop_body(&mut self, name: &str) -> Result<(), QueueError> {
        Name::parse(name).map_or(Ok(()), |name| self.release(name))
    }

    fn release(&mut self, name: Name) -> Result<(), QueueError> {
        let locked = self.ledger.lock()?;
        self.free(&locked, name)
    }

    /// Frees the body first and its entry after: a crash between the two
    /// leaves an entry, which is found again, and no body that is not.
    fn free(&self, locked: &Locked<'_>, name: Name) -> Result<(), QueueError> {
        if locked.entry(name.number)?.nonce != name.nonce {
            return Ok(());
        }
        marker();
        if !name.in_cell {
            absent_is_fine(std::fs::remove_file(self.path(name)))?;
        } else if (name.number + 1) * CELL > WARM {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // Where holes cannot be made the cell's memory is used again.
            let _ = fallocate(&self.cells, flags, (name.number * CELL) as i64, CELL as i64);
        }
        marker();
        locked.free(name.number)
    }

    /// Frees bodies that nobody will ever ask for. `needed` names those that
    /// records of outputs and the spill refer to, `in_slots` those of messages
    /// in slots; `is_empty` tells that no message is on its way.
    pub(super) fn sweep(
        &mut self,
        is_alive: impl Fn(u64) -> bool,
        needed: impl FnOnce() -> Option<BTreeSet<Name>>,
        in_slots: impl FnOnce() -> BTreeSet<Name>,
        is_empty: impl FnOnce() -> bool,
    ) -> Result<(), QueueError> {
        let locked = self.ledger.lock()?;
        let entries = locked.entries()?;
        let of = |state| entries.iter().filter(move |(_, entry)| entry.state == state);
        let mut owners: BTreeMap<u64, bool> = BTreeMap::new();
        let mut is_dead = |id: u64| !*owners.entry(id).or_insert_with(|| is_alive(id));
        // What is needed after all is not looked for again and again.
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN);
        let orphans: Vec<_> =
            of(BodyState::Writing).filter(|(_, e)| is_due && is_dead(e.owner)).collect();
        if !orphans.is_empty() {
            self.looked = Some(Instant::now());
        }
        let (received, mut suspects) = (locked.received()?, BTreeMap::new());
        let all = of(BodyState::Sent).next().is_some() && is_empty();
        for (_, entry) in of(BodyState::Sent).filter(|(_, e)| all || e.seq < received) {
            let since = self.suspects.get(&entry.nonce).copied().unwrap_or_else(Instant::now);
            suspects.insert(entry.nonce, since);
        }
        let is_forgotten =
            |nonce: &u64| suspects.get(nonce).is_some_and(|since| since.elapsed() >= FORGOTTEN);
        let mut gone: Vec<Name> = Vec::new();
        if !orphans.is_empty()
            && let Some(needed) = needed()
        {
            let orphans = orphans.iter().map(|(n, e)| self.name(*n, e.nonce));
            gone.extend(orphans.filter(|name| !needed.contains(name)));
        }
        if suspects.keys().any(is_forgotten) {
            let in_slots = in_slots();
            let forgotten = of(BodyState::Sent).filter(|(_, e)| is_forgotten(&e.nonce));
            let forgotten = forgotten.map(|(n, e)| self.name(*n, e.nonce));
            gone.extend(forgotten.filter(|name| !in_slots.contains(name)));
        }
        for name in gone {
            self.free(&locked, name)?;
        }
        self.suspects = suspects;
        Ok(())
    }

    /// The name by which an entry's body is known. An entry whose file is not
    /// there yet is freed as a cell would be.
    fn name(&self, number: u64, nonce: u64) -> Name {
        let in_file = Name { in_cell: false, number, nonce };
        Name { in_cell: !self.path(in_file).exists(), ..in_file }
    }
}

fn find(
    locked: &Locked<'_>,
    name: &str,
) -> Result<Option<(u64, super::ledger::Entry)>, QueueError> {
    let Some(name) = Name::parse(name) else { return Ok(None) };
    let entry = locked.entry(name.number)?;
    let is_it = entry.nonce == name.nonce && entry.state != BodyState::Free;
    Ok(is_it.then_some((name.number, entry)))
}

fn reserve(file: &File, at: u64, len: u64) -> io::Result<()> {
    let range = |value: u64| i64::try_from(value).map_err(io::Error::other);
    let (at, len) = (range(at)?, range(len.max(1))?);
    loop {
        match fallocate(file, FallocateFlags::empty(), at, len) {
            Ok(()) | Err(Errno::EOPNOTSUPP) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
