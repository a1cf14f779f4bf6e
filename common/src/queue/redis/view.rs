//! Looking at a stream: entries are read where they are, and stay.

use super::entry::{self, items, text};
use super::settings::Settings;
use super::{RedisConnection, scripts};
use crate::clock;
use crate::queue::{Places, Position, QueueError, Range, Seen, View};
use redis::{Value, cmd};
use std::time::{Duration, Instant};

/// Entries asked for at once, at first and at most.
const ASK_FIRST: usize = 16;
const ASK_MAX: usize = 1_000;
/// Bytes of bodies that one answer shall have, about.
const ANSWER_BYTES: u64 = 4 << 20;
/// Entries that one step back passes, at most: the server does nothing else
/// meanwhile.
const BACK_MAX: u64 = 1_000;
/// Entries that one step of counting passes, for the same reason.
const COUNT_STEP: usize = 100;
/// How long counting may take.
const COUNT_MAX: Duration = Duration::from_secs(1);

/// A look at a stream. It has a connection of its own.
pub(super) struct RedisView {
    connection: RedisConnection,
    name: String,
    stream: String,
    /// Where the next look begins, as XRANGE says it.
    next: String,
    /// The last id that was seen, for waiting for what comes behind it.
    last: String,
    began_behind: Places,
    end: End,
    ask: usize,
    is_at_end: bool,
}

/// Where a look ends.
enum End {
    Never,
    /// With the entry before this bound, as XRANGE says it.
    Before(String),
    /// With the last entry of before this time.
    Time(u64),
}

impl RedisView {
    pub(super) fn begin(
        settings: &Settings,
        name: &str,
        range: &Range,
    ) -> Result<Box<dyn View>, QueueError> {
        let mut connection = RedisConnection::begun(settings.clone())?;
        connection.stat_queue(name)?;
        let stream = connection.keys.stream(name);
        let newest = newest(&mut connection, &stream)?;
        let next = match &range.at {
            Position::Start => "-".to_owned(),
            Position::End => format!("({newest}"),
            Position::Last(0) => format!("({newest}"),
            Position::Last(count) => back(&mut connection, &stream, *count)?,
            Position::Time(time_ms) => format!("{time_ms}-0"),
            Position::Id(id) => checked(id)?,
            Position::Behind(places) => {
                places.get(&0).map_or_else(|| "-".to_owned(), |id| format!("({id}"))
            }
        };
        let end = match &range.until {
            None => End::Never,
            Some(Position::Start) => End::Before("0-1".to_owned()),
            Some(Position::End) => End::Before(newest.clone()),
            Some(Position::Last(0)) => End::Before(newest.clone()),
            Some(Position::Last(count)) => {
                End::Before(excluding(&back(&mut connection, &stream, *count)?))
            }
            Some(Position::Time(time_ms)) => End::Time(*time_ms),
            Some(Position::Id(id)) => End::Before(excluding(&checked(id)?)),
            Some(Position::Behind(places)) => {
                End::Before(places.get(&0).cloned().unwrap_or_else(|| "0-1".to_owned()))
            }
        };
        let last = behind(&next);
        let began_behind = Places::from([(0, last.clone())]);
        let name = name.to_owned();
        let ask = ASK_FIRST;
        let is_at_end = false;
        Ok(Box::new(Self {
            connection,
            name,
            stream,
            next,
            last,
            began_behind,
            end,
            ask,
            is_at_end,
        }))
    }

    /// The end of the range, as XRANGE says it.
    fn to(&self) -> String {
        match &self.end {
            End::Never => "+".to_owned(),
            End::Before(bound) => bound.clone(),
            End::Time(time_ms) => excluding(&format!("{time_ms}-0")),
        }
    }

    /// What is there now.
    fn look(&mut self, most: usize) -> Result<Vec<Value>, QueueError> {
        let to = self.to();
        let mut range = cmd("XRANGE");
        range.arg(&self.stream).arg(&self.next).arg(to).arg("COUNT").arg(most);
        Ok(items(self.connection.ask(&range)?))
    }

    /// What comes behind the last that was seen, when it comes in time.
    fn wait(&mut self, most: usize, wait: Duration) -> Result<Vec<Value>, QueueError> {
        let wait_ms = wait.as_millis().max(1) as u64;
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(most).arg("BLOCK").arg(wait_ms);
        read.arg("STREAMS").arg(&self.stream).arg(&self.last);
        let answer = items(self.connection.ask(&read)?).into_iter().next();
        let Some(answer) = answer else {
            // A stream that is gone would be waited for for ever.
            let there = self.connection.ask(cmd("EXISTS").arg(&self.stream))?;
            return match there {
                Value::Int(0) => {
                    let name = self.connection.settings.url.without_query().with_name(&self.name);
                    Err(QueueError::Removed { name: name.to_string() })
                }
                _ => Ok(Vec::new()),
            };
        };
        let mut entries = items(items(answer).into_iter().nth(1).unwrap_or_default());
        if let End::Time(time_ms) = &self.end {
            let before = entries.len();
            entries.retain(|entry| id_of(entry).and_then(|id| ms_of(&id)) < Some(*time_ms));
            self.is_at_end |= entries.len() < before;
        }
        Ok(entries)
    }

    fn take(&mut self, entries: Vec<Value>, into: &mut Vec<Seen>) {
        let (mut bytes, count) = (0, entries.len());
        for entry in entries {
            let mut entry = items(entry).into_iter();
            let (Some(id), Some(fields)) = (entry.next(), entry.next()) else { continue };
            let id = text(id);
            let (event, fault) = entry::event(&id, &self.name, items(fields));
            bytes += event.body_len();
            self.last.clone_from(&id);
            let time_ms = ms_of(&id);
            into.push(Seen { lane: 0, mark: id, time_ms, event, fault });
        }
        if count > 0 {
            self.next = format!("({}", self.last);
            let each = bytes / count as u64 + 1;
            self.ask =
                usize::try_from(ANSWER_BYTES / each).map_or(ASK_MAX, |n| n.clamp(1, ASK_MAX));
        }
    }
}

