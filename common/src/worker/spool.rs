//! What a function prints: in memory while it is small; beyond that in a file
//! beside the queues, moved there by the kernel without passing through us.
//! The file later becomes the body of a message by a link, not by a copy.

#![allow(unsafe_code)]

use super::output::drain;
use crate::event::{Body, BodyFile, detect_type};
use memmap2::Mmap;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// What is kept in memory at most, where there is a folder for more.
const MEMORY_MAX: usize = 64 << 10;

/// How much a pipe is to hold whose output is large.
const PIPE_SIZE: i32 = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
    folder: Option<PathBuf>,
    /// Set when a part of it was lost.
    is_broken: bool,
}

impl Spool {
    /// An empty one; with a folder, large output goes to a file there.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, ..Self::default() }
    }

    /// How much was printed.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes what is in a pipe, up to `most` bytes; an ended pipe is closed.
    pub(super) fn fill(&mut self, pipe: &mut Option<File>, most: usize) {
        if self.file.is_none() {
            let room = (MEMORY_MAX + 1).saturating_sub(self.memory.len());
            let most = if self.folder.is_some() { most.min(room) } else { most };
            drain(pipe, &mut self.memory, most);
            self.len = self.memory.len() as u64;
            if self.memory.len() <= MEMORY_MAX || !self.move_to_file(pipe.as_ref()) {
                return;
            }
        }
        self.splice_from(pipe, most);
    }

    /// Goes on in a file; `false` when there is no place for one.
    fn move_to_file(&mut self, pipe: Option<&File>) -> bool {
        let Some(folder) = &self.folder else { return false };
        let flags = (OFlag::O_TMPFILE | OFlag::O_CLOEXEC).bits();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags).mode(0o600);
        let written = options.open(folder).and_then(|mut file| {
            file.write_all(&self.memory)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                // More at once is fewer wake-ups; a user over its share of
                // pipe memory keeps what it has.
                if let Some(pipe) = pipe {
                    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
                }
                self.memory = Vec::new();
                self.file = Some(file);
                true
            }
            Err(_) => {
                self.folder = None;
                false
            }
        }
    }

    fn splice_from(&mut self, pipe: &mut Option<File>, most: usize) {
        let mut left = most;
        while left > 0 {
            let (Some(from), Some(to)) = (pipe.as_ref(), self.file.as_ref()) else { return };
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
            match splice(from, None, to, None, left, flags) {
                Ok(0) => *pipe = None,
                Ok(len) => {
                    self.len += len as u64;
                    left -= len.min(left);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // No room: memory has some, and the body waits there.
                Err(_) => return self.back_to_memory(pipe, left),
            }
        }
    }

    fn back_to_memory(&mut self, pipe: &mut Option<File>, most: usize) {
        self.folder = None;
        if let Some(file) = self.file.take() {
            self.memory = vec![0; usize::try_from(self.len).unwrap_or(0)];
            if file.read_exact_at(&mut self.memory, 0).is_err() {
                self.is_broken = true;
            }
        }
        drain(pipe, &mut self.memory, most);
        self.len = self.memory.len() as u64;
    }

    /// Nothing may pass for the whole that is not.
    fn check(&self) -> io::Result<()> {
        if self.is_broken { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The body and its media type; without one trailing line feed, unless
    /// that is to be kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn into_body(mut self, exact: bool) -> io::Result<(Body, &'static str)> {
        self.check()?;
        let Some(file) = self.file.take() else {
            if !exact && self.memory.last() == Some(&b'\n') {
                self.memory.pop();
            }
            let media = detect_type(&self.memory);
            return Ok((Body::Inline(self.memory), media));
        };
        let mut last = [0];
        file.read_exact_at(&mut last, self.len - 1)?;
        if !exact && last == *b"\n" {
            self.len -= 1;
            file.set_len(self.len)?;
        }
        // SAFETY: the file has no name and only we have it open; nobody can
        // cut it short while it is mapped.
        let map = unsafe { Mmap::map(&file)? };
        let media = detect_type(&map);
        drop(map);
        Ok((Body::File(Arc::new(BodyFile { file, len: self.len })), media))
    }

    /// All of it in memory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        self.check()?;
        let Some(file) = self.file else { return Ok(self.memory) };
        let mut bytes = vec![0; usize::try_from(self.len).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl From<Vec<u8>> for Spool {
    fn from(memory: Vec<u8>) -> Self {
        Self { len: memory.len() as u64, memory, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;

    fn printed(text: Vec<u8>, folder: Option<PathBuf>) -> Spool {
        let (from, to) = pipe().expect("a pipe");
        nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("set");
        let writer = std::thread::spawn(move || File::from(to).write_all(&text));
        let (mut spool, mut from) = (Spool::new(folder), Some(File::from(from)));
        while from.is_some() {
            spool.fill(&mut from, 10_000);
            std::thread::yield_now();
        }
        writer.join().expect("a writer").expect("it writes");
        spool
    }

    #[test]
    fn small_output_stays_in_memory() {
        let spool = printed(b"{\"a\":1}\n".to_vec(), Some(std::env::temp_dir()));
        let (body, media) = spool.into_body(false).expect("a body");
        assert_eq!(media, "application/json");
        assert!(matches!(body, Body::Inline(bytes) if bytes == b"{\"a\":1}"));
    }

    #[test]
    fn large_output_goes_to_a_file_and_is_the_same() {
        let text: Vec<u8> = (0..300_000_u32).map(|i| b'a' + (i % 7) as u8).chain(*b"\n").collect();
        for folder in [Some(std::env::temp_dir()), None] {
            let spool = printed(text.clone(), folder.clone());
            let (body, media) = spool.into_body(false).expect("a body");
            assert_eq!(matches!(body, Body::File(_)), folder.is_some());
            assert_eq!(media, "text/plain");
            assert_eq!(body.load().expect("it can be read").as_ref(), &text[..text.len() - 1]);
            assert_eq!(printed(text.clone(), folder).into_bytes().expect("bytes"), text);
        }
    }
}
