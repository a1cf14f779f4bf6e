//! Queues come, go, and are looked at; so do the notes of runs.

use super::entry::{bytes, items, text};
use super::keys::{NOBODY, beside};
use super::settings::CLIENT_NAME;
use super::{About, CAPABILITIES, OpenQueue, RedisConnection, scripts};
use crate::clock;
use crate::queue::{
    Granted, Order, QueueDetail, QueueError, QueueId, QueueSpec, QueueStat, ReaderStat, WhenFull,
    run_of,
};
use redis::{Value, cmd};
use std::collections::VecDeque;
use std::time::Duration;

/// In the name of a reply queue that belongs to a trigger, and goes with it.
const TRIGGERS_REPLY: &str = "._reply-";

/// A reader that was not heard of for so long is gone, in milliseconds: more
/// than a wait for messages lasts.
const READER_GONE_MS: u64 = 5_000;

/// How long a look at a queue may take, in a loop that has other things to do.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How long a question may take that nothing depends on.
const GLANCE_MAX: Duration = Duration::from_millis(200);

/// Keys looked at by one step of a listing.
const SCAN_COUNT: u32 = 1_000;

impl OpenQueue {
    /// Dead letters' queues are made again by those that need them, and a
    /// trigger takes its own reply queue with it.
    pub(super) fn is_fleeting(&self) -> bool {
        self.name.ends_with(".dead") || self.name.contains(TRIGGERS_REPLY)
    }
}

impl RedisConnection {
    pub(super) fn create_queue(
        &mut self,
        name: &str,
        spec: &QueueSpec,
    ) -> Result<Granted, QueueError> {
        if spec.order == Some(Order::Lifo) && (spec.demand || spec.capacity.is_none()) {
            return Err(QueueError::Refused {
                what: "a stream cannot be lifo".to_owned(),
                alternative: "order fifo".to_owned(),
            });
        }
        let stream = self.keys.stream(name);
        let capacity = spec.capacity.unwrap_or(CAPABILITIES.capacity_default);
        let mut create = scripts::CREATE.call(&[&stream, &beside(&stream, "about")]);
        create.arg(&self.settings.group).arg("capacity").arg(capacity);
        create.arg("created").arg(clock::rfc3339_now());
        if let Some(when_full) = spec.when_full {
            create.arg("when_full").arg(when_full.word());
        }
        if let Some(run) = &spec.run {
            create.arg("run").arg(run);
        }
        if spec.spill.is_some() {
            create.arg("never_blocks").arg("1");
        }
        match text(self.ask(&create)?).as_str() {
            "made" => Ok(Granted { capacity, message_size: super::BODY_MAX }),
            "exists" => Err(QueueError::Exists),
            kind => Err(foreign(kind)),
        }
    }

    pub(super) fn remove_queue(&mut self, name: &str) -> Result<(), QueueError> {
        let stream = self.keys.stream(name);
        let kind = text(self.ask(cmd("TYPE").arg(&stream))?);
        if kind != "stream" {
            let none = kind == "none";
            return Err(if none { QueueError::NoSuchQueue } else { foreign(&kind) });
        }
        let mut remove = cmd("UNLINK");
        remove.arg(&stream);
        for what in ["about", "wants", "ids", "ids.old"] {
            remove.arg(beside(&stream, what));
        }
        self.ask(&remove)?;
        let gone = self.open.iter_mut().filter(|queue| queue.stream == stream);
        gone.for_each(|queue| queue.is_gone = true);
        Ok(())
    }

