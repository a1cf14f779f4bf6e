//! Joins: the table of an instance is a hash on the server, and a script is
//! its machine.

use super::entry::{bytes, items, text};
use super::keys::beside;
use super::{RedisConnection, scripts};
use crate::clock;
use crate::event::{Control, Event, JoinShare, Token, frame};
use crate::queue::gather::{Arrival, Firing, Gathered, KeptPart, Load, late};
use crate::queue::{QueueError, Receipt};
use redis::Value;
use std::time::Duration;

/// How long an instance is kept that has no deadline, in seconds.
const KEPT_S: u64 = 7 * 24 * 3600;

/// How long the table may take to answer; then the part waits.
const ASK_MAX: Duration = Duration::from_secs(2);

/// How much longer than its deadline, in seconds.
const KEPT_LONGER_S: u64 = 3600;

/// The hash of an instance.
pub(super) fn instance(stream: &str, key: &str) -> String {
    beside(stream, &format!("join:{key}"))
}

/// The hash of its parts.
pub(super) fn parts(stream: &str, key: &str) -> String {
    beside(stream, &format!("parts:{key}"))
}

impl RedisConnection {
    pub(super) fn gather_part(
        &mut self,
        receipt: Receipt,
        mut arrival: Arrival,
        part: &Event,
    ) -> Result<Gathered<Event>, QueueError> {
        let Some(held) = self.held.get(&receipt.0) else { return Ok(Gathered::Kept) };
        arrival.claim.clone_from(&held.id);
        let stream = self.open[held.queue.0 as usize].stream.clone();
        let keys = [instance(&stream, &arrival.key), parts(&stream, &arrival.key)];
        let mut gather = scripts::GATHER.call(&keys);
        let token = match arrival.token {
            None => "",
            Some(Token::Absent) => "absent",
            Some(Token::Failed) => "failed",
        };
        let whole = frame::encode(part).map_err(QueueError::io("reading a body"))?;
        gather.arg(&arrival.claim).arg(arrival.of.unwrap_or(0)).arg(token).arg(&arrival.id);
        gather.arg(whole).arg(encode(&load_of(&arrival))).arg(kept_s(part));
        arrival.share.paths().iter().for_each(|path| _ = gather.arg(path));
        let answer = self.ask_within(&gather, ASK_MAX)?;
        let gathered = understand(&arrival, items(answer))?;
        if let (Gathered::Fires(firing), Some(held)) = (&gathered, self.held.get_mut(&receipt.0)) {
            held.fired = Some((arrival.key, arrival.claim, encode(&firing.load)));
        }
        Ok(gathered)
    }
}

fn kept_s(part: &Event) -> u64 {
    let deadline_us = part.control.as_ref().map_or(0, |control| control.deadline_us);
    match deadline_us {
        0 => KEPT_S,
        due => due.saturating_sub(clock::unix_us()) / 1_000_000 + KEPT_LONGER_S,
    }
}

fn load_of(arrival: &Arrival) -> Load {
    let own = JoinShare { join: u32::MAX, instance: String::new(), share: arrival.share.clone() };
    let mut load = arrival.load.clone();
    load.joins.push(own);
    load
}

/// A load as bytes: as the control block of a message that carries it.
fn encode(load: &Load) -> Vec<u8> {
    let control =
        Control { credit: load.credit.clone(), joins: load.joins.clone(), ..Control::default() };
    let mut bytes = Vec::new();
    control.encode(&mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Load, QueueError> {
    let control = Control::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Load { credit: control.credit, joins: control.joins })
}

fn damaged(why: String) -> QueueError {
    QueueError::Damaged {
        file: "a join's table on the server".to_owned(),
        why,
        cure: "faas-queue rm --run RUN, and start again".to_owned(),
    }
}

/// What the script said.
fn understand(arrival: &Arrival, answer: Vec<Value>) -> Result<Gathered<Event>, QueueError> {
    let mut answer = answer.into_iter();
    match answer.next().map(text).as_deref() {
        Some("fires") => {
            let failed = answer.next().map(text).is_some_and(|word| !word.is_empty());
            let short = answer.next().map(text).is_some_and(|word| !word.is_empty());
            Ok(Gathered::Fires(firing(arrival, answer, failed, short)?))
        }
        Some("late") => {
            let first = answer.next().map(bytes).unwrap_or_default();
            let rest: Vec<Value> = answer.skip(1).collect();
            let passed = match rest.is_empty() {
                true => decode(&first)?,
                false => firing(arrival, rest.into_iter(), false, false)?.load,
            };
            Ok(late(arrival, &passed))
        }
        Some("kept") => Ok(Gathered::Kept),
        other => Err(damaged(format!("its answer is {other:?}"))),
    }
}

/// Reads parts as they are kept: `b:ID` the first time, `x:...` the same part
/// with other shares.
fn firing(
    arrival: &Arrival,
    fields: impl Iterator<Item = Value>,
    failed: bool,
    short: bool,
) -> Result<Firing<Event>, QueueError> {
    let join = arrival.key.split('/').nth(1).and_then(|join| join.parse().ok()).unwrap_or(0);
    let mut kept: Vec<KeptPart<Event>> = Vec::new();
    let mut again = Vec::new();
    let fields: Vec<Value> = fields.collect();
    for pair in fields.chunks_exact(2) {
        let (name, value) = (text(pair[0].clone()), bytes(pair[1].clone()));
        let (event, _) = frame::decode(&value).map_err(|error| damaged(error.to_string()))?;
        let Some(part) = Arrival::of_event(&event, join, arrival.of) else { continue };
        let part = KeptPart { share: part.share, load: part.load, part: event };
        if name.starts_with("b:") { kept.push(part) } else { again.push(part) }
    }
    for more in again {
        if let Some(part) = kept.iter_mut().find(|part| part.part.id == more.part.id) {
            part.share.unite(&more.share);
            part.load.unite(&more.load);
        }
    }
    Ok(Firing::of(kept, failed, short))
}
