//! Where the parts of a join meet on this host: a journal beside the join's
//! queue, shared by all who read from it. Each arrival is written down before
//! its message is settled; whoever locks the journal reads what others wrote
//! and has the same table as they.
//!
//! The journal is cut into segments. All of an instance is in the segment in
//! which it began; a segment whose instances are over is removed, but for the
//! newest two, so that parts which come again are known to be late.

use super::dirs::Dirs;
use super::marker::marker;
use crate::event::credit::Credit;
use crate::event::{Control, Event, JoinShare, frame};
use crate::journal::Journal;
use crate::queue::QueueError;
use crate::queue::gather::{Arrival, Firing, Gathered, Load, Table};
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A segment that has this many bytes takes no new instance.
const SEGMENT: u64 = 1 << 20;

/// Marks this join's own share among those of a record.
const OWN: u32 = u32::MAX;

const ARRIVAL: u8 = 1;
const DONE: u8 = 2;

/// Where a part is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    segment: u64,
    at: u64,
    len: usize,
}

/// The joins of one queue.
#[derive(Debug)]
pub(super) struct Gatherings {
    folder: PathBuf,
    lock: PathBuf,
    segments: BTreeMap<u64, Segment>,
    table: Table<Kept>,
    /// The segment of each instance that is not over.
    homes: HashMap<String, u64>,
}

#[derive(Debug)]
struct Segment {
    journal: Journal,
    /// Instances that began here and are not over.
    open: usize,
}

impl Gatherings {
    /// Of a queue; nothing is made before the first arrival.
    pub(super) fn of(dirs: &Dirs, queue: &str) -> Result<Self, QueueError> {
        let folder = dirs.gather(queue)?;
        let lock = folder.join("lock");
        Ok(Self {
            folder,
            lock,
            segments: BTreeMap::new(),
            table: Table::default(),
            homes: HashMap::new(),
        })
    }

    /// Writes an arrival down and says what it leads to.
    pub(super) fn arrive(
        &mut self,
        arrival: &Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        let _lock = self.locked()?;
        self.catch_up()?;
        let segment = self.segment_for(&arrival.key)?;
        let mut payload = vec![ARRIVAL];
        let block = block_of(arrival);
        payload.extend_from_slice(&(block.len() as u32).to_le_bytes());
        payload.extend_from_slice(&block);
        let head = payload.len();
        if arrival.token.is_none() {
            let whole = frame::encode(part).map_err(QueueError::io("reading a body"))?;
            payload.extend_from_slice(&whole);
        }
        marker();
        let at = self.append(segment, &payload)?;
        marker();
        let kept = Kept { segment, at: at + head as u64, len: payload.len() - head };
        let gathered = self.apply_arrival(arrival, kept);
        match gathered {
            Gathered::Kept => Ok(Gathered::Kept),
            Gathered::Late(load) => Ok(Gathered::Late(load)),
            Gathered::Fires(firing) => self.load(firing).map(Gathered::Fires),
        }
    }

    fn load(&self, firing: Firing<Kept>) -> Result<Firing<Event>, QueueError> {
        firing.load(|kept| {
            let segment = self.segments.get(&kept.segment).ok_or_else(|| self.damaged("a part"))?;
            let bytes = segment.journal.read(kept.at, kept.len);
            let bytes = bytes.map_err(QueueError::io("reading a part of a join"))?;
            frame::decode(&bytes).map(|(event, _)| event).map_err(|_| self.damaged("a part"))
        })
    }

    /// What a firing led to is on its way; its parts are given up.
    pub(super) fn done(&mut self, key: &str, claim: &str) -> Result<(), QueueError> {
        let _lock = self.locked()?;
        self.catch_up()?;
        let Some(segment) = self.homes.get(key).copied() else { return Ok(()) };
        let control =
            Control { invocation: key.to_owned(), run: claim.to_owned(), ..Control::default() };
        let mut payload = vec![DONE];
        control.encode(&mut payload);
        marker();
        self.append(segment, &payload)?;
        marker();
        self.apply_done(key, claim);
        self.remove_old();
        Ok(())
    }