    /// Names of keys, as many steps as it takes.
    fn scan(&mut self, pattern: &str, kind: Option<&str>) -> Result<Vec<String>, QueueError> {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_COUNT);
            if let Some(kind) = kind {
                scan.arg("TYPE").arg(kind);
            }
            let mut answer = items(self.ask(&scan)?).into_iter();
            cursor = answer.next().map(text).unwrap_or_default();
            keys.extend(answer.next().map(items).unwrap_or_default().into_iter().map(text));
            if cursor == "0" || cursor.is_empty() {
                keys.sort();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    pub(super) fn list_queues(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        let mut stats = Vec::new();
        match self.keys.is_cluster {
            false => self.list_here(&mut stats)?,
            true => {
                for server in self.nodes()? {
                    let mut settings = self.settings.clone();
                    settings.servers = vec![server];
                    RedisConnection::begun(settings)?.list_here(&mut stats)?;
                }
            }
        }
        stats.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(stats)
    }

    /// The nodes of a cluster that keep keys.
    fn nodes(&mut self) -> Result<Vec<(String, u16)>, QueueError> {
        let text = text(self.ask(cmd("CLUSTER").arg("NODES"))?);
        // ID HOST:PORT@BUS[,NAME] FLAGS ...
        let node = |line: &str| {
            let mut words = line.split(' ').skip(1);
            let (place, flags) = (words.next()?, words.next()?);
            let is_one = flags.split(',').any(|flag| flag == "master") && !flags.contains("fail");
            let (host, port) = place.split('@').next()?.rsplit_once(':')?;
            is_one.then_some((host.to_owned(), port.parse().ok()?))
        };
        let own = self.settings.servers[0].0.clone();
        let named = |(host, port): (String, u16)| match host.is_empty() {
            true => (own.clone(), port),
            false => (host, port),
        };
        Ok(text.lines().filter_map(node).map(named).collect())
    }

    /// The queues of this server.
    fn list_here(&mut self, stats: &mut Vec<QueueStat>) -> Result<(), QueueError> {
        for stream in self.scan("*", Some("stream"))? {
            let name = self.keys.name(&stream);
            match self.stat_queue(&name) {
                Ok(stat) => stats.push(stat),
                // Gone meanwhile, or not for us to see.
                Err(QueueError::NoSuchQueue | QueueError::NotAllowed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn stat_queue(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        let seen = self.see(name)?;
        let capacity = seen.about.patient_capacity.unwrap_or(0);
        Ok(QueueStat {
            name: name.to_owned(),
            depth: seen.length.saturating_sub(seen.held),
            held: seen.held,
            capacity,
            message_size: super::BODY_MAX,
            readers: seen.readers,
            run: seen.about.run.or_else(|| run_of(name).map(str::to_owned)),
            orphaned: false,
            created: seen.about.created,
            sent_total: seen.added,
            done_total: seen.added.map(|added| added.saturating_sub(seen.length)),
        })
    }

    /// Whether somebody takes from a queue, when the server says so at once.
    pub(super) fn is_read(&mut self, name: &str) -> bool {
        self.main.is_up() && self.see_within(name, GLANCE_MAX).is_ok_and(|seen| seen.readers > 0)
    }

    fn see(&mut self, name: &str) -> Result<Seen, QueueError> {
        self.see_within(name, LOOK_MAX)
    }

    fn see_within(&mut self, name: &str, most: Duration) -> Result<Seen, QueueError> {
        let stream = self.keys.stream(name);
        let mut stat = scripts::STAT.call(&[&stream, &beside(&stream, "about")]);
        let lease_ms = self.settings.lease.as_millis() as u64;
        stat.arg(&self.settings.group).arg(READER_GONE_MS).arg(lease_ms).arg(NOBODY);
        let mut answer = items(self.ask_within(&stat, most)?).into_iter();
        let mut next = || answer.next().unwrap_or_default();
        match text(next()).as_str() {
            "stream" => {}
            "none" => return Err(QueueError::NoSuchQueue),
            kind => return Err(foreign(kind)),
        }
        let number = |value: Value| text(value).parse().unwrap_or(0);
        Ok(Seen {
            length: number(next()),
            held: number(next()),
            readers: number(next()),
            groups: items(next()).into_iter().map(text).collect(),
            about: about(items(next())),
            added: text(next()).parse().ok(),
        })
    }

    /// What takes longer to find out about a queue.
    pub(super) fn detail_of(&mut self, name: &str) -> Result<QueueDetail, QueueError> {
        let seen = self.see(name)?;
        let stream = self.keys.stream(name);
        let first = cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1).take();
        let first = items(self.ask(&first)?).into_iter().next().map(items);
        let first = first.and_then(|entry| entry.into_iter().next()).map(text);
        let oldest_ms = first.and_then(|id| id.split('-').next()?.parse().ok());
        let group = self.settings.group.clone();
        let (mut readers, mut redelivered) = (Vec::new(), None);
        if seen.groups.contains(&group) {
            readers = self.readers_of(&stream, &group)?;
            redelivered = Some(self.redelivered(&stream, &group)?);
        }
        let when_full = seen.about.when_full.or(CAPABILITIES.when_full.first().copied());
        let order = Some(Order::Fifo);
        Ok(QueueDetail { readers, oldest_ms, redelivered, order, when_full, partitions: None })
    }

    /// Readers heard of lately, and where they are, as far as we may know.
    fn readers_of(&mut self, stream: &str, group: &str) -> Result<Vec<ReaderStat>, QueueError> {
        let told = self.ask(cmd("XINFO").arg("CONSUMERS").arg(stream).arg(group))?;
        let clients = match self.ask(cmd("CLIENT").arg("LIST")) {
            Ok(value) => text(value),
            Err(QueueError::NotAllowed { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        let now_ms = clock::unix_us() / 1000;
        let mut readers = Vec::new();
        for consumer in items(told) {
            let pairs = items(consumer);
            let value = |key: &str| {
                let pair = pairs.chunks_exact(2).find(|pair| text(pair[0].clone()) == key);
                pair.map(|pair| text(pair[1].clone())).unwrap_or_default()
            };
            if value("idle").parse().unwrap_or(0) >= READER_GONE_MS {
                continue;
            }
            let name = value("name");
            if name == NOBODY {
                continue;
            }
            let client = clients.lines().find(|line| is_client(line, &name));
            let told = |key: &str| {
                let mut words = client?.split(' ');
                words.find_map(|word| word.strip_prefix(key)).map(str::to_owned)
            };
            let age_s = told("age=").and_then(|age| age.parse::<u64>().ok());
            readers.push(ReaderStat {
                place: told("addr="),
                since_ms: age_s.map(|age_s| now_ms.saturating_sub(age_s * 1000)),
                held: value("pending").parse().ok(),
                name,
            });
        }
        Ok(readers)
    }

    /// Messages held now that were delivered before, of the first thousand.
    fn redelivered(&mut self, stream: &str, group: &str) -> Result<u64, QueueError> {
        let mut pending = cmd("XPENDING");
        pending.arg(stream).arg(group).arg("-").arg("+").arg(SCAN_COUNT);
        let again = |entry: &Value| match entry {
            Value::Array(parts) => matches!(parts.get(3), Some(Value::Int(count)) if *count > 1),
            _ => false,
        };
        Ok(items(self.ask(&pending)?).iter().filter(|entry| again(entry)).count() as u64)
    }

    pub(super) fn open_queue(&mut self, name: &str, receives: bool) -> Result<QueueId, QueueError> {
        let seen = self.see(name)?;
        let stream = self.keys.stream(name);
        if receives {
            self.check_group(&stream, &seen.groups)?;
            let mut join = scripts::JOIN.call(&[&stream]);
            join.arg(&self.settings.group).arg(&self.name);
            self.ask(&join)?;
        }
        let opened = OpenQueue {
            name: name.to_owned(),
            stream,
            receives,
            listening: false,
            wants: 0,
            ahead: 0,
            adopted: false,
            inbox: VecDeque::new(),
            about: seen.about,
            room: 0,
            is_gone: false,
            otherwise: None,
        };
        // Places of triggers' reply queues that are gone are used again.
        let free = self.open.iter().position(|queue| queue.is_gone && queue.is_fleeting());
        let index = match free {
            Some(index) if self.is_unused(QueueId(index as u32)) => {
                self.open[index] = opened;
                index
            }
            _ => {
                self.open.push(opened);
                self.open.len() - 1
            }
        };
        self.reconnect();
        Ok(QueueId(index as u32))
    }

    fn is_unused(&self, id: QueueId) -> bool {
        !self.held.values().any(|held| held.queue == id) && !self.outbox.mentions(id)
    }

    /// A queue has one group: what one has done is gone for all.
    fn check_group(&mut self, stream: &str, groups: &[String]) -> Result<(), QueueError> {
        let ours = &self.settings.group;
        if let Some(other) = groups.iter().find(|group| *group != ours) {
            return Err(QueueError::Foreign {
                what: format!("group `{other}` reads this stream, and what is done is removed"),
                cure: format!("?group={other}, or a queue of its own"),
            });
        }
        if groups.is_empty() {
            return Err(QueueError::Foreign {
                what: "it is a stream that these tools did not make, without a group".to_owned(),
                cure: format!(
                    "redis-cli XGROUP CREATE {stream} {ours} 0, if its entries may be removed"
                ),
            });
        }
        Ok(())
    }

    pub(super) fn write_run(&mut self, run: &str, record: &[u8]) -> Result<(), QueueError> {
        let key = self.keys.run(run);
        // Answered twice after a broken connection, the second finds the first.
        let set = cmd("SET").arg(&key).arg(record).arg("NX").take();
        if matches!(self.ask(&set)?, Value::Nil) && self.read_run(run)?.as_deref() != Some(record) {
            return Err(QueueError::Exists);
        }
        Ok(())
    }

    pub(super) fn read_run(&mut self, run: &str) -> Result<Option<Vec<u8>>, QueueError> {
        let key = self.keys.run(run);
        Ok(match self.ask(cmd("GET").arg(key))? {
            Value::Nil => None,
            value => Some(bytes(value)),
        })
    }

    pub(super) fn remove_run(&mut self, run: &str) -> Result<(), QueueError> {
        let key = self.keys.run(run);
        self.ask(cmd("UNLINK").arg(key))?;
        // Tables of joins and the like, beside queues that are gone.
        let beside = if self.keys.is_cluster { "}*:*" } else { ".*}:*" };
        let pattern = format!("{{faas.{}{beside}", escape(run));
        for some in self.scan(&pattern, None)?.chunks(256) {
            self.ask(cmd("UNLINK").arg(some))?;
        }
        Ok(())
    }
}

/// A queue as the server shows it.
struct Seen {
    length: u64,
    held: u64,
    readers: u64,
    groups: Vec<String>,
    about: About,
    /// Entries there ever were, where the server counts them.
    added: Option<u64>,
}

/// Whether a line of the server's list of clients is of this reader.
fn is_client(line: &str, reader: &str) -> bool {
    let name = line.split(' ').find_map(|word| word.strip_prefix("name="));
    name.and_then(|name| name.strip_prefix(CLIENT_NAME)) == Some(reader)
}

fn about(fields: Vec<Value>) -> About {
    let mut about = About::default();
    let mut never_blocks = false;
    for pair in fields.chunks_exact(2) {
        let value = text(pair[1].clone());
        match text(pair[0].clone()).as_str() {
            "capacity" => about.patient_capacity = value.parse().ok(),
            "when_full" => about.when_full = when_full(&value),
            "run" => about.run = Some(value),
            "created" => about.created = Some(value),
            "never_blocks" => never_blocks = true,
            _ => {}
        }
    }
    about.capacity = about.patient_capacity.filter(|_| !never_blocks);
    about
}

fn when_full(word: &str) -> Option<WhenFull> {
    CAPABILITIES.when_full.iter().copied().find(|policy| policy.word() == word)
}

fn foreign(kind: &str) -> QueueError {
    QueueError::Foreign {
        what: format!("the key of that name is a {kind}, not a stream"),
        cure: "another name".to_owned(),
    }
}

/// A name as a pattern that matches it alone.
fn escape(name: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
    name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
