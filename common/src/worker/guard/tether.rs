//! Keeps a pipe open beyond the invoker, and lets go of it without waking
//! anybody: a copy of its writing end is on its way through a socket that the
//! guard holds too. While the invoker lives it can take the copy out again; if
//! it dies, the copy stays where it is until the guard lets the socket go.

#![allow(unsafe_code)]

use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// See the module.
#[derive(Debug)]
pub struct Tether {
    socket: Option<OwnedFd>,
}

impl Tether {
    /// Ties a descriptor, and returns what the guard is to hold.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn tie(end: &OwnedFd) -> io::Result<(Self, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (sender, socket) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let rights = [end.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(
            sender.as_raw_fd(),
            &[IoSlice::new(b"t")],
            &control,
            MsgFlags::empty(),
            None,
        )?;
        let guards = socket.try_clone()?;
        Ok((Self { socket: Some(socket) }, guards))
    }

    /// Takes the copy out and closes it.
    pub fn release(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        let (mut space, mut byte) = (cmsg_space!([RawFd; 1]), [0]);
        let mut slices = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags);
        let Ok(message) = received else { return };
        for control in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(fds) = control {
                // SAFETY: the kernel has just made these descriptors for us.
                fds.into_iter().for_each(|fd| drop(unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::pipe;
    use std::os::fd::AsFd;

    fn has_ended(reader: &OwnedFd) -> bool {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("it polls");
        fds[0].revents().is_some_and(|ready| ready.contains(PollFlags::POLLHUP))
    }

    #[test]
    fn the_pipe_ends_when_it_is_released_and_closed() {
        let (reader, writer) = pipe().expect("a pipe");
        let (mut tether, _guards) = Tether::tie(&writer).expect("tied");
        drop(writer);
        assert!(!has_ended(&reader));
        tether.release();
        assert!(has_ended(&reader));
    }

    #[test]
    fn it_outlives_the_invoker_as_long_as_the_guard_holds_it() {
        let (reader, writer) = pipe().expect("a pipe");
        let (tether, guards) = Tether::tie(&writer).expect("tied");
        drop((writer, tether));
        assert!(!has_ended(&reader));
        drop(guards);
        assert!(has_ended(&reader));
    }
}
