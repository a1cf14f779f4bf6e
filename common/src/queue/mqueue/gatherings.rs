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
use crate::journal::{Journal, Record};
use crate::limits;
use crate::queue::QueueError;
use crate::queue::gather::{Arrival, Firing, Gathered, Load, Table};
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
    checksum: u32,
}

/// The joins of one queue.
#[derive(Debug)]
pub(super) struct Gatherings {
    folder: PathBuf,
    /// Locked while the journal is used; it holds the newest segment's number.
    lock: PathBuf,
    segments: BTreeMap<u64, Segment>,
    /// The newest segment, kept open.
    newest: Option<(u64, Journal)>,
    table: Table<Kept>,
    /// The segment of each instance that is not over.
    homes: HashMap<String, u64>,
}

#[derive(Debug, Default)]
struct Segment {
    /// Up to here it was read.
    end: u64,
    /// Instances that began here and are not over.
    open: usize,
}

impl Gatherings {
    /// Of a queue; nothing is made before the first arrival.
    pub(super) fn of(dirs: &Dirs, queue: &str) -> Result<Self, QueueError> {
        let folder = dirs.gather(queue)?;
        let lock = folder.join("lock");
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock);
        made.map_err(|error| failed("locking a join", &folder, error))?;
        Ok(Self {
            folder,
            lock,
            segments: BTreeMap::new(),
            newest: None,
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
        let lock = self.locked()?;
        self.catch_up(&lock)?;
        let segment = self.segment_for(&arrival.key, &lock)?;
        let frame = match arrival.token {
            None => frame::encode(part).map_err(QueueError::io("reading a body"))?,
            Some(_) => Vec::new(),
        };
        let mut head = vec![ARRIVAL];
        head.extend_from_slice(&crc32fast::hash(&frame).to_le_bytes());
        head.extend_from_slice(&block_of(arrival));
        marker();
        let at = self.append(segment, &head, &frame)?;
        marker();
        let kept = Kept {
            segment,
            at: at + head.len() as u64,
            len: frame.len(),
            checksum: crc32fast::hash(&frame),
        };
        match self.apply_arrival(arrival, kept) {
            Gathered::Kept => Ok(Gathered::Kept),
            Gathered::Late(load) => Ok(Gathered::Late(load)),
            Gathered::Fires(firing) => self.load(firing).map(Gathered::Fires),
        }
    }

    /// Reads the parts of a firing; of more than can be joined only the first.
    fn load(&self, mut firing: Firing<Kept>) -> Result<Firing<Event>, QueueError> {
        let total: u64 = firing.parts.iter().map(|kept| kept.len as u64).sum();
        if total > 2 * limits::BODY_MAX {
            firing.too_large = true;
            firing.parts.truncate(1);
        }
        firing.load(|kept| {
            let reading = |error| failed("reading a part of a join", &self.folder, error);
            let journal = self.journal(kept.segment).map_err(reading)?;
            let bytes = journal.read(kept.at, kept.len).map_err(reading)?;
            let whole = crc32fast::hash(&bytes) == kept.checksum;
            let event = frame::decode(&bytes).ok().filter(|_| whole);
            event.map(|(event, _)| event).ok_or_else(|| self.damaged("a part"))
        })
    }

    /// A segment, opened for one use.
    fn journal(&self, segment: u64) -> std::io::Result<Journal> {
        let end = self.segments.get(&segment).map_or(0, |segment| segment.end);
        Journal::open(&self.path(segment), false, end)
    }

    /// What a firing led to is on its way; its parts are given up.
    pub(super) fn done(&mut self, key: &str, claim: &str) -> Result<(), QueueError> {
        let lock = self.locked()?;
        self.catch_up(&lock)?;
        let Some(segment) = self.homes.get(key).copied() else { return Ok(()) };
        let control =
            Control { invocation: key.to_owned(), run: claim.to_owned(), ..Control::default() };
        let mut head = vec![DONE];
        control.encode(&mut head);
        marker();
        self.append(segment, &head, &[])?;
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
        let locking = |error| failed("locking a join", &self.folder, error);
        // Not made anew: without it the queue was removed.
        let file = OpenOptions::new().read(true).write(true).open(&self.lock).map_err(locking)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| locking(errno.into()))
    }

