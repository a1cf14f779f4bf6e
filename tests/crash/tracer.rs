//! Runs this very program once more, as a child that is traced, and kills it
//! at the n-th stop between its two signals: every system call is a stop when
//! it begins and another when it ends, and every store to shared memory has a
//! system call beside it that does nothing else.

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was killed at the stop that was asked for.
    Killed,
    /// It came to its end before that stop.
    Finished,
}

/// Runs `scenario` in a child that is killed at stop number `stop`.
pub fn run(scenario: &str, state: &Path, prefix: &str, stop: u64) -> End {
    let exe = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(exe);
    command.env("FAAS_CRASH_CHILD", scenario).env("FAAS_CRASH_PREFIX", prefix);
    command.env("FAAS_STATE_DIR", state);
    // SAFETY: between fork and exec only ptrace is called, a system call.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    #[allow(clippy::zombie_processes, reason = "it is waited for by its id")]
    let child = command.spawn().expect("a child starts");
    let pid = Pid::from_raw(child.id() as i32);
    until_it_stops_itself(pid);
    for _ in 0..stop {
        ptrace::syscall(pid, None).expect("it goes on");
        match waitpid(pid, None).expect("it is waited for") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                end(pid);
                return End::Finished;
            }
            other => panic!("{scenario} at stop {stop}: {other:?}"),
        }
    }
    end(pid);
    End::Killed
}

/// In the child: the part between two of these is what is tested.
pub fn mark() {
    raise(Signal::SIGSTOP).expect("it stops");
}

fn until_it_stops_itself(pid: Pid) {
    loop {
        match waitpid(pid, None).expect("it is waited for") {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => return,
            WaitStatus::Stopped(_, Signal::SIGTRAP) => ptrace::cont(pid, None),
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal),
            other => panic!("the child ended early: {other:?}"),
        }
        .expect("it goes on");
    }
}

fn end(pid: Pid) {
    kill(pid, Signal::SIGKILL).expect("it is there");
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Signaled(..) | WaitStatus::Exited(..)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
