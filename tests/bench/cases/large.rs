//! A body of 100 MiB through a chain of 3: what passes through us, and how
//! much memory that takes.

use crate::ours::{Ours, in_a_row};
use crate::program::Program;
use crate::report::{Report, Series};
use faas_common::event::Body;
use std::io::{Read, Write};
use std::time::Instant;

/// Bytes of the body.
const SIZE: usize = 100 << 20;
/// Rounds.
const ROUNDS: usize = 5;

/// Ours against the same programs joined by pipes.
pub fn run(report: &mut Report) {
    report.title("large: 100 MiB through a chain of 3 (cat, a process for each message)");
    let body: Vec<u8> = (0..SIZE).map(|i| b'a' + (i % 23) as u8).collect();
    let mut ours = Ours::open("ours", &in_a_row(3, &Program::cat(false)), false);
    let mut series = [
        Series { name: "ours", rounds: vec![] },
        Series { name: "shell pipeline", rounds: vec![] },
    ];
    let through = |ours: &Ours, label: &str| -> Vec<u64> {
        ours.invokers.iter().map(|invoker| invoker.figure("io", label)).collect()
    };
    let (read, written) = (through(&ours, "rchar"), through(&ours, "wchar"));
    for _ in 0..ROUNDS {
        let began = Instant::now();
        assert!(ours.send(Body::Inline(body.clone())), "an empty chain has room");
        let (_, came) = ours.result();
        assert_eq!(came.expect("a body").len(), SIZE as u64);
        series[0].rounds.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        assert_eq!(piped(&body), SIZE);
        series[1].rounds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    report.compare("large", &[("mib", 100)], "ms", &series, None);
    let moved =
        through(&ours, "rchar").iter().sum::<u64>() + through(&ours, "wchar").iter().sum::<u64>();
    let before = read.iter().sum::<u64>() + written.iter().sum::<u64>();
    let per_hop = (moved - before) as f64 / (SIZE * 3 * ROUNDS) as f64;
    report.note(&format!(
        "read and written by an invoker: {per_hop:.3} of the body a hop; the kernel moves it once, \
         from the function's pipe to the slab"
    ));
    for invoker in &ours.invokers {
        let kib = |label| invoker.figure("status", label);
        report.note(&format!(
            "memory of an invoker: {} KiB of its own now; {} KiB at most, mapped slab included",
            kib("RssAnon"),
            kib("VmHWM"),
        ));
    }
}

/// The same programs in a pipeline, written to and read from by us.
fn piped(body: &[u8]) -> usize {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "cat | cat | cat"]);
    shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let len = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(body).expect("it reads"));
        let (mut chunk, mut len) = (vec![0; 1 << 20], 0);
        loop {
            match stdout.read(&mut chunk).expect("it writes") {
                0 => break len,
                count => len += count,
            }
        }
    });
    child.wait().expect("it ends");
    len
}
