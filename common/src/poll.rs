//! One place to sleep: queues, function pipes, signals and children are all
//! descriptors in one epoll set.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// What is waited for on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Read,
    /// Something to read, and only one of several waiting processes is woken.
    /// Never for writers: on a POSIX queue both kinds share one wait queue.
    ReadAlone,
    /// Room to write.
    Write,
}

/// A descriptor that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// There is something to read, or the other end hung up.
    pub readable: bool,
    /// There is room, or the other end is gone.
    pub writable: bool,
}

/// An epoll set.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Adds a descriptor. `Ok(false)`: the kernel cannot wait on it (a plain
    /// file), it is always ready.
    ///
    /// # Errors
    /// It is in the set already, or the kernel is out of memory.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<bool> {
        let flags = match interest {
            Interest::Read => EpollFlags::EPOLLIN,
            Interest::ReadAlone => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
            Interest::Write => EpollFlags::EPOLLOUT,
        };
        match self.epoll.add(fd, EpollEvent::new(flags, token)) {
            Ok(()) => Ok(true),
            Err(nix::errno::Errno::EPERM) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Adds a socket that is read and written until it would block; it is told
    /// of once for each change, whichever way.
    ///
    /// # Errors
    /// It is in the set already, or the kernel is out of memory.
    pub fn add_edge(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        Ok(self.epoll.add(fd, EpollEvent::new(flags, token))?)
    }

    /// Takes a descriptor out; one that is not in the set is no error.
    pub fn remove(&self, fd: impl AsFd) {
        // ENOENT and EPERM both mean there is nothing to take out.
        let _ = self.epoll.delete(fd);
    }

    /// Sleeps until something is ready or `timeout` is over (rounded up to
    /// whole milliseconds); fills `ready`, empty after a timeout or a signal.
    ///
    /// # Errors
    /// Only what means a bug of ours.
    pub fn wait(&self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let ms = timeout.as_micros().div_ceil(1000).min(60_000) as u16;
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(ms)) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        ready.clear();
        ready.extend(events[..count].iter().map(|event| {
            let flags = event.events();
            let gone = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
            Ready {
                token: event.data(),
                readable: gone || flags.contains(EpollFlags::EPOLLIN),
                writable: gone || flags.contains(EpollFlags::EPOLLOUT),
            }
        }));
        Ok(())
    }
}
