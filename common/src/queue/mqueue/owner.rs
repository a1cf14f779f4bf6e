//! Who writes bodies: a file that its process holds locked while it lives, so
//! that others can tell whether what it left half-done will ever be finished.

use super::dirs::Dirs;
use crate::clock;
use crate::queue::QueueError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A living owner.
#[derive(Debug)]
pub(super) struct Owner {
    id: u64,
    path: PathBuf,
    _lock: Flock<File>,
}

impl Owner {
    /// A new one, for this connection.
    pub(super) fn new(dirs: &Dirs) -> Result<Self, QueueError> {
        let folder = dirs.owners()?;
        let id = clock::random_u64() | 1;
        let (hidden, path) =
            (folder.join(format!(".{id:016x}")), folder.join(format!("{id:016x}")));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden);
        let file = file.map_err(QueueError::io("making an owner's file"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| QueueError::io("locking an owner's file")(errno.into()))?;
        fs::rename(&hidden, &path).map_err(QueueError::io("naming an owner's file"))?;
        Ok(Self { id, path, _lock: lock })
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What it wrote was sent or given up.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether an owner's process lives.
pub(super) fn is_alive(dirs: &Dirs, id: u64) -> bool {
    let Ok(folder) = dirs.owners() else { return true };
    match File::open(folder.join(format!("{id:016x}"))) {
        Ok(file) => Flock::lock(file, FlockArg::LockSharedNonblock).is_err(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Removes the files of owners that are dead. An owner without a file is dead
/// too, so nothing is lost with it.
pub(super) fn forget_dead(dirs: &Dirs) {
    let Ok(entries) = dirs
        .owners()
        .and_then(|folder| fs::read_dir(folder).map_err(QueueError::io("listing owners")))
    else {
        return;
    };
    let named = entries.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
    for entry in named {
        if let Ok(file) = File::open(entry.path())
            && Flock::lock(file, FlockArg::LockSharedNonblock).is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
