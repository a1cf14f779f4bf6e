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

/// A share of one instance of a join that lies ahead of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinShare {
    /// Index of the join among the functions of the pinned chain.
    pub join: u32,
    /// Which of its instances in this invocation: empty for the one that
    /// begins with the invocation, else the id of the message that opened it
    /// by going round a loop.
    pub instance: String,
    /// The share.
    pub share: Credit,
}

/// What a message to a join is when it is no part: it only returns its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// The branch ended, or went where the join cannot be reached.
    Absent,
    /// The branch ended in a dead letter.
    Failed,
}

/// The control attributes of one message.
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
    /// Shares of the joins ahead, at most one for each instance.
    pub joins: Vec<JoinShare>,
    /// How often each back edge was taken on this message's path: index of
    /// the rule and count, in the order of the rules.
    pub counts: Vec<(u32, u32)>,
    /// When the invocation's time is over, in Unix microseconds; 0 is never.
    pub deadline_us: u64,
    /// On a join's queue: index of the function the part comes from.
    pub sender: Option<u32>,
    /// On a join's queue: set when this is no part.
    pub token: Option<Token>,
    /// On a join's queue: the parts are in it already.
    pub gathered: bool,
    /// Which reply queue of the run the ends of this invocation go to: empty
    /// for the run's own, else the word in the name of a trigger's.
    pub reply: String,
}

const RUN: u64 = 1;
const VERSION: u64 = 2;
const STEP: u64 = 3;
const INVOCATION: u64 = 4;
const CREDIT: u64 = 5;
const HOP: u64 = 6;
const STARTED: u64 = 7;
const VERDICT: u64 = 8;
const JOIN: u64 = 9;
const COUNT: u64 = 10;
const DEADLINE: u64 = 11;
const SENDER: u64 = 12;
const TOKEN: u64 = 13;
const GATHERED: u64 = 14;
const REPLY: u64 = 15;

impl Control {
    /// Whether this is the control block of a result.
    pub fn is_result(&self) -> bool {
        self.verdict == Some(Verdict::Result)
    }

    /// Whether this is the control block of a dead letter.
    pub fn is_dead(&self) -> bool {
        self.verdict == Some(Verdict::Dead)
    }

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
        self.encode_path(out);
    }

    fn encode_path(&self, out: &mut Vec<u8>) {
        for held in &self.joins {
            put_field(out, JOIN, |value| {
                put_number(value, u64::from(held.join));
                put_bytes(value, held.instance.as_bytes());
                held.share.encode(value);
            });
        }
        for (rule, count) in &self.counts {
            put_field(out, COUNT, |value| {
                put_number(value, u64::from(*rule));
                put_number(value, u64::from(*count));
            });
        }
        if self.deadline_us > 0 {
            put_field(out, DEADLINE, |value| put_number(value, self.deadline_us));
        }
        if let Some(sender) = self.sender {
            put_field(out, SENDER, |value| put_number(value, u64::from(sender)));
        }
        if let Some(token) = self.token {
            put_field(out, TOKEN, |value| value.push(token as u8));
        }
        if self.gathered {
            put_field(out, GATHERED, |_| ());
        }
        if !self.reply.is_empty() {
            put_field(out, REPLY, |value| value.extend_from_slice(self.reply.as_bytes()));
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
        let text = || text(value.rest());
        match tag {
            RUN => self.run = text()?,
            VERSION => self.version = text()?,
            STEP => self.step = text()?,
            INVOCATION => self.invocation = text()?,
            CREDIT => self.credit = Credit::decode(value)?,
            HOP => self.hop = index(value)?,
            STARTED => self.started_us = value.number()?,
            VERDICT => self.verdict = Some(verdict(value.byte()?)?),
            JOIN => self.joins.push(JoinShare {
                join: index(value)?,
                instance: self::text(value.bytes()?)?,
                share: Credit::decode(value)?,
            }),
            COUNT => self.counts.push((index(value)?, index(value)?)),
            DEADLINE => self.deadline_us = value.number()?,
            SENDER => self.sender = Some(index(value)?),
            TOKEN => self.token = Some(token(value.byte()?)?),
            GATHERED => self.gathered = true,
            REPLY => self.reply = text()?,
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

fn text(bytes: &[u8]) -> Result<String, FrameError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::Damaged("text that is not UTF-8"))
}

fn index(value: &mut Reader<'_>) -> Result<u32, FrameError> {
    u32::try_from(value.number()?).map_err(|_| FrameError::Damaged("a number over 32 bits"))
}

fn token(byte: u8) -> Result<Token, FrameError> {
    [Token::Absent, Token::Failed]
        .into_iter()
        .find(|token| *token as u8 == byte)
        .ok_or(FrameError::Damaged("an unknown token"))
}

fn verdict(byte: u8) -> Result<Verdict, FrameError> {
    [Verdict::Result, Verdict::Dropped, Verdict::Dead]
        .into_iter()
        .find(|verdict| *verdict as u8 == byte)
        .ok_or(FrameError::Damaged("an unknown verdict"))
}
