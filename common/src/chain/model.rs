//! A chain in memory. Functions are named by their index; defaults are filled in.

use crate::queue::{Order, WhenFull};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A chain file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Functions in the order of the file.
    pub functions: Vec<Function>,
    /// Where an invocation starts: at each of these.
    pub start: Vec<usize>,
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
    /// Input queues.
    pub layout: Layout,
    /// How long an invocation may take.
    pub deadline: Duration,
    /// Delivery for the whole chain.
    pub deliver: Deliver,
    /// What is said of queues: `*` and functions' names.
    pub queues: BTreeMap<String, QueueWish>,
    /// Digest of the file; invokers of a run must have the same.
    pub digest: String,
    /// The file, as an absolute path; none for a chain that was never in one.
    pub file: Option<PathBuf>,
    /// Folder of the file: where relative programs are, and where they run.
    pub folder: PathBuf,
}

impl Chain {
    /// Index of a function.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.functions.iter().position(|function| function.name == name)
    }

    /// How messages are delivered to a function.
    pub fn deliver_to(&self, function: usize) -> Deliver {
        let of = |name: &str| self.queues.get(name).and_then(|wish| wish.deliver);
        of(&self.functions[function].name).or_else(|| of("*")).unwrap_or(self.deliver)
    }

    /// Rules for what a function makes, or with `on_dead` for what failed in it.
    pub fn rules_on(&self, function: usize, on_dead: bool) -> Vec<(usize, &Rule)> {
        self.rules_of(function).filter(|(_, rule)| rule.on_dead == on_dead).collect()
    }

    /// Rules that leave a function, by their index in the file.
    pub fn rules_of(&self, function: usize) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules.iter().enumerate().filter(move |(_, rule)| rule.from.contains(&function))
    }
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program, as an argv array.
    pub run: Option<Vec<String>>,
    /// The URL.
    pub url: Option<String>,
    /// How it is kept and called.
    pub worker: WorkerKind,
    /// What it is given.
    pub input: FunctionInput,
    /// What it prints.
    pub emit: Emit,
    /// What exit codes (or statuses) mean, over the default; `None` is `*`.
    pub exit: Vec<(Option<u16>, ExitAction)>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// The first wait between attempts; it doubles, with full jitter.
    pub backoff: Duration,
    /// Calls at once in one invoker.
    pub concurrency: usize,
    /// Whether the next process is started before its message is there.
    pub ahead: bool,
    /// How long a warm function is kept.
    pub keep: KeepWarm,
    /// Environment laid over the invoker's.
    pub env: BTreeMap<String, String>,
    /// What success without output means.
    pub empty: Empty,
    /// What a join does with parts that failed.
    pub failed: Failed,
    /// Set when it gets the parts of several functions as one message.
    pub join: Option<Join>,
    /// Lines in flight of a filter.
    pub pipeline: Option<u32>,
}

impl Function {
    /// A function that runs a program, everything else by default.
    pub fn program(name: &str, run: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            run: Some(run),
            url: None,
            worker: WorkerKind::Exec,
            input: FunctionInput::Body,
            emit: Emit::One,
            exit: Vec::new(),
            timeout: Duration::from_secs(60),
            retries: 3,
            backoff: Duration::from_millis(100),
            concurrency: 1,
            ahead: false,
            keep: KeepWarm::Adaptive,
            env: BTreeMap::new(),
            empty: Empty::End,
            failed: Failed::Dead,
            join: None,
            pipeline: None,
        }
    }

    /// What an exit code means: the file's word for it, else its `*`, else
    /// 0 ok, 100 dead, anything else retry.
    pub fn exit_action(&self, code: u16) -> ExitAction {
        let said = |of: Option<u16>| self.exit.iter().find(|(key, _)| *key == of).map(|(_, a)| *a);
        said(Some(code)).unwrap_or_else(|| match code {
            0 => ExitAction::Ok,
            100 => ExitAction::Dead,
            _ => said(None).unwrap_or(ExitAction::Retry),
        })
    }
}

impl Function {
    /// Whether several lines may be in flight, whose answers are events with
    /// the ids of those they answer.
    pub fn answers_by_id(&self) -> bool {
        self.pipeline.is_some_and(|lines| lines > 1)
    }

    /// What an HTTP status means: the file's word for it, else its `*`, else
    /// 2xx ok, 408, 429 and 5xx retry, anything else dead.
    pub fn status_action(&self, status: u16) -> ExitAction {
        let said = |of: Option<u16>| self.exit.iter().find(|(key, _)| *key == of).map(|(_, a)| *a);
        said(Some(status)).unwrap_or_else(|| match status {
            200..=299 => ExitAction::Ok,
            _ if said(None).is_some() => said(None).unwrap_or(ExitAction::Dead),
            408 | 429 | 500..=599 => ExitAction::Retry,
            _ => ExitAction::Dead,
        })
    }
}

/// How a function is kept and called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {
    /// A process for each message.
    Exec,
    /// One warm process, a line in, a line out.
    Filter,
    /// HTTP POST.
    Http,
}

/// What a function is given on its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionInput {
    /// The body.
    Body,
    /// The whole event as an envelope.
    Event,
}

/// What a function's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// One body.
    One,
    /// A body on each line.
    Lines,
    /// An event on each line.
    Events,
}

/// What the end of a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitAction {
    /// Its output goes on.
    Ok,
    /// The branch ends quietly.
    Drop,
    /// It is tried again.
    Retry,
    /// The input becomes a dead letter.
    Dead,
}

/// What success without output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// The branch ends quietly.
    End,
    /// An empty body goes on.
    Send,
}

/// What a join does when a part failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It is a dead letter itself.
    Dead,
    /// It goes on without the part.
    Skip,
}

/// Which parts a join waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All of them.
    All,
    /// The first K.
    Of(u32),
}

/// When a warm function is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepWarm {
    /// While messages come faster than it boots and runs (DIFFUSE, section 4.1).
    Adaptive,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How functions share queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An input queue for each function.
    PerFunction,
    /// One queue for all.
    Shared,
}

/// How often a message may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// Never twice, perhaps not at all.
    AtMostOnce,
    /// At least once, perhaps twice.
    AtLeastOnce,
    /// Once, inside the middleware.
    ExactlyOnce,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Functions whose output it is judged for.
    pub from: Vec<usize>,
    /// Where the output goes; nowhere ends the branch quietly.
    pub to: Vec<Target>,
    /// The condition, in jq.
    pub when: Option<String>,
    /// Fires when no conditional rule of the function did.
    pub otherwise: bool,
    /// Judged for failed inputs instead of outputs.
    pub on_dead: bool,
    /// Marks a back edge and bounds it.
    pub at_most: Option<u32>,
}

/// Where a rule sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A function's input queue.
    Function(usize),
    /// The results of the chain.
    Result,
}

/// What the file says of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueWish {
    /// Middleware URL.
    pub via: Option<String>,
    /// Messages it can hold.
    pub capacity: Option<u64>,
    /// Order of delivery.
    pub order: Option<Order>,
    /// What happens when it is full.
    pub when_full: Option<WhenFull>,
    /// Delivery.
    pub deliver: Option<Deliver>,
}

/// What a process is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// The program as found.
    pub program: PathBuf,
    /// The program as it was named: its `argv[0]`.
    pub name: String,
    /// Its arguments, the program's own name not among them.
    pub args: Vec<String>,
    /// Working directory.
    pub folder: PathBuf,
    /// Environment laid over the invoker's.
    pub env: Vec<(String, String)>,
}
