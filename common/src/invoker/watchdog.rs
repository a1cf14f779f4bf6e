//! A condition that runs over a second: the whole invoker is ended, for jq
//! cannot be interrupted, and a mark is left in the message's slot, so that
//! whoever takes the message over makes a dead letter of it.

#![allow(unsafe_code)]

use crate::limits::CONDITION_TIME_MAX_MS;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
static RULE: AtomicU32 = AtomicU32::new(0);

/// Readies the handler.
///
/// # Errors
/// The system refuses the handler.
pub fn install() -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_alarm), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only touches atomics and makes async-signal-safe calls.
    unsafe { sigaction(Signal::SIGALRM, &action)? };
    Ok(())
}

/// Watches while it lives.
pub struct Watch;

impl Watch {
    /// Starts the clock. `mark` is where a message keeps that it must not be
    /// tried again; it must stay valid while the watch lives.
    pub fn start(mark: Option<*const AtomicU32>) -> Self {
        MARK.store(mark.unwrap_or(std::ptr::null()).cast_mut(), Ordering::Release);
        set_timer(CONDITION_TIME_MAX_MS);
        Self
    }

    /// Tells which rule is judged now.
    pub fn rule(rule: usize) {
        RULE.store(rule as u32, Ordering::Release);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        set_timer(0);
        MARK.store(std::ptr::null_mut(), Ordering::Release);
    }
}

fn set_timer(ms: u64) {
    let value =
        nix::libc::timeval { tv_sec: (ms / 1000) as i64, tv_usec: (ms % 1000 * 1000) as i64 };
    let zero = nix::libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = nix::libc::itimerval { it_interval: zero, it_value: value };
    // SAFETY: a plain system call with a valid pointer.
    unsafe { nix::libc::setitimer(nix::libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

extern "C" fn on_alarm(_signal: nix::libc::c_int) {
    const SAID: &[u8] = b"a condition ran over 1 s; its message becomes a dead letter\n";
    let mark = MARK.load(Ordering::Acquire);
    if !mark.is_null() {
        // SAFETY: `Watch::start` was given a pointer that is valid while it
        // lives, and the timer is off when it does not.
        unsafe { (*mark).store(RULE.load(Ordering::Acquire) + 1, Ordering::Release) };
    }
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        nix::libc::write(2, SAID.as_ptr().cast(), SAID.len());
        nix::libc::_exit(crate::exit::Exit::TryAgain as i32);
    }
}
