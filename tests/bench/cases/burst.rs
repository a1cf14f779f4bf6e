//! A burst of 10 000 messages into the same chain: the time until all are
//! back, none lost, none twice.

use super::saturation::{BURN, HOPS};
use crate::bare::Bare;
use crate::ours::Ours;
use crate::program::{Program, calibrate};
use crate::report::Report;
use crate::subject::{Subject, all_at_once, in_turn};

/// Messages.
const COUNT: u64 = 10_000;

/// Ours against the bare loop.
pub fn run(report: &mut Report) {
    report.title("burst: 10 000 messages at once into a chain of 3 that burn 60 us");
    let program = Program::burn(calibrate(BURN));
    let (mut ours, mut bare) = (Ours::start(HOPS, &program), Bare::start(HOPS, &program));
    let mut subjects: Vec<&mut dyn Subject> = vec![&mut ours, &mut bare];
    let series = in_turn(&mut subjects, 5, |subject| all_at_once(subject, COUNT, COUNT as usize));
    report.compare("burst", &[("messages", COUNT)], "s", &series, Some("<=1.1"));
}
