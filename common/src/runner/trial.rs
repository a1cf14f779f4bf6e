//! One function alone, on one event, without queues: what it prints, and
//! where that would go.

use super::trial_warm::Bench;
use crate::chain::condition::Conditions;
use crate::chain::route::{self, Branch};
use crate::chain::{Chain, ExitAction, FunctionInput, WorkerKind};
use crate::cli::log::Log;
use crate::clock;
use crate::error::{Failure, Result};
use crate::event::shape::{self, InShape, Splitter};
use crate::event::{Event, is_json};
use crate::exit::Exit;
use crate::invoker::watchdog::{self, Watch};
use crate::invoker::{outputs, specs};
use crate::limits;
use crate::poll::{Interest, Poller};
use crate::queue::pipe::SourceOptions;
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::exec::{Call, Start};
use crate::worker::guard::{Guard, Outcome, Report};
use crate::worker::token;
use std::io::Read;
use std::time::{Duration, Instant};

const GUARD: u64 = 1 << 61;

/// What came of a trial.
#[derive(Debug)]
pub struct Trial {
    /// How the call ended.
    pub end: CallEnd,
    /// What that means.
    pub action: ExitAction,
    /// What it made, and where each would go.
    pub outputs: Vec<(Event, Vec<Branch>)>,
    /// What is wrong with its output.
    pub fault: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Reads stdin to its end: what is on it, or why a record is no event. A file
/// that is one JSON document is one event, on however many lines it stands.
///
/// # Errors
/// Stdin cannot be read.
pub fn read_all(options: &SourceOptions) -> Result<Vec<Result<Event>>> {
    let mut bytes = Vec::new();
    let limit = limits::LINE_MAX + 1;
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| Failure::io("read", "stdin", &error))?;
    let one_document = options.shape == InShape::Auto && is_json(&bytes);
    if one_document {
        // What follows the document is no part of it.
        bytes.truncate(bytes.trim_ascii_end().len());
    }
    let cut = if one_document { InShape::Raw } else { options.shape };
    let mut splitter = Splitter::new(cut, options.limit);
    splitter.push(&bytes);
    splitter.end();
    let mut events = Vec::new();
    while let Some(record) = splitter.next_record() {
        let read = shape::read(&record, options.shape, &options.origin);
        events.push(read.map_err(|error| {
            Failure::new(Exit::SomeFailed, "read", format!("line {}", record.number), error)
                .cure("-i raw, when all of it is one body")
        }));
    }
    Ok(events)
}

/// Runs a function once for an event.
///
/// # Errors
/// Its program cannot be run.
pub fn trial(chain: &Chain, function: usize, event: &Event, log: &mut Log) -> Result<Trial> {
    let name = &chain.functions[function].name;
    let failed = |error: std::io::Error| Failure::io("run", name, &error);
    let guard = Guard::start(&specs(chain)?).map_err(failed)?;
    let poller = Poller::new().map_err(failed)?;
    poller.add(&guard, GUARD, Interest::Read).map_err(failed)?;
    let began = Instant::now();
    let mut bench = Bench {
        guard: &guard,
        poller: &poller,
        function: &chain.functions[function],
        index: function,
        log,
    };
    let (end, output) = match chain.functions[function].worker {
        WorkerKind::Exec => exec(&mut bench, event),
        WorkerKind::Filter => bench.filter(event),
        WorkerKind::Http => bench.web(event),
    }
    .map_err(failed)?;
    guard.end();
    Ok(judge(chain, function, event, end, output, began.elapsed()))
}

fn exec(bench: &mut Bench<'_>, event: &Event) -> std::io::Result<(CallEnd, Output)> {
    let function = bench.function;
    let start = Start {
        call: 1,
        function: bench.index,
        name: &function.name,
        tells: !function.ahead,
        event,
        whole_event: function.input == FunctionInput::Event,
        attempt: 1,
        spool: None,
    };
    let mut call = Call::start(bench.guard, bench.poller, 0, &start)?;
    let outcome = watch(function.timeout, bench.guard, bench.poller, &mut call, &mut |line| {
        bench.log.of_function(&function.name, line);
    })?;
    let end = call.finish(outcome);
    call.stderr.finish().iter().for_each(|line| bench.log.of_function(&function.name, line));
    Ok((end, Output::Printed(call.output)))
}

fn watch(
    timeout: Duration,
    guard: &Guard,
    poller: &Poller,
    call: &mut Call,
    say: &mut dyn FnMut(&str),
) -> std::io::Result<Outcome> {
    let due = Instant::now().checked_add(timeout);
    let mut ready = Vec::new();
    loop {
        let left = due
            .map_or(Duration::from_secs(60), |due| due.saturating_duration_since(Instant::now()));
        if left.is_zero() && call.killed.is_none() {
            call.killed = Some(Kill::Timeout);
            guard.kill(1)?;
        }
        poller.wait(left.max(Duration::from_millis(10)), &mut ready)?;
        for one in &ready {
            match one.token {
                GUARD => match guard.report() {
                    Report::Ended(ended) => return Ok(ended.outcome),
                    Report::Died => return Ok(Outcome::Signal(nix::libc::SIGKILL)),
                    Report::Started(_) | Report::Nothing => {}
                },
                token::STDERR => call.stderr.read().iter().for_each(|line| say(line)),
                _ if !call.read_stdout() => {
                    call.killed = Some(Kill::OutputTooLarge);
                    guard.kill(1)?;
                }
                _ => {}
            }
        }
    }
}

fn judge(
    chain: &Chain,
    index: usize,
    event: &Event,
    end: CallEnd,
    output: Output,
    took: Duration,
) -> Trial {
    let function = &chain.functions[index];
    let action = match end {
        CallEnd::Exit(code) => function.exit_action(u16::try_from(code).unwrap_or(255)),
        CallEnd::Status(status, _) => function.status_action(status),
        CallEnd::Killed(Kill::OutputTooLarge) | CallEnd::NotStarted(_) | CallEnd::Unfit(_) => {
            ExitAction::Dead
        }
        _ => ExitAction::Retry,
    };
    let mut trial = Trial { end, action, outputs: Vec::new(), fault: None, took };
    if action != ExitAction::Ok {
        return trial;
    }
    let source = format!("/faas/{}", chain.name);
    match outputs::parse(function, event, output, &source, &clock::rfc3339_now(), false) {
        Err(fault) => trial.fault = Some(fault),
        Ok(events) => {
            // A condition without end ends this process instead of hanging it.
            let _ = watchdog::install();
            let conditions = Conditions::of(chain);
            let rules = chain.rules_on(index, false);
            trial.outputs = events
                .into_iter()
                .map(|output| {
                    let watch = Watch::start(None);
                    let holds = conditions.judge(&rules, &output, Watch::rule);
                    drop(watch);
                    let holds = holds.map_err(|error| error.to_string());
                    let branches = route::branches(&rules, &holds, &[]);
                    (output, branches)
                })
                .collect();
        }
    }
    trial
}

/// Where a branch leads, in words.
pub fn describe(chain: &Chain, branch: &Branch) -> String {
    match branch {
        Branch::Function { rule, to } => format!("{} (rules[{rule}])", chain.functions[*to].name),
        Branch::Result { rule: Some(rule) } => format!("@result (rules[{rule}])"),
        Branch::Result { rule: None } => "@result (no rules)".to_owned(),
        Branch::Drop => "nowhere (a rule without targets)".to_owned(),
        Branch::Dead(reason) => format!("dead letter: {reason}"),
    }
}