    /// Keys of the instances an event may belong to.
    pub(super) fn keys(event: &Event) -> Vec<String> {
        let Some(control) = &event.control else { return Vec::new() };
        let key =
            |held: &JoinShare| format!("{}/{}/{}", control.invocation, held.join, held.instance);
        control.joins.iter().map(key).collect()
    }

    fn locked(&self) -> Result<Flock<File>, QueueError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.lock)
            .map_err(QueueError::io("locking a join"))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| QueueError::io("locking a join")(errno.into()))
    }

    /// Reads what others wrote.
    fn catch_up(&mut self) -> Result<(), QueueError> {
        if self.segments.is_empty() {
            self.find_segments()?;
        }
        while let Some(next) = self.segments.keys().next_back().map(|last| last + 1) {
            let Ok(journal) = Journal::open(&self.path(next), false) else { break };
            self.segments.insert(next, Segment { journal, open: 0 });
        }
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for number in numbers {
            let Some(segment) = self.segments.get_mut(&number) else { continue };
            let records = segment.journal.catch_up().map_err(QueueError::io("reading a join"))?;
            for record in records {
                self.replay(number, record.at, &record.payload)?;
            }
        }
        Ok(())
    }

    fn find_segments(&mut self) -> Result<(), QueueError> {
        let entries = std::fs::read_dir(&self.folder).map_err(QueueError::io("reading a join"))?;
        for entry in entries.flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(number) = number else { continue };
            if let Ok(journal) = Journal::open(&self.path(number), false) {
                self.segments.insert(number, Segment { journal, open: 0 });
            }
        }
        Ok(())
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:08}"))
    }

    fn replay(&mut self, segment: u64, at: u64, payload: &[u8]) -> Result<(), QueueError> {
        match parse(payload).ok_or_else(|| self.damaged("a record"))? {
            Entry::Arrival { arrival, frame_at } => {
                let len = payload.len() - frame_at;
                let kept = Kept { segment, at: at + frame_at as u64, len };
                self.apply_arrival(&arrival, kept);
            }
            Entry::Done { key, claim } => self.apply_done(&key, &claim),
        }
        Ok(())
    }

    fn apply_arrival(&mut self, arrival: &Arrival, kept: Kept) -> Gathered<Kept> {
        let gathered = self.table.arrive(arrival, || kept);
        self.note_home(&arrival.key, kept.segment);
        gathered
    }

    fn apply_done(&mut self, key: &str, claim: &str) {
        for kept in self.table.done(key, claim) {
            self.punch(kept);
        }
        if let Some(segment) = self.homes.get(key).copied() {
            self.note_home(key, segment);
        }
    }

    /// Keeps count of the instances of a segment that are not over.
    fn note_home(&mut self, key: &str, segment: u64) {
        let change = match (self.table.is_open(key), self.homes.contains_key(key)) {
            (true, false) => {
                self.homes.insert(key.to_owned(), segment);
                1
            }
            (false, true) => {
                self.homes.remove(key);
                -1
            }
            _ => 0,
        };
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.open = segment.open.saturating_add_signed(change);
        }
    }

    /// Gives the memory of a large part back before its segment goes.
    fn punch(&self, kept: Kept) {
        const PAGE: u64 = 4096;
        let start = kept.at.next_multiple_of(PAGE);
        let end = (kept.at + kept.len as u64) / PAGE * PAGE;
        if let (Some(len), Ok(file)) = (
            end.checked_sub(start).filter(|len| *len > 0),
            OpenOptions::new().write(true).open(self.path(kept.segment)),
        ) {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // Where that cannot be done the memory comes back with the segment.
            let _ = fallocate(&file, flags, start as i64, len as i64);
        }
    }

    /// The segment an arrival is written to.
    fn segment_for(&mut self, key: &str) -> Result<u64, QueueError> {
        if let Some(home) = self.homes.get(key) {
            return Ok(*home);
        }
        let newest = self.segments.iter().next_back().map(|(n, s)| (*n, s.journal.len()));
        match newest {
            Some((number, len)) if len < SEGMENT => Ok(number),
            newest => {
                let number = newest.map_or(1, |(number, _)| number + 1);
                let journal = Journal::open(&self.path(number), true)
                    .map_err(QueueError::io("beginning a segment of a join"))?;
                self.segments.insert(number, Segment { journal, open: 0 });
                Ok(number)
            }
        }
    }

    fn append(&mut self, segment: u64, payload: &[u8]) -> Result<u64, QueueError> {
        let place = self.folder.display().to_string();
        let Some(segment) = self.segments.get_mut(&segment) else {
            return Err(self.damaged("its segments"));
        };
        segment.journal.append(payload).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                QueueError::NoRoom { bytes: payload.len() as u64, place }
            }
            _ => QueueError::io("writing a part of a join")(error),
        })
    }

    fn remove_old(&mut self) {
        let Some(newest) = self.segments.keys().next_back().copied() else { return };
        let over = |number: u64, segment: &Segment| number + 1 < newest && segment.open == 0;
        let old: Vec<u64> =
            self.segments.iter().filter(|(n, s)| over(**n, s)).map(|(n, _)| *n).collect();
        for number in old {
            let _ = std::fs::remove_file(self.path(number));
            self.segments.remove(&number);
        }
    }

    fn damaged(&self, what: &str) -> QueueError {
        QueueError::Damaged {
            file: self.folder.display().to_string(),
            why: format!("{what} cannot be read"),
            cure: format!("rm -r {}", self.folder.display()),
        }
    }
}

