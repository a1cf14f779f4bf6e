//! A clock that wakes the loop once.

use crate::poll::{Interest, Poller};
use crate::queue::QueueError;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::time::Duration;

/// See the module.
pub(super) struct Alarm(TimerFd);

impl Alarm {
    /// One that does not ring.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn new() -> Result<Self, QueueError> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let made = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags);
        made.map(Self).map_err(|errno| QueueError::io("making a timer")(errno.into()))
    }

    pub(super) fn attach(&self, poller: &Poller, token: u64) {
        // A timer can always be waited on.
        let _ = poller.add(&self.0, token, Interest::Read);
    }

    /// Rings after some time, instead of when it was set before.
    pub(super) fn ring_after(&self, time: Duration) {
        // It fails only for times that cannot be.
        let _ = self
            .0
            .set(Expiration::OneShot(TimeSpec::from_duration(time)), TimerSetTimeFlags::empty());
    }

    /// Takes note that it rang.
    pub(super) fn hear(&self) {
        let _ = nix::unistd::read(&self.0, &mut [0; 8]);
    }
}
