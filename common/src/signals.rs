//! SIGINT, SIGTERM and SIGHUP as something to read in the loop.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A signal that was caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Its number.
    pub signal: i32,
    /// It came from the terminal, so every process of the foreground group
    /// has it too.
    pub by_terminal: bool,
}

/// The mask of signals that this process ignores.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// From here on the three signals wait until somebody catches them, also for
/// threads that begin later: one of them would end the process otherwise.
pub fn block() {
    // Without a descriptor left whoever needs one says so.
    drop(Signals::catch());
}

/// Caught signals, in order.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// From here on the three signals are read, not obeyed.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn catch() -> io::Result<Self> {
        Self::catch_also(&[])
    }

    /// As [`Signals::catch`], with more signals.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn catch_also(more: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        let ignored = ignored();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].iter().chain(more) {
            // Whoever started us with a signal ignored (nohup, a shell's `&`)
            // wants it ignored; read from a descriptor it would not be.
            if ignored & 1 << (*signal as i32 - 1) == 0 {
                set.add(*signal);
            }
        }
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next caught signal's number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<i32> {
        self.next_caught().map(|caught| caught.signal)
    }

    /// The next caught signal, and where it came from.
    pub fn next_caught(&mut self) -> Option<Caught> {
        let info = self.0.read_signal().ok().flatten()?;
        Some(Caught {
            signal: info.ssi_signo as i32,
            by_terminal: info.ssi_code == nix::libc::SI_KERNEL,
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
