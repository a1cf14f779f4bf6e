//! Stdout, written without ever waiting for its reader.

use crate::event::shape::{self, OutShape, WriteError};
use crate::event::{Event, Show};
use crate::poll::{Interest, Poller};
use crate::queue::QueueError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Stdout};
use std::os::fd::AsFd;
use std::rc::Rc;

/// A pipe that has room at all has room for this much (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// How stdout is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkOptions {
    /// Its shape.
    pub shape: OutShape,
    /// What is printed of an event.
    pub show: Show,
}

pub(super) struct Sink {
    options: SinkOptions,
    stdout: Stdout,
    buffer: Vec<u8>,
    /// Up to where the buffer is written.
    at: usize,
    /// Bytes written in all.
    written: u64,
    waits: bool,
    poller: Option<(Rc<Poller>, u64)>,
}

impl Sink {
    pub(super) fn new(options: SinkOptions) -> Self {
        Self {
            options,
            stdout: io::stdout(),
            buffer: Vec::new(),
            at: 0,
            written: 0,
            waits: false,
            poller: None,
        }
    }

    pub(super) fn attach(&mut self, poller: Rc<Poller>, token: u64) {
        self.poller = Some((poller, token));
    }

    /// Appends events; returns up to which byte of all bytes must be written
    /// for them to be out. On an error nothing is appended.
    pub(super) fn append<'a>(
        &mut self,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<u64, QueueError> {
        let before = self.buffer.len();
        for event in events {
            let written =
                shape::write(event, self.options.shape, self.options.show, &mut self.buffer);
            if let Err(error) = written {
                self.buffer.truncate(before);
                return Err(match error {
                    WriteError::Body(error) => QueueError::io("reading a body")(error),
                    shape => QueueError::Refused {
                        what: shape.to_string(),
                        alternative: "-o json, which carries any body".to_owned(),
                    },
                });
            }
        }
        Ok(self.written + (self.buffer.len() - self.at) as u64)
    }

    /// Writes what there is room for; returns how many bytes are out in all.
    pub(super) fn flush(&mut self) -> Result<u64, QueueError> {
        while self.at < self.buffer.len() {
            if super::closed::was_closed() {
                return Err(QueueError::io("writing to stdout")(Errno::EBADF.into()));
            }
            let mut fds = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT)];
            if !poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
                self.wait_for_room()?;
                return Ok(self.written);
            }
            self.forget_written();
            let end = self.buffer.len().min(self.at + CHUNK);
            match nix::unistd::write(&self.stdout, &self.buffer[self.at..end]) {
                Ok(len) => {
                    self.at += len;
                    self.written += len as u64;
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(Errno::EPIPE) => return Err(QueueError::Closed),
                Err(errno) => return Err(QueueError::io("writing to stdout")(errno.into())),
            }
        }
        self.buffer.clear();
        self.at = 0;
        Ok(self.written)
    }

    /// Gives back the memory of what is out, now and then.
    fn forget_written(&mut self) {
        if self.at > (64 << 10) && self.at * 2 > self.buffer.len() {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
    }

    fn wait_for_room(&mut self) -> Result<(), QueueError> {
        let Some((poller, token)) = self.poller.as_ref().filter(|_| !self.waits) else {
            return Ok(());
        };
        self.waits = poller
            .add(&self.stdout, *token, Interest::Write)
            .map_err(QueueError::io("waiting for stdout"))?;
        Ok(())
    }

    /// Sleeps until there is room.
    pub(super) fn wait(&self) {
        let mut fds = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT)];
        // Interrupted or not: the caller looks again.
        let _ = poll(&mut fds, PollTimeout::from(500_u16));
    }

    pub(super) fn on_room(&mut self) {
        if let Some((poller, _)) = self.poller.as_ref().filter(|_| self.waits) {
            poller.remove(&self.stdout);
            self.waits = false;
        }
    }
}
