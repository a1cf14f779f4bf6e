//! Stdin, cut into records and read as events.

use crate::event::shape::{self, InShape, Origin, Record, Splitter};
use crate::event::{Event, detect_type};
use crate::poll::{Interest, Poller};
use crate::queue::QueueError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Stdin};
use std::os::fd::AsFd;
use std::rc::Rc;

/// How stdin is read.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Its shape.
    pub shape: InShape,
    /// Where bare bodies say they come from.
    pub origin: Origin,
    /// Longest record.
    pub limit: u64,
    /// Whether the records are dead letters, which keep what their failure added.
    pub letters: bool,
}

pub(super) struct Source {
    options: SourceOptions,
    splitter: Splitter,
    stdin: Stdin,
    ended: bool,
    listening: bool,
    /// The kernel cannot wait on it: a plain file.
    always_ready: bool,
    poller: Option<(Rc<Poller>, u64)>,
}

impl Source {
    pub(super) fn new(options: SourceOptions) -> Self {
        Self {
            splitter: Splitter::new(options.shape, options.limit),
            options,
            stdin: io::stdin(),
            ended: false,
            listening: false,
            always_ready: false,
            poller: None,
        }
    }

    pub(super) fn attach(&mut self, poller: Rc<Poller>, token: u64) {
        self.poller = Some((poller, token));
    }

    pub(super) fn listen(&mut self, on: bool) -> Result<(), QueueError> {
        let Some((poller, token)) = &self.poller else { return Ok(()) };
        if on && !self.listening && !self.ended {
            let waits = poller
                .add(&self.stdin, *token, Interest::Read)
                .map_err(QueueError::io("waiting for stdin"))?;
            self.always_ready = !waits;
        } else if !on && self.listening {
            poller.remove(&self.stdin);
        }
        self.listening = on;
        Ok(())
    }

    /// The next event, or what is wrong with the next record and the record.
    pub(super) fn next(&mut self) -> Result<Option<(Event, Option<String>)>, QueueError> {
        loop {
            if let Some(record) = self.splitter.next_record() {
                return Ok(Some(self.event(&record)));
            }
            if self.ended || !self.read_some()? {
                return Ok(None);
            }
        }
    }

    fn event(&self, record: &Record) -> (Event, Option<String>) {
        let read = match self.options.letters {
            true => shape::read_letter(record),
            false => shape::read(record, self.options.shape, &self.options.origin),
        };
        match read {
            Ok(event) => (event, None),
            Err(error) => {
                let origin = &self.options.origin;
                let id = format!("{}-{}", origin.id_prefix, record.number);
                let content_type = match detect_type(&record.bytes) {
                    "application/json" => "text/plain",
                    other => other,
                };
                let event =
                    Event::bare(id, origin.source.clone(), content_type, record.bytes.clone());
                (event, Some(format!("line {}: {error}", record.number)))
            }
        }
    }

    /// Reads once if that does not block; `false` when there is nothing now.
    fn read_some(&mut self) -> Result<bool, QueueError> {
        let mut fds = [PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            return Ok(false);
        }
        let mut chunk = [0_u8; 64 << 10];
        let len = loop {
            match self.stdin.lock().read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                other => break other.map_err(QueueError::io("reading stdin"))?,
            }
        };
        if len == 0 {
            self.ended = true;
            self.splitter.end();
            if let Some((poller, _)) = self.poller.as_ref().filter(|_| self.listening) {
                poller.remove(&self.stdin);
            }
        } else {
            self.splitter.push(&chunk[..len]);
        }
        Ok(true)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.is_exhausted() && (self.always_ready || self.ended || self.splitter.has_record())
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.ended && self.splitter.is_done()
    }
}
