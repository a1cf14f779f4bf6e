//! Measurements, side by side, in one run: ours, the bare loop, peers.
//!
//! `bench` runs all cases, `bench hop large` some of them. Subjects take turns,
//! round by round; what counts is the median of the rounds' ratios. A record
//! of every round is left in `target/bench.ndjson` (or `BENCH_RECORD`).

mod bare;
mod bare_kafka;
mod bare_redis;
mod cases;
mod link;
mod ours;
mod pipeline;
mod process;
mod program;
mod proxy;
mod report;
mod subject;

use report::Report;

/// A case: its name, and what it does.
type Case = (&'static str, fn(&mut Report));

/// In the order in which they are run.
const CASES: [Case; 17] = [
    ("hop", cases::hop::run),
    ("saturation", cases::saturation::run),
    ("burst", cases::burst::run),
    ("exec", cases::exec::run),
    ("ahead", cases::ahead::run),
    ("large", cases::large::run),
    ("scale", cases::scale::run),
    ("idle", cases::idle::run),
    ("redis-hop", cases::redis_chain::hop),
    ("redis-saturation", cases::redis_chain::saturation),
    ("redis-put", cases::put::into_redis),
    ("kafka-hop", cases::kafka_chain::hop),
    ("kafka-saturation", cases::kafka_chain::saturation),
    ("kafka-put", cases::put::into_kafka),
    ("kafka-exact", cases::kafka_exact::run),
    ("queue-list", cases::looking::list),
    ("queue-watch", cases::looking::watch),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("bare-worker") => bare::work(&args[1..]),
        Some("bare-redis") => bare_redis::work(&args[1..]),
        Some("bare-kafka") => bare_kafka::work(&args[1..]),
        Some("burn") => return program::burn(args[1].parse().expect("a number")),
        Some("echo-server") => proxy::echo(args[1].parse().expect("a port")),
        _ => {}
    }
    let known: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = args.iter().find(|arg| !known.contains(&arg.as_str())) {
        eprintln!("bench: no case {unknown}\n  try: {}", known.join(" "));
        std::process::exit(2);
    }
    let mut report = Report::new();
    for (name, run) in CASES {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            run(&mut report);
        }
    }
    report.finish();
}
