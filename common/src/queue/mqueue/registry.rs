//! What queues and runs there are. The kernel can only list its queues where
//! its file system is mounted, so each queue we make has a record, and each
//! run a record that its runner holds locked while it lives.

use super::dirs::Dirs;
use crate::clock;
use crate::queue::{QueueError, QueueSpec};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The record of a queue.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct QueueRecord {
    pub(super) created: String,
    #[serde(default)]
    pub(super) run: Option<String>,
    #[serde(default)]
    pub(super) spill: Option<u64>,
}

/// The record of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RunRecord {
    /// Digest of the chain file it runs.
    pub digest: String,
    /// Name of the chain.
    pub chain: String,
    /// The chain file, as an absolute path.
    #[serde(default)]
    pub file: Option<String>,
    /// When it began, RFC 3339.
    pub created: String,
    /// Process id of its runner; none for a run opened by hand.
    #[serde(default)]
    pub runner: Option<u32>,
    /// Its middlewares, that of the reply queue first; none of old records,
    /// which are of runs on this host.
    #[serde(default)]
    pub vias: Vec<String>,
    /// Its queues: index of the middleware, and name.
    #[serde(default)]
    pub queues: Vec<(usize, String)>,
}

/// A run that this process holds; released when dropped.
#[derive(Debug)]
pub struct RunGuard {
    _lock: Flock<File>,
}

pub(super) fn record_queue(dirs: &Dirs, name: &str, spec: &QueueSpec) -> Result<(), QueueError> {
    let (run, spill) = (spec.run.clone(), spec.spill);
    let record = QueueRecord { created: clock::rfc3339_now(), run, spill };
    write_record(&dirs.queues()?.join(name), &record).map(drop)
}

pub(super) fn queue_record(dirs: &Dirs, name: &str) -> Option<QueueRecord> {
    let text = fs::read(dirs.queues().ok()?.join(name)).ok()?;
    serde_json::from_slice(&text).ok()
}

pub(super) fn queue_names(dirs: &Dirs) -> Result<Vec<String>, QueueError> {
    names_in(dirs.queues()?)
}

fn names_in(dir: PathBuf) -> Result<Vec<String>, QueueError> {
    let entries = fs::read_dir(dir).map_err(QueueError::io("listing"))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Opens a run: its record is written and, for a runner, locked.
///
/// # Errors
/// There is a run of that name.
pub fn open_run(run: &str, record: &RunRecord) -> Result<RunGuard, QueueError> {
    let path = Dirs::open()?.runs()?.join(run);
    let hidden = path.with_file_name(format!(".{run}.{}", std::process::id()));
    let file = write_record(&hidden, record)?;
    let opened = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| QueueError::io("locking its record")(errno.into()))
        .and_then(|lock| {
            // Only a complete and locked record gets the name others look for.
            fs::hard_link(&hidden, &path).map_err(exists)?;
            Ok(RunGuard { _lock: lock })
        });
    let _ = fs::remove_file(&hidden);
    opened
}

/// The record of a run, if there is one.
///
/// # Errors
/// The record cannot be read.
pub fn run_record(run: &str) -> Result<Option<RunRecord>, QueueError> {
    let path = Dirs::open()?.runs()?.join(run);
    let mut text = Vec::new();
    match File::open(&path) {
        Ok(mut file) => {
            file.read_to_end(&mut text).map_err(QueueError::io("reading its record"))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(QueueError::io("reading its record")(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| QueueError::Damaged {
        file: path.display().to_string(),
        why: error.to_string(),
        cure: format!("rm {}", path.display()),
    })
}

/// Names of all runs that have a record.
///
/// # Errors
/// The directory cannot be read.
pub fn run_names() -> Result<Vec<String>, QueueError> {
    names_in(Dirs::open()?.runs()?)
}

/// Takes over a run whose runner is gone.
///
/// # Errors
/// Its runner lives, or it cannot be read or written.
pub fn take_over_run(run: &str, record: &RunRecord) -> Result<RunGuard, QueueError> {
    let path = Dirs::open()?.runs()?.join(run);
    let failed = |error| QueueError::io("writing its record")(error);
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
    let lock =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => QueueError::Exists,
            errno => QueueError::io("locking its record")(errno.into()),
        })?;
    let text = serde_json::to_vec(record).unwrap_or_default();
    // As one write: a reader sees the old record or the new one, padded.
    let mut padded = text.clone();
    let len = lock.metadata().map_err(failed)?.len() as usize;
    padded.resize(len.max(text.len()), b' ');
    std::os::unix::fs::FileExt::write_all_at(&*lock, &padded, 0).map_err(failed)?;
    Ok(RunGuard { _lock: lock })
}

/// Where the collector of a run writes its book.
///
/// # Errors
/// The folder cannot be made.
pub fn book_of(run: &str) -> Result<PathBuf, QueueError> {
    Ok(Dirs::open()?.books()?.join(run))
}

/// Forgets a run.
///
/// # Errors
/// Its record cannot be removed.
pub fn close_run(run: &str) -> Result<(), QueueError> {
    let dirs = Dirs::open()?;
    let book = dirs.books()?.join(run);
    super::dirs::absent_is_fine(fs::remove_file(book.with_extension("next")))?;
    super::dirs::absent_is_fine(fs::remove_file(book))?;
    super::dirs::absent_is_fine(fs::remove_file(dirs.runs()?.join(run)))
}

/// Whether a run's runner is gone: it had one, and nobody holds its record.
pub fn is_orphaned(run: &str) -> bool {
    let Ok(Some(record)) = run_record(run) else { return true };
    if record.runner.is_none() {
        return false;
    }
    let path = Dirs::open().and_then(|dirs| dirs.runs()).map(|runs| runs.join(run));
    let Ok(Ok(file)) = path.map(File::open) else { return true };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_ok()
}

fn exists(error: std::io::Error) -> QueueError {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => QueueError::Exists,
        _ => QueueError::io("writing its record")(error),
    }
}

fn write_record(path: &Path, record: &impl Serialize) -> Result<File, QueueError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(exists)?;
    let text = serde_json::to_vec(record).unwrap_or_default();
    file.write_all(&text).map_err(QueueError::io("writing its record"))?;
    Ok(file)
}
