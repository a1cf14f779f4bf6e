//! A process that was started ahead of its message: a message every 20 ms.

use crate::bare::Bare;
use crate::ours::Ours;
use crate::program::Program;
use crate::report::{Report, Series};
use crate::subject::{Subject, all_at_once, in_turn, middle, one_in_flight};
use std::time::Duration;

/// Messages of a round.
const COUNT: usize = 40;
/// Rounds.
const ROUNDS: usize = 5;

/// Ours with `ahead` against a bare loop without; and both at saturation,
/// where it can gain nothing.
pub fn run(report: &mut Report) {
    report.title("ahead: cat, started before its message; a message every 20 ms");
    let program = Program { is_ahead: true, ..Program::cat(false) };
    let (mut ours, mut bare) = (Ours::start(1, &program), Bare::start(1, &Program::cat(false)));
    let pause = Duration::from_millis(20);
    let mut subjects: Vec<&mut dyn Subject> = vec![&mut ours, &mut bare];
    for subject in &mut subjects {
        one_in_flight(*subject, 10, pause);
    }
    let series =
        in_turn(&mut subjects, ROUNDS, |subject| middle(&one_in_flight(subject, COUNT, pause)));
    report.compare("ahead", &[("every_ms", 20)], "us", &series, None);
    let rounds = in_turn(&mut subjects, ROUNDS, |subject| 200.0 / all_at_once(subject, 200, 8));
    report.compare("ahead-saturation", &[("window", 8)], "msg/s", &rounds, None);
    calls(report, &series[1]);
}

/// The call alone, as the invoker times it: body written to end of output.
fn calls(report: &mut Report, bare: &Series) {
    let program = Program { is_ahead: true, ..Program::cat(false) };
    let rounds = (0..ROUNDS).map(|_| {
        let mut ours = Ours::start(1, &program);
        one_in_flight(&mut ours, COUNT, Duration::from_millis(20));
        ours.finish()[0]["output_s"].as_f64().expect("a mean") * 1e6
    });
    let call = Series { name: "the call alone", rounds: rounds.collect() };
    let bare = Series { name: "bare", rounds: bare.rounds.clone() };
    report.compare("ahead-call", &[("every_ms", 20)], "us", &[call, bare], Some("<=0.1"));
}
