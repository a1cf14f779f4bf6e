//! A function's stderr: its log, in whole lines, up to a limit.

use super::output::drain;
use crate::limits::{STDERR_KEPT, STDERR_LINE_MAX, STDERR_PER_CALL_MAX};
use std::fs::File;

/// What one process says on stderr.
#[derive(Debug)]
pub struct Stderr {
    pipe: Option<File>,
    /// The beginning of a line.
    line: Vec<u8>,
    passed: usize,
    tail: Vec<u8>,
}

impl Stderr {
    /// Around our end of the pipe, which never blocks.
    pub fn new(pipe: File) -> Self {
        Self { pipe: Some(pipe), line: Vec::new(), passed: 0, tail: Vec::new() }
    }

    /// Reads what is there; the whole lines of it that are to be passed on.
    pub fn read(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        drain(&mut self.pipe, &mut said, 64 << 10);
        self.tail.extend_from_slice(&said);
        let over = self.tail.len().saturating_sub(STDERR_KEPT);
        self.tail.drain(..over);
        self.whole_lines(&said)
    }

    /// The end of what it said, for a dead letter.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Reads the rest, and ends the line that has no end.
    pub fn finish(&mut self) -> Vec<String> {
        let mut lines = self.read();
        if !self.line.is_empty() {
            lines.extend(self.whole_lines(b"\n"));
        }
        lines
    }

    /// A new call of the same process: limits count anew.
    pub fn begin_call(&mut self) {
        self.passed = 0;
        self.tail.clear();
    }

    fn whole_lines(&mut self, said: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in said {
            if byte != b'\n' {
                // A line without an end must not grow for ever.
                if self.line.len() < STDERR_LINE_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let before = self.passed;
            self.passed += line.len() + 1;
            if self.passed <= STDERR_PER_CALL_MAX {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            } else if before <= STDERR_PER_CALL_MAX {
                lines.push("(more on stderr than is passed on)".to_owned());
            }
        }
        lines
    }
}
