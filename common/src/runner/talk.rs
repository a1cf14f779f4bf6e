//! What the children of a run say on stderr, when it must go around a moving
//! line: through a pipe of ours, in whole lines.

use crate::error::{Failure, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

/// The pipe, if there is one; without it children have our own stderr.
pub(super) struct Talk {
    pipe: Option<(File, OwnedFd)>,
    text: Vec<u8>,
}

impl Talk {
    /// With a pipe if `around` something.
    pub(super) fn new(around: bool) -> Result<Self> {
        let pipe = if around { Some(pipe_to_us()?) } else { None };
        Ok(Self { pipe, text: Vec::new() })
    }

    /// A child's stderr.
    pub(super) fn stderr(&self) -> Result<Stdio> {
        match &self.pipe {
            None => Ok(Stdio::inherit()),
            Some((_, theirs)) => {
                let copy = theirs.try_clone();
                copy.map(Stdio::from).map_err(|error| Failure::io("open", "a pipe", &error))
            }
        }
    }

    /// Our end, to wait on.
    pub(super) fn ours(&self) -> Option<&File> {
        self.pipe.as_ref().map(|(ours, _)| ours)
    }

    /// The whole lines that were said since.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let Some((ours, _)) = &mut self.pipe else { return Vec::new() };
        let mut chunk = [0_u8; 4096];
        while let Ok(len @ 1..) = ours.read(&mut chunk) {
            self.text.extend_from_slice(&chunk[..len]);
        }
        let end = self.text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.text.drain(..end).collect();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}

/// A pipe whose writing end is ours and never blocks.
pub(super) fn pipe_from_us() -> Result<(File, OwnedFd)> {
    let failed = |errno: nix::errno::Errno| Failure::io("open", "a pipe", &errno.into());
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
    Ok((File::from(ours), theirs))
}

/// A pipe whose reading end is ours and never blocks.
pub(super) fn pipe_to_us() -> Result<(File, OwnedFd)> {
    let failed = |errno: nix::errno::Errno| Failure::io("open", "a pipe", &errno.into());
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
    Ok((File::from(ours), theirs))
}
