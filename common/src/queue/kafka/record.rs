//! Events as Kafka's records, both ways.

use super::context::Context;
use super::faults;
use crate::event::{Event, detect_type, headers};
use crate::queue::{QueueError, QueueId};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};
use std::sync::Arc;

/// What a record has beside its key, value and headers, at most.
const FRAME_MAX: usize = 128;
/// Headers that most events have.
const HEADERS_USUAL: usize = 8;
/// What each header has beside its name and value, at most.
const HEADER_FRAME_MAX: usize = 10;

/// Where records go whose topic is gone.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    pub(super) queue: QueueId,
    pub(super) topic: Arc<str>,
}

/// A record to be sent.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Where to, as the caller knows it.
    pub(super) queue: QueueId,
    pub(super) topic: Arc<str>,
    key: Option<Vec<u8>>,
    headers: OwnedHeaders,
    /// Bytes they take, at most.
    headers_size: usize,
    data: Option<Vec<u8>>,
}

impl Record {
    /// An event as a record.
    ///
    /// # Errors
    /// Its body is in a file that cannot be read.
    pub(super) fn of_event(
        event: &Event,
        queue: QueueId,
        topic: Arc<str>,
    ) -> Result<Self, QueueError> {
        let mut headers = Some(OwnedHeaders::new_with_capacity(HEADERS_USUAL));
        let mut headers_size = 0;
        headers::each(event, |key, value| {
            headers_size += key.len() + value.len() + HEADER_FRAME_MAX;
            let header = Header { key, value: Some(value) };
            headers = headers.take().map(|headers| headers.insert(header));
        });
        let data = match &event.body {
            None => None,
            Some(body) => Some(body.load().map_err(QueueError::io("reading a body"))?.into_owned()),
        };
        Ok(Self {
            queue,
            topic,
            key: key_of(event),
            headers: headers.unwrap_or_default(),
            headers_size,
            data,
        })
    }

    /// A record that is no event.
    pub(super) fn plain(topic: &str, data: &[u8]) -> Self {
        let topic = Arc::from(topic);
        let (headers, data) = (OwnedHeaders::new(), Some(data.to_vec()));
        Self { queue: QueueId(0), topic, key: None, headers, headers_size: 0, data }
    }

    /// The same record for another topic.
    pub(super) fn redirected(&self, to: &Elsewhere) -> Self {
        Self { queue: to.queue, topic: to.topic.clone(), ..self.clone() }
    }

    /// Bytes it takes, at most.
    pub(super) fn size(&self) -> u64 {
        let rest = self.key.as_ref().map_or(0, Vec::len) + self.data.as_ref().map_or(0, Vec::len);
        (FRAME_MAX + rest + self.headers_size) as u64
    }

    /// Gives it to a producer; its acknowledgement comes under `name`.
    ///
    /// # Errors
    /// The local queue is full, or the record can never be sent.
    pub(super) fn send(
        &self,
        producer: &BaseProducer<Context>,
        name: usize,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, name).headers(self.headers.clone());
        if let Some(key) = &self.key {
            record = record.key(key.as_slice());
        }
        if let Some(data) = &self.data {
            record = record.payload(data.as_slice());
        }
        producer
            .send(record)
            .map_err(|(error, _)| faults::code(&error).unwrap_or(RDKafkaErrorCode::Fail))
    }
}

/// What decides about the partition: parts of a join must meet, and the
/// messages of an invocation keep their order.
fn key_of(event: &Event) -> Option<Vec<u8>> {
    let invocation = || event.control.as_ref().map(|control| control.invocation.as_str());
    let joins = event.control.as_ref().is_some_and(|control| !control.joins.is_empty());
    let key = match joins {
        true => invocation(),
        false => event.text("partitionkey").or_else(invocation),
    };
    key.filter(|key| !key.is_empty()).map(|key| key.as_bytes().to_vec())
}

/// A message that was read and is not handed out.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) event: Event,
    /// Why it is no event.
    pub(super) fault: Option<String>,
}

impl Letter {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let (partition, offset) = (message.partition(), message.offset());
        let data = message.payload().map(<[u8]>::to_vec);
        let read = match message.headers() {
            Some(fields) => {
                let fields = fields.iter();
                headers::read(fields.filter_map(|f| f.value.map(|value| (f.key, value))), data)
            }
            None => Err("it is no event: no ce_id header".to_owned()),
        };
        let (event, fault) = match read {
            Ok(event) => (event, None),
            Err(fault) => (foreign(message), Some(fault)),
        };
        Self { partition, offset, event, fault }
    }
}

/// What stands for a record that is no event.
fn foreign(message: &BorrowedMessage<'_>) -> Event {
    let body = message.payload().unwrap_or_default().to_vec();
    let topic = message.topic();
    let id = format!("{topic}/{}/{}", message.partition(), message.offset());
    let kind = detect_type(&body);
    Event::bare(id, format!("kafka:/{topic}"), kind, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Control, JoinShare};

    fn keyed(event: &Event) -> Option<String> {
        key_of(event).and_then(|key| String::from_utf8(key).ok())
    }

    #[test]
    fn parts_of_a_join_meet() {
        let mut event = Event::default();
        assert_eq!(keyed(&event), None);
        let control = Control { invocation: "i".to_owned(), ..Control::default() };
        event.control = Some(Box::new(control.clone()));
        assert_eq!(keyed(&event).as_deref(), Some("i"));
        event.note("partitionkey", "k");
        assert_eq!(keyed(&event).as_deref(), Some("k"));
        let joins = vec![JoinShare::default()];
        event.control = Some(Box::new(Control { joins, ..control }));
        assert_eq!(keyed(&event).as_deref(), Some("i"));
    }
}
