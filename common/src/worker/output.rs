//! Pipes from a function to us.

use super::guard::Tether;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// Our end, which never blocks, and theirs.
pub(super) fn output_pipe() -> io::Result<(File, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((File::from(ours), theirs))
}

/// Our end of a stdin that stays open.
#[derive(Debug)]
pub(super) struct Stdin {
    /// Never blocks.
    pub(super) pipe: File,
    tether: Tether,
}

impl Stdin {
    /// Ends the input: at once, for nobody else holds it.
    pub(super) fn end(mut self) {
        self.tether.release();
    }
}

/// Theirs to read from, ours to write to, and what the guard is to hold.
pub(super) fn input_pipe() -> io::Result<(OwnedFd, Stdin, OwnedFd)> {
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let (tether, guards) = Tether::tie(&ours)?;
    Ok((theirs, Stdin { pipe: File::from(ours), tether }, guards))
}

/// How much a pipe can hold at most.
pub(super) fn capacity(pipe: Option<&File>) -> usize {
    let size = pipe.and_then(|pipe| fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok());
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(64 << 10)
}

/// Reads until there is nothing, the end (then the pipe is closed), or
/// `most` bytes were read.
pub(super) fn drain(pipe: &mut Option<File>, into: &mut Vec<u8>, most: usize) {
    let Some(file) = pipe else { return };
    let mut chunk = [0_u8; 16 << 10];
    let mut left = most;
    while left > 0 {
        let len = left.min(chunk.len());
        match file.read(&mut chunk[..len]) {
            Ok(0) => break,
            Ok(len) => {
                into.extend_from_slice(&chunk[..len]);
                left -= len;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => break,
        }
    }
    if left > 0 {
        *pipe = None;
    }
}
