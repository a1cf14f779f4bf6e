//! The guard's own process.

#![allow(unsafe_code)]

use super::message::{Ended, Order, Outcome, Spawn, Started, Word};
use super::reap;
use super::spawn::Prepared;
use crate::chain::RunSpec;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, getpid};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Longest order: a call's environment is bounded.
const ORDER_MAX: usize = 128 << 10;

/// Forks the guard; returns in the invoker only.
pub(super) fn fork(functions: &[Option<RunSpec>], socket: OwnedFd) -> io::Result<Pid> {
    // SAFETY: the process has a single thread (the caller's contract), so
    // the child may go on like any process; it never returns from here.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = match Process::set_up(functions, socket).map(Process::run) {
                Ok(()) => 0,
                Err(_) => 70,
            };
            // SAFETY: _exit is always safe; destructors and buffers belong
            // to the invoker.
            unsafe { nix::libc::_exit(code) }
        }
    }
}

/// A process that runs.
struct Held {
    call: u64,
    /// Keeps its stdin open, so that it sees no end of input when the invoker
    /// dies: it is killed first.
    _tether: Option<OwnedFd>,
}

struct Process {
    /// None for what is only reached by URL.
    functions: Vec<Option<Prepared>>,
    socket: OwnedFd,
    signals: SignalFd,
    calls: HashMap<Pid, Held>,
    /// Where orders are received.
    order: Vec<u8>,
    /// Ends that the invoker has no room for yet. The guard never waits in a
    /// send: the invoker may be waiting for it to take an order.
    untold: VecDeque<Word>,
}

impl Process {
    fn set_up(functions: &[Option<RunSpec>], socket: OwnedFd) -> io::Result<Self> {
        let socket = keep_only(socket)?;
        nix::sys::prctl::set_name(c"faas-guard")?;
        nix::sys::prctl::set_child_subreaper(true)?;
        // Its life is the socket's: signals of the terminal mean nothing to it.
        let all = SigSet::all();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None)?;
        let mut child = SigSet::empty();
        child.add(Signal::SIGCHLD);
        let signals = SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let prepare = |spec: &Option<RunSpec>| spec.as_ref().map(Prepared::new).transpose();
        let functions = functions.iter().map(prepare).collect::<Result<_, _>>()?;
        Ok(Self {
            functions,
            socket,
            signals,
            calls: HashMap::new(),
            order: vec![0; ORDER_MAX],
            untold: VecDeque::new(),
        })
    }

    /// Until the invoker's end of the socket closes.
    fn run(mut self) {
        loop {
            let room = if self.untold.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            let wanted = PollFlags::POLLIN | room;
            let mut fds = [
                PollFd::new(self.socket.as_fd(), wanted),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
            let ready = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
            if !ready[1].is_empty() {
                while let Ok(Some(_)) = self.signals.read_signal() {}
                self.reap();
            }
            self.tell_waiting();
            let orders = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
            if ready[0].intersects(orders) && !self.obey() {
                break;
            }
        }
        reap::kill_all_children(&mut |_| {});
    }

    /// Takes one order; `false` when no more can come.
    fn obey(&mut self) -> bool {
        let mut space = cmsg_space!([RawFd; 4]);
        let (len, fds) = {
            let mut slices = [IoSliceMut::new(&mut self.order)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Ok(message) => (message.bytes, received_fds(&message)),
                Err(Errno::EINTR) => return true,
                Err(_) => return false,
            }
        };
        match Order::decode(&self.order[..len]) {
            None => len > 0,
            Some(Order::Signal(call, signal)) => {
                if let Some((pid, _)) = self.calls.iter().find(|(_, held)| held.call == call) {
                    // It may have ended in this moment; then its end is told.
                    let _ = killpg(*pid, Signal::try_from(signal).unwrap_or(Signal::SIGKILL));
                }
                true
            }
            Some(Order::Spawn(spawn)) => {
                self.spawn(spawn, fds);
                true
            }
        }
    }

    fn spawn(&mut self, spawn: Spawn, mut fds: Vec<OwnedFd>) {
        let call = spawn.call;
        let tether = (fds.len() == 4).then(|| fds.pop()).flatten();
        match self.start(spawn, fds) {
            Ok(pid) => {
                if tether.is_some() {
                    self.tell(Word::Started(Started { call, pid: pid.as_raw() }));
                }
                self.calls.insert(pid, Held { call, _tether: tether });
            }
            Err(errno) => {
                let outcome = Outcome::NotStarted(errno as i32);
                self.tell(Word::Ended(Ended { call, outcome }));
            }
        }
    }

    fn start(&self, spawn: Spawn, fds: Vec<OwnedFd>) -> Result<Pid, Errno> {
        let function = self.functions.get(spawn.function as usize).and_then(Option::as_ref);
        let fds = <[OwnedFd; 3]>::try_from(fds).map_err(|_| Errno::EMFILE)?;
        function.ok_or(Errno::EINVAL)?.start(spawn.env, &fds, getpid())
    }

    /// Takes note of every process that ended. A call ends with its main
    /// process; the rest of its group is killed before its id can be reused.
    fn reap(&mut self) {
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        while let Ok(status) = waitid(Id::All, peek) {
            let Some(pid) = status.pid() else { return };
            let call = self.calls.remove(&pid).map(|held| held.call);
            if call.is_some() {
                let _ = killpg(pid, Signal::SIGKILL);
            }
            let outcome = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => Outcome::Exit(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Outcome::Signal(signal as i32),
                _ => continue,
            };
            if let Some(call) = call {
                self.tell(Word::Ended(Ended { call, outcome }));
            }
        }
    }

    fn tell(&mut self, word: Word) {
        self.untold.push_back(word);
        self.tell_waiting();
    }

    /// Tells what there is room for. An invoker that is gone shows at the
    /// socket; then there is nobody to tell.
    fn tell_waiting(&mut self) {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        while let Some(word) = self.untold.front() {
            match send(self.socket.as_raw_fd(), &word.encode(), flags) {
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => drop(self.untold.pop_front()),
            }
        }
    }
}

/// Descriptors that came with a datagram.
fn received_fds(message: &nix::sys::socket::RecvMsg<'_, '_, ()>) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just made these descriptors for us.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    fds
}

/// Closes every descriptor but stderr and the socket: a copy of the
/// invoker's locks, queues or output would keep them alive after it.
fn keep_only(socket: OwnedFd) -> io::Result<OwnedFd> {
    // Whatever these stand for belongs to the invoker and is closed below by number.
    let null = std::mem::ManuallyDrop::new(
        std::fs::File::options().read(true).write(true).open("/dev/null")?,
    );
    let socket = std::mem::ManuallyDrop::new(socket);
    // SAFETY: plain descriptor calls on numbers; no Rust object in this
    // process that owns one of the closed numbers is used or dropped again.
    unsafe {
        nix::libc::dup2(null.as_raw_fd(), 0);
        nix::libc::dup2(null.as_raw_fd(), 1);
        if socket.as_raw_fd() != 3 {
            nix::libc::dup2(socket.as_raw_fd(), 3);
        }
        nix::libc::close_range(4, u32::MAX, 0);
        nix::libc::fcntl(3, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC);
        Ok(OwnedFd::from_raw_fd(3))
    }
}
