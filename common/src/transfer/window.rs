//! How many invocations may be under way: who collects their ends tells the
//! trigger how many have ended.

use crate::error::{Failure, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes of one report: how many invocations have ended.
pub const REPORT: usize = 8;

/// What may still be begun.
#[derive(Debug)]
pub struct Window {
    most: u64,
    ended: u64,
    reports: File,
    partial: Vec<u8>,
}

impl Window {
    /// At most `most` invocations; reports come on the descriptor `fd`.
    ///
    /// # Errors
    /// There is no such descriptor.
    pub fn new(most: u64, fd: u32) -> Result<Self> {
        let path = format!("/proc/self/fd/{fd}");
        let reports = File::open(&path).map_err(|e| Failure::io("read from", path, &e))?;
        Ok(Self { most, ended: 0, reports, partial: Vec::new() })
    }

    /// Reads what was reported since.
    pub fn update(&mut self) {
        let mut chunk = [0; 64 * REPORT];
        // It is ready when this is called; one read does not wait.
        if let Ok(len) = self.reports.read(&mut chunk) {
            self.partial.extend_from_slice(&chunk[..len]);
        }
        let whole = self.partial.len() / REPORT * REPORT;
        for report in self.partial.drain(..whole).collect::<Vec<_>>().chunks_exact(REPORT) {
            let ended = report.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            self.ended = self.ended.max(ended);
        }
    }

    /// How many more may be begun when `begun` were.
    pub fn left(&self, begun: u64) -> u64 {
        self.most.saturating_sub(begun.saturating_sub(self.ended))
    }
}

impl AsFd for Window {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }
}
