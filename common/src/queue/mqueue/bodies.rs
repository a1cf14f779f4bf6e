//! Bodies that do not fit into a message: one file each, in the directory of
//! their queue, written before the send and unlinked by the settle.

use super::dirs::{Dirs, absent_is_fine};
use crate::clock;
use crate::event::{Body, BodyFile};
use crate::limits;
use crate::queue::QueueError;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a body (or a whole frame) beside `queue` and returns its name.
///
/// Space is reserved first: running out is an error, never a signal.
pub(super) fn store(dirs: &Dirs, queue: &str, body: &Body) -> Result<String, QueueError> {
    let name = new_name();
    let path = dirs.bodies(queue)?.join(&name);
    write(&path, body).map_err(|error| {
        // Whatever was written of it must not stay.
        let _ = std::fs::remove_file(&path);
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => {
                QueueError::NoRoom { bytes: body.len(), place: dirs.root().display().to_string() }
            }
            _ => QueueError::io("writing a body beside it")(error),
        }
    })?;
    Ok(name)
}

fn write(path: &PathBuf, body: &Body) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if !body.is_empty() {
        let len = i64::try_from(body.len()).map_err(io::Error::other)?;
        match fallocate(&file, FallocateFlags::empty(), 0, len) {
            Ok(()) | Err(Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match body {
        Body::Inline(bytes) => file.write_all(bytes),
        Body::File(kept) => {
            // A fresh description: the kept one's offset may be shared.
            let mut source = File::open(format!("/proc/self/fd/{}", fd_number(&kept.file)))?;
            io::copy(&mut source, &mut file).map(drop)
        }
    }
}

fn fd_number(file: &File) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

/// A second name for a body; `None` when it is gone.
pub(super) fn link_again(
    dirs: &Dirs,
    queue: &str,
    name: &str,
) -> Result<Option<String>, QueueError> {
    // Always the same name: a second crash in the same place makes no third.
    let (folder, again) = (dirs.bodies(queue)?, format!("{name}~"));
    match std::fs::hard_link(folder.join(name), folder.join(&again)) {
        Ok(()) => Ok(Some(again)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Some(again)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(QueueError::io("linking a body")(error)),
    }
}

fn new_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}-{:08x}", std::process::id(), clock::random_u64() as u32)
}

/// Opens a body. Its length must be what the frame says.
pub(super) fn fetch(dirs: &Dirs, queue: &str, name: &str, len: Option<u64>) -> io::Result<Body> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(io::Error::other("its body has a name that cannot be"));
    }
    let path = dirs.bodies(queue).map_err(io::Error::other)?.join(name);
    let file = File::open(path)?;
    let found = file.metadata()?.len();
    if len.is_some_and(|len| len != found) || found > 2 * limits::BODY_MAX {
        return Err(io::Error::other("its body does not have the length it should"));
    }
    Ok(Body::File(Arc::new(BodyFile { file, len: found })))
}

/// Unlinks a body; whoever has it open keeps it.
pub(super) fn drop_body(dirs: &Dirs, queue: &str, name: &str) -> Result<(), QueueError> {
    absent_is_fine(std::fs::remove_file(dirs.bodies(queue)?.join(name)))
}
