//! A process for each message: `cat`, one message in flight.

use super::ROUNDS;
use crate::bare::{self, Bare};
use crate::ours::Ours;
use crate::program::Program;
use crate::proxy::{Kind, Proxied};
use crate::report::Report;
use crate::subject::{BODY, Subject, in_turn, middle, one_in_flight};
use std::time::{Duration, Instant};

/// Messages of a round.
const COUNT: usize = 60;

/// Ours against the bare loop, against an of-watchdog, against nothing but
/// the start.
pub fn run(report: &mut Report) {
    report.title("exec: a process for each message (cat), one message in flight");
    let program = Program::cat(false);
    let (mut ours, mut bare) = (Ours::start(1, &program), Bare::start(1, &program));
    let mut watchdog = Proxied::start(Kind::Watchdog, 1)
        .map_err(|reason| report.note(&format!("left out: {reason}")))
        .ok();
    let mut subjects: Vec<&mut dyn Subject> = vec![&mut ours, &mut bare];
    subjects.extend(watchdog.as_mut().map(|one| one as &mut dyn Subject));
    for subject in &mut subjects {
        one_in_flight(*subject, 10, Duration::ZERO);
    }
    let series = in_turn(&mut subjects, ROUNDS, |subject| {
        middle(&one_in_flight(subject, COUNT, Duration::ZERO))
    });
    report.compare("exec", &[("hops", 1)], "us", &series, Some("<=1.2"));
    let spawn = (0..ROUNDS).map(|_| {
        let once = |_| {
            let began = Instant::now();
            bare::spawn(&program, BODY);
            began.elapsed().as_secs_f64() * 1e6
        };
        middle(&(0..COUNT).map(once).collect::<Vec<_>>())
    });
    report.figure("exec", "starting cat, no queue", "us", spawn.collect());
}
