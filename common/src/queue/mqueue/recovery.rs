//! Taking over what dead readers held.

use super::parcel::{self, Parcel};
use super::slots::{self, SlotFile, State};
use super::{MqConnection, Place};
use crate::queue::{QueueError, QueueId};

impl MqConnection {
    /// Takes over the slot files of dead readers of a queue.
    pub(super) fn adopt(&mut self, id: QueueId) -> Result<(), QueueError> {
        let queue = self.queue(id);
        let (dir, message_size) = (self.dirs.slots(&queue.name)?, queue.message_size);
        for path in slots::files(&dir) {
            if let Some(slots) = SlotFile::adopt(path, message_size)? {
                let queue = self.queue_mut(id);
                queue.files.push(Some(slots));
                let file = queue.files.len() - 1;
                self.recover(id, file)?;
            }
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
                    let body = self.body_of(place, None);
                    self.finish(place, body.as_deref())?;
                }
                State::Sending => self.recover_sending(place)?,
            }
        }
        self.retire_empty(id);
        Ok(())
    }

    pub(super) fn recover_sending(&mut self, place: Place) -> Result<(), QueueError> {
        let Some(slots) = self.file(place) else { return Ok(()) };
        let (outbox, sent) = (slots.recorded(place.slot)?, slots.sent(place.slot));
        let Some(recorded) = parcel::read_outbox(&outbox) else {
            return Err(QueueError::Damaged {
                file: self.dirs.root().display().to_string(),
                why: "a record of outputs cannot be read".to_owned(),
            });
        };
        let mut packets = Vec::new();
        for (name, packet) in recorded {
            packets.push((self.sender(&name)?, packet));
        }
        let body = self.body_of(place, None);
        let receipt = self.hold(place, body);
        self.pending.push_back(Parcel {
            ticket: u64::MAX,
            taken: vec![receipt],
            packets,
            next: sent,
            home: Some(place),
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