    /// Reads what others wrote, in segments that are known and in new ones.
    fn catch_up(&mut self, lock: &File) -> Result<(), QueueError> {
        let reading = |folder: &Path| {
            let folder = folder.to_owned();
            move |error| failed("reading a join", &folder, error)
        };
        let newest = newest_of(lock).map_err(reading(&self.folder))?;
        let known = self.segments.keys().next_back().copied().unwrap_or(0);
        let first = if known == 0 { 1 } else { known + 1 };
        (first..=newest).for_each(|number| _ = self.segments.insert(number, Segment::default()));
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for number in numbers {
            match self.read_segment(number) {
                Ok(records) => {
                    for record in records {
                        self.replay(number, &record)?;
                    }
                }
                // All of its instances are over; somebody removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.segments.remove(&number);
                }
                Err(error) => return Err(reading(&self.folder)(error)),
            }
        }
        Ok(())
    }

    fn read_segment(&mut self, number: u64) -> std::io::Result<Vec<Record>> {
        let end = self.segments.get(&number).map_or(0, |segment| segment.end);
        if let Some((_, journal)) = self.newest.as_mut().filter(|(newest, _)| *newest == number) {
            let records = journal.catch_up()?;
            let end = journal.end();
            self.segments.entry(number).or_default().end = end;
            return Ok(records);
        }
        if std::fs::metadata(self.path(number))?.len() <= end {
            return Ok(Vec::new());
        }
        let mut journal = Journal::open(&self.path(number), false, end)?;
        let records = journal.catch_up()?;
        self.segments.entry(number).or_default().end = journal.end();
        if self.segments.keys().next_back() == Some(&number) {
            self.newest = Some((number, journal));
        }
        Ok(records)
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:08}"))
    }

    fn replay(&mut self, segment: u64, record: &Record) -> Result<(), QueueError> {
        match parse(&record.head).ok_or_else(|| self.damaged("a record"))? {
            Entry::Arrival { arrival, checksum } => {
                let head = record.head.len();
                let (at, len) = (record.at + head as u64, record.len - head);
                self.apply_arrival(&arrival, Kept { segment, at, len, checksum });
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

    /// Gives the memory of a large part back before its segment goes. The
    /// part is no head of a record, so readers go on as before.
    fn punch(&self, kept: Kept) {
        const PAGE: u64 = 4096;
        let start = kept.at.next_multiple_of(PAGE);
        let end = (kept.at + kept.len as u64) / PAGE * PAGE;
        if let (Some(len), Ok(journal)) =
            (end.checked_sub(start).filter(|len| *len > 0), self.journal(kept.segment))
        {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // Where that cannot be done the memory comes back with the segment.
            let _ = fallocate(journal.file(), flags, start as i64, len as i64);
        }
    }

    /// The segment an arrival is written to.
    fn segment_for(&mut self, key: &str, lock: &File) -> Result<u64, QueueError> {
        if let Some(home) = self.homes.get(key) {
            return Ok(*home);
        }
        let newest = self.newest.as_ref().map(|(number, journal)| (*number, journal.end()));
        if let Some((number, _)) = newest.filter(|(_, len)| *len < SEGMENT) {
            return Ok(number);
        }
        let beginning = |error| failed("beginning a segment of a join", &self.folder, error);
        let number = newest_of(lock).map_err(beginning)? + 1;
        let journal = Journal::open(&self.path(number), true, 0).map_err(beginning)?;
        marker();
        // From here on others look for it.
        lock.write_all_at(&number.to_le_bytes(), 0).map_err(beginning)?;
        marker();
        self.segments.insert(number, Segment::default());
        self.newest = Some((number, journal));
        Ok(number)
    }

    fn append(&mut self, segment: u64, head: &[u8], rest: &[u8]) -> Result<u64, QueueError> {
        let writing = |folder: &Path| {
            let folder = folder.to_owned();
            move |error| failed("writing a part of a join", &folder, error)
        };
        let (at, end) = match &mut self.newest {
            Some((number, journal)) if *number == segment => {
                let at = journal.append(head, rest).map_err(writing(&self.folder))?;
                (at, journal.end())
            }
            _ => {
                let mut journal = self.journal(segment).map_err(writing(&self.folder))?;
                let at = journal.append(head, rest).map_err(writing(&self.folder))?;
                (at, journal.end())
            }
        };
        self.segments.entry(segment).or_default().end = end;
        Ok(at)
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

/// The number of the newest segment; none is zero.
fn newest_of(lock: &File) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    match lock.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_le_bytes(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

/// What an error of the journal's files means.
fn failed(action: &'static str, folder: &Path, error: std::io::Error) -> QueueError {
    use std::io::ErrorKind::{InvalidData, NotFound, QuotaExceeded, StorageFull};
    let place = folder.display().to_string();
    match error.kind() {
        StorageFull | QuotaExceeded => QueueError::NoRoom { bytes: 0, place },
        NotFound => QueueError::Removed { name: place },
        InvalidData => QueueError::Damaged {
            why: error.to_string(),
            cure: format!("rm -r {place}"),
            file: place,
        },
        _ => QueueError::io(action)(error),
    }
}

/// What stands in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A part or a token came; the frame follows the head.
    Arrival {
        /// The arrival.
        arrival: Arrival,
        /// CRC-32 of the frame.
        checksum: u32,
    },
    /// A firing is done.
    Done {
        /// The instance.
        key: String,
        /// Who made it fire.
        claim: String,
    },
}

/// Reads the head of a record; `None` when it is damaged.
pub fn parse(head: &[u8]) -> Option<Entry> {
    let (&kind, rest) = head.split_first()?;
    match kind {
        ARRIVAL => {
            let (checksum, block) = rest.split_first_chunk::<4>()?;
            let arrival = arrival_of(Control::decode(block).ok()?)?;
            Some(Entry::Arrival { arrival, checksum: u32::from_le_bytes(*checksum) })
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
