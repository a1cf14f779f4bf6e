//! The flags of the verbs that take messages elsewhere, or away.

use clap::Args;
use std::path::PathBuf;

/// Flags of `cp`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is taken from the source. Ids, keys, attributes and bodies stay what they are.

With --resume an interrupted copy goes on where it was; messages that had arrived
and were not noted are known by their ids. A target that cannot be looked at (mq:),
or that others read meanwhile, may get the last of them twice; with ?dedupe=on a
Redis target leaves those out too.

Examples:
  faas-queue cp kafka://127.0.0.1:9092/orders redis://127.0.0.1/0/orders-copy
  faas-queue cp --at -1h --where '.data.qty > 10' kafka://127.0.0.1:9092/orders mq:/look
  faas-queue cp --resume copy.json redis://127.0.0.1/0/a kafka://127.0.0.1:9092/a")]
pub struct Cp {
    /// The queue to copy from
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The queue to copy to
    #[arg(value_name = "TO")]
    pub to: String,
    /// Where to begin (see `peek --help`)
    #[arg(long, value_name = "POSITION", default_value = "start", allow_hyphen_values = true)]
    pub at: String,
    /// Where to end, not counting what is there
    #[arg(long, value_name = "POSITION", default_value = "end", allow_hyphen_values = true)]
    pub until: String,
    /// Do not end: copy what comes, too
    #[arg(long, conflicts_with = "until")]
    pub follow: bool,
    /// Note in this file how far it is, and go on there the next time
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// How many and which
    #[command(flatten)]
    pub pick: Pick,
    /// What jq makes of each event, as it is printed, is what arrives
    #[arg(long, value_name = "JQ")]
    pub jq: Option<String>,
}

/// How many messages, and which.
#[derive(Debug, Args)]
pub struct Pick {
    /// At most so many
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Only messages whose body, id, source, type or attributes match
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only messages for which this jq program says true; `.` is the event
    #[arg(long = "where", value_name = "JQ")]
    pub pick: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Only failures on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `mv`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each message is settled only after it has arrived; within one Redis server, or on
Kafka with exactly-once, that is one step. It moves what is there when it begins.
After an interruption some may be in both; --resume leaves them out.

Examples:
  faas-queue mv mq:/jobs redis://127.0.0.1/0/jobs
  faas-queue mv --resume -10m mq:/jobs redis://127.0.0.1/0/jobs
  faas-queue mv --jq '.data.fixed=true' -n50 mq:/jobs.dead mq:/jobs
  faas-queue mv --where '.data.region == \"eu\"' redis://127.0.0.1/0/all redis://127.0.0.1/0/eu")]
pub struct Mv {
    /// The queue to take from
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The queue to send to
    #[arg(value_name = "TO")]
    pub to: String,
    /// How many and which
    #[command(flatten)]
    pub pick: Pick,
    /// What jq makes of each event, as it is printed, is what arrives
    #[arg(long, value_name = "JQ")]
    pub jq: Option<String>,
    /// Go on after an interruption: what has come to TO since then, known by
    /// id and source, is settled and not sent again (start, -10m, a time)
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub resume: Option<String>,
}

/// Flags of `redrive`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the failure added is taken off, and attempts begin anew. It takes what is there
when it begins, so letters that fail again stay.

Examples:
  faas-queue redrive mq:/jobs.dead
  faas-queue redrive --where '.faasreason | test(\"timeout\")' redis://127.0.0.1/0/jobs.dead
  faas-queue redrive --dry-run mq:/jobs.dead")]
pub struct Redrive {
    /// The queue of dead letters
    #[arg(value_name = "URL")]
    pub from: String,
    /// Where they go [default: the same name without .dead]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// How many and which
    #[command(flatten)]
    pub pick: Pick,
    /// What jq makes of each event, as it is printed, is what arrives
    #[arg(long, value_name = "JQ")]
    pub jq: Option<String>,
}

/// Flags of `purge`.
#[derive(Debug, Args)]
#[command(after_help = "\
The queue stays. What others hold stays too, and what comes after it has begun. A
topic keeps its records: they are done for the group, and can still be peeked at and
copied.

Examples:
  faas-queue purge --yes mq:/jobs
  faas-queue purge --where '.data.state == \"void\"' redis://127.0.0.1/0/jobs
  faas-queue purge --dry-run kafka://127.0.0.1:9092/jobs")]
pub struct Purge {
    /// The queue
    #[arg(value_name = "URL")]
    pub url: String,
    /// How many and which
    #[command(flatten)]
    pub pick: Pick,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
