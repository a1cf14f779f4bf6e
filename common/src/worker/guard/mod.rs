//! The guard: a small single-threaded process that starts, kills and waits
//! for functions, so that none outlives its invoker.
//!
//! It is forked from the invoker before anything else happens and shares a
//! socket with it. When that socket closes, however the invoker ended, the
//! guard kills every process that came from it and ends. It is a subreaper:
//! what a function leaves behind becomes its child. Functions also get
//! `PR_SET_PDEATHSIG`, in case the guard itself is killed; then the invoker,
//! a subreaper too, kills the rest and starts a new guard.

mod child;
mod message;
mod reap;
mod spawn;
mod tether;

pub use message::{Ended, Outcome, Started};
pub use tether::Tether;

use crate::chain::RunSpec;
use message::{Order, Spawn, Word};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a guard may take to end all its functions.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The invoker's end: orders go out, ends of calls come in.
#[derive(Debug)]
pub struct Guard {
    socket: OwnedFd,
    pid: Pid,
}

/// The descriptors a function starts with.
#[derive(Debug)]
pub struct Stdio {
    /// Its stdin.
    pub stdin: OwnedFd,
    /// Its stdout.
    pub stdout: OwnedFd,
    /// Its stderr.
    pub stderr: OwnedFd,
    /// What keeps its stdin open, where that is a pipe to which more will be
    /// written: so that the function sees no end of input when the invoker is
    /// killed. Its start is told as [`Report::Started`].
    pub held: Option<OwnedFd>,
}

/// What came from the guard.
#[derive(Debug)]
pub enum Report {
    /// A process whose stdin is held has started.
    Started(Started),
    /// A call ended.
    Ended(Ended),
    /// Nothing more for now.
    Nothing,
    /// The guard is gone; all its functions are being killed.
    Died,
}

impl Guard {
    /// Starts a guard that can run `functions` (none for what is only reached
    /// by URL). The calling process must have a single thread.
    ///
    /// # Errors
    /// No processes or descriptors left.
    pub fn start(functions: &[Option<RunSpec>]) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        // A guard that takes no order for so long is stopped, not busy.
        setsockopt(&ours, SendTimeout, &TimeVal::seconds(2))?;
        let pid = child::fork(functions, theirs)?;
        Ok(Self { socket: ours, pid })
    }

    /// Starts a function. How it ended, or that it could not be started,
    /// comes from [`Guard::report`] under `call`.
    ///
    /// # Errors
    /// The guard is gone, or the order is too large.
    pub fn spawn(
        &self,
        call: u64,
        function: usize,
        env: Vec<(String, String)>,
        stdio: &Stdio,
    ) -> io::Result<()> {
        let order = Order::Spawn(Spawn { call, function: function as u32, env }).encode();
        let fds = [&stdio.stdin, &stdio.stdout, &stdio.stderr].into_iter().chain(&stdio.held);
        let fds: Vec<_> = fds.map(AsRawFd::as_raw_fd).collect();
        self.send(&order, &[ControlMessage::ScmRights(&fds)])
    }

    /// Kills a call's process and its whole group.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn kill(&self, call: u64) -> io::Result<()> {
        self.send(&Order::Signal(call, Signal::SIGKILL as i32).encode(), &[])
    }

    /// Asks a call's process and its whole group to end.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn terminate(&self, call: u64) -> io::Result<()> {
        self.send(&Order::Signal(call, Signal::SIGTERM as i32).encode(), &[])
    }

    fn send(&self, order: &[u8], control: &[ControlMessage<'_>]) -> io::Result<()> {
        let bytes = [IoSlice::new(order)];
        loop {
            match sendmsg::<()>(
                self.socket.as_raw_fd(),
                &bytes,
                control,
                MsgFlags::MSG_NOSIGNAL,
                None,
            ) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    if errno == Errno::EAGAIN {
                        self.give_up();
                    }
                    return Err(errno.into());
                }
            }
        }
    }

    /// The next report, without waiting.
    pub fn report(&self) -> Report {
        let mut bytes = [0_u8; 64];
        loop {
            return match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => Report::Died,
                Ok(len) => match Word::decode(&bytes[..len]) {
                    Some(Word::Ended(ended)) => Report::Ended(ended),
                    Some(Word::Started(started)) => Report::Started(started),
                    None => Report::Nothing,
                },
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Report::Nothing,
                Err(_) => Report::Died,
            };
        }
    }

    /// After the guard died: kills every function that is still there.
    pub fn bury(self) {
        reap::kill_all_children(&mut |_| {});
    }

    /// Ends the guard and all its functions, and waits until they are gone.
    pub fn end(self) {
        drop(self.socket);
        let patience = Instant::now() + END_PATIENCE;
        while matches!(waitpid(self.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            if Instant::now() > patience {
                // It was stopped, or worse.
                let _ = kill(self.pid, Signal::SIGKILL);
                reap::kill_all_children(&mut |_| {});
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Kills a guard that does not answer; [`Guard::report`] tells of its death.
    pub fn give_up(&self) {
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// The guard's process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
