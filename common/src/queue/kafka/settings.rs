//! What the URL and the environment say, as settings of librdkafka's clients.

use crate::queue::{QueueError, QueueUrl};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Options of ours; any other name has a dot in it and is librdkafka's.
const OPTIONS: [&str; 11] = [
    "profile",
    "partitions",
    "replicas",
    "min-isr",
    "acks",
    "linger",
    "batch",
    "group",
    "balance",
    "batch-count",
    "batch-time",
];

const PARTITIONS: i32 = 8;
/// Where partitions are shared by rate: small enough to make shares of.
const PARTITIONS_BY_RATE: i32 = 64;
const BATCH_COUNT: usize = 500;
const BATCH_TIME: Duration = Duration::from_millis(20);

/// Largest record that is sent, in bytes: what a consumer reads in one answer.
pub(super) const RECORD_MAX: u64 = 90 << 20;

/// How a member of a group shares partitions, for a quick takeover from one
/// that died and a small hoard of one that is slow.
const CONSUMER: [(&str, &str); 14] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("isolation.level", "read_committed"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1000"),
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "16384"),
    // What is asked for next waits this long once the hoard is full.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.error.backoff.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("socket.keepalive.enable", "true"),
];

const PRODUCER: [(&str, &str); 5] = [
    // The murmur2 hash is what clients in other languages use.
    ("partitioner", "murmur2_random"),
    // Messages without a key go anywhere, and not for a while to one place.
    ("sticky.partitioning.linger.ms", "0"),
    ("topic.metadata.propagation.max.ms", "5000"),
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("socket.keepalive.enable", "true"),
];

/// The group of those that look: it has no members and commits nothing.
pub(super) const NOBODY: &str = "faas-nobody";

/// What was asked for. There is a password in it: it is never printed.
#[derive(Clone)]
pub(super) struct Settings {
    /// The server part of the URL.
    pub(super) servers: String,
    /// Which of them answered last.
    answering: Arc<AtomicUsize>,
    partitions: Option<i32>,
    /// Whether a quick invoker gets more partitions than a slow one.
    pub(super) by_rate: bool,
    /// Copies of each partition.
    pub(super) replicas: i32,
    min_isr: Option<u32>,
    acks: String,
    linger_ms: String,
    batch: Option<String>,
    group: Option<String>,
    /// Settlements in one transaction, at most.
    pub(super) batch_count: usize,
    /// How long the first settlement of a transaction waits for others.
    pub(super) batch_time: Duration,
    user: Option<String>,
    password: Option<String>,
    options: Vec<(String, String)>,
}

impl Settings {
    /// Reads a URL.
    ///
    /// # Errors
    /// An option that there is not, or a value that cannot be.
    pub(super) fn read(url: &QueueUrl) -> Result<Self, QueueError> {
        let place = url.authority();
        let (user, servers) = match place.rsplit_once('@') {
            Some((user, servers)) => (Some(user.to_owned()), servers),
            None => (None, place),
        };
        let mut settings = Self {
            servers: servers.to_owned(),
            answering: Arc::default(),
            partitions: None,
            by_rate: false,
            replicas: 1,
            min_isr: None,
            acks: "all".to_owned(),
            linger_ms: "0".to_owned(),
            batch: None,
            group: None,
            batch_count: BATCH_COUNT,
            batch_time: BATCH_TIME,
            user,
            password: password(url)?,
            options: Vec::new(),
        };
        for (key, value) in url.query() {
            settings.option(key, value)?;
        }
        Ok(settings)
    }

    fn option(&mut self, key: &str, value: &str) -> Result<(), QueueError> {
        match key {
            "partitions" => self.partitions = Some(number(key, value, 1)?),
            "replicas" => self.replicas = number(key, value, 1)?,
            "min-isr" => self.min_isr = Some(number(key, value, 1)?),
            "acks" => self.acks = acks(value)?,
            "linger" => self.linger_ms = milliseconds(key, value)?.as_millis().to_string(),
            "batch" => self.batch = Some(number::<u32>(key, value, 1)?.to_string()),
            "group" if value.is_empty() => return Err(unfit(key, value, "a name")),
            "group" => self.group = Some(value.to_owned()),
            "balance" => {
                self.by_rate = match value {
                    "static" => false,
                    "rate" => true,
                    _ => return Err(unfit(key, value, "static or rate")),
                }
            }
            "batch-count" => self.batch_count = number(key, value, 1)?,
            "batch-time" => self.batch_time = milliseconds(key, value)?,
            // Whose password it is was seen to.
            "profile" => {}
            key if key.contains('.') => self.options.push((key.to_owned(), value.to_owned())),
            key => return Err(unknown(key)),
        }
        Ok(())
    }

