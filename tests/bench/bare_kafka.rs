//! The bare loop over Kafka: a process for each hop that consumes, asks the
//! program, produces and commits, as one writes it with the rdkafka crate; and
//! the same in transactions. What decides about the time of a record is as
//! ours has it (acks, linger, idempotence, partitioner, isolation); all else
//! is what librdkafka does by itself.
//!
//! Its producer has a thread that serves it, for a plain one's `poll` returns
//! only when its time is over, not when something has come.

use crate::process::Process;
use crate::program::{Filter, Program, exe};
use crate::subject::{BODY, FIELDS, PATIENCE, Subject};
use faas_common::queue::{self, QueueSpec, QueueUrl};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{BorrowedMessage, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long one look for the first message of a batch waits.
const LOOK: Duration = Duration::from_millis(100);

/// How far each partition is done: the offset of the next message.
type Offsets = BTreeMap<i32, i64>;

/// Counts records that have arrived, and wakes who waits for them.
struct Deliveries {
    arrived: AtomicU64,
    wanted: AtomicU64,
    waiter: Thread,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    /// One that failed is not counted: who waits for it complains.
    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            eprintln!("bench: a record did not arrive: {error}");
            return;
        }
        let arrived = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        if arrived >= self.wanted.load(Ordering::SeqCst) {
            self.waiter.unpark();
        }
    }
}

/// A producer, used by the thread that made it.
struct Sender {
    producer: ThreadedProducer<Deliveries>,
    sent: u64,
}

impl Sender {
    fn new(config: &ClientConfig) -> Self {
        let context = Deliveries {
            arrived: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            waiter: std::thread::current(),
        };
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(context).expect("a producer");
        Self { producer, sent: 0 }
    }

    fn send(&mut self, topic: &str, key: Option<&[u8]>, body: &[u8], more: Option<OwnedHeaders>) {
        let mut record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(topic).payload(body);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(headers) = more {
            record = record.headers(headers);
        }
        self.producer.send(record).map_err(|(error, _)| error).expect("there is room");
        self.sent += 1;
    }

    /// Waits until all that was sent has arrived.
    fn wait(&self) {
        let (began, deliveries) = (Instant::now(), self.producer.context());
        deliveries.wanted.store(self.sent, Ordering::SeqCst);
        while deliveries.arrived.load(Ordering::SeqCst) < self.sent {
            std::thread::park_timeout(LOOK);
            assert!(began.elapsed() < PATIENCE, "the brokers do not answer");
        }
        deliveries.wanted.store(u64::MAX, Ordering::SeqCst);
        // What was told is forgotten a moment later; a commit that comes
        // before would wait for that in steps of 100 ms.
        while self.producer.in_flight_count() > 0 {
            std::thread::yield_now();
        }
    }
}

fn base(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config.set_log_level(RDKafkaLogLevel::Critical);
    config
}

fn producing(servers: &str) -> ClientConfig {
    let mut config = base(servers);
    config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0");
    config.set("partitioner", "murmur2_random").set("sticky.partitioning.linger.ms", "0");
    config
}

/// A member of the topic's group. `commits`: every 100 ms it says how far it
/// came, as our readers do.
fn consumer(servers: &str, topic: &str, commits: bool) -> BaseConsumer {
    let mut config = base(servers);
    config.set("group.id", topic).set("auto.offset.reset", "earliest");
    config.set("isolation.level", "read_committed").set("enable.auto.offset.store", "false");
    config.set("enable.auto.commit", if commits { "true" } else { "false" });
    config.set("auto.commit.interval.ms", "100");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("a topic");
    consumer
}

/// Waits for the next message.
fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let began = Instant::now();
    loop {
        // Errors pass: a group that is being made has some.
        if let Some(Ok(message)) = consumer.poll(LOOK) {
            return message;
        }
        assert!(began.elapsed() < PATIENCE, "no message came");
    }
}

fn listed(topic: &str, offsets: &Offsets) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, next) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*next)).expect("an offset");
    }
    list
}

fn servers(url: &str) -> &str {
    url.strip_prefix("kafka://").expect("a URL of Kafka")
}

/// Makes topics as our own are made.
pub fn make_topics<'a>(url: &str, names: impl Iterator<Item = &'a str>) {
    let url = QueueUrl::parse(url).expect("a URL");
    let mut connection = queue::connect(&url).expect("brokers");
    for name in names {
        connection.create(name, &QueueSpec::default()).expect("a new topic");
    }
}

/// Ten records into each topic, and a group of each topic that is done with the
/// first four of them.
pub fn use_topics(url: &str, names: &[String]) {
    let servers = servers(url);
    let mut sender = Sender::new(&producing(servers));
    for name in names {
        for _ in 0..10 {
            let record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(name).payload(BODY);
            let sent = sender.producer.send(record.partition(0));
            sent.map_err(|(error, _)| error).expect("there is room");
            sender.sent += 1;
        }
    }
    sender.wait();
    let commit = |name: &String| {
        let mut config = base(servers);
        let consumer: BaseConsumer =
            config.set("group.id", name).create().expect("a consumer that does not join");
        let first = listed(name, &Offsets::from([(0, 4)]));
        consumer.commit(&first, CommitMode::Sync).expect("it is committed");
    };
    // To drop a consumer takes 0.1 s, most of them spent waiting.
    std::thread::scope(|scope| {
        for some in names.chunks(names.len().div_ceil(20)) {
            scope.spawn(move || some.iter().for_each(commit));
        }
    });
}

