//! Sending what a settlement holds, as far as there is room.

use super::marker::marker;
use super::packing::beside;
use super::parcel::{Packed, Parcel};
use super::{MqConnection, OpenQueue, ROOM};
use crate::poll::Interest;
use crate::queue::{QueueError, QueueId, Receipt, Settled};

impl MqConnection {
    /// Sends what is left of a parcel, then acknowledges.
    pub(super) fn advance(&mut self, parcel: &mut Parcel) -> Result<Settled, QueueError> {
        while let Some(packed) = parcel.packets.get(parcel.next) {
            let queue = packed.queue;
            let begins_anew =
                parcel.home.is_some_and(|home| self.queue(home.queue).spill.is_none());
            match self.send_one(packed, begins_anew)? {
                Sent::Yes => {}
                Sent::NoRoom => {
                    self.wait_for_room(queue)?;
                    return Ok(Settled::Waiting);
                }
                Sent::Held => {
                    parcel.is_held = true;
                    return Ok(Settled::Waiting);
                }
            }
            parcel.is_held = false;
            marker();
            parcel.next += 1;
            if let Some(place) = parcel.home
                && let Some(slots) = self.file(place)
            {
                slots.mark_sent(place.slot);
            }
        }
        while let Some(receipt) = parcel.taken.first().copied() {
            if !self.acknowledge(receipt)? {
                return Ok(Settled::Waiting);
            }
            parcel.taken.remove(0);
        }
        Ok(Settled::Done)
    }

    /// All that follows from a message is out: it is settled, and what it made
    /// fire is done. `false`: there is no room to write that down yet.
    fn acknowledge(&mut self, receipt: Receipt) -> Result<bool, QueueError> {
        let Some(held) = self.held.get(&receipt.0) else { return Ok(true) };
        let (place, body, fired) = (held.place, held.body.clone(), held.fired.clone());
        if let Some(slots) = self.file(place) {
            slots.mark_settled(place.slot);
        }
        for (key, claim) in &fired {
            match self.gatherings(place.queue)?.done(key, claim) {
                Ok(()) => {}
                Err(QueueError::NoRoom { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.held.remove(&receipt.0);
        self.finish(place, body.as_deref())?;
        Ok(true)
    }

    /// Sends one message, beside a queue that spills if need be. What comes
    /// from outside of all cycles (`begins_anew`) leaves half of a spill to
    /// those inside, who could not wait.
    fn send_one(&mut self, packed: &Packed, begins_anew: bool) -> Result<Sent, QueueError> {
        if packed.body.is_some() {
            self.slab(packed.queue)?;
        }
        if self.patient {
            return self.send_patiently(packed);
        }
        let queue = self.queue(packed.queue);
        let body = packed.body.as_deref();
        let Some(spill) = &queue.spill else { return sent(queue.send(&packed.packet, body)?) };
        let is_empty = spill.held()?.0 == 0;
        if begins_anew && spill.fullness()?.is_some() {
            return Ok(Sent::Held);
        }
        if is_empty && queue.send(&packed.packet, body)? {
            return Ok(Sent::Yes);
        }
        let spilled = spill.append(&packed.packet)?;
        marker();
        self.drain_spill(packed.queue)?;
        sent(spilled)
    }

    /// What begins anew stands behind all that is under way, and waits while
    /// a spill of the run is full. No descriptor tells when that is over.
    fn send_patiently(&mut self, packed: &Packed) -> Result<Sent, QueueError> {
        for open in &self.open {
            let Some(spill) = &open.spill else { continue };
            if let Some(full) = spill.fullness()? {
                if self.full_said.as_ref() != Some(&open.name) {
                    self.full_said = Some(open.name.clone());
                    self.notices.push(format!("waiting: {full}"));
                }
                return Ok(Sent::Held);
            }
        }
        self.full_said = None;
        let is_empty = self.drain_spill(packed.queue)?;
        let queue = self.queue(packed.queue);
        sent(is_empty && queue.send(&packed.packet, packed.body.as_deref())?)
    }

    /// Moves what was spilled into the queue, as far as there is room.
    /// Returns whether nothing is spilled any more.
    pub(super) fn drain_spill(&mut self, id: QueueId) -> Result<bool, QueueError> {
        let is_empty = match &self.queue(id).spill {
            None => true,
            Some(spill) => spill.held()?.0 == 0,
        };
        if is_empty {
            return Ok(true);
        }
        self.slab_if_any(id)?;
        let Some(spill) = self.queue_mut(id).spill.take() else { return Ok(true) };
        let drained = spill.drain(|packet| self.send_spilled(id, packet));
        self.queue_mut(id).spill = Some(spill);
        drained
    }

    /// Sends what waited in the spill. Whoever moved it before may have died
    /// before that was written down: then it has arrived, or its body is
    /// copied, for the first copy's is not to be sent twice.
    fn send_spilled(&mut self, queue: QueueId, packet: &[u8]) -> Result<bool, QueueError> {
        let body = beside(packet, Some(packet.len()));
        let packed = Packed { queue, packet: packet.to_vec(), body };
        match self.sendable_again(packed)? {
            None => Ok(true),
            Some(packed) => {
                let sent = self.queue(queue).send(&packed.packet, packed.body.as_deref());
                if let (Ok(false), Some(name)) = (&sent, &packed.body)
                    && packed.packet != packet
                {
                    self.slab(queue)?.drop_body(name)?;
                }
                sent
            }
        }
    }

    pub(super) fn wait_for_room(&mut self, id: QueueId) -> Result<(), QueueError> {
        let Some((poller, base)) = self.poller.clone() else { return Ok(()) };
        let queue = self.queue_mut(id);
        if !queue.waits_for_room {
            poller
                .add(&queue.mq, base | ROOM | u64::from(id.0), Interest::Write)
                .map_err(QueueError::io("waiting for room"))?;
            queue.waits_for_room = true;
        }
        Ok(())
    }
}

/// What became of an attempt to send.
enum Sent {
    Yes,
    /// The queue is full.
    NoRoom,
    /// It is not to be sent yet.
    Held,
}

fn sent(done: bool) -> Result<Sent, QueueError> {
    Ok(if done { Sent::Yes } else { Sent::NoRoom })
}

impl OpenQueue {
    /// Sends a packet past the spill; `false` when the queue is full. The slab
    /// is open if the packet has a body there.
    fn send(&self, packet: &[u8], body: Option<&str>) -> Result<bool, QueueError> {
        match (&self.slab, body) {
            (Some(slab), Some(name)) => slab.send(&self.mq, packet, name),
            _ => self.mq.try_send(packet),
        }
    }
}
