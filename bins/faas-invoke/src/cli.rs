//! The flags of `faas-invoke`.

use clap::Parser;
use faas_common::cli::generate::Generate;
use faas_common::cli::shared::{Delivery, PipeFlags, duration};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  printf 'abc\\ndef\\n' | faas-invoke -- tr a-z A-Z | faas-invoke -o lines -- rev
  faas-invoke --from mq:/jobs --to mq:/done -j4 -- ./price.sh
  faas-invoke --worker filter -- jq -c .total
  faas-invoke --url http://127.0.0.1:8080/price --timeout 2s
  faas-invoke --chain chain.json --run orders-1 --functions parse,price

Exit codes: 0 done, 1 some messages became dead letters, 2 wrong usage,
69 cannot reach a queue, 75 try again, 77 not allowed, 128+N by signal N.
A message from a queue is settled only after its outputs have arrived; if this
process is killed, the next reader of the queue takes it over.
Flags can be set in ./faas.toml, in ~/.config/faas-tools/config.toml and in the
environment: FAAS_INVOKE_JOBS=4";

/// Run a function on every message
///
/// Takes messages from a queue or from stdin, runs a program for each (the
/// body on its stdin, its stdout is the output, its exit code the verdict:
/// 0 ok, 100 dead letter, anything else is tried again) and sends the outputs
/// to a queue or to stdout. With --chain it serves functions of a chain.
#[derive(Debug, Parser)]
#[command(name = "faas-invoke", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Queue to take messages from, or - for stdin
    #[arg(long, value_name = "URL", default_value = "-")]
    pub from: String,
    /// Queue to send outputs to, or - for stdout
    #[arg(long, value_name = "URL", default_value = "-")]
    pub to: String,
    /// Queue or file for dead letters [default: FROM.dead for a queue,
    /// PROGRAM.dead.ndjson for stdin]
    #[arg(long, value_name = "URL|FILE")]
    pub dead: Option<String>,
    /// Calls at once
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Time for one call; then its whole process group is killed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Attempts after the first
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// First wait between attempts; it doubles, with full jitter, up to 30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub backoff: Option<Duration>,
    /// Hand over in the order of intake; a retry holds up what follows. Within
    /// this invoker only
    #[arg(short, long)]
    pub keep_order: bool,
    /// How often a message may be delivered to the function
    /// [default: at-least-once, or what the chain says]
    #[arg(long, value_enum, value_name = "HOW")]
    pub deliver: Option<Delivery>,
    /// What the program prints: one body, a body a line, an event a line
    #[arg(long, value_enum, value_name = "WHAT")]
    pub emit: Option<EmitFlag>,
    /// How the function is kept and called [default: http with --url, else exec]
    #[arg(long, value_enum, value_name = "HOW")]
    pub worker: Option<WorkerFlag>,
    /// Call this URL instead of a program; with a program too, the program is
    /// started and finds its port in PORT
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Lines in flight of a filter whose answers are events with the same ids
    #[arg(long, value_name = "N", requires = "event", value_parser = clap::value_parser!(u32).range(1..))]
    pub pipeline: Option<u32>,
    /// Start the next process before its message is there; only for programs
    /// that do nothing before they read, and need no CE_ variables
    #[arg(long)]
    pub ahead: bool,
    /// How long a warm function is kept
    #[arg(long, value_enum, value_name = "WHEN")]
    pub keep: Option<KeepFlag>,
    /// Give the program the whole event as an envelope instead of the body
    #[arg(long)]
    pub event: bool,
    /// Stop after this many messages
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub count: Option<u64>,
    /// Stop after this long without a message
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle: Option<Duration>,
    /// Serve functions of this chain file
    #[arg(long, value_name = "FILE", requires = "run", conflicts_with_all = ["from", "to", "dead", "program", "worker", "url", "pipeline", "ahead", "keep"])]
    pub chain: Option<PathBuf>,
    /// The open run to join
    #[arg(long, value_name = "NAME", requires = "chain")]
    pub run: Option<String>,
    /// Where the run is, instead of what the chain says of `*`
    /// [env: FAAS_VIA]
    #[arg(long, value_name = "URL", requires = "chain")]
    pub via: Option<String>,
    /// Serve only these functions [default: all]
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "chain")]
    pub functions: Vec<String>,
    /// Shapes of stdin and stdout
    #[command(flatten)]
    pub pipe: PipeFlags,
    /// Write a line to this descriptor when ready to take messages
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<u32>,
    /// Tell this descriptor at the end what calls cost
    #[arg(long, hide = true, value_name = "N")]
    pub report_fd: Option<u32>,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
    /// Say what came of it at the end
    #[arg(short, long)]
    pub verbose: bool,
    /// Print a man page or a completion script
    #[arg(long, hide = true, value_enum)]
    pub generate: Option<Generate>,
    /// The function: a program and its arguments, after --
    #[arg(last = true, value_name = "PROGRAM")]
    pub program: Vec<String>,
}

/// What a program prints.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum EmitFlag {
    /// One body
    One,
    /// A body on each line
    Lines,
    /// An event on each line
    Events,
}

/// How a function is kept and called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WorkerFlag {
    /// A process for each message
    Exec,
    /// One warm process, a line in, a line out
    Filter,
    /// HTTP POST
    Http,
}

/// How long a warm function is kept.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum KeepFlag {
    /// While messages come faster than it starts and runs, and a second longer
    Adaptive,
    /// As long as the invoker; it is started before the first message
    Always,
    /// For one call
    Never,
}
