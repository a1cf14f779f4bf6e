//! The flags of `faas-trigger`.

use clap::Parser;
use faas_common::cli::generate::Generate;
use faas_common::cli::shared::{PipeFlags, duration, size};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  faas-trigger --to mq:/jobs < orders.ndjson
  faas-trigger mq:/jobs.dead --to mq:/jobs --timeout 0
  faas-trigger --chain chain.json --run orders-1 < orders.ndjson
  faas-trigger --redrive cat.dead.ndjson --to mq:/jobs
  faas-trigger http://127.0.0.1:8080/orders --run orders-1 --wait
  faas-trigger every:1s --to mq:/ticks
  faas-trigger 'cron:*/5 * * * *' --run orders-1

Exit codes: 0 done, 1 some lines were no events, 2 wrong usage, 69 cannot
reach a queue, 75 gave up waiting, 77 not allowed, 128+N by signal N.
Flags can be set in ./faas.toml, in ~/.config/faas-tools/config.toml and in the
environment: FAAS_TRIGGER_TIMEOUT=5s";

/// Turn lines into events, and events into invocations
///
/// Reads events from stdin, takes them from a queue, receives them by HTTP or
/// makes them by the clock, and sends them to a queue, or to the start of a
/// chain that is running. A full queue makes it wait; after a second it says so.
#[derive(Debug, Parser)]
#[command(name = "faas-trigger", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Where events come from: - for stdin, a queue, http://HOST:PORT/PATH,
    /// every:TIME or cron:EXPRESSION (local time, or a zone at its end)
    #[arg(value_name = "SOURCE", default_value = "-")]
    pub source: String,
    /// Queue to send to
    #[arg(long, value_name = "URL", required_unless_present_any = ["run", "generate"], conflicts_with_all = ["chain", "run"])]
    pub to: Option<String>,
    /// Start invocations of this chain instead [default: the run's own file]
    #[arg(long, value_name = "FILE", requires = "run")]
    pub chain: Option<PathBuf>,
    /// The open run they belong to
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Where that run is [default: where it was opened, or what the chain says]
    /// [env: FAAS_VIA]
    #[arg(long, value_name = "URL", requires = "run")]
    pub via: Option<String>,
    /// Send the dead letters of this file once more, each to the function that
    /// failed, without what its failure added
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub redrive: Option<PathBuf>,
    /// Answer each HTTP request with the results of its invocation, as NDJSON
    /// (502 when a branch failed, 504 after the timeout)
    #[arg(long, requires = "run")]
    pub wait: bool,
    /// Largest body of an HTTP request [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_body: Option<u64>,
    /// Stop after this many events
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub count: Option<u64>,
    /// Give up when nothing moved for this long (exit 75); 0 takes what is
    /// there. With --wait, how long a request waits [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// File for lines that are no events
    #[arg(long, value_name = "FILE", default_value = "faas-trigger.dead.ndjson")]
    pub dead: PathBuf,
    /// Shape of stdin
    #[command(flatten)]
    pub pipe: PipeFlags,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
    /// Say what came of it at the end
    #[arg(short, long)]
    pub verbose: bool,
    /// Write a line to this descriptor when ready to take events
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<u32>,
    /// Most invocations under way at once
    #[arg(long, hide = true, value_name = "N", requires = "window_fd")]
    pub max_in_flight: Option<u64>,
    /// Read from this descriptor how many invocations have ended
    #[arg(long, hide = true, value_name = "N")]
    pub window_fd: Option<u32>,
    /// Tell the progress to this descriptor
    #[arg(long, hide = true, value_name = "N")]
    pub status_fd: Option<u32>,
    /// Print a man page or a completion script
    #[arg(long, hide = true, value_enum)]
    pub generate: Option<Generate>,
}
