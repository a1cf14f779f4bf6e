//! A body as a function's stdin, complete before the function starts, so
//! that no crash can make it look shorter than it is.

use crate::event::Body;
use crate::limits::STDIN_PIPE_MAX;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// A descriptor from which exactly `body` can be read: a pipe that already
/// holds all of it, or a read-only file.
///
/// # Errors
/// No descriptors or no memory left.
pub fn of(body: Option<&Body>) -> io::Result<OwnedFd> {
    match body {
        None => Ok(File::open("/dev/null")?.into()),
        Some(Body::File(kept)) => reopened(&kept.file),
        Some(Body::Inline(bytes)) if bytes.len() <= STDIN_PIPE_MAX => {
            match filled_pipe(bytes)? {
                Some(pipe) => Ok(pipe),
                // A user over its share of pipe memory gets smaller pipes.
                None => memory_file(bytes),
            }
        }
        Some(Body::Inline(bytes)) => memory_file(bytes),
    }
}

fn filled_pipe(bytes: &[u8]) -> io::Result<Option<OwnedFd>> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut writer = File::from(writer);
    match writer.write(bytes) {
        Ok(written) if written == bytes.len() => Ok(Some(reader)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"faas-body", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    reopened(&file)
}

/// The same file, read-only, with an offset of its own.
fn reopened(file: &File) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}
