//! Between events and packets: what is sent, and what was received.

use super::packet::{self, Packet};
use super::parcel::Packed;
use super::slab::{Fate, Slab};
use super::{MqConnection, Place};
use crate::clock;
use crate::event::{Body, Event, detect_type, frame};
use crate::queue::{QueueError, QueueId, Settlement, Taken};

impl MqConnection {
    /// The name of the body beside the queue that a slot's message refers to.
    pub(super) fn body_of(&mut self, place: Place, received: Option<usize>) -> Option<String> {
        beside(self.file(place)?.buffer(place.slot), received)
    }

    /// The event in a slot, without a body that is beside the queue, and the
    /// claim that it may have on a join.
    pub(super) fn peek(&mut self, place: Place) -> Option<(Event, String)> {
        // What cannot be read has no claim either.
        let _ = self.slab_for(place);
        let queue = self.queue(place.queue);
        let slots = queue.files.get(place.file)?.as_ref()?;
        let (event, _, _) =
            decode(queue.slab.as_ref(), &queue.name, slots.buffer(place.slot), None);
        let claim = super::claim(&slots.name_of(place.slot), &event.id);
        Some((event, claim))
    }

    /// Opens the slab that the message in a slot may refer to.
    fn slab_for(&mut self, place: Place) -> Result<(), QueueError> {
        let refers =
            self.file(place).is_some_and(|slots| packet::may_refer(slots.buffer(place.slot)));
        if refers { self.slab_if_any(place.queue) } else { Ok(()) }
    }

    /// Makes the message in a slot known to the caller.
    pub(super) fn hand_out(&mut self, place: Place, received: Option<usize>) -> Taken {
        let opened = self.slab_for(place);
        let (mut event, beside, mut fault, attempts) = {
            let queue = self.queue(place.queue);
            let Some(slots) = queue.files[place.file].as_ref() else {
                unreachable!("a place refers to a file that is kept while it is in use")
            };
            let slab = queue.slab.as_ref();
            let (event, beside, fault) =
                decode(slab, &queue.name, slots.buffer(place.slot), received);
            let poison = slots.poison(place.slot).load(std::sync::atomic::Ordering::Acquire);
            let fault = match poison {
                0 => fault,
                rule => Some(format!("condition: rule {} ran too long", rule - 1)),
            };
            (event, beside, fault, slots.attempts(place.slot))
        };
        if let Some((name, len)) = &beside {
            let slab = self.queue(place.queue).slab.as_ref();
            let held = opened.and_then(|()| slab.map_or(Ok(false), |slab| slab.hold(name)));
            let body = len.map(|len| fetch(slab, name, len)).transpose();
            match (held, body) {
                (Ok(true), Ok(Some(body))) => event.body = Some(body),
                (Ok(true), Ok(None)) => {}
                (Ok(false), _) => fault = Some("its body cannot be read: it is gone".to_owned()),
                (Err(error), _) => fault = Some(format!("its body cannot be read: {error}")),
                (_, Err(error)) => fault = Some(format!("its body cannot be read: {error}")),
            }
        }
        let receipt = self.hold(place, beside.map(|(file, _)| file));
        Taken { receipt, queue: place.queue, event, attempts, fault }
    }

