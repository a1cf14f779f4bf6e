//! A settlement on its way: packets to send in order, then messages to
//! acknowledge; and its record in a slot's outbox.

use super::Place;
use crate::queue::{QueueId, Receipt};

/// A message as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) queue: QueueId,
    pub(super) packet: Vec<u8>,
    /// Name of its body beside the queue.
    pub(super) body: Option<String>,
}

/// What is left of a settlement.
pub(super) struct Parcel {
    pub(super) ticket: u64,
    pub(super) taken: Vec<Receipt>,
    pub(super) packets: Vec<Packed>,
    /// Index of the first packet that is not sent.
    pub(super) next: usize,
    /// The slot whose outbox holds the record.
    pub(super) home: Option<Place>,
    /// Whether it waits for something else than room in a queue.
    pub(super) is_held: bool,
}

/// The record: for each packet the queue's name and the packet, each after
/// its length; a checksum over all of it first.
pub(super) fn write_outbox<'a>(
    packets: &[Packed],
    name_of: impl Fn(QueueId) -> &'a str,
) -> Vec<u8> {
    let mut outbox = vec![0; 4];
    for packed in packets {
        for part in [name_of(packed.queue).as_bytes(), &packed.packet] {
            outbox.extend_from_slice(&(part.len() as u32).to_le_bytes());
            outbox.extend_from_slice(part);
        }
    }
    let checksum = crc32fast::hash(&outbox[4..]);
    outbox[..4].copy_from_slice(&checksum.to_le_bytes());
    outbox
}

/// Reads a record; `None` when it is damaged.
pub fn read_outbox(outbox: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let (checksum, mut rest) = outbox.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let name = String::from_utf8(part(&mut rest)?.to_vec()).ok()?;
        packets.push((name, part(&mut rest)?.to_vec()));
    }
    Some(packets)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, tail) = rest.split_first_chunk::<4>()?;
    let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = tail;
    Some(part)
}
