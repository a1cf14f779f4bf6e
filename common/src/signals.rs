//! SIGINT, SIGTERM and SIGHUP as something to read in the loop.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

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
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].iter().chain(more) {
            set.add(*signal);
        }
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next caught signal's number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<i32> {
        self.0.read_signal().ok().flatten().map(|info| info.ssi_signo as i32)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
