//! What can go wrong with a queue.

use super::QueueUrl;
use crate::error::{Failure, plain_io};
use crate::exit::Exit;
use std::io;

/// A queue operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no queue of that name.
    #[error("no such queue")]
    NoSuchQueue,
    /// It was there, and somebody removed it.
    #[error("{name} was removed")]
    Removed {
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("it exists already")]
    Exists,
    /// It belongs to another user.
    #[error("it belongs to user {owner}")]
    NotOurs {
        /// Their name or number.
        owner: String,
    },
    /// A limit of the system is reached.
    #[error("{limit} is reached")]
    Limit {
        /// Which.
        limit: String,
        /// What raises it or makes room.
        cure: String,
    },
    /// A demand the middleware cannot keep.
    #[error("{what}")]
    Refused {
        /// Why not.
        what: String,
        /// What can be done instead.
        alternative: String,
    },
    /// The middleware does not answer.
    #[error("{what}")]
    Unreachable {
        /// Why.
        what: String,
        /// What can be done about it.
        cure: String,
    },
    /// The middleware does not let us.
    #[error("{what}")]
    NotAllowed {
        /// What it said.
        what: String,
        /// What can be done about it.
        cure: String,
    },
    /// Something that is no queue of ours has this name.
    #[error("{what}")]
    Foreign {
        /// What it is.
        what: String,
        /// What can be done instead.
        cure: String,
    },
    /// No room for a body beside the queue.
    #[error("no room for a body of {bytes} bytes in {place}")]
    NoRoom {
        /// Its length.
        bytes: u64,
        /// The directory.
        place: String,
    },
    /// Shared state that is damaged or not ours.
    #[error("{file} is damaged or was not made by these tools: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
        /// What makes it right, or takes it out of the way.
        cure: String,
    },
    /// The reader of a pipe is gone.
    #[error("its reader is gone")]
    Closed,
    /// Anything else the system says.
    #[error("{}: {}", what, plain_io(source))]
    Io {
        /// What failed.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl QueueError {
    /// The same of one message.
    #[must_use]
    pub fn of_message(self, id: &str) -> Self {
        match self {
            Self::Refused { what, alternative } => {
                Self::Refused { what: format!("message {id}: {what}"), alternative }
            }
            other => other,
        }
    }

    /// Wraps a failed system call.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// The failure as a person is told of it.
    pub fn failure(&self, action: &str, url: &str) -> Failure {
        let url = &as_typed(url);
        let (exit, cure) = match self {
            // Whoever wants to remove or look at it does not want a new one.
            Self::NoSuchQueue if matches!(action, "remove" | "look at" | "copy") => {
                (Exit::Unreachable, Some(format!("faas-queue ls {}", place_of(url))))
            }
            Self::NoSuchQueue => (Exit::Unreachable, Some(format!("faas-queue new {url}"))),
            Self::Removed { name } => {
                (Exit::Unreachable, Some(format!("faas-queue new {name}, and start again")))
            }
            Self::Exists => (Exit::SomeFailed, Some(format!("faas-queue stat {url}"))),
            Self::NotOurs { .. } => {
                (Exit::NotAllowed, Some("a queue of your own, under another name".to_owned()))
            }
            Self::Limit { cure, .. } => (Exit::TryAgain, Some(cure.clone())),
            Self::Refused { alternative, .. } => (Exit::Usage, Some(alternative.clone())),
            Self::NoRoom { place, .. } => (
                Exit::TryAgain,
                Some(format!("make room in {place} (df -h {place}), or set FAAS_STATE_DIR")),
            ),
            Self::Damaged { cure, .. } => (Exit::Unreachable, Some(cure.clone())),
            Self::Unreachable { cure, .. } | Self::Foreign { cure, .. } => {
                (Exit::Unreachable, Some(cure.clone()))
            }
            Self::NotAllowed { cure, .. } => (Exit::NotAllowed, Some(cure.clone())),
            Self::Closed => (Exit::Done, None),
            Self::Io { source, .. } => {
                (Failure::io(action, url.as_str(), source).exit, cure_of_io(source))
            }
        };
        let failure = Failure::new(exit, action, url.as_str(), self);
        match cure.map(|cure| of_profile(url, cure)) {
            Some(cure) => failure.cure(cure),
            None => failure,
        }
    }
}

/// A URL as somebody would write it: `@prod/jobs` of
/// `redis://h/0/jobs?profile=prod`.
pub(crate) fn as_typed(url: &str) -> String {
    let parsed = QueueUrl::parse(url).ok();
    let profile = parsed.as_ref().and_then(|url| Some((url.option("profile")?, url.name())));
    match profile {
        None => url.to_owned(),
        Some((profile, "")) => format!("@{profile}"),
        Some((profile, name)) => format!("@{profile}/{name}"),
    }
}

/// A cure for a password, when that is a profile's: the environment does not
/// have it.
fn of_profile(url: &str, cure: String) -> String {
    let profile = url.strip_prefix('@').map(|rest| rest.split('/').next().unwrap_or(rest));
    match profile.filter(|_| cure.contains("_PASSWORD")) {
        Some(profile) => format!(
            "faas-queue profile add {profile} URL, with --password-file FILE if it wants a password"
        ),
        None => cure,
    }
}

/// Where a queue is: `redis://h/0` of `redis://h/0/jobs?group=g`.
fn place_of(url: &str) -> &str {
    let place = url.split_once('?').map_or(url, |(place, _)| place);
    let place = place.rsplit_once('/').map_or(place, |(place, _)| place);
    // A server without a queue: what is left is its scheme.
    if place.ends_with('/') { url } else { place }
}

fn cure_of_io(error: &io::Error) -> Option<String> {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::EMFILE) => Some("ulimit -n 4096".to_owned()),
        Some(nix::errno::Errno::ENOSPC) => Some("make room there (df -h)".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::as_typed;

    #[test]
    fn urls_are_shown_as_they_were_typed() {
        for (url, wanted) in [
            ("redis://h/0/jobs?group=g", "redis://h/0/jobs?group=g"),
            ("redis://h/0/jobs?profile=prod", "@prod/jobs"),
            ("redis://h/0?lease=2s&profile=prod", "@prod"),
            ("run orders-1", "run orders-1"),
        ] {
            assert_eq!(as_typed(url), wanted);
        }
    }
}
