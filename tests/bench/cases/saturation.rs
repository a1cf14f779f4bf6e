//! Throughput of a chain of 3 whose functions each use the processor for
//! 60 us, with 8 messages under way.

use super::ROUNDS;
use crate::bare::Bare;
use crate::ours::Ours;
use crate::program::{Program, calibrate};
use crate::report::Report;
use crate::subject::{Subject, all_at_once, in_turn, middle};
use std::time::Duration;

/// What a function takes.
pub const BURN: Duration = Duration::from_micros(60);
/// Functions in a row.
pub const HOPS: usize = 3;
/// Messages of a round.
const COUNT: u64 = 3_000;
/// Messages under way.
const WINDOW: usize = 8;

/// Ours against the bare loop, and against what the processors could do.
pub fn run(report: &mut Report) {
    report.title("saturation: chain of 3, each burns 60 us, 8 messages under way");
    let program = Program::burn(calibrate(BURN));
    let (mut ours, mut bare) = (Ours::start(HOPS, &program), Bare::start(HOPS, &program));
    let mut subjects: Vec<&mut dyn Subject> = vec![&mut ours, &mut bare];
    for subject in &mut subjects {
        all_at_once(*subject, 200, WINDOW);
    }
    let series = in_turn(&mut subjects, ROUNDS, |subject| {
        COUNT as f64 / all_at_once(subject, COUNT, WINDOW)
    });
    report.compare("saturation", &[("hops", HOPS as u64)], "msg/s", &series, Some(">=0.9"));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let limit = cpus / (HOPS as f64 * BURN.as_secs_f64());
    for one in &series {
        let share = middle(&one.rounds) / limit * 100.0;
        report.note(&format!(
            "{}: {share:.0} % of the processors' limit, {limit:.0} msg/s",
            one.name
        ));
    }
}
