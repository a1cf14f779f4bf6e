//! The flags of `faas-queue`.

pub mod look;
pub mod moving;
pub mod profile;

use clap::{Args, Parser, Subcommand};
use faas_common::cli::generate::Generate;
use faas_common::cli::shared::{PipeFlags, duration, size};
use faas_common::cli::table::Listing;
use faas_common::queue::{Order, WhenFull};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  faas-queue new mq:/jobs && seq 3 | faas-queue put mq:/jobs
  faas-queue get -n3 -o lines mq:/jobs
  faas-queue peek -n3 redis://127.0.0.1/0/orders
  faas-queue redrive mq:/jobs.dead
  faas-queue top redis://127.0.0.1/0

Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 69 cannot reach a queue,
75 full, empty or gave up waiting, 77 not allowed, 128+N by signal N.
Flags can be set in ./faas.toml, in ~/.config/faas-tools/config.toml and in the
environment: FAAS_QUEUE_GET_OUTPUT=lines";

/// Look into queues
#[derive(Debug, Parser)]
#[command(name = "faas-queue", version, after_help = EXAMPLES, max_term_width = 100)]
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
    /// Create queues
    New(New),
    /// List queues: depth, messages held, readers
    Ls(Ls),
    /// Show one queue
    Stat(Stat),
    /// Show messages and take nothing
    Peek(look::Peek),
    /// Show messages as they come, and take nothing
    Tail(look::Tail),
    /// Watch queues on a full screen, and look into them
    Top(look::Top),
    /// Measure round trips through a middleware
    Ping(look::Ping),
    /// Send the events or lines on stdin
    Put(Put),
    /// Take events and print them
    Get(Get),
    /// Copy messages to another queue; they stay where they are
    Cp(moving::Cp),
    /// Move messages to another queue
    Mv(moving::Mv),
    /// Send dead letters back to where they failed
    Redrive(moving::Redrive),
    /// Remove messages; the queue stays
    Purge(moving::Purge),
    /// Remove queues and all they hold
    Rm(Rm),
    /// Give servers names, and say where their passwords are
    Profile(profile::Profile),
}

/// Flags of `new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-queue new mq:/jobs mq:/done\n  faas-queue new --capacity 5 --size 8KiB mq:/big\n  faas-queue new --chain chain.json --run r7"
)]
pub struct New {
    /// Queues to create
    #[arg(value_name = "URL", required_unless_present = "chain")]
    pub urls: Vec<String>,
    /// Messages a queue can hold; refused where that cannot be
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub capacity: Option<u64>,
    /// Bytes a message may have before its body goes beside the queue
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: Option<u64>,
    /// Create the queues of a run of this chain file instead
    #[arg(long, value_name = "FILE", requires = "run", conflicts_with = "urls")]
    pub chain: Option<PathBuf>,
    /// Name of that run
    #[arg(long, value_name = "NAME", requires = "chain")]
    pub run: Option<String>,
    /// Where its queues are, instead of what the chain says of `*`
    /// [env: FAAS_VIA]
    #[arg(long, value_name = "URL", requires = "chain")]
    pub via: Option<String>,
    /// Order of delivery; refused where that cannot be
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<Order>,
    /// What happens to a sender that finds it full; refused where that cannot be
    #[arg(long, value_enum, value_name = "WHAT")]
    pub when_full: Option<WhenFull>,
}

/// Flags of `ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-queue ls\n  faas-queue ls -v redis://127.0.0.1/0\n  faas-queue ls -o json @prod | jq -r 'select(.depth > 100).queue'"
)]
pub struct Ls {
    /// Middleware to list [default: of the configuration file, or mq:]
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Shape of the list
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Listing,
    /// What the middleware can do, too
    #[arg(short, long)]
    pub verbose: bool,
}

/// Flags of `stat`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-queue stat mq:/jobs\n  faas-queue stat --over 5s -o json redis://127.0.0.1/0/jobs | jq .rate_out"
)]
pub struct Stat {
    /// The queue
    #[arg(value_name = "URL")]
    pub url: String,
    /// Watch it for this long to tell how much comes and goes in a second
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0")]
    pub over: Duration,
    /// Shape of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Listing,
}

/// Flags of `put`.
#[derive(Debug, Args)]
#[command(
    mut_arg("output", |arg| arg.hide(true)),
    after_help = "Examples:\n  seq 3 | faas-queue put mq:/jobs\n  faas-queue put -i raw mq:/images < photo.jpg\n  echo 7 | faas-queue put --id order-7 --key ann -H region=eu mq:/jobs"
)]
pub struct Put {
    /// The queue
    #[arg(value_name = "URL")]
    pub url: String,
    /// Give up (exit 75) when there was no room for this long; 0 never waits
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// File for lines that are no events
    #[arg(long, value_name = "FILE", default_value = "faas-queue.dead.ndjson")]
    pub dead: PathBuf,
    /// Id of the event; of several, the second is ID-2 and so on
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Key: what has the same one keeps its order, and on Kafka its partition
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// An attribute of the events; also source, type, time, datacontenttype
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<String>,
    /// Arrive only after this long; refused where that cannot be
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub delay: Option<Duration>,
    /// Shape of stdin
    #[command(flatten)]
    pub pipe: PipeFlags,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `get`.
#[derive(Debug, Args)]
#[command(
    mut_arg("input", |arg| arg.hide(true)), mut_arg("max_line", |arg| arg.hide(true)),
    after_help = "A message is settled only after it was written. A line in a pipe counts as written,\neven if its reader ends before it reads it.\n\nExamples:\n  faas-queue get mq:/done\n  faas-queue get -n 100 -o json mq:/done | jq .data\n  faas-queue get --timeout 0 -o lines mq:/done\n  faas-queue get --hold 1m mq:/jobs"
)]
pub struct Get {
    /// The queue
    #[arg(value_name = "URL")]
    pub url: String,
    /// How many; waits until so many came [default: 1, with --timeout 0 all]
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Give up (exit 75) when nothing came for this long; 0 takes what is there
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Put them back at the end
    #[arg(long)]
    pub nack: bool,
    /// Keep them from others for this long, then put them back
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub hold: Option<Duration>,
    /// Shape of stdout
    #[command(flatten)]
    pub pipe: PipeFlags,
}

/// Flags of `rm`.
#[derive(Debug, Args)]
#[command(
    after_help = "A queue that holds messages is removed after a question, or with --yes.\n\nExamples:\n  faas-queue rm mq:/jobs mq:/done\n  faas-queue rm --dry-run --run orders-1\n  faas-queue rm --yes --orphaned"
)]
pub struct Rm {
    /// Queues to remove
    #[arg(value_name = "URL", required_unless_present_any = ["run", "orphaned"])]
    pub urls: Vec<String>,
    /// All queues of this run, and its record
    #[arg(long, value_name = "NAME", conflicts_with = "urls")]
    pub run: Option<String>,
    /// Where that run is, when it was opened on another host [env: FAAS_VIA]
    #[arg(long, value_name = "URL", requires = "run")]
    pub via: Option<String>,
    /// All queues of runs whose runner is gone
    #[arg(long, conflicts_with_all = ["urls", "run"])]
    pub orphaned: bool,
    /// Do not ask, although there are messages
    #[arg(short, long)]
    pub yes: bool,
    /// Say how many messages would be gone, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
