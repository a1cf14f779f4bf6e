//! Where a queue is, as people write it.

use std::fmt;

/// The address of a queue, or of a whole middleware.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueUrl {
    /// `-`: stdin or stdout.
    Pipe,
    /// A queue of a middleware.
    Queue {
        /// `mq`, `mem`, ...
        scheme: String,
        /// Server part; empty for middlewares of this host.
        authority: String,
        /// Name of the queue; empty for the middleware itself.
        name: String,
    },
}

/// Schemes of middlewares that are to come.
const PLANNED: [&str; 4] = ["dsmq", "kafka", "redis", "rediss"];

/// Why an address was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme.
    #[error("not a queue URL")]
    NoScheme(String),
    /// A scheme nobody serves.
    #[error("unknown scheme `{scheme}:`")]
    Scheme {
        /// The scheme as written.
        scheme: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
    /// A scheme that is to come.
    #[error("not yet: {0}:")]
    NotYet(String),
    /// A name the middleware cannot have.
    #[error("{0}")]
    Name(&'static str),
}

impl UrlError {
    /// What to try instead.
    pub fn cure(&self) -> String {
        match self {
            Self::NoScheme(text) if text.starts_with('/') => format!("mq:{text}"),
            Self::NoScheme(text) => format!("mq:/{text}"),
            Self::Scheme { nearest: Some(nearest), .. } => format!("{nearest}:/NAME"),
            Self::Scheme { nearest: None, .. } | Self::NotYet(_) | Self::Name(_) => {
                "mq:/NAME".to_owned()
            }
        }
    }
}

impl QueueUrl {
    /// Reads `-`, `mq:/name`, `scheme://host/name` or a bare `mq:`.
    ///
    /// # Errors
    /// [`UrlError`] with the nearest thing that would be right.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text == "-" {
            return Ok(Self::Pipe);
        }
        let (scheme, rest) =
            text.split_once(':').ok_or_else(|| UrlError::NoScheme(text.to_owned()))?;
        let known = super::MIDDLEWARES.iter().map(|m| m.capabilities.scheme);
        if PLANNED.contains(&scheme) {
            return Err(UrlError::NotYet(scheme.to_owned()));
        }
        if !known.clone().any(|name| name == scheme) {
            let nearest = crate::units::nearest(scheme, known);
            return Err(UrlError::Scheme { scheme: scheme.to_owned(), nearest });
        }
        let (authority, name) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest.strip_prefix('/').unwrap_or(rest)),
        };
        check_name(name)?;
        Ok(Self::Queue {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            name: name.to_owned(),
        })
    }

    /// A queue of a middleware of this host.
    pub fn local(scheme: &str, name: &str) -> Self {
        Self::Queue { scheme: scheme.to_owned(), authority: String::new(), name: name.to_owned() }
    }

    /// The queue's name; `-` for a pipe.
    pub fn name(&self) -> &str {
        match self {
            Self::Pipe => "-",
            Self::Queue { name, .. } => name,
        }
    }
}

fn check_name(name: &str) -> Result<(), UrlError> {
    if name.contains('/') {
        return Err(UrlError::Name("a queue's name has no slash in it"));
    }
    if name.len() > 200 {
        return Err(UrlError::Name("a queue's name has at most 200 bytes"));
    }
    if name.chars().any(char::is_control) || name.starts_with('.') {
        return Err(UrlError::Name(
            "a queue's name has no control characters and does not begin with a dot",
        ));
    }
    Ok(())
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe => f.write_str("-"),
            Self::Queue { scheme, authority, name } if authority.is_empty() => {
                write!(f, "{scheme}:/{name}")
            }
            Self::Queue { scheme, authority, name } => write!(f, "{scheme}://{authority}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(QueueUrl::parse("-"), Ok(QueueUrl::Pipe));
        assert_eq!(QueueUrl::parse("mq:/jobs"), Ok(QueueUrl::local("mq", "jobs")));
        assert_eq!(QueueUrl::parse("mq:"), Ok(QueueUrl::local("mq", "")));
        assert_eq!(QueueUrl::parse("mq:/jobs").map(|u| u.to_string()), Ok("mq:/jobs".into()));
    }

    #[test]
    fn says_what_would_be_right() {
        let cure = |text: &str| QueueUrl::parse(text).map_err(|e| e.cure());
        assert_eq!(cure("/jobs"), Err("mq:/jobs".into()));
        assert_eq!(cure("jobs"), Err("mq:/jobs".into()));
        assert_eq!(cure("mqq:/jobs"), Err("mq:/NAME".into()));
        assert!(QueueUrl::parse("mq:/a/b").is_err());
        assert!(QueueUrl::parse("mq:/..").is_err());
        assert!(QueueUrl::parse("mq:/a\nb").is_err());
    }
}
