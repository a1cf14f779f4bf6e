//! Talk on stderr: `tool: text`, and functions' own lines with their name.

use crate::error::Failure;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::os::fd::AsFd;

/// Bytes kept for a stderr that nobody reads; beyond it lines are dropped
/// and counted, for a log must never stop the work.
const KEPT: usize = 256 << 10;

/// The talk of one tool.
#[derive(Debug)]
pub struct Log {
    tool: &'static str,
    quiet: bool,
    buffer: Vec<u8>,
    dropped: u64,
}

impl Log {
    /// For a tool; `quiet` leaves only failures and functions' lines.
    pub fn new(tool: &'static str, quiet: bool) -> Self {
        Self { tool, quiet, buffer: Vec::new(), dropped: 0 }
    }

    /// The tool's name.
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// Whether notices are left out.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A notice.
    pub fn line(&mut self, text: &str) {
        if !self.quiet {
            self.put(&format!("{}: {text}\n", self.tool));
        }
    }

    /// A failure; never kept quiet.
    pub fn failure(&mut self, failure: &Failure) {
        self.put(&format!("{}: {failure}\n", self.tool));
    }

    /// A line that a function said.
    pub fn of_function(&mut self, function: &str, text: &str) {
        self.put(&format!("{function}: {text}\n"));
    }

    /// Waits until all is written, or nobody reads it.
    pub fn flush(&mut self) {
        while !self.buffer.is_empty() && self.write_some(PollTimeout::from(100_u8)) {}
    }

    fn put(&mut self, line: &str) {
        if self.buffer.len() + line.len() > KEPT {
            self.dropped += 1;
        } else {
            if self.dropped > 0 {
                let count = std::mem::take(&mut self.dropped);
                let said = format!(
                    "{}: {count} lines were dropped here: nobody reads stderr\n",
                    self.tool
                );
                self.buffer.extend_from_slice(said.as_bytes());
            }
            self.buffer.extend_from_slice(line.as_bytes());
        }
        while !self.buffer.is_empty() && self.write_some(PollTimeout::ZERO) {}
    }

    fn write_some(&mut self, timeout: PollTimeout) -> bool {
        let stderr = std::io::stderr();
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        if !poll(&mut fds, timeout).is_ok_and(|ready| ready > 0) {
            return false;
        }
        let end = self.buffer.len().min(4096);
        match stderr.lock().write(&self.buffer[..end]) {
            Ok(len) if len > 0 => {
                self.buffer.drain(..len);
                true
            }
            _ => {
                self.buffer.clear();
                false
            }
        }
    }
}
