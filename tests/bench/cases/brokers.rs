//! What the cases over brokers have in common: the servers, and the same
//! chain measured in the same two ways.

use super::saturation::BURN;
use crate::program::{Program, calibrate};
use crate::report::Report;
use crate::subject::{Subject, all_at_once, in_turn, middle, one_in_flight};
use faas_tests::repository;
use faas_tests::services::{Kafka, Redis};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Functions in a row.
pub const HOPS: usize = 3;
/// Messages under way at saturation.
pub const WINDOW: usize = 64;
/// Rounds.
const ROUNDS: usize = 7;
/// Messages of a round at saturation.
const COUNT: u64 = 2_000;

/// A Redis server of the case's own, if there is one on this host. The file
/// it logs to is never rewritten: that would take a processor for a while.
pub fn redis(report: &Report) -> Option<Redis> {
    if !is_here("redis-server") {
        report.note("left out: redis-server is not here (try: scripts/deps.sh test)");
        return None;
    }
    Some(Redis::with(&["--auto-aof-rewrite-percentage", "0"]))
}

/// A Kafka broker of the case's own, if it is installed.
pub fn kafka(report: &Report) -> Option<Kafka> {
    let jars = std::env::var_os("FAAS_TEST_KAFKA_JARS");
    let jars = jars.map_or_else(|| repository().join("target/kafka"), PathBuf::from);
    if !jars.join("installed").exists() {
        report.note("left out: Kafka is not here (try: tests/services/kafka.sh install)");
        return None;
    }
    Some(Kafka::start(1))
}

/// Whether a program can be started.
pub fn is_here(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// The time from sending to the result, one message in flight; `count` of
/// them in a round.
pub fn hop(report: &mut Report, case: &str, count: usize, subjects: &mut [&mut dyn Subject]) {
    for subject in subjects.iter_mut() {
        one_in_flight(*subject, count, Duration::ZERO);
    }
    let series =
        in_turn(subjects, ROUNDS, |subject| middle(&one_in_flight(subject, count, Duration::ZERO)));
    report.compare(case, &[("hops", HOPS as u64)], "us", &series, Some("<=1.2"));
}

/// The functions of the chains at saturation: one that works for a while, as
/// in the case without brokers, and one that does nothing. The goal is for
/// the former.
pub fn functions() -> [(Program, &'static str, Option<&'static str>); 2] {
    [
        (Program::burn(calibrate(BURN)), "each burns 60 us", Some(">=0.8")),
        (Program::cat(true), "cat", None),
    ]
}

/// Hops a second with as many messages under way as ever are.
pub fn saturation(
    report: &mut Report,
    case: &str,
    goal: Option<&str>,
    subjects: &mut [&mut dyn Subject],
) {
    for subject in subjects.iter_mut() {
        all_at_once(*subject, COUNT / 4, WINDOW);
    }
    let series = in_turn(subjects, ROUNDS, |subject| {
        (COUNT * HOPS as u64) as f64 / all_at_once(subject, COUNT, WINDOW)
    });
    let parameters = [("hops", HOPS as u64), ("window", WINDOW as u64)];
    report.compare(case, &parameters, "hops/s", &series, goal);
}
