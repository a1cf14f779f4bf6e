//! Where a queue is, as people write it.

use crate::config::{self, ConfigError};
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
        /// Server part; empty for middlewares of this host. For Redis with
        /// the number of the database: `host:port/db`.
        authority: String,
        /// Name of the queue; empty for the middleware itself.
        name: String,
        /// Options, as written after the question mark.
        query: Vec<(String, String)>,
    },
}

/// Schemes of middlewares that are to come.
const PLANNED: [&str; 1] = ["dsmq"];

/// Schemes whose URLs have a server part and may have options.
const SERVED: [&str; 3] = ["kafka", "redis", "rediss"];

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
    /// A middleware of servers without a server.
    #[error("{0}: names no server")]
    NoServer(String),
    /// A password where everybody can read it.
    #[error("a password in a URL is seen by everybody (ps, history)")]
    Password(String),
    /// A name the middleware cannot have.
    #[error("{why}")]
    Name {
        /// Why not.
        why: &'static str,
        /// One that it can.
        example: String,
    },
    /// A profile that there is not, or a configuration that cannot be read.
    #[error(transparent)]
    Profile(#[from] ConfigError),
}

impl UrlError {
    /// What to try instead.
    pub fn cure(&self) -> String {
        match self {
            Self::NoScheme(text) if text.starts_with('/') => format!("mq:{text}"),
            Self::NoScheme(text) => format!("mq:/{text}"),
            Self::Profile(error) => error.cure.clone(),
            Self::NoServer(scheme) => format!("{scheme}://127.0.0.1/..."),
            Self::Password(scheme) => {
                let tool = if scheme == "kafka" { "KAFKA" } else { "REDIS" };
                format!("FAAS_{tool}_PASSWORD or FAAS_{tool}_PASSWORD_FILE, in the environment")
            }
            Self::Scheme { nearest: Some(nearest), .. } => match nearest.as_str() {
                "kafka" => "kafka://HOST:9092/NAME".to_owned(),
                nearest if SERVED.contains(&nearest) => format!("{nearest}://HOST/0/NAME"),
                nearest => format!("{nearest}:/NAME"),
            },
            Self::Name { example, .. } => example.clone(),
            Self::Scheme { nearest: None, .. } | Self::NotYet(_) => "mq:/NAME".to_owned(),
        }
    }
}

impl QueueUrl {
    /// Reads `-`, `mq:/name`, `scheme://host/name`, a bare `mq:`, or
    /// `@profile/name`, for which the configuration is read.
    ///
    /// # Errors
    /// [`UrlError`] with the nearest thing that would be right.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text == "-" {
            return Ok(Self::Pipe);
        }
        if text.starts_with('@') {
            let url = config::expand(text)?;
            // A profile of a profile would go round and round.
            return if url.starts_with('@') {
                Err(UrlError::NoScheme(url))
            } else {
                Self::parse(&url)
            };
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
        if SERVED.contains(&scheme) {
            return served(scheme, rest);
        }
        let (authority, name) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest.strip_prefix('/').unwrap_or(rest)),
        };
        check_name(name).map_err(|why| UrlError::Name { why, example: "mq:/NAME".to_owned() })?;
        Ok(Self::Queue {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            name: name.to_owned(),
            query: Vec::new(),
        })
    }

    /// The queue of this name on the same middleware, with the same options.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Self {
        let mut url = self.clone();
        if let Self::Queue { name: held, .. } = &mut url {
            name.clone_into(held);
        }
        url
    }

    /// The same with one more option.
    #[must_use]
    pub fn with_option(&self, key: &str, value: &str) -> Self {
        let mut url = self.clone();
        if let Self::Queue { query, .. } = &mut url {
            query.push((key.to_owned(), value.to_owned()));
        }
        url
    }

    /// The same without options: what tells one server from another.
    #[must_use]
    pub fn without_query(&self) -> Self {
        let mut url = self.clone();
        if let Self::Queue { query, .. } = &mut url {
            query.clear();
        }
        url
    }

    /// The scheme; `-` for a pipe.
    pub fn scheme(&self) -> &str {
        match self {
            Self::Pipe => "-",
            Self::Queue { scheme, .. } => scheme,
        }
    }

    /// The server part.
    pub fn authority(&self) -> &str {
        match self {
            Self::Pipe => "",
            Self::Queue { authority, .. } => authority,
        }
    }

    /// The options.
    pub fn query(&self) -> &[(String, String)] {
        match self {
            Self::Pipe => &[],
            Self::Queue { query, .. } => query,
        }
    }

    /// The value of an option; of several, the last.
    pub fn option(&self, key: &str) -> Option<&str> {
        let same = self.query().iter().rev().find(|(held, _)| held == key);
        same.map(|(_, value)| value.as_str())
    }

    /// A queue of a middleware of this host.
    pub fn local(scheme: &str, name: &str) -> Self {
        Self::Queue {
            scheme: scheme.to_owned(),
            authority: String::new(),
            name: name.to_owned(),
            query: Vec::new(),
        }
    }

    /// The queue's name; `-` for a pipe.
    pub fn name(&self) -> &str {
        match self {
            Self::Pipe => "-",
            Self::Queue { name, .. } => name,
        }
    }
}

