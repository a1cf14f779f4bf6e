//! What a URL and the environment say of a server: where it is, who we are
//! there, and how its queues are used.

use crate::queue::{QueueError, QueueUrl};
use crate::units;
use std::time::Duration;

/// Options of a URL, with what they mean.
const OPTIONS: [&str; 7] =
    ["group", "lease", "replicas", "tls-ca", "password-file", "dedupe", "profile"];

/// How long a reader may be silent until others take what it held, unless
/// asked. It is renewed three times as often.
const LEASE: Duration = Duration::from_secs(10);

/// Shortest lease: what is in work is looked at twice a second.
const LEASE_MIN: Duration = Duration::from_secs(2);

/// The group that reads a queue, unless asked.
pub(super) const GROUP: &str = "faas";

/// How the names of our connections begin; the name of the reader follows.
pub(super) const CLIENT_NAME: &str = "faas-tools-";

/// Where a server is and how it is used.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Servers to try, host and port.
    pub(super) servers: Vec<(String, u16)>,
    pub(super) is_tls: bool,
    /// File of certificates to trust, instead of the system's.
    pub(super) tls_ca: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
    pub(super) group: String,
    pub(super) lease: Duration,
    /// Replicas that must have a hand-off before it counts as done.
    pub(super) replicas: u32,
    /// Whether an event whose id came lately is left out.
    pub(super) drops_known_ids: bool,
    /// What the server calls our connections.
    pub(super) client: String,
    /// The URL, without queue, for people.
    pub(super) url: QueueUrl,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// An option or a port is not understood, or the file of the password
    /// cannot be read.
    pub(super) fn of(url: &QueueUrl) -> Result<Self, QueueError> {
        if let Some((key, _)) = url.query().iter().find(|(key, _)| !OPTIONS.contains(&&**key)) {
            let nearest = units::nearest(key, OPTIONS.into_iter());
            return Err(QueueError::Refused {
                what: format!("unknown option `{key}`"),
                alternative: nearest.unwrap_or_else(|| OPTIONS.join(", ")),
            });
        }
        let (place, database) = url.authority().rsplit_once('/').unwrap_or((url.authority(), "0"));
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), place),
            None => (None, place),
        };
        let is_tls = url.scheme() == "rediss";
        Ok(Self {
            servers: place.split(',').map(server).collect::<Result<_, _>>()?,
            is_tls,
            tls_ca: url.option("tls-ca").map(str::to_owned),
            user,
            password: password(url)?,
            database: database.parse().map_err(|_| wrong("database", database, "0"))?,
            group: url.option("group").unwrap_or(GROUP).to_owned(),
            lease: lease(url)?,
            replicas: number(url, "replicas")?,
            drops_known_ids: url.option("dedupe").is_some_and(|value| value != "off"),
            client: CLIENT_NAME.to_owned(),
            url: url.with_name(""),
        })
    }
}

fn wrong(what: &str, value: &str, right: &str) -> QueueError {
    QueueError::Refused {
        what: format!("{what} `{value}` is not understood"),
        alternative: right.to_owned(),
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn server(text: &str) -> Result<(String, u16), QueueError> {
    const PORT: u16 = 6379;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| wrong("port", port, "6379"))?)
        }
        _ => (text, PORT),
    };
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

fn lease(url: &QueueUrl) -> Result<Duration, QueueError> {
    let Some(text) = url.option("lease") else { return Ok(LEASE) };
    let lease = units::duration(text).map_err(|_| wrong("lease", text, "lease=10s"))?;
    if lease < LEASE_MIN {
        return Err(wrong("lease", text, "lease=2s, or more"));
    }
    Ok(lease)
}

fn number(url: &QueueUrl, key: &'static str) -> Result<u32, QueueError> {
    let Some(text) = url.option(key) else { return Ok(0) };
    text.parse().map_err(|_| wrong(key, text, "a number"))
}

/// From the file that the URL or the environment names, or from the
/// environment itself.
fn password(url: &QueueUrl) -> Result<Option<String>, QueueError> {
    if let Some(profile) = url.option("profile") {
        let told = crate::config::password(profile);
        return told.map_err(|error| QueueError::NotAllowed { what: error.what, cure: error.cure });
    }
    let file = url.option("password-file").map(str::to_owned);
    let file = file.or_else(|| std::env::var("FAAS_REDIS_PASSWORD_FILE").ok());
    let Some(file) = file else { return Ok(std::env::var("FAAS_REDIS_PASSWORD").ok()) };
    let text = std::fs::read_to_string(&file).map_err(|error| QueueError::NotAllowed {
        what: format!("the password cannot be read from {file}: {error}"),
        cure: "FAAS_REDIS_PASSWORD_FILE, a file you can read".to_owned(),
    })?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, QueueError> {
        Settings::of(&QueueUrl::parse(text).expect("a URL"))
    }

    #[test]
    fn reads_servers_and_options() {
        let settings = of("rediss://ann@a:7000,[::1]:7001,b/2/jobs?lease=3s&replicas=1");
        let settings = settings.expect("they are understood");
        let servers = [("a".to_owned(), 7000), ("::1".to_owned(), 7001), ("b".to_owned(), 6379)];
        assert_eq!(settings.servers, servers);
        assert_eq!(settings.user.as_deref(), Some("ann"));
        assert!(settings.is_tls);
        assert_eq!((settings.database, settings.replicas), (2, 1));
        assert_eq!(settings.lease, Duration::from_secs(3));
    }

    #[test]
    fn says_what_is_not_understood() {
        let said = |text: &str| of(text).map_err(|error| error.to_string()).expect_err("it is not");
        assert_eq!(said("redis://a/0?grop=x"), "unknown option `grop`");
        assert_eq!(said("redis://a:x/0"), "port `x` is not understood");
        assert_eq!(said("redis://a/0?lease=1s"), "lease `1s` is not understood");
    }
}
