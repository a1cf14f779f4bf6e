//! Where the state beside the kernel's queues lives: one directory per user
//! in shared memory, readable by that user alone.

use crate::clock;
use crate::queue::QueueError;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directories of this user's state.
#[derive(Debug, Clone)]
pub(super) struct Dirs {
    root: PathBuf,
}

impl Dirs {
    /// Opens or makes the user's directory: `FAAS_STATE_DIR`, else
    /// `/dev/shm/faas.UID`.
    pub(super) fn open() -> Result<Self, QueueError> {
        let default = || PathBuf::from(format!("/dev/shm/faas.{}", geteuid()));
        let root = std::env::var_os("FAAS_STATE_DIR").map_or_else(default, PathBuf::from);
        make(&root)?;
        let meta = fs::symlink_metadata(&root).map_err(QueueError::io("reading its state"))?;
        if meta.uid() != geteuid().as_raw() || !meta.is_dir() || meta.mode() & 0o077 != 0 {
            return Err(QueueError::Damaged {
                file: root.display().to_string(),
                why: "it is not a directory of this user with mode 0700".to_owned(),
                cure: format!("chmod 700 {}, or set FAAS_STATE_DIR", root.display()),
            });
        }
        Ok(Self { root })
    }

    /// Held while queues of this user are made or removed.
    pub(super) fn lock(&self) -> Result<Flock<File>, QueueError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.root.join("lock"))
            .map_err(QueueError::io("locking its state"))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| QueueError::io("locking its state")(errno.into()))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Records of queues.
    pub(super) fn queues(&self) -> Result<PathBuf, QueueError> {
        self.made("queues")
    }

    /// Records of runs.
    pub(super) fn runs(&self) -> Result<PathBuf, QueueError> {
        self.made("runs")
    }

    /// Books of collectors.
    pub(super) fn books(&self) -> Result<PathBuf, QueueError> {
        self.made("books")
    }

    /// Slot files of one queue.
    pub(super) fn slots(&self, queue: &str) -> Result<PathBuf, QueueError> {
        make(&self.root.join("slots"))?;
        self.made(&format!("slots/{queue}"))
    }

    /// Owners of bodies.
    pub(super) fn owners(&self) -> Result<PathBuf, QueueError> {
        self.made("owners")
    }

    /// Spill files.
    pub(super) fn spills(&self) -> Result<PathBuf, QueueError> {
        self.made("spill")
    }

    /// Whether there are bodies of one queue.
    pub(super) fn has_bodies(&self, queue: &str) -> bool {
        self.root.join("bodies").join(queue).is_dir()
    }

    /// Bodies of one queue.
    pub(super) fn bodies(&self, queue: &str) -> Result<PathBuf, QueueError> {
        make(&self.root.join("bodies"))?;
        self.made(&format!("bodies/{queue}"))
    }

    /// The joins of one queue.
    pub(super) fn gather(&self, queue: &str) -> Result<PathBuf, QueueError> {
        make(&self.root.join("gather"))?;
        self.made(&format!("gather/{queue}"))
    }

    /// Whether joins of a queue were ever gathered.
    pub(super) fn has_gathered(&self, queue: &str) -> bool {
        self.root.join("gather").join(queue).is_dir()
    }

    /// Removes what belongs to one queue.
    pub(super) fn forget(&self, queue: &str) -> Result<(), QueueError> {
        for kind in ["bodies", "slots", "gather"] {
            // Under another name first: who still has the queue open cannot
            // put something into the folder while it is removed.
            let folder = self.root.join(kind).join(queue);
            let gone = self.root.join(kind).join(format!(".gone-{:016x}", clock::random_u64()));
            match fs::rename(&folder, &gone) {
                Ok(()) => absent_is_fine(fs::remove_dir_all(gone))?,
                other => absent_is_fine(other)?,
            }
            // What somebody was removing who died meanwhile.
            for left in fs::read_dir(self.root.join(kind)).into_iter().flatten().flatten() {
                if left.file_name().to_string_lossy().starts_with(".gone-") {
                    absent_is_fine(fs::remove_dir_all(left.path()))?;
                }
            }
        }
        absent_is_fine(fs::remove_file(self.root.join("spill").join(queue)))?;
        absent_is_fine(fs::remove_file(self.root.join("queues").join(queue)))
    }

    fn made(&self, name: &str) -> Result<PathBuf, QueueError> {
        let path = self.root.join(name);
        make(&path)?;
        Ok(path)
    }
}

pub(super) fn absent_is_fine(result: io::Result<()>) -> Result<(), QueueError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(QueueError::io("removing its state")(error))
        }
        _ => Ok(()),
    }
}

fn make(path: &Path) -> Result<(), QueueError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(QueueError::io("making a directory for its state")(error))
        }
        _ => Ok(()),
    }
}
