//! The compact form of an event on queues without fields of their own.
//! PROTOCOL.md, "The frame", is its specification.

use super::varint::{Reader, put_bytes, put_number, put_optional};
use super::{Attr, Body, Control, Event};
use crate::limits;

pub use super::varint::FrameError;

const FORMAT: u8 = 1;
const NO_BODY: u8 = 0;
const BODY_INSIDE: u8 = 1;
/// Second byte of a frame whose body is beside the queue.
pub const BODY_BESIDE: u8 = 2;

/// Where the body of a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the frame (or there is none): the decoded event is complete.
    Inside,
    /// Beside the queue, under this name, with this length in bytes.
    Beside {
        /// The name given by the queue that keeps it.
        name: String,
        /// Its length in bytes.
        len: u64,
    },
}

/// Encodes an event whose body is in memory (or absent).
///
/// # Errors
/// The body is in a file that cannot be read.
pub fn encode(event: &Event) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    match &event.body {
        None => head(event, NO_BODY, &mut out),
        Some(body) => {
            head(event, BODY_INSIDE, &mut out);
            out.extend_from_slice(&body.load()?);
        }
    }
    Ok(out)
}

/// Encodes all but the body, which is kept beside the queue under `name` and
/// is `len` bytes long.
pub fn encode_beside(event: &Event, name: &str, len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    head(event, BODY_BESIDE, &mut out);
    put_number(&mut out, len);
    put_bytes(&mut out, name.as_bytes());
    out
}

fn head(event: &Event, place: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[FORMAT, place]);
    for text in [&event.id, &event.source, &event.kind] {
        put_bytes(out, text.as_bytes());
    }
    put_optional(out, event.time.as_deref());
    put_optional(out, event.content_type.as_deref());
    put_number(out, event.extensions.len() as u64);
    for (name, value) in &event.extensions {
        put_bytes(out, name.as_bytes());
        match value {
            Attr::Bool(value) => out.push(u8::from(*value)),
            Attr::Int(value) => {
                out.push(2);
                put_number(out, (value << 1 ^ value >> 63) as u64);
            }
            Attr::Text(value) => {
                out.push(3);
                put_bytes(out, value.as_bytes());
            }
        }
    }
    let mut control = Vec::new();
    if let Some(block) = &event.control {
        block.encode(&mut control);
    }
    put_bytes(out, &control);
}

/// Decodes a frame. With [`Place::Beside`] the caller fetches the body.
///
/// # Errors
/// [`FrameError`] when it is cut short, damaged or newer. Never panics and
/// never takes more memory than the frame is long.
pub fn decode(frame: &[u8]) -> Result<(Event, Place), FrameError> {
    let mut reader = Reader::new(frame);
    match reader.byte()? {
        FORMAT => {}
        0 => return Err(FrameError::Damaged("format 0")),
        newer => return Err(FrameError::Newer(newer)),
    }
    let place = reader.byte()?;
    let mut event = Event {
        id: reader.text()?,
        source: reader.text()?,
        kind: reader.text()?,
        time: reader.optional()?,
        content_type: reader.optional()?,
        ..Event::default()
    };
    for _ in 0..reader.number()? {
        let name = reader.text()?;
        event.extensions.insert(name, attribute(&mut reader)?);
    }
    let control = reader.bytes()?;
    if !control.is_empty() {
        event.control = Some(Box::new(Control::decode(control)?));
    }
    let place = body(&mut event, place, &mut reader)?;
    Ok((event, place))
}

fn attribute(reader: &mut Reader<'_>) -> Result<Attr, FrameError> {
    Ok(match reader.byte()? {
        tag @ (0 | 1) => Attr::Bool(tag == 1),
        2 => {
            let zigzag = reader.number()?;
            Attr::Int((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
        }
        3 => Attr::Text(reader.text()?),
        _ => return Err(FrameError::Damaged("an unknown attribute type")),
    })
}

fn body(event: &mut Event, place: u8, reader: &mut Reader<'_>) -> Result<Place, FrameError> {
    match place {
        NO_BODY if reader.rest().is_empty() => Ok(Place::Inside),
        BODY_INSIDE => {
            event.body = Some(Body::Inline(reader.rest().to_vec()));
            Ok(Place::Inside)
        }
        BODY_BESIDE => {
            let len = reader.number()?;
            let name = reader.text()?;
            if len > limits::BODY_MAX || !reader.rest().is_empty() {
                return Err(FrameError::Damaged("the place of the body"));
            }
            Ok(Place::Beside { name, len })
        }
        _ => Err(FrameError::Damaged("the place of the body")),
    }
}
