//! Exit codes, the same in every tool.

/// How a tool ends. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Done, but some messages failed, or the answer is no.
    SomeFailed = 1,
    /// Wrong usage or a bad input file.
    Usage = 2,
    /// A threshold was missed.
    Threshold = 3,
    /// Cannot reach what was asked for.
    Unreachable = 69,
    /// A bug of ours.
    Bug = 70,
    /// Try again: full, timed out, gave up waiting.
    TryAgain = 75,
    /// Not allowed.
    NotAllowed = 77,
    /// Ended by SIGHUP.
    Hangup = 129,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The exit of a tool that signal number `signal` ended.
    pub fn by_signal(signal: i32) -> Self {
        match signal {
            1 => Self::Hangup,
            15 => Self::Terminated,
            _ => Self::Interrupted,
        }
    }

    /// The worse of two outcomes: anything over done, usage and signals last.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if (other as u8) > (self as u8) { other } else { self }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
