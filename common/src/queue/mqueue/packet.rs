//! One message of a POSIX queue: a frame with its own length and checksum,
//! because what `mq_receive` returned dies with the process that called it.
//! PROTOCOL.md, "The packet", is its specification.

/// What a packet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A frame.
    Frame(&'a [u8]),
    /// The name of the body beside the queue that is the frame, and its length.
    FrameBeside(&'a str, u64),
    /// It carries our mark, but its length or checksum is wrong.
    Damaged,
    /// Somebody else's message, as it came.
    Foreign(&'a [u8]),
}

/// Bytes before the frame: mark (3), kind (1), length (4), CRC-32 (4).
pub const HEADER: usize = 12;
const MARK: [u8; 3] = [0xFA, b'Q', 1];
const KIND_FRAME: u8 = 0;
const KIND_BESIDE: u8 = 1;

/// Wraps a frame.
pub fn wrap(frame: &[u8]) -> Vec<u8> {
    build(KIND_FRAME, frame)
}

/// Wraps the name of a body that is a frame too large for the queue.
pub fn wrap_name(name: &str, len: u64) -> Vec<u8> {
    build(KIND_BESIDE, format!("{name}@{len}").as_bytes())
}

fn name_and_len(payload: &[u8]) -> Option<Packet<'_>> {
    let (name, len) = std::str::from_utf8(payload).ok()?.split_once('@')?;
    Some(Packet::FrameBeside(name, len.parse().ok()?))
}

fn build(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER + payload.len());
    packet.extend_from_slice(&MARK);
    packet.push(kind);
    packet.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    packet.extend_from_slice(&checksum(kind, payload).to_le_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Whether a message may refer to a body beside the queue: a look at two
/// bytes, so that nearly all messages are not read twice.
pub fn may_refer(buffer: &[u8]) -> bool {
    let is_frame = buffer.get(3) == Some(&KIND_FRAME);
    !is_frame || buffer.get(HEADER + 1) == Some(&crate::event::frame::BODY_BESIDE)
}

/// Reads a buffer that a message was received into. `received` is the length
/// the kernel returned, or `None` when the process that knew it is dead.
pub fn open(buffer: &[u8], received: Option<usize>) -> Packet<'_> {
    if buffer.len() < HEADER || buffer[..2] != MARK[..2] {
        // Without a length, zeros at the end cannot be told from an unused buffer.
        let last = buffer.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        return Packet::Foreign(&buffer[..received.unwrap_or(last)]);
    }
    let word = |at: usize| {
        u32::from_le_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]])
    };
    let len = word(4) as usize;
    let Some(payload) = buffer.get(HEADER..HEADER.saturating_add(len)) else {
        return Packet::Damaged;
    };
    if buffer[2] != MARK[2] {
        // A newer version's; this one cannot say what is in it.
        return Packet::Damaged;
    }
    if checksum(buffer[3], payload) != word(8) || received.is_some_and(|r| r != HEADER + len) {
        return Packet::Damaged;
    }
    match buffer[3] {
        KIND_FRAME => Packet::Frame(payload),
        KIND_BESIDE => name_and_len(payload).unwrap_or(Packet::Damaged),
        _ => Packet::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_length() {
        let mut buffer = wrap(b"frame");
        let len = buffer.len();
        assert_eq!(open(&buffer, Some(len)), Packet::Frame(b"frame"));
        buffer.resize(100, 0);
        assert_eq!(open(&buffer, None), Packet::Frame(b"frame"));
        assert_eq!(open(&wrap_name("b", 7), None), Packet::FrameBeside("b", 7));
    }

    #[test]
    fn knows_damage_from_foreign_messages() {
        for at in 2..wrap(b"frame").len() {
            let mut packet = wrap(b"frame");
            packet[at] ^= 0x10;
            assert_eq!(open(&packet, Some(packet.len())), Packet::Damaged, "byte {at}");
        }
        assert_eq!(open(b"hello", Some(5)), Packet::Foreign(b"hello"));
        assert_eq!(open(b"hello\0\0\0", None), Packet::Foreign(b"hello"));
        assert_eq!(open(b"", Some(0)), Packet::Foreign(b""));
    }
}
