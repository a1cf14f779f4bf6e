//! Topics: making them, removing them, and what there is.

use super::context::{Context, Notes};
use super::depth;
use super::faults;
use super::offsets::Topic;
use super::settings::{RECORD_MAX, Settings};
use super::view;
use crate::queue::{Granted, Order, QueueDetail, QueueError, QueueSpec, QueueStat, WhenFull};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long brokers may take to answer at all.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long brokers may take to make or remove a topic.
const CHANGE_MAX: Duration = Duration::from_secs(30);
/// How long a client for administration is used: it does not hear of a new
/// controller after the one it knows has died, and waits for that one.
const CLIENT_KEPT: Duration = Duration::from_secs(5);
/// How long brokers may take to tell how a topic is set.
const SETTING_MAX: Duration = Duration::from_secs(3);
/// What a topic takes unless told otherwise: Kafka's own default.
pub(super) const MESSAGE_SIZE: u64 = 1_048_588;
/// Room for headers beside a body of a size that was asked for.
const HEADERS_ROOM: u64 = 16 << 10;

/// What asks and administrates.
pub(super) struct Admin {
    pub(super) settings: Settings,
    notes: Notes,
    pub(super) asker: BaseConsumer<Context>,
    /// Sees what is not committed yet; made when it is needed.
    eager: OnceCell<BaseConsumer<Context>>,
    /// Made when it is needed: it has a thread of its own.
    client: Option<(AdminClient<Context>, Instant)>,
    /// Largest records, of topics that were asked for.
    sizes: BTreeMap<String, u64>,
    /// All topics, and when they were asked for.
    pub(super) seen: RefCell<(Option<BTreeSet<String>>, Instant)>,
}

impl Admin {
    /// Connects; returns once a broker has answered.
    ///
    /// # Errors
    /// None does, or they do not let us.
    pub(super) fn connect(settings: &Settings, notes: &Notes) -> Result<Self, QueueError> {
        let asker: BaseConsumer<Context> = settings
            .asking()
            .create_with_context(Context::new(notes))
            .map_err(|error| faults::of(&error, &settings.url_of("")))?;
        let admin = Self {
            settings: settings.clone(),
            notes: notes.clone(),
            asker,
            eager: OnceCell::new(),
            client: None,
            sizes: BTreeMap::new(),
            seen: RefCell::new((None, Instant::now())),
        };
        admin.first_answer()?;
        Ok(admin)
    }

    fn first_answer(&self) -> Result<(), QueueError> {
        let begin = Instant::now();
        loop {
            match self.asker.fetch_metadata(None, Duration::from_millis(500)) {
                Ok(_) => {
                    // What went wrong on the way is over.
                    self.notes.take();
                    return Ok(());
                }
                Err(error) => {
                    self.serve();
                    let last = self.notes.last();
                    if faults::is_hopeless(last.as_ref()) || begin.elapsed() >= ANSWER_MAX {
                        self.notes.take();
                        return Err(match (last, faults::code(&error)) {
                            (None, Some(code)) if !faults::passes(code) => {
                                faults::of_code(code, &self.settings.url_of(""))
                            }
                            (last, _) => faults::no_answer(last, &self.settings.servers),
                        });
                    }
                }
            }
        }
    }

    /// Lets librdkafka say what it has to say.
    pub(super) fn serve(&self) {
        for asker in std::iter::once(&self.asker).chain(self.eager.get()) {
            loop {
                let served = asker.context().served();
                let _ = asker.poll(Duration::ZERO);
                if asker.context().served() == served {
                    break;
                }
            }
        }
    }

    fn stats(&self, topics: &[Topic]) -> KafkaResult<Vec<QueueStat>> {
        let eager = match self.eager.get() {
            Some(eager) => eager,
            None => {
                let made = self.settings.asking_eagerly();
                let made = made.create_with_context(Context::new(&self.notes))?;
                self.eager.get_or_init(|| made)
            }
        };
        depth::stats(&self.settings, &self.notes, &self.asker, eager, topics)
    }

    fn client(&mut self) -> Result<&AdminClient<Context>, QueueError> {
        let client = match self.client.take().filter(|(_, made)| made.elapsed() < CLIENT_KEPT) {
            Some(client) => client,
            None => {
                let client = self
                    .settings
                    .administering()
                    .create_with_context(Context::new(&self.notes))
                    .map_err(|error| faults::of(&error, &self.settings.url_of("")))?;
                (client, Instant::now())
            }
        };
        Ok(&self.client.insert(client).0)
    }

    /// Makes a topic; returns once all its partitions can be used.
    ///
    /// # Errors
    /// It exists, a demand cannot be kept, or the brokers refuse.
    pub(super) fn create(&mut self, name: &str, spec: &QueueSpec) -> Result<Granted, QueueError> {
        check_name(name)?;
        if spec.demand {
            check_demands(spec)?;
        }
        let message_size = match spec.message_size {
            Some(size) if size + HEADERS_ROOM > RECORD_MAX && spec.demand => {
                return Err(QueueError::Refused {
                    what: format!("a record has at most {RECORD_MAX} bytes"),
                    alternative: "smaller messages, or bodies elsewhere and their addresses here"
                        .to_owned(),
                });
            }
            Some(size) => (size + HEADERS_ROOM).clamp(MESSAGE_SIZE, RECORD_MAX),
            None => MESSAGE_SIZE,
        };
        let partitions = match spec.order {
            Some(Order::Fifo) => 1,
            _ => self.settings.partitions(),
        };
        self.make(name, partitions, Some(message_size))?;
        Ok(Granted { capacity: u64::MAX, message_size })
    }