    /// Partitions of a topic made here.
    pub(super) fn partitions(&self) -> i32 {
        let default = if self.by_rate { PARTITIONS_BY_RATE } else { PARTITIONS };
        self.partitions.unwrap_or(default)
    }

    /// The group that reads a topic.
    pub(super) fn group_of<'a>(&'a self, topic: &'a str) -> &'a str {
        self.group.as_deref().unwrap_or(topic)
    }

    /// Whether brokers are spoken to as they are when nothing was said of it:
    /// without TLS, without a login, in the name of the groups they are asked for.
    pub(super) fn is_plain(&self) -> bool {
        let is_default = |(key, value): &(String, String)| {
            key == "security.protocol" && value.eq_ignore_ascii_case("plaintext")
        };
        self.user.is_none() && self.options.iter().all(is_default)
    }

    /// Asks the servers of the URL in turn, first the one that answered the last
    /// time, until one answers.
    pub(super) fn first_that<T>(&self, mut ask: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let servers = self.servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers: Vec<&str> = servers.collect();
        let first = self.answering.load(Ordering::Relaxed);
        (0..servers.len()).map(|index| (first + index) % servers.len()).find_map(|index| {
            let answer = ask(servers[index])?;
            self.answering.store(index, Ordering::Relaxed);
            Some(answer)
        })
    }

    /// The least number of copies in step, as text, when it was said.
    pub(super) fn min_isr(&self) -> Option<String> {
        self.min_isr.map(|count| count.to_string())
    }

    /// The URL of a topic.
    pub(super) fn url_of(&self, name: &str) -> String {
        format!("kafka://{}/{name}", self.servers)
    }

    /// For clients that only ask.
    pub(super) fn asking(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("isolation.level", "read_committed");
        self.finish(config)
    }

    /// For one that asks where a topic ends, whatever of it is committed.
    pub(super) fn asking_eagerly(&self) -> ClientConfig {
        let mut config = self.asking();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// For administration.
    pub(super) fn administering(&self) -> ClientConfig {
        self.finish(self.base())
    }

    /// For a member of a group.
    pub(super) fn consuming(&self, group: &str) -> ClientConfig {
        let mut config = self.base();
        CONSUMER.iter().for_each(|(key, value)| {
            config.set(*key, *value);
        });
        config.set("group.id", group);
        self.finish(config)
    }

    /// For one that looks at a topic and takes nothing from it; in the name of a
    /// group to see how far that is, otherwise of [`NOBODY`].
    pub(super) fn looking(&self, group: &str) -> ClientConfig {
        let mut config = self.consuming(group);
        config.set("enable.partition.eof", "true");
        // It is known to be there: one that brokers do not know was removed.
        config.set("topic.metadata.propagation.max.ms", "5000");
        config
    }

    /// For sending; a record that cannot be delivered now is tried for ever.
    pub(super) fn producing(&self) -> ClientConfig {
        let mut config = self.sending();
        config.set("message.timeout.ms", "0");
        self.finish(config)
    }

    /// For sending in transactions.
    pub(super) fn transacting(&self, id: &str) -> ClientConfig {
        let mut config = self.sending();
        config.set("transactional.id", id);
        // It remembers where a group is coordinated for so long, also when that
        // broker is gone (15 minutes, if it is not told otherwise).
        config.set("metadata.max.age.ms", "2000");
        // One that died holds up its readers for so long.
        config.set("transaction.timeout.ms", "5000");
        self.finish(config)
    }

    fn sending(&self) -> ClientConfig {
        let mut config = self.base();
        PRODUCER.iter().for_each(|(key, value)| {
            config.set(*key, *value);
        });
        config.set("acks", self.acks.as_str());
        config.set("enable.idempotence", if self.acks == "all" { "true" } else { "false" });
        config.set("linger.ms", self.linger_ms.as_str());
        config.set("message.max.bytes", RECORD_MAX.to_string());
        if let Some(batch) = &self.batch {
            config.set("batch.num.messages", batch.as_str());
        }
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Critical);
        config.set("bootstrap.servers", self.servers.as_str());
        config.set("client.id", "faas");
        // Half of it is how long a client rests between its first two attempts,
        // of which the first finds nothing yet (100 ms, if not told otherwise).
        config.set("reconnect.backoff.ms", "20");
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("log.connection.close", "false");
        config.set("allow.auto.create.topics", "false");
        if let Some(user) = &self.user {
            config.set("sasl.username", user.as_str());
        }
        if let Some(password) = &self.password {
            config.set("sasl.password", password.as_str());
        }
        config
    }

