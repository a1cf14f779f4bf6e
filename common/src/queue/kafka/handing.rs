//! Hand-offs of a connection: records out, and what was taken done once they
//! have arrived.

use super::crew::{Base, Crew};
use super::reader::{Held, Reader};
use super::record::Record;
use super::writer::Writer;
use super::{KafkaConnection, Open, Sending};
use crate::queue::{Outgoing, QueueError, QueueId};
use std::time::Instant;

/// Those that read a queue.
pub(super) fn crew(open: &mut [Open], queue: QueueId) -> Result<&mut Crew, QueueError> {
    open[queue.0 as usize].crew.as_mut().ok_or(QueueError::NoSuchQueue)
}

impl KafkaConnection {
    pub(super) fn topic(&self, queue: QueueId) -> &Open {
        &self.open[queue.0 as usize]
    }

    /// What new members of groups need, beside where they are put.
    pub(super) fn base(&mut self) -> (Base<'_>, &mut Vec<Reader>, &mut [Open]) {
        let exact = matches!(self.sending, Sending::ExactlyOnce(_));
        let Self { settings, notes, bell, readers, open, .. } = self;
        (Base { settings, notes, bell, exact }, readers, open)
    }

    pub(super) fn enter(&mut self, open: Open) -> QueueId {
        self.open.push(open);
        QueueId(self.open.len() as u32 - 1)
    }

    pub(super) fn record(&self, output: &Outgoing) -> Result<Record, QueueError> {
        let open = self.topic(output.queue);
        let record = Record::of_event(&output.event, output.queue, open.topic.clone())?;
        let (topic, size, max) = (&open.topic, record.size(), open.record_max);
        if size <= max {
            return Ok(record);
        }
        Err(QueueError::Refused {
            what: format!("{topic}: takes records up to {max} bytes, not {size}"),
            alternative: format!(
                "kafka-configs.sh --topic {topic} --alter --add-config max.message.bytes=..."
            ),
        })
    }

    /// What was taken is done; the ticket is when that is committed.
    pub(super) fn finish(&mut self, ticket: u64, held: &[Held]) {
        for one in held {
            let reader = &mut self.readers[one.reader];
            self.awaited.entry(ticket).or_default().0 += 1;
            // What is not ours any more is let go of as such.
            let change = reader.part(one).map_or(0, |part| part.finish(one.offset, &one.fate));
            reader.wait(ticket, one, change);
        }
    }

    /// The outputs of a ticket have arrived: what it took is done, and nobody
    /// waits until that is committed.
    pub(super) fn arrived(&mut self, ticket: u64, held: &[Held]) {
        let mut void = false;
        for one in held {
            match self.readers[one.reader].part(one) {
                Some(part) => {
                    part.finish(one.offset, &one.fate);
                }
                None => void = true,
            }
        }
        self.ready.push((ticket, void));
    }

    /// Takes in all that came.
    pub(super) fn turn(&mut self) -> Result<(), QueueError> {
        self.looked = Instant::now();
        self.take_in_sent()?;
        self.take_in_read()
    }

    /// Takes in acknowledgements.
    pub(super) fn take_in_sent(&mut self) -> Result<(), QueueError> {
        let mut arrived = Vec::new();
        if let Sending::AtLeastOnce { writer: Some(writer), jobs } = &mut self.sending {
            let mut tickets = Vec::new();
            writer.poll(&self.settings, &mut tickets)?;
            let job = |ticket: u64| (ticket, jobs.remove(&ticket).unwrap_or_default());
            arrived.extend(tickets.into_iter().map(job));
        }
        for (ticket, held) in arrived {
            self.arrived(ticket, &held);
        }
        Ok(())
    }

    /// Takes in messages, answers to commits, ends of transactions, partitions
    /// that come and go.
    pub(super) fn take_in_read(&mut self) -> Result<(), QueueError> {
        if let Sending::ExactlyOnce(exact) = &mut self.sending {
            exact.look(&mut self.readers, &mut self.ready)?;
        }
        for reader in &mut self.readers {
            reader.look_if_rung()?;
            for (ticket, void) in reader.take_released() {
                let awaited = self.awaited.entry(ticket).or_default();
                awaited.0 = awaited.0.saturating_sub(1);
                awaited.1 |= void;
                if awaited.0 == 0 {
                    self.ready.push((ticket, awaited.1));
                    self.awaited.remove(&ticket);
                }
            }
        }
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        ticket: u64,
        records: Vec<Record>,
        held: Vec<Held>,
    ) -> Result<(), QueueError> {
        match &mut self.sending {
            Sending::ExactlyOnce(exact) => exact.add(ticket, records, held),
            Sending::AtLeastOnce { .. } if records.is_empty() => self.finish(ticket, &held),
            Sending::AtLeastOnce { writer, jobs } => {
                let new = match writer.take() {
                    Some(writer) => writer,
                    None => Box::new(Writer::new(&self.settings, &self.notes, &self.sent_bell)?),
                };
                jobs.insert(ticket, held);
                writer.insert(new).send(ticket, records, &self.settings)?;
            }
        }
        Ok(())
    }
}
