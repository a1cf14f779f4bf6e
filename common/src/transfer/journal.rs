//! How far a copy is, in a file, so that it goes on where it was ended. What
//! had arrived and was not yet noted is known by its id, where the target can
//! be looked at; these ids are kept in a file beside it until all is copied.

use super::viewed::{SharedPlaces, pass};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::limits::UNDER_WAY_MAX;
use crate::queue::{self, Key, Places, Position, QueueError, QueueUrl, Taken};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Arrivals after which it is written.
const EVERY: u64 = 500;
/// Messages that may have arrived without being noted, with as many again that
/// others sent meanwhile.
const DOUBTED: usize = 2 * (UNDER_WAY_MAX + EVERY as usize);

/// What is copied, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The queue it comes from.
    pub from: String,
    /// The queue it goes to.
    pub to: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    origin: Origin,
    copied: u64,
    behind: Places,
}

/// What the target had got, source and id, whenever this copy went on.
#[derive(Debug, Serialize, Deserialize)]
struct Doubts {
    #[serde(flatten)]
    origin: Origin,
    there: HashSet<Key>,
}

/// See the module.
pub struct CopyJournal {
    path: PathBuf,
    record: Record,
    places: Option<SharedPlaces>,
    /// Arrivals of this process, and how many of them were noted.
    arrived: u64,
    noted: u64,
    /// What the target has already, of those that may be there; none when it
    /// was not looked at.
    there: Option<HashSet<Key>>,
    /// How many more of each lane may be there: lanes do not come evenly.
    doubted: BTreeMap<u32, usize>,
    /// Whether an earlier process began it.
    is_begun: bool,
    /// Two that went on with one copy would double it.
    _lock: Flock<File>,
}

impl CopyJournal {
    /// Reads the file, or begins one.
    ///
    /// # Errors
    /// It cannot be read, is none of ours, or is of another copy.
    pub fn open(path: &Path, origin: Origin) -> Result<Self> {
        let mut is_begun = true;
        let lock = lock(path)?;
        let fail =
            |why: String| Failure::new(Exit::Usage, "resume", path.display().to_string(), why);
        let record = match std::fs::read(path) {
            Ok(text) => {
                let record: Record = serde_json::from_slice(&text)
                    .map_err(|error| fail(format!("it is no note of a copy: {error}")))
                    .map_err(|failure| failure.cure("another file; that one stays as it is"))?;
                if record.origin != origin {
                    let Origin { from, to } = &record.origin;
                    return Err(fail(format!("it is of a copy from {from} to {to}"))
                        .cure("another file, or that copy"));
                }
                record
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                is_begun = false;
                Record { origin, copied: 0, behind: Places::new() }
            }
            Err(error) => return Err(Failure::io("read", path.display().to_string(), &error)),
        };
        let (path, places, arrived, noted) = (path.to_owned(), None, 0, 0);
        let (there, doubted) = (None, BTreeMap::new());
        let _lock = lock;
        Ok(Self { path, record, places, arrived, noted, there, doubted, is_begun, _lock })
    }

    /// Where to go on; none at the very beginning.
    pub fn position(&self) -> Option<Position> {
        self.is_begun.then(|| Position::Behind(self.record.behind.clone()))
    }

    /// Copied before this process began.
    pub fn copied(&self) -> u64 {
        self.record.copied
    }

    /// Looks at what the target has lately got. A target that cannot be looked
    /// at may get the last few twice; `false` then.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn look_at(&mut self, target: &QueueUrl) -> Result<bool> {
        if self.position().is_none() {
            return Ok(true);
        }
        let mut there = match queue::keys_from(target, Position::Last(DOUBTED as u64)) {
            Ok(there) => there,
            Err(QueueError::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error.failure("look at", &target.to_string())),
        };
        // Lanes do not come evenly: what an earlier process was told of may
        // not have been come to since.
        there.extend(self.read_doubts()?);
        let doubts = Doubts { origin: self.record.origin.clone(), there };
        replace(&self.doubts_path(), &serde_json::to_vec(&doubts).unwrap_or_default())?;
        self.there = Some(doubts.there);
        Ok(true)
    }

    fn doubts_path(&self) -> PathBuf {
        with_end(&self.path, ".doubts")
    }

    fn read_doubts(&self) -> Result<HashSet<Key>> {
        let path = self.doubts_path();
        let shown = path.display().to_string();
        match std::fs::read(&path) {
            Ok(text) => {
                let doubts: Doubts = serde_json::from_slice(&text)
                    .map_err(|error| Failure::new(Exit::Usage, "read", shown, error))?;
                // Those of another copy say nothing of this one.
                let is_ours = doubts.origin == self.record.origin;
                Ok(if is_ours { doubts.there } else { HashSet::new() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(Failure::io("read", shown, &error)),
        }
    }

    /// Notes how far it is at the end; when all was copied, nothing is in
    /// doubt any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end(&mut self, is_all: bool) -> Result<()> {
        self.write()?;
        if is_all {
            self.forget_doubts()?;
            remove(&lock_path(&self.path))?;
        }
        Ok(())
    }

    fn forget_doubts(&self) -> Result<()> {
        remove(&self.doubts_path())
    }

    /// Whether the target has this message already.
    pub fn is_there(&mut self, taken: &Taken) -> bool {
        let Some(there) = &self.there else { return false };
        let lane = self.places.as_ref().and_then(|places| {
            // Those that arrived are not among them any more.
            let at = usize::try_from(taken.receipt.0.checked_sub(1 + self.arrived)?).ok()?;
            places.borrow().get(at).map(|(lane, _)| *lane)
        });
        let left = self.doubted.entry(lane.unwrap_or_default()).or_insert(DOUBTED);
        if *left == 0 {
            return false;
        }
        *left -= 1;
        there.contains(&(taken.event.source.clone(), taken.event.id.clone()))
    }

    /// From where messages come: what is known of them, and behind what they
    /// begin. That is noted before the first is taken.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn follow(&mut self, places: SharedPlaces, begin: Places) -> Result<()> {
        self.places = Some(places);
        if self.is_begun {
            return Ok(());
        }
        self.record.behind = begin;
        self.forget_doubts()?;
        self.write()
    }

    /// Notes that so many messages have arrived since this process began.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn arrived(&mut self, arrived: u64) -> Result<()> {
        if let Some(places) = &self.places {
            pass(places, arrived - self.arrived, &mut self.record.behind);
        }
        self.record.copied += arrived - self.arrived;
        self.arrived = arrived;
        if self.arrived - self.noted >= EVERY { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        replace(&self.path, &serde_json::to_vec(&self.record).unwrap_or_default())?;
        self.noted = self.arrived;
        Ok(())
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn lock_path(path: &Path) -> PathBuf {
    with_end(path, ".lock")
}

/// The right to go on with a copy.
fn lock(path: &Path) -> Result<Flock<File>> {
    let shown = path.display().to_string();
    let file = File::create(lock_path(path));
    let file = file.map_err(|error| Failure::io("write", shown.as_str(), &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        let failure = Failure::new(Exit::TryAgain, "resume", shown, "another copy goes on with it");
        failure.cure("wait for that one, or another file")
    })
}

/// Removes a file; that there is none is no error.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io("remove", path.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}

/// Writes a file; a reader sees the old text or the new one.
fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let new = with_end(path, ".next");
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| Failure::io("write", path.display().to_string(), &error))
}
