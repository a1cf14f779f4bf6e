//! Sending what a settlement holds, as far as there is room.

use super::parcel::Parcel;
use super::{MqConnection, ROOM};
use crate::poll::Interest;
use crate::queue::{QueueError, QueueId, Settled};

impl MqConnection {
    /// Sends what is left of a parcel, then acknowledges.
    pub(super) fn advance(&mut self, parcel: &mut Parcel) -> Result<Settled, QueueError> {
        while let Some((queue, packet)) = parcel.packets.get(parcel.next) {
            if !self.queue(*queue).mq.try_send(packet)? {
                self.wait_for_room(*queue)?;
                return Ok(Settled::Waiting);
            }
            parcel.next += 1;
            if let Some(place) = parcel.home
                && let Some(slots) = self.file(place)
            {
                slots.mark_sent(place.slot);
            }
        }
        for receipt in parcel.taken.drain(..) {
            let Some(held) = self.held.remove(&receipt.0) else { continue };
            if let Some(slots) = self.file(held.place) {
                slots.mark_settled(held.place.slot);
            }
            for (key, claim) in &held.fired {
                self.gatherings(held.place.queue)?.done(key, claim)?;
            }
            self.finish(held.place, held.body.as_deref())?;
        }
        Ok(Settled::Done)
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
