//! What was measured: a table for people, a record for programs.

use faas_common::clock;
use faas_common::stats::{Goal, Head, Host, Line, Measure, Parameters, Ratio, RatioLine, SCHEMA};
use serde_json::json;
use std::path::PathBuf;

/// The figures of one subject, round by round.
pub struct Series {
    /// The subject.
    pub name: &'static str,
    /// A figure for each round.
    pub rounds: Vec<f64>,
}

/// Everything that was measured so far.
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// An empty one; tells on what machine.
    pub fn new() -> Self {
        let host = host();
        println!(
            "{} processors, {}, Linux {}, load {}",
            host.cpus, host.cpu, host.kernel, host.load1
        );
        let head = Head {
            schema: SCHEMA,
            tool: "bench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: clock::rfc3339_now(),
            host,
            seed: None,
            parameters: Parameters::new(),
        };
        Self { lines: vec![Line::Head(head)] }
    }

    /// A new part of the table.
    pub fn title(&self, text: &str) {
        println!("\n{text}");
    }

    /// A line for people only.
    pub fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// One figure, without comparison.
    pub fn figure(&mut self, case: &str, subject: &str, unit: &str, rounds: Vec<f64>) {
        if let Some(measure) = Measure::of(case, subject, unit, rounds) {
            println!("  {subject:<28} {:>10.1} {unit}", measure.median);
            self.lines.push(Line::Measure(measure));
        }
    }

    /// The first series against each of the others; the goal is against the
    /// second.
    pub fn compare(
        &mut self,
        case: &str,
        parameters: &[(&str, u64)],
        unit: &str,
        series: &[Series],
        goal: Option<&str>,
    ) {
        let parameters: Parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        for one in series {
            if let Some(mut measure) = Measure::of(case, one.name, unit, one.rounds.clone()) {
                measure.parameters.clone_from(&parameters);
                self.lines.push(Line::Measure(measure));
            }
        }
        let what: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let ours = &series[0];
        for (index, theirs) in series[1..].iter().enumerate() {
            let ratio =
                Ratio::of(&ours.rounds, &theirs.rounds).expect("as many rounds, above zero");
            let goal: Option<Goal> =
                goal.filter(|_| index == 0).map(|goal| goal.parse().expect("a goal"));
            let middle = |rounds: &[f64]| faas_common::stats::median(rounds).unwrap_or(0.0);
            let verdict =
                goal.map_or(String::new(), |goal| format!("goal {goal}: {}", ratio.verdict(goal)));
            println!(
                "  {:<10} {:>9.1} {unit} {:>14}, {:>9.1} {unit} {:<12} {:>6.2} [{:.2}..{:.2}]  {verdict}",
                what.join(" "),
                middle(&ours.rounds),
                ours.name,
                middle(&theirs.rounds),
                theirs.name,
                ratio.median,
                ratio.min,
                ratio.max,
            );
            let mut line = RatioLine::of(case, ours.name, theirs.name, &ratio, goal);
            line.parameters.clone_from(&parameters);
            self.lines.push(Line::Ratio(line));
        }
    }

    /// Writes the record.
    pub fn finish(self) {
        let path = std::env::var_os("BENCH_RECORD")
            .map_or_else(|| PathBuf::from("target/bench.ndjson"), PathBuf::from);
        let text: String =
            self.lines.iter().map(|line| line.to_ndjson().expect("finite figures")).collect();
        match std::fs::write(&path, text) {
            Ok(()) => println!("\nevery round is in {}", path.display()),
            Err(error) => eprintln!("bench: cannot write {}: {error}", path.display()),
        }
    }
}

fn host() -> Host {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let load = read("/proc/loadavg");
    Host {
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
        load1: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
    }
}
