//! What the platform adds to an event while it travels inside a run. It is
//! carried on the queues of that run only.

use super::credit::Credit;
use super::varint::{FrameError, Reader, put_bytes, put_number};

/// How a branch of an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A result of the chain; the event is its value.
    Result,
    /// A function ended the branch quietly, or a rule with no target did.
    Dropped,
    /// A dead letter; the event is the letter.
    Dead,
}

impl Verdict {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Dropped => "dropped",
            Self::Dead => "dead",
        }
    }
}

/// The control attributes of one message. Joins and loops add theirs here:
/// an interval for each join ahead, a count for each back edge taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// The run this message belongs to.
    pub run: String,
    /// Digest of the chain file that the invocation is pinned to.
    pub version: String,
    /// The function this message is for; empty on a reply.
    pub step: String,
    /// The invocation, unique within the run.
    pub invocation: String,
    /// The share of the invocation that this message stands for.
    pub credit: Credit,
    /// How many functions it has been through.
    pub hop: u32,
    /// When the trigger accepted the invocation, in Unix microseconds.
    pub started_us: u64,
    /// On the reply queue: how the branch ended.
    pub verdict: Option<Verdict>,
}

const RUN: u64 = 1;
const VERSION: u64 = 2;
const STEP: u64 = 3;
const INVOCATION: u64 = 4;
const CREDIT: u64 = 5;
const HOP: u64 = 6;
const STARTED: u64 = 7;
const VERDICT: u64 = 8;

impl Control {
    /// Appends the block: tag, length and value of each field that is set.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (tag, text) in [
            (RUN, &self.run),
            (VERSION, &self.version),
            (STEP, &self.step),
            (INVOCATION, &self.invocation),
        ] {
            if !text.is_empty() {
                put_number(out, tag);
                put_bytes(out, text.as_bytes());
            }
        }
        put_field(out, CREDIT, |value| self.credit.encode(value));
        put_field(out, HOP, |value| put_number(value, u64::from(self.hop)));
        put_field(out, STARTED, |value| put_number(value, self.started_us));
        if let Some(verdict) = self.verdict {
            put_field(out, VERDICT, |value| value.push(verdict as u8));
        }
    }

    /// Reads a block.
    ///
    /// # Errors
    /// [`FrameError`] when it is cut short, damaged, or holds a field that
    /// this version does not know: guessing would lose what it stands for.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let mut control = Self::default();
        while !reader.rest().is_empty() {
            let tag = reader.number()?;
            let mut value = Reader::new(reader.bytes()?);
            control.field(tag, &mut value)?;
        }
        Ok(control)
    }

    fn field(&mut self, tag: u64, value: &mut Reader<'_>) -> Result<(), FrameError> {
        let text = || {
            String::from_utf8(value.rest().to_vec())
                .map_err(|_| FrameError::Damaged("text that is not UTF-8"))
        };
        match tag {
            RUN => self.run = text()?,
            VERSION => self.version = text()?,
            STEP => self.step = text()?,
            INVOCATION => self.invocation = text()?,
            CREDIT => self.credit = Credit::decode(value)?,
            HOP => self.hop = u32::try_from(value.number()?).map_err(|_| FrameError::Short)?,
            STARTED => self.started_us = value.number()?,
            VERDICT => self.verdict = Some(verdict(value.byte()?)?),
            _ => return Err(FrameError::Newer(1)),
        }
        Ok(())
    }
}

fn put_field(out: &mut Vec<u8>, tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut value = Vec::new();
    write(&mut value);
    put_number(out, tag);
    put_bytes(out, &value);
}

fn verdict(byte: u8) -> Result<Verdict, FrameError> {
    [Verdict::Result, Verdict::Dropped, Verdict::Dead]
        .into_iter()
        .find(|verdict| *verdict as u8 == byte)
        .ok_or(FrameError::Damaged("an unknown verdict"))
}