    /// Packs a settlement: bodies that do not fit are stored beside their
    /// queues. On an error nothing stays behind.
    pub(super) fn pack(&mut self, settlement: &Settlement) -> Result<Vec<Packed>, QueueError> {
        let mut packets = Vec::with_capacity(settlement.outputs.len());
        for output in &settlement.outputs {
            match self.pack_one(output.queue, &output.event) {
                Ok(packed) => packets.push(packed),
                Err(error) => {
                    self.drop_bodies(&packets)?;
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

    /// Gives up the bodies that packets have beside their queues.
    pub(super) fn drop_bodies(&mut self, packets: &[Packed]) -> Result<(), QueueError> {
        for packed in packets {
            if let Some(name) = &packed.body {
                self.slab(packed.queue)?.drop_body(name)?;
            }
        }
        Ok(())
    }

    fn pack_one(&mut self, queue: QueueId, event: &Event) -> Result<Packed, QueueError> {
        let room = self.queue(queue).message_size - packet::HEADER;
        if event.body_len() <= room as u64 {
            let whole = frame::encode(event).map_err(QueueError::io("reading a body"))?;
            if whole.len() <= room {
                return Ok(Packed { queue, packet: packet::wrap(&whole), body: None });
            }
        }
        if let Some(body) = &event.body
            && frame::encode_beside(event, "", body.len()).len() + 64 <= room
        {
            let name = self.store(queue, body)?;
            let packet = packet::wrap(&frame::encode_beside(event, &name, body.len()));
            return Ok(Packed { queue, packet, body: Some(name) });
        }
        let whole = frame::encode(event).map_err(QueueError::io("reading a body"))?;
        let len = whole.len() as u64;
        let name = self.store(queue, &Body::Inline(whole))?;
        Ok(Packed { queue, packet: packet::wrap_name(&name, len), body: Some(name) })
    }

    pub(super) fn store(&mut self, queue: QueueId, body: &Body) -> Result<String, QueueError> {
        let owner = match self.owner.take() {
            Some(owner) => owner,
            None => super::owner::Owner::new(&self.dirs)?,
        };
        let stored = self.slab(queue).and_then(|slab| slab.store(body, &owner));
        self.owner = Some(owner);
        stored
    }

    /// A packet that may be out already, in a form that may be sent again: its
    /// body is copied, for whoever settles the first copy frees it. `None`:
    /// it did arrive, or waits in the spill, and needs no second sending.
    pub(super) fn sendable_again(&mut self, packed: Packed) -> Result<Option<Packed>, QueueError> {
        let Some(name) = &packed.body else { return Ok(Some(packed)) };
        let queue = packed.queue;
        match self.slab(queue)?.fate(name)? {
            Fate::Arrived => return Ok(None),
            // While a spill is read out it is not there to be looked at.
            Fate::Unsent => {
                let spilled = match &self.queue(queue).spill {
                    Some(spill) => spill.contains(&packed.packet)?,
                    None => false,
                };
                return Ok((!spilled).then_some(packed));
            }
            Fate::Sent => {}
        }
        let bytes = &packed.packet;
        let (event, len) = match packet::open(bytes, Some(bytes.len())) {
            Packet::FrameBeside(_, len) => (None, len),
            Packet::Frame(frame) => match frame::decode(frame) {
                Ok((event, frame::Place::Beside { len, .. })) => (Some(event), len),
                _ => return Ok(Some(packed)),
            },
            _ => return Ok(Some(packed)),
        };
        // It may just be received and settled: then it has arrived.
        let Ok(body) = self.slab(queue)?.fetch(name, Some(len)) else { return Ok(None) };
        let copy = self.store(queue, &body)?;
        if self.slab(queue)?.fate(name)? != Fate::Sent {
            self.slab(queue)?.drop_body(&copy)?;
            return Ok(None);
        }
        let packet = match event {
            None => packet::wrap_name(&copy, len),
            Some(event) => packet::wrap(&frame::encode_beside(&event, &copy, len)),
        };
        Ok(Some(Packed { queue, packet, body: Some(copy) }))
    }
}

fn fetch(slab: Option<&Slab>, name: &str, len: u64) -> std::io::Result<Body> {
    match slab {
        Some(slab) => slab.fetch(name, Some(len)),
        None => Err(std::io::ErrorKind::NotFound.into()),
    }
}

/// Reads a slot's buffer: the event, the file beside the queue it needs with
/// the body's length (none when the whole frame was there), and what is wrong.
#[allow(clippy::type_complexity)]
fn decode(
    slab: Option<&Slab>,
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
        Packet::FrameBeside(name, len) => {
            let name = name.to_owned();
            let loaded = fetch(slab, &name, len)
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

/// The name of the body beside the queue that a packet refers to.
pub(super) fn beside(packet: &[u8], received: Option<usize>) -> Option<String> {
    if !packet::may_refer(packet) {
        return None;
    }
    match packet::open(packet, received) {
        Packet::FrameBeside(name, _) => Some(name.to_owned()),
        Packet::Frame(bytes) => match frame::decode(bytes) {
            Ok((_, frame::Place::Beside { name, .. })) => Some(name),
            _ => None,
        },
        _ => None,
    }
}
