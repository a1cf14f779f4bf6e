//! Taking over what dead readers held.

use super::packing::beside;
use super::parcel::{self, Packed, Parcel};
use super::slab::Name;
use super::slots::{self, SlotFile, State};
use super::spill::Spill;
use super::{MqConnection, Place, owner};
use crate::queue::{QueueError, QueueId};
use std::collections::BTreeSet;

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
        // All that is held first: should one fail, none is taken for free.
        let Some(slots) = self.file(Place { queue: id, file, slot: 0 }) else { return Ok(()) };
        let held: Vec<usize> = (0..slots::SLOTS).filter(|slot| slots.holds(*slot)).collect();
        held.iter().for_each(|slot| slots.occupy(*slot));
        for slot in held {
            let place = Place { queue: id, file, slot };
            let Some(slots) = self.file(place) else { continue };
            match slots.state(slot) {
                State::Free => {
                    slots.forget_outbox(slot);
                    self.queue_mut(id).recovered.push_back(place);
                }
                State::Settled => self.acknowledge_later(place),
                State::Sending => self.recover_sending(place)?,
            }
        }
        self.retire_empty(id);
        Ok(())
    }

    /// A settled message still needs its acknowledgement, nothing else.
    fn acknowledge_later(&mut self, place: Place) {
        let (body, fired) = (self.body_of(place, None), self.fired_by(place));
        let receipt = self.hold(place, body);
        if let Some(held) = self.held.get_mut(&receipt.0) {
            held.fired = fired;
        }
        let (taken, packets) = (vec![receipt], Vec::new());
        self.pending.push_back(Parcel {
            ticket: u64::MAX,
            taken,
            packets,
            next: 0,
            home: Some(place),
            is_held: false,
        });
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
                Ok(queue) => {
                    let body = beside(&packet, Some(packet.len()));
                    packets.push(Packed { queue, packet, body });
                }
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
        if let Some(packed) = packets.get(next).cloned() {
            match self.sendable_again(packed)? {
                Some(packed) => packets[next] = packed,
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
            is_held: false,
        });
        Ok(())
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

/// Frees bodies that nobody will ever ask for; see the ledger.
impl MqConnection {
    pub(super) fn sweep(&mut self, id: QueueId) -> Result<(), QueueError> {
        self.slab_if_any(id)?;
        let dirs = self.dirs.clone();
        let Some(mut slab) = self.queue_mut(id).slab.take() else { return Ok(()) };
        let queue = self.queue(id);
        let needed = || {
            let mut names = slots::outboxes(dirs.root())
                .iter()
                .filter_map(|outbox| parcel::read_outbox(outbox))
                .flatten()
                .filter_map(|(name, packet)| (name == queue.name).then_some(packet))
                .filter_map(|packet| Name::parse(&beside(&packet, Some(packet.len()))?))
                .collect::<BTreeSet<_>>();
            let spilled = queue.spill.as_ref().map_or(Ok(Vec::new()), Spill::packets).ok()?;
            names.extend(spilled.iter().filter_map(|p| Name::parse(&beside(p, Some(p.len()))?)));
            Some(names)
        };
        let in_slots = || {
            let folder = dirs.root().join("slots").join(&queue.name);
            let buffers = slots::buffers(&folder, queue.message_size);
            buffers.iter().filter_map(|buffer| Name::parse(&beside(buffer, None)?)).collect()
        };
        let is_empty = || {
            let spilled = queue.spill.as_ref().map_or(Ok((0, 0)), Spill::held);
            queue.mq.attr().is_ok_and(|attr| attr.depth == 0)
                && spilled.is_ok_and(|(count, _)| count == 0)
        };
        let swept = slab.sweep(|id| owner::is_alive(&dirs, id), needed, in_slots, is_empty);
        self.queue_mut(id).slab = Some(slab);
        swept
    }
}

fn recorded(slots: &SlotFile, slot: usize) -> Result<Vec<(String, Vec<u8>)>, QueueError> {
    parcel::read_outbox(&slots.recorded(slot)?)
        .ok_or_else(|| slots.damaged("a record of outputs cannot be read"))
}
