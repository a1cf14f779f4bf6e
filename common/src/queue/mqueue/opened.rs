//! What a connection has open: queues, their slots, bodies and joins.

use super::gatherings::Gatherings;
use super::registry;
use super::slab::Slab;
use super::slots::SlotFile;
use super::spill::Spill;
use super::sys::{Mq, Way};
use super::{Held, MqConnection, OpenQueue, Place, TRIGGERS_REPLY};
use crate::queue::{QueueError, QueueId, Receipt};
use std::collections::VecDeque;

impl OpenQueue {
    /// Keeps a slot file; returns its index.
    pub(super) fn add_file(&mut self, slots: SlotFile) -> usize {
        match self.files.iter().position(Option::is_none) {
            Some(index) => {
                self.files[index] = Some(slots);
                index
            }
            None => {
                self.files.push(Some(slots));
                self.files.len() - 1
            }
        }
    }
}

impl MqConnection {
    pub(super) fn queue(&self, id: QueueId) -> &OpenQueue {
        &self.open[id.0 as usize]
    }

    pub(super) fn queue_mut(&mut self, id: QueueId) -> &mut OpenQueue {
        &mut self.open[id.0 as usize]
    }

    pub(super) fn file(&mut self, place: Place) -> Option<&mut SlotFile> {
        self.queue_mut(place.queue).files.get_mut(place.file)?.as_mut()
    }

    pub(super) fn open(&mut self, name: &str, way: Way) -> Result<QueueId, QueueError> {
        let mq = Mq::open(name, way)?;
        let message_size = mq.attr()?.message_size as usize;
        let bound = registry::queue_record(&self.dirs, name).and_then(|record| record.spill);
        let spill = bound.map(|bound| Spill::open(&self.dirs, name, bound)).transpose()?;
        let opened = OpenQueue {
            name: name.to_owned(),
            mq,
            message_size,
            receives: way == Way::Receive,
            listening: false,
            waits_for_room: false,
            files: Vec::new(),
            recovered: VecDeque::new(),
            slab: None,
            spill,
            gatherings: None,
        };
        let index = match self.spent() {
            Some(index) => {
                self.open[index] = opened;
                index
            }
            None => {
                self.open.push(opened);
                self.open.len() - 1
            }
        };
        Ok(QueueId(index as u32))
    }

    /// The place of a queue that is gone for good: a trigger's own reply queue,
    /// to which nothing is on its way. Without this, each of them would keep
    /// its descriptors open for as long as the invoker lives.
    fn spent(&self) -> Option<usize> {
        let is_waited_for = |index: usize| {
            let mut packets = self.pending.iter().flat_map(|parcel| &parcel.packets);
            packets.any(|packed| packed.queue.0 as usize == index)
        };
        let is_gone = |queue: &OpenQueue| {
            let is_reply = !queue.receives && queue.name.contains(TRIGGERS_REPLY);
            is_reply && queue.mq.is_removed(&queue.name).is_ok_and(|removed| removed)
        };
        let mut all = self.open.iter().enumerate();
        all.find(|(index, queue)| is_gone(queue) && !is_waited_for(*index)).map(|(index, _)| index)
    }

    /// The queue of that name opened for sending; opened if it is not yet.
    pub(super) fn sender(&mut self, name: &str) -> Result<QueueId, QueueError> {
        let is_it = |open: &OpenQueue| {
            !open.receives && open.name == name && open.mq.is_removed(name).is_ok_and(|gone| !gone)
        };
        match self.open.iter().position(is_it) {
            Some(index) => Ok(QueueId(index as u32)),
            None => self.open(name, Way::Send),
        }
    }

    /// A slot to receive into; a new file when all are taken.
    pub(super) fn free_place(&mut self, id: QueueId) -> Result<Place, QueueError> {
        let dirs = self.dirs.clone();
        let queue = self.queue_mut(id);
        let free = queue.files.iter().enumerate().find_map(|(file, slots)| {
            Some(Place { queue: id, file, slot: slots.as_ref()?.free_slot()? })
        });
        if let Some(place) = free {
            return Ok(place);
        }
        let slots = SlotFile::create(&dirs.slots(&queue.name)?, queue.message_size)?;
        Ok(Place { queue: id, file: queue.add_file(slots), slot: 0 })
    }

    pub(super) fn hold(&mut self, place: Place, body: Option<String>) -> Receipt {
        self.next_receipt += 1;
        self.held.insert(self.next_receipt, Held { place, body, fired: Vec::new() });
        Receipt(self.next_receipt)
    }

    pub(super) fn slab(&mut self, id: QueueId) -> Result<&mut Slab, QueueError> {
        let dirs = self.dirs.clone();
        let queue = self.queue_mut(id);
        Ok(match &mut queue.slab {
            Some(slab) => slab,
            none => none.insert(Slab::open(&dirs, &queue.name)?),
        })
    }

    /// Opens the slab of a queue if somebody has made one.
    pub(super) fn slab_if_any(&mut self, id: QueueId) -> Result<(), QueueError> {
        let queue = self.queue(id);
        if queue.slab.is_none() && self.dirs.has_bodies(&queue.name) {
            self.slab(id)?;
        }
        Ok(())
    }

    pub(super) fn gatherings(&mut self, id: QueueId) -> Result<&mut Gatherings, QueueError> {
        let (dirs, name) = (self.dirs.clone(), self.queue(id).name.clone());
        let slot = &mut self.queue_mut(id).gatherings;
        Ok(match slot {
            Some(gatherings) => gatherings,
            None => slot.insert(Gatherings::of(&dirs, &name)?),
        })
    }

    /// What a message that was taken over may have made fire.
    pub(super) fn fired_by(&mut self, place: Place) -> Vec<(String, String)> {
        if !self.dirs.has_gathered(&self.queue(place.queue).name) {
            return Vec::new();
        }
        let Some((event, claim)) = self.peek(place) else { return Vec::new() };
        Gatherings::keys(&event).into_iter().map(|key| (key, claim.clone())).collect()
    }

    /// What a settled message still needs: its body unlinked, its slot cleared.
    pub(super) fn finish(&mut self, place: Place, body: Option<&str>) -> Result<(), QueueError> {
        if let Some(body) = body {
            self.slab(place.queue)?.drop_body(body)?;
        }
        if let Some(slots) = self.file(place) {
            slots.clear(place.slot);
        }
        Ok(())
    }
}