/// What stands in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A part or a token came; its frame begins at this byte of the record.
    Arrival {
        /// The arrival.
        arrival: Arrival,
        /// Offset of the frame; at the end for a token.
        frame_at: usize,
    },
    /// A firing is done.
    Done {
        /// The instance.
        key: String,
        /// Who made it fire.
        claim: String,
    },
}

/// Reads a record; `None` when it is damaged.
pub fn parse(payload: &[u8]) -> Option<Entry> {
    let (&kind, rest) = payload.split_first()?;
    match kind {
        ARRIVAL => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len) as usize;
            let control = Control::decode(rest.get(..len)?).ok()?;
            Some(Entry::Arrival { arrival: arrival_of(control)?, frame_at: 5 + len })
        }
        DONE => {
            let control = Control::decode(rest).ok()?;
            Some(Entry::Done { key: control.invocation, claim: control.run })
        }
        _ => None,
    }
}

/// An arrival as a control block: the same fields in the same form.
fn block_of(arrival: &Arrival) -> Vec<u8> {
    let own = JoinShare { join: OWN, instance: String::new(), share: arrival.share.clone() };
    let control = Control {
        invocation: arrival.key.clone(),
        run: arrival.claim.clone(),
        step: arrival.id.clone(),
        hop: arrival.of.unwrap_or(0),
        credit: arrival.load.credit.clone(),
        joins: std::iter::once(own).chain(arrival.load.joins.iter().cloned()).collect(),
        token: arrival.token,
        ..Control::default()
    };
    let mut block = Vec::new();
    control.encode(&mut block);
    block
}

fn arrival_of(control: Control) -> Option<Arrival> {
    let mut joins = control.joins;
    let at = joins.iter().position(|held| held.join == OWN)?;
    let share: Credit = joins.remove(at).share;
    Some(Arrival {
        key: control.invocation,
        of: Some(control.hop).filter(|of| *of > 0),
        id: control.step,
        share,
        load: Load { credit: control.credit, joins },
        token: control.token,
        claim: control.run,
    })
}
