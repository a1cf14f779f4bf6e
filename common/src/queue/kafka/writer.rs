//! Sending at least once: records go out as they come, and a settlement's are
//! done when the brokers have all of them.

use super::bell::{Bell, Wire};
use super::context::{Context, Notes};
use super::faults;
use super::record::{Elsewhere, Record};
use super::settings::Settings;
use crate::queue::{QueueError, QueueId};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// In what a record is called: it is kept, for its topic may go. All others
/// have the number of their ticket.
const KEPT: usize = 1 << 63;

/// A producer, and what waits for it.
pub(super) struct Writer {
    /// Goes before the producer does.
    _wire: Wire,
    producer: BaseProducer<Context>,
    bell: Bell,
    /// Records that found the local queue full, in order.
    backlog: VecDeque<(u64, Record)>,
    /// How many records of a ticket are not acknowledged.
    missing: HashMap<u64, usize>,
    /// Of topics that may go, and where to then.
    elsewhere: HashMap<Arc<str>, Elsewhere>,
    /// Records to such topics that are not acknowledged, with their ticket.
    kept: HashMap<usize, (u64, Record)>,
    kept_count: usize,
}

impl Writer {
    /// A producer that rings `bell`.
    ///
    /// # Errors
    /// An option that librdkafka does not take.
    pub(super) fn new(settings: &Settings, notes: &Notes, bell: &Bell) -> Result<Self, QueueError> {
        let producer: BaseProducer<Context> = settings
            .producing()
            .create_with_context(Context::new(notes))
            .map_err(|error| faults::of(&error, &settings.url_of("")))?;
        let wire = Wire::new(&producer, bell);
        let bell = bell.clone();
        Ok(Self {
            _wire: wire,
            producer,
            bell,
            backlog: VecDeque::new(),
            missing: HashMap::new(),
            elsewhere: HashMap::new(),
            kept: HashMap::new(),
            kept_count: 0,
        })
    }

    /// Sends the records of a ticket, after all that were given before.
    ///
    /// # Errors
    /// The producer is broken.
    pub(super) fn send(
        &mut self,
        ticket: u64,
        records: Vec<Record>,
        settings: &Settings,
    ) -> Result<(), QueueError> {
        *self.missing.entry(ticket).or_default() += records.len();
        self.backlog.extend(records.into_iter().map(|record| (ticket, record)));
        self.advance(settings)
    }

    fn advance(&mut self, settings: &Settings) -> Result<(), QueueError> {
        while let Some((ticket, record)) = self.backlog.pop_front() {
            let elsewhere = self.elsewhere.get(&record.topic);
            let name = match elsewhere {
                None => ticket as usize,
                Some(_) => KEPT | self.kept_count,
            };
            match (record.send(&self.producer, name), elsewhere) {
                (Ok(()), None) => {}
                (Ok(()), Some(_)) => {
                    self.kept.insert(name, (ticket, record));
                    self.kept_count += 1;
                }
                (Err(RDKafkaErrorCode::QueueFull), _) => {
                    self.backlog.push_front((ticket, record));
                    break;
                }
                (Err(code), Some(to)) if faults::is_missing(code) => {
                    self.backlog.push_front((ticket, record.redirected(to)));
                }
                (Err(code), _) => {
                    let url = settings.url_of(&record.topic);
                    self.backlog.push_front((ticket, record));
                    return Err(self.broken(settings).unwrap_or(faults::of_code(code, &url)));
                }
            }
        }
        Ok(())
    }

    /// What is for a topic goes elsewhere once that is gone.
    pub(super) fn falls_back(&mut self, topic: Arc<str>, elsewhere: Elsewhere) {
        self.elsewhere.insert(topic, elsewhere);
    }

    /// Takes in acknowledgements; appends the tickets whose records are all
    /// there now.
    ///
    /// # Errors
    /// A record can never arrive.
    pub(super) fn poll(
        &mut self,
        settings: &Settings,
        arrived: &mut Vec<u64>,
    ) -> Result<(), QueueError> {
        self.serve();
        for ack in self.producer.context().take_acks() {
            let kept = self.kept.remove(&ack.name);
            let ticket = kept.as_ref().map_or(ack.name as u64, |(ticket, _)| *ticket);
            if let Some((code, topic)) = ack.failure {
                let to = self.elsewhere.get(&*topic).filter(|_| faults::is_missing(code));
                if let Some(((_, record), to)) = kept.zip(to) {
                    self.backlog.push_back((ticket, record.redirected(to)));
                    continue;
                }
                let url = settings.url_of(&topic);
                return Err(self.broken(settings).unwrap_or(faults::of_code(code, &url)));
            }
            if let Some(missing) = self.missing.get_mut(&ticket) {
                *missing -= 1;
                if *missing == 0 {
                    self.missing.remove(&ticket);
                    arrived.push(ticket);
                }
            }
        }
        self.advance(settings)
    }

    /// What broke the producer for good, if something did.
    fn broken(&self, settings: &Settings) -> Option<QueueError> {
        let (_, reason) = self.producer.client().fatal_error()?;
        Some(QueueError::Unreachable {
            what: format!("{}: {}", settings.servers, faults::plain(&reason)),
            cure: "start again: nothing that was taken is lost".to_owned(),
        })
    }

    /// Tickets with records that found no room.
    pub(super) fn stuck(&self) -> Vec<u64> {
        let mut tickets: Vec<u64> = self.backlog.iter().map(|(ticket, _)| *ticket).collect();
        tickets.dedup();
        tickets
    }

    /// Queues that records wait for.
    pub(super) fn blocked(&self) -> Vec<QueueId> {
        let mut queues: Vec<QueueId> = self.backlog.iter().map(|(_, r)| r.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// Waits for what is on its way, at most until `deadline`. The crate's
    /// own flush polls in steps of 100 ms.
    pub(super) fn drain(&mut self, deadline: Instant) {
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.bell.wait(5);
            self.bell.answer();
            self.serve();
        }
    }

    fn serve(&self) {
        loop {
            let served = self.producer.context().served();
            self.producer.poll(Duration::ZERO);
            if self.producer.context().served() == served {
                break;
            }
        }
    }
}