/// `host[:port][,host...][/db][/name][?key=value&...]`, after the scheme.
fn served(scheme: &str, rest: &str) -> Result<QueueUrl, UrlError> {
    let no_server = || UrlError::NoServer(scheme.to_owned());
    let rest = rest.strip_prefix("//").ok_or_else(no_server)?;
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (server, path) = place.split_once('/').unwrap_or((place, ""));
    if server.is_empty() {
        return Err(no_server());
    }
    if server.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(UrlError::Password(scheme.to_owned()));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (authority, name) = match path.split_once('/') {
        _ if scheme == "kafka" => (server.to_owned(), path),
        Some((db, name)) if is_number(db) => (format!("{server}/{db}"), name),
        None if is_number(path) => (format!("{server}/{path}"), ""),
        _ => (format!("{server}/0"), path),
    };
    let example = || format!("{scheme}://{authority}/NAME");
    check_name(name).map_err(|why| UrlError::Name { why, example: example() })?;
    if options.split('&').any(is_secret) {
        return Err(UrlError::Password(scheme.to_owned()));
    }
    let pairs = options.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Ok(QueueUrl::Queue {
        scheme: scheme.to_owned(),
        authority,
        name: name.to_owned(),
        query: query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}

/// An option that holds a password, and not the name of its file.
fn is_secret(option: &str) -> bool {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    key.to_ascii_lowercase().ends_with("password") && !value.is_empty()
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.contains('/') {
        return Err("a queue's name has no slash in it");
    }
    if name.len() > 200 {
        return Err("a queue's name has at most 200 bytes");
    }
    if name.chars().any(char::is_control) || name.starts_with('.') {
        return Err("a queue's name has no control characters and does not begin with a dot");
    }
    Ok(())
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe => f.write_str("-"),
            Self::Queue { scheme, authority, name, .. } if authority.is_empty() => {
                write!(f, "{scheme}:/{name}")
            }
            Self::Queue { scheme, authority, name, query } => {
                write!(f, "{scheme}://{authority}")?;
                if !name.is_empty() {
                    write!(f, "/{name}")?;
                }
                for (index, (key, value)) in query.iter().enumerate() {
                    write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
                }
                Ok(())
            }
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
    fn reads_servers_databases_and_options() {
        let url = QueueUrl::parse("redis://ann@h:7000/2/jobs?group=g&lease=5s").expect("a URL");
        assert_eq!((url.authority(), url.name()), ("ann@h:7000/2", "jobs"));
        assert_eq!((url.option("group"), url.option("x")), (Some("g"), None));
        assert_eq!(QueueUrl::parse(&url.to_string()), Ok(url));
        for (text, authority, name) in [
            ("redis://h", "h/0", ""),
            ("redis://h/3", "h/3", ""),
            ("rediss://h/jobs", "h/0", "jobs"),
            ("kafka://a,b:9093/3", "a,b:9093", "3"),
            ("kafka://a", "a", ""),
        ] {
            let url = QueueUrl::parse(text).expect("a URL");
            assert_eq!((url.authority(), url.name()), (authority, name), "{text}");
        }
        assert!(matches!(QueueUrl::parse("redis:/jobs"), Err(UrlError::NoServer(_))));
        let secret = QueueUrl::parse("redis://ann:secret@h/0").map_err(|error| error.to_string());
        assert!(secret.is_err_and(|said| !said.contains("secret@")));
    }

    #[test]
    fn says_what_would_be_right() {
        let cure = |text: &str| QueueUrl::parse(text).map_err(|e| e.cure());
        assert_eq!(cure("/jobs"), Err("mq:/jobs".into()));
        assert_eq!(cure("jobs"), Err("mq:/jobs".into()));
        assert_eq!(cure("mqq:/jobs"), Err("mq:/NAME".into()));
        assert_eq!(cure("kafak://h/jobs"), Err("kafka://HOST:9092/NAME".into()));
        assert_eq!(cure("reddis://h/jobs"), Err("redis://HOST/0/NAME".into()));
        assert!(QueueUrl::parse("mq:/a/b").is_err());
        assert!(QueueUrl::parse("mq:/..").is_err());
        assert!(QueueUrl::parse("mq:/a\nb").is_err());
    }
}
