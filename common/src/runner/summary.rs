//! What a run came to, in one line on stderr.

use crate::stats::Latencies;
use crate::units::show_duration;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Counts of a run.
#[derive(Debug)]
pub(super) struct Summary {
    began: Instant,
    /// Invocations the trigger accepted.
    pub(super) accepted: u64,
    /// Results printed.
    pub(super) results: u64,
    /// Invocations that ended without result and without dead letter.
    pub(super) dropped: u64,
    /// Dead letters.
    pub(super) dead: u64,
    /// Replies that came again.
    pub(super) redelivered: u64,
    /// Whether it was stopped because nobody reads its results any more.
    pub(super) closed: bool,
    /// Results that nobody read.
    pub(super) unwritten: u64,
    /// Whether the run was picked up from a runner that was killed.
    pub(super) resumed: bool,
    /// Ids that an earlier runner of this run may have shown already.
    pub(super) doubtful: Vec<String>,
    /// Whether the run was given up with messages under way.
    pub(super) abandoned: bool,
    /// Invocations that never ended.
    pub(super) lost: Vec<u64>,
    /// From acceptance to the end.
    latency: Latencies,
}

impl Summary {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            accepted: 0,
            results: 0,
            dropped: 0,
            dead: 0,
            redelivered: 0,
            closed: false,
            unwritten: 0,
            resumed: false,
            abandoned: false,
            doubtful: Vec::new(),
            lost: Vec::new(),
            latency: Latencies::new(),
        }
    }

    /// Records how long an invocation took.
    pub(super) fn ended(&mut self, started_us: u64) {
        let took = crate::clock::unix_us().saturating_sub(started_us);
        self.latency.record(Duration::from_micros(took.max(1)));
    }

    /// `cold_starts`: of functions that are kept warm, if there are any.
    pub(super) fn print(&self, run: &str, dead_file: &Path, quiet: bool, cold_starts: Option<u64>) {
        let mut text = format!(
            "faas-chain: {run}: {} in, {} out, {} dropped, {} dead, {} {} in {}",
            self.accepted,
            self.results,
            self.dropped,
            self.dead,
            self.lost.len(),
            if self.abandoned { "not ended" } else { "lost" },
            show_duration(self.began.elapsed()),
        );
        if !self.latency.is_empty() {
            let at = |quantile| show_duration(self.latency.quantile(quantile));
            text += &format!("; p50 {}, p99 {}", at(0.5), at(0.99));
        }
        match cold_starts {
            None => {}
            Some(1) => text += "; 1 cold start",
            Some(count) => text += &format!("; {count} cold starts"),
        }
        if self.redelivered > 0 {
            text += &format!("; {} redelivered inside", self.redelivered);
        }
        if self.unwritten > 0 && !self.closed {
            text += &format!("; {} results nobody read", self.unwritten);
        }
        if self.closed {
            text += "; stopped, for nobody reads the results any more";
        }
        text.push('\n');
        if self.dead > 0 {
            text += &format!("faas-chain: {run}: dead letters are in {}\n", dead_file.display());
        }
        if self.resumed {
            text += &match self.accepted {
                0 => format!("faas-chain: {run}: no line was accepted\n"),
                last => format!(
                    "faas-chain: {run}: the last line accepted is {last}; what follows it \
                     (tail -n +{}) is for a new run\n",
                    last + 1
                ),
            };
        }
        for id in &self.doubtful {
            text += &format!("faas-chain: {run}: {id} may have been shown before\n");
        }
        if !self.lost.is_empty() {
            let names: Vec<String> = self.lost.iter().take(20).map(u64::to_string).collect();
            let more = if self.lost.len() > 20 { ", ..." } else { "" };
            let what = if self.abandoned { "not ended" } else { "lost" };
            text += &format!("faas-chain: {run}: {what}: input {}{more}\n", names.join(", "));
        }
        if !quiet || self.dead > 0 || !self.lost.is_empty() || !self.doubtful.is_empty() {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}
