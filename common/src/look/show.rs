//! `peek` and `tail`: messages are printed as they are seen.

use super::{Filter, Printer};
use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::{QueueError, Seen, View};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Messages looked at in one step, at most.
const STEP: usize = 256;
/// How long one step waits, so that a reader that left is noticed.
const WAIT: Duration = Duration::from_millis(300);

/// What to look at, and how it is shown.
pub struct Look {
    /// Which messages.
    pub filter: Filter,
    /// In which shape.
    pub printer: Printer,
    /// How many, at most.
    pub count: Option<u64>,
    /// How long to wait for one.
    pub timeout: Option<Duration>,
    /// Whether a server that goes away is told of once, and waited for.
    pub keeps_on: bool,
    /// The queue, for messages.
    pub url: String,
}

/// Shows messages until the end of the view, the count, the timeout, or until
/// nobody reads any more.
///
/// # Errors
/// The middleware is gone, or stdout cannot be written.
pub fn look(mut look: Look, view: &mut dyn View, log: &mut Log) -> Result<Exit> {
    let (mut shown, mut failed, mut last, mut is_told) = (0, 0_u64, Instant::now(), false);
    let mut batch: Vec<Seen> = Vec::new();
    while look.count.is_none_or(|count| shown < count) {
        let wait = look.timeout.map_or(WAIT, |most| most.saturating_sub(last.elapsed()).min(WAIT));
        match view.next(STEP, wait, &mut batch) {
            Ok(()) => is_told = false,
            Err(error) => {
                let is_lasting = !matches!(error, QueueError::Unreachable { .. });
                let failure = error.failure("look at", &look.url);
                if is_lasting || !look.keeps_on {
                    return Err(failure);
                }
                if !std::mem::replace(&mut is_told, true) {
                    log.failure(&failure);
                }
                std::thread::sleep(WAIT);
            }
        }
        if batch.is_empty() {
            let is_late = look.timeout.is_some_and(|most| last.elapsed() >= most);
            if view.is_at_end() {
                break;
            }
            if is_late {
                return Ok(match (shown, failed) {
                    (0, 0) => Exit::TryAgain,
                    (_, 0) => Exit::Done,
                    _ => Exit::SomeFailed,
                });
            }
            if !has_reader() {
                break;
            }
            continue;
        }
        last = Instant::now();
        let mut out = Vec::new();
        for seen in batch.drain(..) {
            if look.count.is_some_and(|count| shown >= count) {
                break;
            }
            match picked(&mut look, seen, &mut out) {
                Ok(is_shown) => shown += u64::from(is_shown),
                Err(failure) => {
                    failed += 1;
                    log.failure(&failure);
                }
            }
        }
        if !write(&out)? {
            return Ok(Exit::Done);
        }
    }
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Done })
}

fn picked(look: &mut Look, seen: Seen, out: &mut Vec<u8>) -> Result<bool> {
    let place = super::printer::place_of(&seen);
    let picks = look
        .filter
        .picks(&seen.event)
        .map_err(|why| Failure::new(Exit::SomeFailed, "judge", format!("message {place}"), why))?;
    if picks {
        look.printer.print(seen, &look.filter, out)?;
    }
    Ok(picks)
}

/// Writes whole messages; `false` when nobody reads them.
fn write(out: &[u8]) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(out).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("write to", "stdout", &error)),
    }
}

/// Whether the other end of stdout is still there.
fn has_reader() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(0) | Err(Errno::EINTR) => true,
        _ => !fds[0].revents().is_some_and(|told| told.contains(PollFlags::POLLERR)),
    }
}
