//! What a person is told when something fails: what was tried, on what, why
//! it failed, what to try, and the exit code.

use crate::exit::Exit;
use std::fmt;

/// A failure ready to be shown. Typed errors of the modules become one of
/// these at the edge, where the action and the object are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was tried: `open`, `run`, `read`.
    pub action: String,
    /// On what: a queue URL, a file, a function.
    pub object: String,
    /// Why it failed, in a few words.
    pub reason: String,
    /// A command or a change that helps.
    pub cure: Option<String>,
    /// The exit code this failure ends a tool with.
    pub exit: Exit,
}

/// Short form used by everything above the modules' typed errors.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure without a cure yet.
    pub fn new(
        exit: Exit,
        action: impl Into<String>,
        object: impl Into<String>,
        reason: impl fmt::Display,
    ) -> Self {
        Self {
            action: action.into(),
            object: object.into(),
            reason: reason.to_string(),
            cure: None,
            exit,
        }
    }

    /// The same failure with a line that helps.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// A failed system call or file operation; the exit code follows from the
    /// error: not allowed, no room, or cannot reach.
    pub fn io(action: &str, object: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let exit = match error.kind() {
            K::PermissionDenied => Exit::NotAllowed,
            K::NotFound | K::IsADirectory | K::NotADirectory => Exit::Usage,
            K::StorageFull | K::QuotaExceeded | K::TimedOut | K::WouldBlock => Exit::TryAgain,
            _ => Exit::Unreachable,
        };
        let failure = Self::new(exit, action, object, plain_io(error));
        if is_out_of_descriptors(error) {
            return Self { exit: Exit::TryAgain, ..failure }.cure("ulimit -n 4096");
        }
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.object, self.reason)?;
        match &self.cure {
            Some(cure) => write!(f, "\n  try: {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Whether this process or the system has no file descriptor left.
pub fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// The text of an I/O error without Rust's ` (os error N)`.
pub fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}
