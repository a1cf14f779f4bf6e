//! What calls cost, told by the invokers of a run as they end: a JSON object
//! a line on a descriptor, for each function served.

use crate::cli::table::table;
use crate::error::{Failure, Result};
use crate::invoker::Timing;
use crate::units::show_duration;
use crate::worker::keep::Mean;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    function: String,
    calls: u64,
    cold_starts: u64,
    boots: u64,
    /// Means, in seconds.
    boot_s: f64,
    run_s: f64,
    /// Median until the end of output, where that is not the end of the call.
    #[serde(default)]
    output_s: f64,
}

/// Tells what calls cost on a descriptor of ours, if there is one.
///
/// # Errors
/// There is no such descriptor.
pub fn tell(fd: Option<u32>, timings: &[(String, Timing)]) -> Result<()> {
    let Some(fd) = fd else { return Ok(()) };
    let path = format!("/proc/self/fd/{fd}");
    let mut text = String::new();
    for (function, timing) in timings {
        let line = Line {
            function: function.clone(),
            calls: timing.run.count(),
            cold_starts: timing.cold_starts,
            boots: timing.boot.count(),
            boot_s: timing.boot.seconds(),
            run_s: timing.run.seconds(),
            output_s: timing.output.median_s(),
        };
        text += &serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::io("write to", path, &error))
}

/// What all invokers of a run told, by function.
#[derive(Debug, Default)]
pub(super) struct Costs(BTreeMap<String, Timing>);

impl Costs {
    /// Takes in what was told; a line that was cut off is left out.
    pub(super) fn add(&mut self, told: &[u8]) {
        for line in told.split(|&byte| byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
            let total = self.0.entry(line.function).or_default();
            total.cold_starts += line.cold_starts;
            total.boot.add_many(Duration::from_secs_f64(line.boot_s.max(0.0)), line.boots);
            total.run.add_many(Duration::from_secs_f64(line.run_s.max(0.0)), line.calls);
        }
    }

    /// Calls of these functions that waited for a process to start.
    pub(super) fn cold_starts(&self, of: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(name, _)| of(name)).map(|(_, timing)| timing.cold_starts).sum()
    }

    /// A line for each function.
    pub(super) fn table(&self) -> String {
        let mean = |mean: &Mean| match mean.count() {
            0 => "-".to_owned(),
            _ => show_duration(Duration::from_secs_f64(mean.seconds())),
        };
        let rows = self.0.iter().map(|(name, timing)| {
            vec![
                name.clone(),
                timing.run.count().to_string(),
                timing.cold_starts.to_string(),
                mean(&timing.boot),
                mean(&timing.run),
            ]
        });
        table(&["FUNCTION", "CALLS", "COLD", "BOOT", "RUN"], rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_invokers_told_adds_up() {
        let mut costs = Costs::default();
        let line = |calls: u64, run_s: f64| {
            format!(
                "{{\"function\":\"f\",\"calls\":{calls},\"cold_starts\":1,\"boots\":1,\"boot_s\":0.1,\"run_s\":{run_s}}}\n"
            )
        };
        costs.add((line(1, 0.3) + &line(3, 0.1) + "{\"function\":\"g").as_bytes());
        assert_eq!(costs.cold_starts(|name| name == "f"), 2);
        assert_eq!(costs.0["f"].run.count(), 4);
        assert!((costs.0["f"].run.seconds() - 0.15).abs() < 1e-9);
        assert!(costs.table().contains("150ms"), "{}", costs.table());
    }
}
