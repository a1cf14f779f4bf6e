//! Taking over what dead readers held.

use super::packet::{self, Packet};
use super::parcel::{self, Parcel};
use super::slots::{self, SlotFile, State};
use super::{MqConnection, Place, bodies};
use crate::event::frame;
use crate::queue::{QueueError, QueueId};

impl MqConnection {
    /// Takes over the slot files of dead readers of a queue.
    pub(super) fn adopt(&mut self, id: QueueId) -> Result<(), QueueError> {
        let queue = self.queue(id);
        let (dir, message_size) = (self.dirs.slots(&queue.name)?, queue.message_size);
        for path in slots::files(&dir) {
            match SlotFile::adopt(path, message_size) {
                Ok(None) => {}
                Ok(Some(slots)) => {
                    let file = self.queue_mut(id).add_file(slots);
                    self.recover(id, file)?;
                }
                // It was set aside: said once, and no reason not to read on.
                Err(error @ QueueError::Damaged { .. }) => self.notices.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        for place in std::mem::take(&mut self.stuck) {
            self.recover_sending(place)?;
        }
        Ok(())
    }

    /// Goes on from the state in which each slot of an adopted file is.
    pub(super) fn recover(&mut self, id: QueueId, file: usize) -> Result<(), QueueError> {
        for slot in 0..slots::SLOTS {
            let place = Place { queue: id, file, slot };
            let Some(slots) = self.file(place) else { continue };
            let state = slots.state(slot);
            if state == State::Free && slots.buffer(slot).iter().all(|&byte| byte == 0) {
                continue;
            }
            slots.occupy(slot);
            match state {
                State::Free => self.queue_mut(id).recovered.push_back(place),
                State::Settled => {
                    for (key, claim) in self.fired_by(place) {
                        self.gatherings(id)?.done(&key, &claim)?;
                    }
                    let body = self.body_of(place, None);
                    self.finish(place, body.as_deref())?;
                }
                State::Sending => self.recover_sending(place)?,
            }
        }
        self.retire_empty(id);
        Ok(())
    }

    /// Sends what is left of a record. When its queue is gone the slot stays
    /// as it is, and is tried again when the queue may be there again.
    fn recover_sending(&mut self, place: Place) -> Result<(), QueueError> {
        let Some(slots) = self.file(place) else { return Ok(()) };
        let (outbox, mut next) = match recorded(slots, place.slot) {
            Ok(outbox) => (outbox, slots.sent(place.slot)),
            Err(error) => {
                self.notices.push(error.to_string());
                return Ok(());
            }
        };
        let mut packets = Vec::new();
        for (name, packet) in outbox {
            match self.sender(&name) {
                Ok(queue) => packets.push((queue, packet)),
                Err(QueueError::NoSuchQueue) => {
                    if !self.stuck_said {
                        self.stuck_said = true;
                        self.notices.push(format!("outputs wait for mq:/{name}, which is gone"));
                    }
                    self.stuck.push(place);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // The kill may have come between the send of this one and its mark.
        if let Some((queue, packet)) = packets.get(next).cloned() {
            match self.sendable_again(queue, packet)? {
                Some(packet) => packets[next].1 = packet,
                None => next += 1,
            }
        }
        let body = self.body_of(place, None);
        let fired = self.fired_by(place);
        let receipt = self.hold(place, body);
        if let Some(held) = self.held.get_mut(&receipt.0) {
            held.fired = fired;
        }
        let taken = vec![receipt];
        self.pending.push_back(Parcel {
            ticket: u64::MAX,
            taken,
            packets,
            next,
            home: Some(place),
        });
        Ok(())
    }

    /// A packet that may be out already, in a form that may be sent again: a
    /// body beside the queue gets a second name, for whoever settles the
    /// first copy unlinks the first. A body that is gone was received and
    /// settled, so the packet needs no second sending: `None`.
    fn sendable_again(
        &mut self,
        queue: QueueId,
        packet: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, QueueError> {
        let (dirs, target) = (self.dirs.clone(), self.queue(queue).name.clone());
        Ok(match packet::open(&packet, Some(packet.len())) {
            Packet::FrameBeside(name) => {
                bodies::link_again(&dirs, &target, name)?.map(|name| packet::wrap_name(&name))
            }
            Packet::Frame(bytes) => match frame::decode(bytes) {
                Ok((event, frame::Place::Beside { name, len })) => {
                    bodies::link_again(&dirs, &target, &name)?
                        .map(|name| packet::wrap(&frame::encode_beside(&event, &name, len)))
                }
                _ => Some(packet),
            },
            _ => Some(packet),
        })
    }

    /// Gives up adopted files that hold nothing any more, so that files do
    /// not pile up; one is kept to receive into.
    pub(super) fn retire_empty(&mut self, id: QueueId) {
        let files = &mut self.queue_mut(id).files;
        let kept = files.iter().position(Option::is_some);
        for (index, file) in files.iter_mut().enumerate() {
            if Some(index) != kept
                && let Some(empty) = file.take_if(|slots| slots.is_empty())
            {
                empty.remove();
            }
        }
    }
}

fn recorded(slots: &SlotFile, slot: usize) -> Result<Vec<(String, Vec<u8>)>, QueueError> {
    parcel::read_outbox(&slots.recorded(slot)?)
        .ok_or_else(|| slots.damaged("a record of outputs cannot be read"))
}
