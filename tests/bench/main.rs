//! Measurements, side by side: ours, the bare loop, peers.

mod bare;
mod ours;
mod program;
mod subject;

use faas_common::stats::{Ratio, median};
use program::Program;
use std::time::Duration;
use subject::Subject;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("bare-worker") => bare::work(&args[1..]),
        Some("burn") => return program::burn(args[1].parse().expect("a number")),
        _ => {}
    }
    let rounds = 7;
    for hops in [1, 2, 4, 8] {
        let program = Program::cat(true);
        let mut a = ours::Ours::start(hops, &program);
        let mut b = bare::Bare::start(hops, &program);
        let mut subjects: [&mut dyn Subject; 2] = [&mut a, &mut b];
        let mut times = [Vec::new(), Vec::new()];
        for s in &mut subjects {
            subject::one_in_flight(*s, 50, Duration::ZERO);
        }
        for _ in 0..rounds {
            for (i, s) in subjects.iter_mut().enumerate() {
                let t: Vec<f64> = subject::one_in_flight(*s, 300, Duration::ZERO)
                    .iter()
                    .map(|d| d.as_secs_f64() * 1e6)
                    .collect();
                times[i].push(median(&t).unwrap());
            }
        }
        let r = Ratio::of(&times[0], &times[1]).unwrap();
        println!(
            "hops {hops}: ours {:.1} bare {:.1} ratio {:.2} [{:.2}..{:.2}]",
            median(&times[0]).unwrap(),
            median(&times[1]).unwrap(),
            r.median,
            r.min,
            r.max
        );
    }
    let count = program::calibrate(Duration::from_micros(60));
    println!("burn {count}");
    let program = Program::burn(count);
    let mut a = ours::Ours::start(3, &program);
    let mut b = bare::Bare::start(3, &program);
    let mut subjects: [&mut dyn Subject; 2] = [&mut a, &mut b];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (i, s) in subjects.iter_mut().enumerate() {
            times[i].push(3000.0 / subject::all_at_once(*s, 3000, 8).as_secs_f64());
        }
    }
    let r = Ratio::of(&times[0], &times[1]).unwrap();
    println!(
        "saturation: ours {:.0} bare {:.0} ratio {:.2} [{:.2}..{:.2}] limit {:.0}",
        median(&times[0]).unwrap(),
        median(&times[1]).unwrap(),
        r.median,
        r.min,
        r.max,
        2.0 / 180e-6
    );
}