    fn make(
        &mut self,
        name: &str,
        partitions: i32,
        message_size: Option<u64>,
    ) -> Result<(), QueueError> {
        let url = self.settings.url_of(name);
        let replicas = self.settings.replicas;
        let (isr, size) = (self.settings.min_isr(), message_size.map(|size| size.to_string()));
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        if let Some(isr) = &isr {
            topic = topic.set("min.insync.replicas", isr);
        }
        // What is the default anyway need not be allowed.
        if let Some(size) = size.as_ref().filter(|_| message_size != Some(MESSAGE_SIZE)) {
            topic = topic.set("max.message.bytes", size);
        }
        let done = block_on(self.client()?.create_topics([&topic], &options()), CHANGE_MAX);
        one_result(done, &url)?;
        self.forget_seen();
        self.wait_until(name, |topic| {
            let ready = |topic: &MetadataTopic| {
                topic.error().is_none()
                    && topic.partitions().len() as i32 >= partitions
                    && topic.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none())
            };
            topic.is_some_and(ready)
        })
    }

    /// Removes a topic; returns once it is gone.
    ///
    /// # Errors
    /// There is none, or the brokers refuse.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), QueueError> {
        let url = self.settings.url_of(name);
        let group = self.settings.group_of(name).to_owned();
        let client = self.client()?;
        let done = block_on(client.delete_topics(&[name], &options()), CHANGE_MAX);
        match one_result(done, &url) {
            Err(QueueError::Removed { .. }) => return Err(QueueError::NoSuchQueue),
            other => other?,
        }
        if group == name {
            // Its progress went with the topic; a group with members stays.
            let _ = block_on(client.delete_groups(&[group.as_str()], &options()), ANSWER_MAX);
        }
        self.forget_seen();
        self.wait_until(name, |topic| {
            topic.is_none_or(|topic| {
                let code = topic.error().map(RDKafkaErrorCode::from);
                code.is_some_and(faults::is_missing)
            })
        })
    }

    fn wait_until(
        &self,
        name: &str,
        is_so: impl Fn(Option<&MetadataTopic>) -> bool,
    ) -> Result<(), QueueError> {
        let begin = Instant::now();
        loop {
            let known = self.asker.fetch_metadata(Some(name), ANSWER_MAX);
            match &known {
                Ok(known) if is_so(known.topics().iter().find(|topic| topic.name() == name)) => {
                    return Ok(());
                }
                _ if begin.elapsed() < CHANGE_MAX => {}
                Ok(_) => {
                    return Err(QueueError::Unreachable {
                        what: "the brokers have not done it within 30 s".to_owned(),
                        cure: format!("faas-queue stat {}", self.settings.url_of(name)),
                    });
                }
                Err(error) => return Err(faults::of(error, &self.settings.url_of(name))),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Largest record that a topic takes.
    pub(super) fn message_size(&mut self, name: &str) -> Result<u64, QueueError> {
        let resource = ResourceSpecifier::Topic(name);
        let options = AdminOptions::new().request_timeout(Some(SETTING_MAX));
        let told = block_on(self.client()?.describe_configs([&resource], &options), SETTING_MAX);
        // Whoever may not ask finds out when sending.
        let size = told.ok().and_then(|told| {
            let config = told.into_iter().next()?.ok()?;
            config.get("max.message.bytes")?.value.as_ref()?.parse().ok()
        });
        let size = size.unwrap_or(MESSAGE_SIZE).min(RECORD_MAX);
        self.sizes.insert(name.to_owned(), size);
        Ok(size)
    }

    /// One topic.
    ///
    /// # Errors
    /// There is none, or no broker answers.
    pub(super) fn stat(&mut self, name: &str) -> Result<QueueStat, QueueError> {
        if !self.is_made(name)? {
            return Err(QueueError::NoSuchQueue);
        }
        let message_size = match self.sizes.get(name) {
            Some(size) => *size,
            None => self.message_size(name)?,
        };
        let topic = (name.to_owned(), self.partitions(name)?);
        let told = self
            .stats(&[topic])
            .map_err(|error| faults::of(&error, &self.settings.url_of(name)))?;
        let stat = told.into_iter().next().ok_or(QueueError::NoSuchQueue)?;
        Ok(QueueStat { message_size, ..stat })
    }

    /// What takes longer to find out about a topic; see [`view::detail`].
    pub(super) fn detail(&self, name: &str) -> Result<QueueDetail, QueueError> {
        let partitions = self.partitions(name)?;
        view::detail(&self.settings, &self.notes, &self.asker, name, &partitions)
    }

    fn partitions(&self, name: &str) -> Result<Vec<i32>, QueueError> {
        let known = self.asker.fetch_metadata(Some(name), ANSWER_MAX);
        let known = known.map_err(|error| faults::of(&error, &self.settings.url_of(name)))?;
        let topic = known.topics().iter().find(|topic| topic.name() == name);
        Ok(topic.map(partitions_of).unwrap_or_default())
    }

    /// All topics that are queues.
    ///
    /// # Errors
    /// No broker answers.
    pub(super) fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        self.stats(&self.topics()?).map_err(|error| faults::of(&error, &self.settings.url_of("")))
    }

    /// The same, without what waits in them.
    ///
    /// # Errors
    /// No broker answers.
    pub(super) fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        let known = self.asker.fetch_metadata(None, ANSWER_MAX);
        let known = known.map_err(|error| faults::of(&error, &self.settings.url_of("")))?;
        let topics = known.topics().iter();
        let queues = topics.filter(|topic| topic.error().is_none() && is_queue(topic.name()));
        Ok(queues.map(|topic| (topic.name().to_owned(), partitions_of(topic))).collect())
    }

    /// Notes that there is a run: the first message of a topic of its own.
    ///
    /// # Errors
    /// There is one, or it cannot be written.
    pub(super) fn note_run(&mut self, run: &str, record: &[u8]) -> Result<(), QueueError> {
        let name = note_of(run);
        check_name(&name)?;
        self.make(&name, 1, None)?;
        depth::write_first(&self.settings, &self.notes, &name, record)
    }

    /// What was noted of a run.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn run_note(&mut self, run: &str) -> Result<Option<Vec<u8>>, QueueError> {
        let name = note_of(run);
        match self.exists(&name)? {
            true => depth::read_first(&self.settings, &self.notes, &name),
            false => Ok(None),
        }
    }

    /// Forgets the note of a run.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn forget_run(&mut self, run: &str) -> Result<(), QueueError> {
        match self.remove(&note_of(run)) {
            Err(QueueError::NoSuchQueue) => Ok(()),
            other => other,
        }
    }
}

