//! How events stand on a pipe: `-i` splits a stream into records and reads
//! them, `-o` writes them. A shape that cannot carry a body fails; it never
//! splits or mangles it.

use super::{Body, Event, Show, detect_type, parse_envelope, print_envelope};
use crate::limits;
use std::io;

/// Input shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum InShape {
    /// A line is an envelope if it is a JSON object with `specversion`; any
    /// other line is a bare body
    #[default]
    Auto,
    /// Each line is an envelope
    Json,
    /// Each line is a body, never parsed
    Lines,
    /// Bodies end with a NUL byte
    Nul,
    /// All of the input is one body
    Raw,
    /// Bodies follow their 32-bit big-endian lengths
    Frames,
}

/// Output shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutShape {
    /// One envelope a line
    #[default]
    Json,
    /// One body a line
    Lines,
    /// Bodies, each followed by a NUL byte
    Nul,
    /// Bodies with nothing between them
    Raw,
    /// Bodies after their 32-bit big-endian lengths
    Frames,
}

/// One record of an input stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counted from 1: the line, body or frame number.
    pub number: u64,
    /// Its bytes without the delimiter.
    pub bytes: Vec<u8>,
    /// Set when the record is not whole: then `bytes` is how it begins.
    pub fault: Option<RecordFault>,
}

/// Why a record is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Longer than the limit; the rest was passed over.
    #[error("it is over the limit of {} ({seen} bytes)", crate::units::show_size(*limit))]
    TooLong {
        /// Bytes seen, all of the record.
        seen: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The stream ended inside a frame.
    #[error("the input ends inside a frame")]
    CutShort,
}

/// Cuts a byte stream into records. Pure: fed with bytes, asked for records.
#[derive(Debug)]
pub struct Splitter {
    shape: InShape,
    limit: u64,
    buffer: Vec<u8>,
    /// Where unread bytes begin in `buffer`.
    start: usize,
    /// Up to where `buffer` was searched for a delimiter.
    searched: usize,
    /// Bytes of an overlong record that were passed over.
    skipped: u64,
    overlong: bool,
    /// Bytes of an overlong frame still to come.
    frame_left: u64,
    number: u64,
    ended: bool,
}

impl Splitter {
    /// A splitter; records over `limit` bytes are faults.
    pub fn new(shape: InShape, limit: u64) -> Self {
        Self {
            shape,
            limit,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            skipped: 0,
            overlong: false,
            frame_left: 0,
            number: 0,
            ended: false,
        }
    }

    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no more bytes come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the end was said and every record was taken.
    pub fn is_done(&self) -> bool {
        self.ended && self.start == self.buffer.len() && !self.overlong
    }

    /// Whether bytes wait that may hold another record.
    pub fn has_record(&self) -> bool {
        self.searched < self.buffer.len()
    }

    /// The next record, if all of it is there.
    pub fn next_record(&mut self) -> Option<Record> {
        match self.shape {
            InShape::Auto | InShape::Json | InShape::Lines => self.delimited(b'\n'),
            InShape::Nul => self.delimited(0),
            InShape::Raw => self.raw(),
            InShape::Frames => self.frame(),
        }
    }

    fn delimited(&mut self, delimiter: u8) -> Option<Record> {
        let from = self.searched.max(self.start);
        let found = self.buffer[from..].iter().position(|&byte| byte == delimiter);
        let Some(at) = found.map(|at| from + at) else {
            self.searched = self.buffer.len();
            self.shed();
            let rest = self.buffer.len() - self.start;
            return (self.ended && (rest > 0 || self.overlong)).then(|| self.take(rest, 0));
        };
        Some(self.take(at - self.start, 1))
    }

    /// Drops what is over the limit while its end has not come.
    fn shed(&mut self) {
        let held = (self.buffer.len() - self.start) as u64;
        if held + self.skipped <= self.limit {
            return;
        }
        let kept = self.start + limits::OVERLONG_KEPT.min(self.limit as usize);
        self.overlong = true;
        if self.buffer.len() > kept {
            self.skipped += (self.buffer.len() - kept) as u64;
            self.buffer.truncate(kept);
            self.searched = self.buffer.len();
        }
    }

    fn take(&mut self, len: usize, delimiter: usize) -> Record {
        let mut bytes = self.buffer[self.start..self.start + len].to_vec();
        let seen = len as u64 + self.skipped;
        let fault = (seen > self.limit).then(|| {
            bytes.truncate(limits::OVERLONG_KEPT);
            RecordFault::TooLong { seen, limit: self.limit }
        });
        self.start += len + delimiter;
        self.searched = self.start;
        self.skipped = 0;
        self.overlong = false;
        self.number += 1;
        Record { number: self.number, bytes, fault }
    }

    fn raw(&mut self) -> Option<Record> {
        self.shed();
        if self.ended && self.number == 0 {
            return Some(self.take(self.buffer.len() - self.start, 0));
        }
        self.searched = self.buffer.len();
        None
    }

    fn frame(&mut self) -> Option<Record> {
        if self.frame_left > 0 {
            return self.overlong_frame();
        }
        let held = &self.buffer[self.start..];
        let Some(head) = held.first_chunk::<4>() else {
            let ends_here = self.ended && !held.is_empty();
            self.searched = self.buffer.len();
            return ends_here.then(|| self.cut_short());
        };
        let len = u64::from(u32::from_be_bytes(*head));
        if len > self.limit {
            self.start += 4;
            self.overlong = true;
            self.frame_left = len;
            self.skipped = 0;
            return self.overlong_frame();
        }
        if (held.len() - 4) as u64 >= len {
            self.start += 4;
            return Some(self.take(len as usize, 0));
        }
        self.searched = self.buffer.len();
        self.ended.then(|| self.cut_short())
    }

