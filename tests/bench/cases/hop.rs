//! What a hop adds: chains of 1 to 8 filters that do nothing, one message in
//! flight, from sending to the result.

use super::ROUNDS;
use crate::bare::Bare;
use crate::ours::Ours;
use crate::pipeline::Pipeline;
use crate::program::Program;
use crate::proxy::{Kind, Proxied};
use crate::report::Report;
use crate::subject::{Subject, in_turn, middle, one_in_flight};
use std::time::Duration;

/// Messages of a round.
const COUNT: usize = 300;

/// Chains of several lengths, and peers.
pub fn run(report: &mut Report) {
    report.title("hop: filters that do nothing (cat), one message in flight, median latency");
    let program = Program::cat(true);
    for hops in [1, 2, 4, 8] {
        let (mut ours, mut bare) = (Ours::start(hops, &program), Bare::start(hops, &program));
        let mut pipeline = Pipeline::start(hops, &program);
        let mut proxied: Vec<Proxied> = [Kind::Nginx, Kind::Haproxy]
            .into_iter()
            .filter_map(|kind| {
                let started = Proxied::start(kind, hops);
                started.map_err(|reason| report.note(&format!("left out: {reason}"))).ok()
            })
            .collect();
        let mut subjects: Vec<&mut dyn Subject> = vec![&mut ours, &mut bare, &mut pipeline];
        subjects.extend(proxied.iter_mut().map(|one| one as &mut dyn Subject));
        for subject in &mut subjects {
            one_in_flight(*subject, 50, Duration::ZERO);
        }
        let series = in_turn(&mut subjects, ROUNDS, |subject| {
            middle(&one_in_flight(subject, COUNT, Duration::ZERO))
        });
        report.compare("hop", &[("hops", hops as u64)], "us", &series, Some("<=1.5"));
    }
}