/// A worker's life: `SERVERS FROM TO MOST PROGRAM...`.
pub fn work(args: &[String]) -> ! {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("it can be set");
    let (servers, from, to) = (&args[0], &args[1], &args[2]);
    let most: usize = args[3].parse().expect("a number");
    let program = Program { argv: args[4..].to_vec(), is_filter: true, is_ahead: false };
    let consumer = consumer(servers, from, true);
    let mut sender = Sender::new(&producing(servers));
    let mut filter = Filter::start(&program);
    loop {
        let (mut offsets, mut count) = (Offsets::new(), 0);
        while count < most {
            let look = if count == 0 { LOOK } else { Duration::ZERO };
            match consumer.poll(look) {
                Some(Ok(message)) => {
                    let answer = filter.ask(message.payload().unwrap_or_default());
                    let headers = message.headers().map(|headers| headers.detach());
                    sender.send(to, message.key(), answer, headers);
                    offsets.insert(message.partition(), message.offset() + 1);
                    count += 1;
                }
                _ if count > 0 => break,
                _ => {}
            }
        }
        sender.wait();
        consumer.store_offsets(&listed(from, &offsets)).expect("they are ours");
    }
}

/// A chain of bare workers.
pub struct BareKafka {
    name: &'static str,
    headers: Option<OwnedHeaders>,
    _workers: Vec<Process>,
    consumer: BaseConsumer,
    sender: Sender,
    first: String,
    last: String,
}

impl BareKafka {
    /// Starts a worker for each hop, which takes up to `most` messages at once
    /// and says at once that they are done. Without headers a record is a body
    /// and a key.
    pub fn start(
        url: &str,
        hops: usize,
        program: &Program,
        most: usize,
        with_headers: bool,
    ) -> Self {
        let name = if with_headers { "bare" } else { "bare, body only" };
        let header = |headers: OwnedHeaders, (key, value): &(&str, &'static str)| {
            headers.insert(Header { key, value: Some(*value) })
        };
        let headers = with_headers.then(|| FIELDS.iter().fold(OwnedHeaders::new(), header));
        let topics: Vec<String> =
            (0..=hops).map(|i| format!("bare-{i}-{}", usize::from(with_headers))).collect();
        make_topics(url, topics.iter().map(String::as_str));
        let servers = servers(url);
        let worker = |pair: &[String]| {
            let mut command = Command::new(exe());
            command.args(["bare-kafka", servers]).args(pair).arg(most.to_string());
            command.args(&program.argv).stdin(Stdio::null());
            Process::start(command)
        };
        Self {
            name,
            headers,
            _workers: topics.windows(2).map(worker).collect(),
            consumer: consumer(servers, &topics[hops], true),
            sender: Sender::new(&producing(servers)),
            first: topics[0].clone(),
            last: topics[hops].clone(),
        }
    }
}

impl Subject for BareKafka {
    fn name(&self) -> &'static str {
        self.name
    }

    fn try_send(&mut self) -> bool {
        // A key of each message's own spreads them as those of ours are.
        let key = self.sender.sent.to_string();
        self.sender.send(&self.first, Some(key.as_bytes()), BODY, self.headers.clone());
        true
    }

    fn receive(&mut self) -> Option<u64> {
        let message = next(&self.consumer);
        assert_eq!(message.payload(), Some(BODY));
        let done = Offsets::from([(message.partition(), message.offset() + 1)]);
        self.consumer.store_offsets(&listed(&self.last, &done)).expect("they are ours");
        None
    }
}

/// A loop that consumes, produces and commits in transactions.
pub struct BareExact {
    consumer: BaseConsumer,
    sender: Sender,
    from: String,
    to: String,
}

impl BareExact {
    /// Between two topics that are there.
    pub fn open(url: &str, from: &str, to: &str) -> Self {
        let servers = servers(url);
        let mut config = producing(servers);
        config.set("transactional.id", format!("bare-{to}"));
        let sender = Sender::new(&config);
        sender.producer.init_transactions(PATIENCE).expect("the brokers know it");
        let consumer = consumer(servers, from, false);
        Self { consumer, sender, from: from.to_owned(), to: to.to_owned() }
    }

    /// Moves so many records as they are, in one transaction.
    pub fn transaction(&mut self, count: usize) {
        let mut offsets = Offsets::new();
        self.sender.producer.begin_transaction().expect("none is open");
        for _ in 0..count {
            let message = next(&self.consumer);
            let headers = message.headers().map(|headers| headers.detach());
            let body = message.payload().unwrap_or_default();
            self.sender.send(&self.to, message.key(), body, headers);
            offsets.insert(message.partition(), message.offset() + 1);
        }
        self.sender.wait();
        let (list, group) = (listed(&self.from, &offsets), self.consumer.group_metadata());
        let (producer, group) = (&self.sender.producer, group.expect("a member of a group"));
        producer.send_offsets_to_transaction(&list, &group, PATIENCE).expect("they are ours");
        producer.commit_transaction(PATIENCE).expect("it takes effect");
    }
}
