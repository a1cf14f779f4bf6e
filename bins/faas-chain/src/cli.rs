//! The flags of `faas-chain`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use faas_common::cli::generate::Generate;
use faas_common::cli::shared::{Delivery, PipeFlags};
use faas_common::cli::table::Listing;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  faas-chain check chain.json
  faas-chain graph chain.json
  faas-chain test chain.json price < one-order.json
  faas-chain run chain.json < orders.ndjson > results.ndjson

Exit codes: 0 done, 1 some invocations failed, 2 wrong usage or a flaw in the
chain file, 69 cannot reach, 75 try again, 77 not allowed, 128+N by signal N.
Flags can be set in ./faas.toml, in ~/.config/faas-tools/config.toml and in the
environment: FAAS_CHAIN_RUN_VIA=mq:";

/// Check, draw, try and run chains of functions
///
/// A chain is a JSON file of functions and rules that say which output goes
/// where, and when. No coordinator stands in the path of a message: each
/// invoker holds the rules and sends a function's output straight on.
#[derive(Debug, Parser)]
#[command(name = "faas-chain", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// Print a man page or a completion script
    #[arg(long, hide = true, value_enum)]
    pub generate: Option<Generate>,
    /// What to do
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check a chain file: keys, names, conditions, programs, graph
    Check(Check),
    /// Print the shell commands that a run consists of
    Plan(Plan),
    /// Draw the chain
    Graph(Graph),
    /// Run one function alone on the events of stdin, without queues
    Test(Test),
    /// Run the chain on the events of stdin
    Run(Run),
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The chain file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where its queues would be, instead of what it says of `*` [env: FAAS_VIA]
    #[arg(long, value_name = "URL")]
    pub via: Option<String>,
    /// How often a message may be delivered [default: what the chain says]
    #[arg(long, value_enum, value_name = "HOW")]
    pub deliver: Option<Delivery>,
    /// Shape of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Listing,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-chain plan --events orders.ndjson chain.json   # to paste\n  faas-chain plan chain.json > plan.sh && sh plan.sh < orders.ndjson"
)]
pub struct Plan {
    /// The chain file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the run [default: chosen]
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Where its queues are, instead of what the chain says of `*`
    /// [env: FAAS_VIA]
    #[arg(long, value_name = "URL")]
    pub via: Option<String>,
    /// File of events for the trigger; name one to paste the commands into a
    /// terminal [default: stdin]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// Flags of `graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// The chain file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Language of the drawing
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Drawing,
}

/// Languages of drawings.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Drawing {
    /// Mermaid, for Markdown
    #[default]
    Mermaid,
    /// DOT, for Graphviz
    Dot,
}

/// Flags of `test`.
#[derive(Debug, Args)]
#[command(
    after_help = "A file that is one JSON document is one event, on however many lines it stands;\nanything else is read line by line.\nThe outputs are on stdout, with `faasto` telling where each would go; stderr says the same in words."
)]
pub struct Test {
    /// The chain file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The function
    #[arg(value_name = "FUNCTION")]
    pub function: String,
    /// Shapes of stdin and stdout
    #[command(flatten)]
    pub pipe: PipeFlags,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Results are printed as they come, in no particular order.\n\nExamples:\n  faas-chain run chain.json < orders.ndjson > results.ndjson\n  faas-chain run -o lines --invokers 2 chain.json < names.txt\n  faas-chain run --redrive orders-x7.dead.ndjson chain.json\n  faas-chain run --resume orders-x7 chain.json\n  faas-chain run --via redis://127.0.0.1/0 chain.json < orders.ndjson"
)]
pub struct Run {
    /// The chain file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the run [default: chosen]
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Where its queues are, instead of what the chain says of `*`
    /// [env: FAAS_VIA]
    #[arg(long, value_name = "URL")]
    pub via: Option<String>,
    /// Start N invokers that serve all functions [default: one for each function]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub invokers: Option<u32>,
    /// Pick up a run whose runner was killed: collect what is under way; no
    /// new events are read
    #[arg(long, value_name = "RUN", conflicts_with_all = ["run", "redrive", "max_in_flight"])]
    pub resume: Option<String>,
    /// Run the dead letters of this file instead of stdin, each from the
    /// function that failed
    #[arg(long, value_name = "FILE")]
    pub redrive: Option<PathBuf>,
    /// How often a message may be delivered [default: what the chain says]
    #[arg(long, value_enum, value_name = "HOW")]
    pub deliver: Option<Delivery>,
    /// Most invocations under way at once [default: what the queues hold]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_in_flight: Option<u64>,
    /// File for dead letters, made only when there are any [default: RUN.dead.ndjson]
    #[arg(long, value_name = "FILE")]
    pub dead: Option<PathBuf>,
    /// Shapes of stdin and stdout
    #[command(flatten)]
    pub pipe: PipeFlags,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
    /// Say at the end what the calls of each function cost
    #[arg(short, long)]
    pub verbose: bool,
}
