//! The flags of the verbs that look and take nothing.

use clap::Args;
use faas_common::cli::shared::{duration, size};
use faas_common::cli::table::Listing;
use faas_common::look::LookShape;
use std::time::Duration;

/// Which messages are shown, and how.
#[derive(Debug, Args)]
pub struct LookFlags {
    /// Only messages whose body, id, source, type or attributes match
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only messages for which this jq program says true; `.` is the event
    #[arg(long = "where", value_name = "JQ")]
    pub pick: Option<String>,
    /// Print what this jq program makes of each event
    #[arg(long, value_name = "JQ", conflicts_with_all = ["output", "template"])]
    pub jq: Option<String>,
    /// Print this for each message; `{{name}}` stands for an attribute,
    /// `{{data.x}}` for a part of the body, `{{place}}`, `{{sent}}`, `{{size}}`
    /// for what the middleware says
    #[arg(short = 'f', long = "template", value_name = "TEMPLATE", conflicts_with = "output")]
    pub template: Option<String>,
    /// Shape of stdout
    #[arg(short, long, value_enum, value_name = "SHAPE")]
    pub output: Option<LookShape>,
    /// Keep bodies to the byte: JSON that does not fit on a line goes as base64
    #[arg(long)]
    pub exact: bool,
}

/// Flags of `peek`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is taken, and no reader notices.

A position is start, end, -100 (the last hundred), -5m (five minutes ago), a time
like 2026-03-01T12:00, or what the middleware calls it: an id on Redis, OFFSET or
PARTITION/OFFSET on Kafka; a message's own is its PLACE.

Examples:
  faas-queue peek -n3 redis://127.0.0.1/0/orders
  faas-queue peek --at -1h --where '.data.qty > 10' kafka://127.0.0.1:9092/orders
  faas-queue peek --at -1 -f '{{id}} {{data.qty}}\\n' redis://127.0.0.1/0/orders")]
pub struct Peek {
    /// The queue
    #[arg(value_name = "URL")]
    pub url: String,
    /// How many
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Where to begin
    #[arg(long, value_name = "POSITION", default_value = "start", allow_hyphen_values = true)]
    pub at: String,
    /// Where to end, not counting what is there
    #[arg(long, value_name = "POSITION", default_value = "end", allow_hyphen_values = true)]
    pub until: String,
    /// Which messages, and how
    #[command(flatten)]
    pub look: LookFlags,
}

/// Flags of `tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is taken, and no reader notices. On Redis a message that was settled before
it could be looked at is not shown. With --chain, invokers and triggers send copies
aside while it runs, each with its target as faasto; they notice within some seconds,
and make no copy that finds no room.

Examples:
  faas-queue tail redis://127.0.0.1/0/orders
  faas-queue tail -o json kafka://127.0.0.1:9092/orders | jq .data
  faas-queue tail --chain orders-1 -f '{{faasto}} {{id}} {{data | tojson}}\\n'
  faas-queue tail --at -100 --grep refund kafka://127.0.0.1:9092/orders")]
pub struct Tail {
    /// The queue
    #[arg(value_name = "URL", required_unless_present = "chain")]
    pub url: Option<String>,
    /// Every message of this run instead, as it moves from step to step
    #[arg(long, value_name = "RUN", conflicts_with_all = ["url", "at", "until"])]
    pub chain: Option<String>,
    /// Where that run is, when it was opened on another host [env: FAAS_VIA]
    #[arg(long, value_name = "URL", requires = "chain")]
    pub via: Option<String>,
    /// End after so many
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Where to begin (see `peek --help`)
    #[arg(long, value_name = "POSITION", default_value = "end", allow_hyphen_values = true)]
    pub at: String,
    /// Where to end
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// End when nothing came for this long: exit 75 if nothing came at all
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Which messages, and how
    #[command(flatten)]
    pub look: LookFlags,
}

/// Flags of `ping`.
#[derive(Debug, Args)]
#[command(after_help = "\
An event is sent into a queue of its own, taken and settled, one at a time. The queue
is removed in the end. Round trips are counted from when they were to begin; the first,
which finds nothing ready, is told by itself and counts in none of the other figures.

Examples:
  faas-queue ping mq:
  faas-queue ping -n 1000 redis://127.0.0.1/0
  faas-queue ping --rate 50 --size 64KiB kafka://127.0.0.1:9092")]
pub struct Ping {
    /// The middleware
    #[arg(value_name = "URL", default_value = "mq:")]
    pub url: String,
    /// Round trips
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Bytes of each body
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64")]
    pub size: u64,
    /// Begin so many a second [default: one after the other]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// Give up (exit 75) when one takes this long
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub timeout: Duration,
    /// Shape of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Listing,
}

/// Value parser for rates: so many a second.
fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<f64>();
    let fits = |rate: &f64| *rate >= 1e-3 && *rate <= 1e6;
    number
        .ok()
        .filter(fits)
        .ok_or_else(|| "a number from 0.001 to 1000000, like 50 or 0.5/s".to_owned())
}

/// Flags of `top`.
#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal it fills the screen: ? tells the keys. In a pipe it prints a row for each
queue, look after look. It asks middlewares and takes nothing; a look that takes long is
followed by a longer pause.

Examples:
  faas-queue top
  faas-queue top redis://127.0.0.1/0 kafka://127.0.0.1:9092
  faas-queue top --run orders-1
  faas-queue top --every 5s -o json redis://127.0.0.1/0 | jq .depth")]
pub struct Top {
    /// Middlewares, or single queues [default: of the configuration file, or mq:]
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// Only queues of this run; of its middlewares, when no URL is given
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// How often to look
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub every: Duration,
    /// Print rows so many times, and end
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print rows in this shape, also on a terminal
    #[arg(short, long, value_enum)]
    pub output: Option<Listing>,
}