    fn overlong_frame(&mut self) -> Option<Record> {
        let held = (self.buffer.len() - self.start) as u64;
        let passed = held.min(self.frame_left);
        self.start += passed as usize;
        self.searched = self.start;
        self.skipped += passed;
        self.frame_left -= passed;
        if self.frame_left > 0 && !self.ended {
            return None;
        }
        let missing = std::mem::take(&mut self.frame_left);
        let mut record = self.take(0, 0);
        if missing > 0 {
            record.fault = Some(RecordFault::CutShort);
        }
        Some(record)
    }

    fn cut_short(&mut self) -> Record {
        let mut record = self.take(self.buffer.len() - self.start, 0);
        record.fault = Some(RecordFault::CutShort);
        record
    }
}

/// Where bare bodies say they come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `source` of bare bodies.
    pub source: String,
    /// Their ids are this, a dash and the record's number.
    pub id_prefix: String,
}

/// Why a record is not an event.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Cut short or too long.
    #[error(transparent)]
    Fault(#[from] RecordFault),
    /// It begins like an envelope and is none.
    #[error(transparent)]
    Envelope(#[from] super::EnvelopeError),
    /// `-i json` accepts envelopes only.
    #[error("not an envelope, and -i json accepts nothing else")]
    Bare,
}

/// Reads a record as an event; control attributes from outside are dropped.
///
/// # Errors
/// [`ReadError`]: the record is no event of this shape.
pub fn read(record: &Record, shape: InShape, origin: &Origin) -> Result<Event, ReadError> {
    if let Some(fault) = record.fault {
        return Err(fault.into());
    }
    let bytes = record.bytes.as_slice();
    let bare = |content_type: &str| {
        let id = format!("{}-{}", origin.id_prefix, record.number);
        Event::bare(id, origin.source.clone(), content_type, bytes.to_vec())
    };
    let begins_like_one = bytes.trim_ascii_start().first() == Some(&b'{');
    match shape {
        InShape::Auto if begins_like_one => match parse_envelope(bytes)? {
            Some(event) => from_outside(event),
            None => within_limit(bare("application/json")),
        },
        InShape::Json => match parse_envelope(bytes)? {
            Some(event) => from_outside(event),
            None => Err(ReadError::Bare),
        },
        InShape::Lines if std::str::from_utf8(bytes).is_ok() => Ok(bare("text/plain")),
        InShape::Lines => Ok(bare("application/octet-stream")),
        InShape::Auto | InShape::Nul | InShape::Raw | InShape::Frames => {
            within_limit(bare(detect_type(bytes)))
        }
    }
}

/// Reads a record as a dead letter: an envelope, with what its failure added.
///
/// # Errors
/// It is none.
pub fn read_letter(record: &Record) -> Result<Event, ReadError> {
    if let Some(fault) = record.fault {
        return Err(fault.into());
    }
    parse_envelope(&record.bytes)?.map_or(Err(ReadError::Bare), within_limit)
}

fn from_outside(mut event: Event) -> Result<Event, ReadError> {
    event.drop_control();
    within_limit(event)
}

/// A line may be longer than a body, for it has its envelope and perhaps base64.
fn within_limit(event: Event) -> Result<Event, ReadError> {
    let (seen, limit) = (event.body_len(), limits::BODY_MAX);
    if seen > limit { Err(RecordFault::TooLong { seen, limit }.into()) } else { Ok(event) }
}

/// Why a shape cannot carry an event.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The body holds the delimiter or something else the shape cannot hold.
    #[error("-o {shape} cannot carry a body with {what}")]
    Shape {
        /// Name of the shape.
        shape: &'static str,
        /// What stands in the way.
        what: &'static str,
    },
    /// The body is in a file that cannot be read.
    #[error("its body cannot be read: {0}")]
    Body(#[from] io::Error),
}

/// Appends one event in the given shape; on an error nothing is appended.
///
/// # Errors
/// [`WriteError`]: the shape cannot carry this body.
pub fn write(
    event: &Event,
    shape: OutShape,
    show: Show,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    if shape == OutShape::Json {
        return Ok(print_envelope(event, show, out)?);
    }
    let body = match &event.body {
        Some(body) => body.load()?,
        None => Vec::new().into(),
    };
    let refuse = |shape, what| Err(WriteError::Shape { shape, what });
    match shape {
        OutShape::Lines if body.contains(&b'\n') => return refuse("lines", "a line feed in it"),
        OutShape::Lines if body.contains(&0) => return refuse("lines", "a NUL byte in it"),
        OutShape::Nul if body.contains(&0) => return refuse("nul", "a NUL byte in it"),
        OutShape::Frames => match u32::try_from(body.len()) {
            Ok(len) => out.extend_from_slice(&len.to_be_bytes()),
            Err(_) => return refuse("frames", "over 4 GiB"),
        },
        _ => {}
    }
    out.extend_from_slice(&body);
    match shape {
        OutShape::Lines => out.push(b'\n'),
        OutShape::Nul => out.push(0),
        _ => {}
    }
    Ok(())
}

/// The body of what a program printed: exactly one trailing line feed is
/// taken off, unless `exact`.
pub fn printed_body(mut bytes: Vec<u8>, exact: bool) -> Body {
    if !exact && bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Body::Inline(bytes)
}