const NOTE: &str = "._run";

fn note_of(run: &str) -> String {
    format!("faas.{run}{NOTE}")
}

fn is_queue(name: &str) -> bool {
    !name.starts_with("__") && !name.ends_with(NOTE)
}

fn partitions_of(topic: &MetadataTopic) -> Vec<i32> {
    topic.partitions().iter().map(|partition| partition.id()).collect()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CHANGE_MAX)).operation_timeout(Some(CHANGE_MAX))
}

pub(super) fn check_name(name: &str) -> Result<(), QueueError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.is_empty() && name.len() <= 249 && name.bytes().all(fits) {
        return Ok(());
    }
    Err(QueueError::Refused {
        what: "a topic's name has letters, digits, dots, dashes and underscores only".to_owned(),
        alternative: "another name".to_owned(),
    })
}

/// What an administrator's request came to, for one topic.
type TopicAnswer = Result<String, (String, RDKafkaErrorCode)>;

fn check_demands(spec: &QueueSpec) -> Result<(), QueueError> {
    let refuse = |what: &str, alternative: &str| {
        Err(QueueError::Refused { what: what.to_owned(), alternative: alternative.to_owned() })
    };
    if spec.capacity.is_some() {
        return refuse("a topic has no capacity", "--max-in-flight at the trigger, or mq:/NAME");
    }
    if spec.when_full.is_some_and(|when_full| when_full != WhenFull::Block) {
        return refuse("a topic is never full", "no --when-full, or redis://HOST/0/NAME");
    }
    if spec.order == Some(Order::Lifo) {
        return refuse("a topic is read in the order it was written", "fifo");
    }
    Ok(())
}

fn one_result(done: Result<Vec<TopicAnswer>, QueueError>, url: &str) -> Result<(), QueueError> {
    match done?.into_iter().next() {
        Some(Err((_, code))) => Err(faults::of_code(code, url)),
        _ => Ok(()),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer. librdkafka gives up by itself; the limit is for the
/// case that it does not.
fn block_on<T>(
    answer: impl Future<Output = KafkaResult<T>>,
    max: Duration,
) -> Result<T, QueueError> {
    let deadline = Instant::now() + max + ANSWER_MAX;
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut context) {
            return answer.map_err(|error| faults::of(&error, ""));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(faults::of_code(RDKafkaErrorCode::OperationTimedOut, ""));
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_a_topic_cannot() {
        let spec = |spec: QueueSpec| check_demands(&QueueSpec { demand: true, ..spec }).is_err();
        assert!(spec(QueueSpec { capacity: Some(1), ..QueueSpec::default() }));
        assert!(spec(QueueSpec { order: Some(Order::Lifo), ..QueueSpec::default() }));
        assert!(spec(QueueSpec { when_full: Some(WhenFull::Reject), ..QueueSpec::default() }));
        assert!(!spec(QueueSpec { order: Some(Order::Fifo), ..QueueSpec::default() }));
        assert!(check_name("faas.a._run").is_ok() && check_name("a b").is_err());
        assert!(is_queue("jobs") && !is_queue("__consumer_offsets") && !is_queue("faas.a._run"));
    }
}