    /// What people set by its own name comes last.
    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.options {
            config.set(key.as_str(), value.as_str());
        }
        config
    }
}

fn password(url: &QueueUrl) -> Result<Option<String>, QueueError> {
    if let Some(profile) = url.option("profile") {
        let told = crate::config::password(profile);
        return told.map_err(|error| QueueError::NotAllowed { what: error.what, cure: error.cure });
    }
    if let Ok(password) = std::env::var("FAAS_KAFKA_PASSWORD") {
        return Ok(Some(password));
    }
    let Some(file) = std::env::var_os("FAAS_KAFKA_PASSWORD_FILE") else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(QueueError::io("reading the password"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn number<T: std::str::FromStr + PartialOrd + From<u8>>(
    key: &str,
    value: &str,
    least: u8,
) -> Result<T, QueueError> {
    let number = value.parse::<T>().ok().filter(|number| *number >= T::from(least));
    number.ok_or_else(|| unfit(key, value, "a whole number over 0"))
}

fn milliseconds(key: &str, value: &str) -> Result<Duration, QueueError> {
    crate::units::duration(value).map_err(|_| unfit(key, value, "a time like 20ms"))
}

fn acks(value: &str) -> Result<String, QueueError> {
    match value {
        "all" | "-1" => Ok("all".to_owned()),
        "0" | "1" => Ok(value.to_owned()),
        _ => Err(unfit("acks", value, "all, 1 or 0")),
    }
}

fn unfit(key: &str, value: &str, right: &str) -> QueueError {
    QueueError::Refused {
        what: format!("{key}={value} cannot be"),
        alternative: format!("{key}= and {right}"),
    }
}

fn unknown(key: &str) -> QueueError {
    let alternative = match crate::units::nearest(key, OPTIONS.into_iter()) {
        Some(nearest) => nearest,
        None => format!("{}, or a name of librdkafka's with a dot in it", OPTIONS.join(", ")),
    };
    QueueError::Refused { what: format!("there is no option {key}"), alternative }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Settings, QueueError> {
        Settings::read(&QueueUrl::parse(url).expect("a URL"))
    }

    #[test]
    fn reads_options() {
        let settings = read("kafka://ann@h:1,i/jobs?partitions=3&batch-time=5ms&a.b=c");
        let settings = settings.expect("settings");
        assert_eq!((settings.partitions(), settings.batch_time.as_millis()), (3, 5));
        assert_eq!(settings.servers, "h:1,i");
        assert_eq!(settings.group_of("jobs"), "jobs");
        assert_eq!(settings.consuming("g").get("a.b"), Some("c"));
        assert_eq!(settings.consuming("g").get("sasl.username"), Some("ann"));
    }

    #[test]
    fn brokers_are_asked_directly_when_nothing_was_said_of_how() {
        let is_plain = |url| read(url).expect("settings").is_plain();
        assert!(is_plain("kafka://h/j?partitions=3&group=g"));
        assert!(is_plain("kafka://h/j?security.protocol=PLAINTEXT"));
        assert!(!is_plain("kafka://ann@h/j"));
        assert!(!is_plain("kafka://h/j?security.protocol=SSL"));
        assert!(!is_plain("kafka://h/j?group.id=g"));
    }

    #[test]
    fn who_answered_is_asked_first() {
        let settings = read("kafka://a:1,,b:2,c:3/j").expect("settings");
        let asked = |which: &str| {
            let mut asked = Vec::new();
            let answer = settings.first_that(|server| {
                asked.push(server.to_owned());
                (server == which).then_some(())
            });
            (asked.concat(), answer.is_some())
        };
        assert_eq!(asked("b:2"), ("a:1b:2".to_owned(), true));
        assert_eq!(asked("b:2"), ("b:2".to_owned(), true));
        assert_eq!(asked("none"), ("b:2c:3a:1".to_owned(), false));
    }

    #[test]
    fn names_the_nearest() {
        let Err(QueueError::Refused { alternative, .. }) = read("kafka://h/j?partition=3") else {
            panic!("it is refused");
        };
        assert_eq!(alternative, "partitions");
        for url in ["kafka://h/j?partitions=0", "kafka://h/j?acks=2", "kafka://h/j?linger=x"] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
