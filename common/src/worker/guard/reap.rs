//! Ending whatever is still there.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use std::time::{Duration, Instant};

/// Kills all children of this process, and theirs as they become ours (we
/// are a subreaper), until there is none; tells each end. Gives up after
/// five seconds on what even SIGKILL does not end.
pub(super) fn kill_all_children(ended: &mut dyn FnMut(WaitStatus)) {
    let give_up = Instant::now() + Duration::from_secs(5);
    while Instant::now() < give_up {
        for child in children() {
            // It may have ended since it was listed.
            let _ = kill(child, Signal::SIGKILL);
        }
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(status) => ended(status),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Processes whose parent is this one.
pub(super) fn children() -> Vec<Pid> {
    let me = getpid();
    let listed = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children"));
    match listed {
        Ok(text) => text
            .split_whitespace()
            .filter_map(|pid| Some(Pid::from_raw(pid.parse().ok()?)))
            .collect(),
        // A kernel without CONFIG_PROC_CHILDREN: look at every process.
        Err(_) => std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| parent_of(*pid) == Some(me.as_raw()))
            .map(Pid::from_raw)
            .collect(),
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
