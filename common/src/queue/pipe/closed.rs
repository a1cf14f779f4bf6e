//! Whether stdout was closed when the process began. Rust's runtime then opens
//! `/dev/null` there before `main`, and what is written would be lost without
//! a word.

#![allow(unsafe_code)]

use nix::libc::{F_GETFD, STDOUT_FILENO, fcntl};
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the C runtime calls what is listed there once, before `main`, on the
// only thread there is; `look` needs nothing of Rust's runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: F_GETFD only reads a table of the kernel's, at any number.
    let flags = unsafe { fcntl(STDOUT_FILENO, F_GETFD) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Whether it was.
pub(super) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
