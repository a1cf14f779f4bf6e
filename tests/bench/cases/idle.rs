//! What an invoker costs that has nothing to do, and what starting one costs.

use super::ROUNDS;
use crate::ours::Ours;
use crate::program::Program;
use crate::report::{Report, Series};
use crate::subject::middle;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts of a round.
const STARTS: usize = 20;

/// Idle figures, and start-up beside `cat` and `redis-cli`.
pub fn run(report: &mut Report) {
    report.title("idle: an invoker that waits at an empty queue, and a start with nothing to do");
    let ours = Ours::start(1, &Program::cat(true));
    std::thread::sleep(Duration::from_secs(1));
    let switches = || ours.invokers[0].figure("status", "voluntary_ctxt_switches");
    let (before, began) = (switches(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let per_second = (switches() - before) as f64 / began.elapsed().as_secs_f64();
    report.figure("idle", "wake-ups a second", "", vec![per_second]);
    let kib = ours.invokers[0].figure("status", "VmRSS");
    report.figure("idle", "resident memory", "KiB", vec![kib as f64]);
    drop(ours);

    let exe = std::env::current_exe().expect("it has a path").with_file_name("faas-invoke");
    let invoke = exe.display().to_string();
    let mut series = vec![
        (Series { name: "faas-invoke", rounds: vec![] }, vec![invoke.as_str(), "--", "cat"]),
        (Series { name: "cat", rounds: vec![] }, vec!["cat"]),
    ];
    match Command::new("redis-cli").arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => series
            .push((Series { name: "redis-cli", rounds: vec![] }, vec!["redis-cli", "--version"])),
        Err(error) => report.note(&format!("left out: redis-cli ({error})")),
    }
    for _ in 0..ROUNDS {
        for (series, argv) in &mut series {
            series.rounds.push(middle(&(0..STARTS).map(|_| start_us(argv)).collect::<Vec<_>>()));
        }
    }
    let series: Vec<Series> = series.into_iter().map(|(series, _)| series).collect();
    report.compare("start", &[], "us", &series, None);
}

fn start_us(argv: &[&str]) -> f64 {
    let began = Instant::now();
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(command.status().expect("it can be started").success());
    began.elapsed().as_secs_f64() * 1e6
}