impl View for RedisView {
    fn next(
        &mut self,
        most: usize,
        wait: Duration,
        into: &mut Vec<Seen>,
    ) -> Result<(), QueueError> {
        if self.is_at_end {
            return Ok(());
        }
        let (most, before) = (most.min(self.ask), into.len());
        let entries = self.look(most)?;
        let is_short = entries.len() < most;
        if !entries.is_empty() {
            self.take(entries, into);
        }
        match &self.end {
            End::Before(_) => self.is_at_end = is_short,
            End::Time(time_ms) => self.is_at_end = is_short && clock::unix_us() / 1000 >= *time_ms,
            End::Never => {}
        }
        if into.len() == before && !self.is_at_end && !wait.is_zero() {
            let entries = self.wait(most, wait)?;
            self.take(entries, into);
        }
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    fn began_behind(&self) -> Places {
        self.began_behind.clone()
    }

    fn left(&mut self) -> Result<Option<u64>, QueueError> {
        let to = match &self.end {
            End::Never => return Ok(None),
            _ => self.to(),
        };
        let (mut left, mut from, begin) = (0, self.next.clone(), Instant::now());
        while begin.elapsed() < COUNT_MAX {
            let mut ahead = scripts::AHEAD.call(&[&self.stream]);
            ahead.arg(&from).arg(&to).arg(COUNT_STEP);
            let mut answer = items(self.connection.ask(&ahead)?).into_iter();
            let found = answer.next().map(text).and_then(|text| text.parse().ok()).unwrap_or(0);
            left += found as u64;
            match answer.next().map(text) {
                Some(id) if found == COUNT_STEP => from = format!("({id}"),
                _ => return Ok(Some(left)),
            }
        }
        Ok(None)
    }
}

/// Up to an entry and without it, as XRANGE says it; nothing is before the first.
fn excluding(id: &str) -> String {
    let is_first = id == "-" || id.split('-').all(|part| part.parse() == Ok(0_u64));
    if is_first { "0-1".to_owned() } else { format!("({id}") }
}

/// The id before the first that a look can show.
fn behind(next: &str) -> String {
    if let Some(id) = next.strip_prefix('(') {
        return id.to_owned();
    }
    let (ms, number) = next.split_once('-').unwrap_or((next, "0"));
    let (ms, number) = (ms.parse::<u64>().unwrap_or(0), number.parse::<u64>().unwrap_or(0));
    match (ms, number) {
        (0, 0) => "0-0".to_owned(),
        (ms, 0) => format!("{}-{}", ms - 1, u64::MAX),
        (ms, number) => format!("{ms}-{}", number - 1),
    }
}

/// The id of the newest entry there ever was.
fn newest(connection: &mut RedisConnection, stream: &str) -> Result<String, QueueError> {
    let told = items(connection.ask(cmd("XINFO").arg("STREAM").arg(stream))?);
    let pair = told.chunks_exact(2).find(|pair| text(pair[0].clone()) == "last-generated-id");
    Ok(pair.map_or_else(|| "0-0".to_owned(), |pair| text(pair[1].clone())))
}

/// The id of the entry that so many end with, or of the first of all.
fn back(
    connection: &mut RedisConnection,
    stream: &str,
    mut count: u64,
) -> Result<String, QueueError> {
    let (mut from, mut first) = ("+".to_owned(), None);
    while count > 0 {
        let mut back = scripts::BACK.call(&[stream]);
        // Beyond the first step the entry it begins at was counted before.
        let extra = u64::from(first.is_some());
        let step = count.min(BACK_MAX) + extra;
        back.arg(&from).arg(step);
        let mut answer = items(connection.ask(&back)?).into_iter();
        let found = answer.next().map(text).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        let Some(id) = answer.next().map(text) else { break };
        count = count.saturating_sub(found.saturating_sub(extra));
        from.clone_from(&id);
        first = Some(id);
        if found < step {
            break;
        }
    }
    Ok(first.unwrap_or_else(|| "-".to_owned()))
}

/// An id of an entry: `1700000000000-0`, or without its second part.
fn checked(id: &str) -> Result<String, QueueError> {
    let is_number = |text: &str| !text.starts_with('+') && text.parse::<u64>().is_ok();
    let is_id = match id.split_once('-') {
        Some((ms, number)) => is_number(ms) && is_number(number),
        None => is_number(id),
    };
    if is_id {
        return Ok(id.to_owned());
    }
    Err(QueueError::Refused {
        what: format!("`{id}` is no position in a stream"),
        alternative: "start, end, -100, -5m, a time, or an id like 1700000000000-0".to_owned(),
    })
}

fn id_of(entry: &Value) -> Option<String> {
    match entry {
        Value::Array(parts) => parts.first().cloned().map(text),
        _ => None,
    }
}

/// The time in an id.
fn ms_of(id: &str) -> Option<u64> {
    id.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_before_an_entry() {
        for (next, wanted) in [
            ("-", "0-0"),
            ("(5-3", "5-3"),
            ("5-3", "5-2"),
            ("5-0", "4-18446744073709551615"),
            ("5", "4-18446744073709551615"),
            ("0-0", "0-0"),
        ] {
            assert_eq!(behind(next), wanted, "{next}");
        }
        assert_eq!((excluding("-"), excluding("0-0")), ("0-1".to_owned(), "0-1".to_owned()));
        assert_eq!(excluding("5-3"), "(5-3");
    }
}
