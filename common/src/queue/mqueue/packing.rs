//! Between events and packets: what is sent, and what was received.

use super::dirs::Dirs;
use super::packet::{self, Packet};
use super::{MqConnection, OpenQueue, Place, bodies};
use crate::clock;
use crate::event::{Body, Event, detect_type, frame};
use crate::queue::{QueueError, QueueId, Settlement, Taken};

impl MqConnection {
    /// The name of the file beside the queue that a slot's message refers to.
    pub(super) fn body_of(&mut self, place: Place, received: Option<usize>) -> Option<String> {
        beside(self.file(place)?.buffer(place.slot), received)
    }

    /// The event in a slot, without a body that is beside the queue, and the
    /// claim that it may have on a join.
    pub(super) fn peek(&mut self, place: Place) -> Option<(Event, String)> {
        let (dirs, name) = (self.dirs.clone(), self.queue(place.queue).name.clone());
        let slots = self.file(place)?;
        let (event, _, _) = decode(&dirs, &name, slots.buffer(place.slot), None);
        let claim = super::claim(&slots.name_of(place.slot), &event.id);
        Some((event, claim))
    }

    /// Makes the message in a slot known to the caller.
    pub(super) fn hand_out(&mut self, place: Place, received: Option<usize>) -> Taken {
        let (dirs, name) = (self.dirs.clone(), self.queue(place.queue).name.clone());
        let (mut event, beside, mut fault, attempts) = {
            let queue = self.queue(place.queue);
            let Some(slots) = queue.files[place.file].as_ref() else {
                unreachable!("a place refers to a file that is kept while it is in use")
            };
            let (event, beside, fault) = decode(&dirs, &name, slots.buffer(place.slot), received);
            let poison = slots.poison(place.slot).load(std::sync::atomic::Ordering::Acquire);
            let fault = match poison {
                0 => fault,
                rule => Some(format!("condition: rule {} ran too long", rule - 1)),
            };
            (event, beside, fault, slots.attempts(place.slot))
        };
        if let Some((file, Some(len))) = &beside {
            match bodies::fetch(&dirs, &name, file, Some(*len)) {
                Ok(body) => event.body = Some(body),
                Err(error) => fault = Some(format!("its body cannot be read: {error}")),
            }
        }
        let receipt = self.hold(place, beside.map(|(file, _)| file));
        Taken { receipt, queue: place.queue, event, attempts, fault }
    }

    /// Packs a settlement: bodies that do not fit are stored beside their
    /// queues. On an error nothing stays behind.
    pub(super) fn pack(
        &mut self,
        settlement: &Settlement,
    ) -> Result<Vec<(QueueId, Vec<u8>)>, QueueError> {
        let mut packets = Vec::with_capacity(settlement.outputs.len());
        let mut stored: Vec<(String, String)> = Vec::new();
        for output in &settlement.outputs {
            let queue = self.queue(output.queue);
            match self.pack_one(queue, &output.event) {
                Ok((packet, beside)) => {
                    stored.extend(beside.map(|file| (queue.name.clone(), file)));
                    packets.push((output.queue, packet));
                }
                Err(error) => {
                    for (queue, file) in stored {
                        bodies::drop_body(&self.dirs, &queue, &file)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(packets)
    }

    /// Outputs that found no room and never will: they are more than there is
    /// of it altogether, so waiting is of no use.
    pub(super) fn never_fits(&self, settlement: &Settlement, error: QueueError) -> QueueError {
        let QueueError::NoRoom { place, .. } = &error else { return error };
        let bytes: u64 = settlement.outputs.iter().map(|output| output.event.body_len()).sum();
        let total = nix::sys::statvfs::statvfs(self.dirs.root())
            .map_or(u64::MAX, |fs| fs.blocks().saturating_mul(fs.fragment_size()));
        if bytes <= total {
            return error;
        }
        QueueError::Refused {
            what: format!("{bytes} bytes are more than {place} can ever hold"),
            alternative: "FAAS_STATE_DIR on a larger file system".to_owned(),
        }
    }

    /// Unlinks the bodies that packets have beside their queues.
    pub(super) fn drop_bodies(&self, packets: &[(QueueId, Vec<u8>)]) -> Result<(), QueueError> {
        for (queue, packet) in packets {
            if let Some(name) = beside(packet, Some(packet.len())) {
                bodies::drop_body(&self.dirs, &self.queue(*queue).name, &name)?;
            }
        }
        Ok(())
    }

    pub(super) fn pack_one(
        &self,
        queue: &OpenQueue,
        event: &Event,
    ) -> Result<(Vec<u8>, Option<String>), QueueError> {
        let room = queue.message_size - packet::HEADER;
        if event.body_len() <= room as u64 {
            let whole = frame::encode(event).map_err(QueueError::io("reading a body"))?;
            if whole.len() <= room {
                return Ok((packet::wrap(&whole), None));
            }
        }
        if let Some(body) = &event.body
            && frame::encode_beside(event, "", body.len()).len() + 64 <= room
        {
            let name = bodies::store(&self.dirs, &queue.name, body)?;
            return Ok((packet::wrap(&frame::encode_beside(event, &name, body.len())), Some(name)));
        }
        let whole = frame::encode(event).map_err(QueueError::io("reading a body"))?;
        let name = bodies::store(&self.dirs, &queue.name, &Body::Inline(whole))?;
        Ok((packet::wrap_name(&name), Some(name)))
    }
}

/// Reads a slot's buffer: the event, the file beside the queue it needs with
/// the body's length (none when the whole frame was there), and what is wrong.
#[allow(clippy::type_complexity)]
fn decode(
    dirs: &Dirs,
    queue: &str,
    buffer: &[u8],
    received: Option<usize>,
) -> (Event, Option<(String, Option<u64>)>, Option<String>) {
    let bare = |bytes: &[u8]| {
        let id = format!("mq-{:016x}", clock::random_u64());
        Event::bare(id, format!("mq:/{queue}"), detect_type(bytes), bytes.to_vec())
    };
    match packet::open(buffer, received) {
        Packet::Frame(bytes) => match frame::decode(bytes) {
            Ok((event, frame::Place::Inside)) => (event, None, None),
            Ok((event, frame::Place::Beside { name, len })) => {
                (event, Some((name, Some(len))), None)
            }
            Err(error) => (bare(bytes), None, Some(format!("damaged: {error}"))),
        },
        Packet::FrameBeside(name) => {
            let name = name.to_owned();
            let loaded = bodies::fetch(dirs, queue, &name, None)
                .and_then(|body| body.load().map(std::borrow::Cow::into_owned))
                .map_err(|error| error.to_string())
                .and_then(|bytes| frame::decode(&bytes).map_err(|error| error.to_string()));
            match loaded {
                Ok((event, _)) => (event, Some((name, None)), None),
                Err(error) => (bare(&[]), Some((name, None)), Some(format!("damaged: {error}"))),
            }
        }
        Packet::Damaged => {
            let fault = "damaged: the message's length or checksum is wrong".to_owned();
            (bare(&buffer[..received.unwrap_or(buffer.len())]), None, Some(fault))
        }
        Packet::Foreign(bytes) => (bare(bytes), None, None),
    }
}

/// The name of the file beside the queue that a packet refers to.
fn beside(packet: &[u8], received: Option<usize>) -> Option<String> {
    match packet::open(packet, received) {
        Packet::FrameBeside(name) => Some(name.to_owned()),
        Packet::Frame(bytes) => match frame::decode(bytes) {
            Ok((_, frame::Place::Beside { name, .. })) => Some(name),
            _ => None,
        },
        _ => None,
    }
}
