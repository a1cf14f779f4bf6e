//! How calls end.

use super::spool::Spool;
use crate::event::Event;
use std::io;
use std::time::Duration;

/// Why a call was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// It took longer than its timeout.
    Timeout,
    /// It printed more than a body may have.
    OutputTooLarge,
}

/// How a call ended, all told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// With an exit code.
    Exit(i32),
    /// By a signal that we did not send.
    Signal(i32),
    /// It could not be started; the system's error number.
    NotStarted(i32),
    /// We killed it.
    Killed(Kill),
    /// Its guard died, and it with it.
    GuardDied,
    /// Its process was ended for another message's sake.
    Bystander,
    /// Nobody was asked: the process was gone before.
    Unasked,
    /// A filter answered otherwise than with a line for a line.
    Protocol(String),
    /// An HTTP status, and how long the server asks us to wait.
    Status(u16, Option<Duration>),
    /// No HTTP answer came.
    NoAnswer(String),
    /// Its input, or what it printed, cannot be carried.
    Unfit(String),
}

impl std::fmt::Display for CallEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Self::NotStarted(errno) => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "cannot be started: {}", crate::error::plain_io(&error))
            }
            Self::Killed(Kill::Timeout) => f.write_str("timeout"),
            Self::Killed(Kill::OutputTooLarge) => f.write_str("output over the limit of 1 GiB"),
            Self::GuardDied => f.write_str("its guard was killed"),
            Self::Bystander => f.write_str("its process was ended for another message"),
            Self::Unasked => f.write_str("its process was gone before it was asked"),
            Self::Status(status, _) => write!(f, "status {status}"),
            Self::Protocol(text) | Self::NoAnswer(text) | Self::Unfit(text) => f.write_str(text),
        }
    }
}

/// What a call put out.
#[derive(Debug)]
pub enum Output {
    /// What a program printed.
    Printed(Spool),
    /// A body that came by HTTP, byte for byte, and its media type if it has
    /// one that means something.
    Sent(Option<String>, Vec<u8>),
    /// Events, ready made.
    Events(Vec<Event>),
}

impl Default for Output {
    fn default() -> Self {
        Self::Printed(Spool::default())
    }
}
