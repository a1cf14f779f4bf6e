//! Flags that several tools have, and how their values are read.

use crate::chain::Deliver;
use crate::error::Failure;
use crate::event::Show;
use crate::event::shape::{InShape, Origin, OutShape};
use crate::exit::Exit;
use crate::queue::pipe::{PipeConnection, SinkOptions, SourceOptions};
use crate::queue::{self, QueueUrl};
use crate::{clock, limits, units};
use std::time::Duration;

/// How stdin is read and stdout written.
#[derive(Debug, Clone, clap::Args)]
pub struct PipeFlags {
    /// Shape of stdin
    #[arg(short = 'i', long = "input", value_enum, value_name = "SHAPE", default_value_t)]
    pub input: InShape,
    /// Shape of stdout
    #[arg(short = 'o', long = "output", value_enum, value_name = "SHAPE", default_value_t)]
    pub output: OutShape,
    /// Keep bodies to the byte: a trailing line feed stays, JSON that does not
    /// fit on a line goes as base64
    #[arg(long)]
    pub exact: bool,
    /// Longest line, body or frame read from stdin
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_line: Option<u64>,
}

impl PipeFlags {
    /// Stdin and stdout as a connection. Bare bodies say they come from `source`.
    pub fn connection(&self, source: &str, show_control: bool) -> PipeConnection {
        PipeConnection::new(self.source(source), self.sink(show_control))
    }

    /// How stdin is read.
    pub fn source(&self, source: &str) -> SourceOptions {
        let id_prefix = format!("{:012x}", clock::random_u64() & 0xFFFF_FFFF_FFFF);
        SourceOptions {
            shape: self.input,
            origin: Origin { source: source.to_owned(), id_prefix },
            limit: self.max_line.unwrap_or(match self.input {
                InShape::Auto | InShape::Json => limits::LINE_MAX,
                _ => limits::BODY_MAX,
            }),
            letters: false,
        }
    }

    /// How stdout is written.
    pub fn sink(&self, control: bool) -> SinkOptions {
        SinkOptions { shape: self.output, show: Show { exact: self.exact, control } }
    }
}

/// Reads a queue URL from the command line.
///
/// # Errors
/// The address is not understood: wrong usage, with what would be right.
pub fn queue_url(text: &str) -> Result<QueueUrl, Failure> {
    QueueUrl::parse(text).map_err(|error| {
        Failure::new(Exit::Usage, "open", without_password(text), &error).cure(error.cure())
    })
}

/// A URL as it may be shown: `redis://ann:...@host?sasl.password=...`.
pub fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let (secret, place) = rest.rsplit_once('@')?;
        let (user, _) = secret.split_once(':')?;
        Some(format!("{scheme}://{user}:...@{place}"))
    };
    let text = hidden().unwrap_or_else(|| text.to_owned());
    let Some((place, options)) = text.split_once('?') else { return text };
    let shown = |option: &str| match option.split_once('=') {
        Some((key, _)) if key.to_ascii_lowercase().ends_with("password") => format!("{key}=..."),
        _ => option.to_owned(),
    };
    format!("{place}?{}", options.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

/// A URL that names one queue.
///
/// # Errors
/// It names a pipe, or no queue at all.
pub fn named_queue(text: &str) -> Result<QueueUrl, Failure> {
    let url = queue_url(text)?;
    if url == QueueUrl::Pipe || url.name().is_empty() {
        let cure = match url.authority() {
            "" => "mq:/NAME".to_owned(),
            _ => queue::as_typed(&url.with_name("NAME").to_string()),
        };
        return Err(Failure::new(Exit::Usage, "open", text, "it names no queue").cure(cure));
    }
    Ok(url)
}

/// Where a run is, as `--via` says: a middleware, not one of its queues.
///
/// # Errors
/// The address is not understood, or names a queue or a pipe.
pub fn via(text: Option<&str>) -> Result<Option<QueueUrl>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let url = queue_url(text)?;
    if url == QueueUrl::Pipe || !url.name().is_empty() {
        let reason = "it is not a middleware";
        return Err(Failure::new(Exit::Usage, "run via", text, reason)
            .cure("redis://127.0.0.1/0, kafka://127.0.0.1:9092 or mq:"));
    }
    Ok(Some(url))
}

/// Value parser for durations.
///
/// # Errors
/// The text is no duration.
pub fn duration(text: &str) -> Result<Duration, units::UnitError> {
    units::duration(text)
}

/// Value parser for sizes.
///
/// # Errors
/// The text is no size.
pub fn size(text: &str) -> Result<u64, units::UnitError> {
    units::size(text)
}

/// Tells whoever started us that we are ready: a line on that descriptor.
///
/// # Errors
/// There is no such descriptor.
pub fn ready(fd: Option<u32>) -> Result<(), Failure> {
    let Some(fd) = fd else { return Ok(()) };
    let path = format!("/proc/self/fd/{fd}");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"ready\n"))
        .map_err(|error| Failure::io("write to", path, &error))
}

/// How often a message may be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Delivery {
    /// Settled before the function runs: never twice, perhaps not at all
    AtMostOnce,
    /// Settled when its outputs have arrived: perhaps twice
    AtLeastOnce,
    /// Inside the middleware, where it can
    ExactlyOnce,
}

impl Delivery {
    /// As the chain file says it.
    pub fn deliver(self) -> Deliver {
        match self {
            Self::AtMostOnce => Deliver::AtMostOnce,
            Self::AtLeastOnce => Deliver::AtLeastOnce,
            Self::ExactlyOnce => Deliver::ExactlyOnce,
        }
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::AtMostOnce => "at-most-once",
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}
