//! Looking at a queue without taking from it: for people, and for copying. A
//! view joins no group, counts as no reader, and settles nothing.

use super::{QueueError, QueueUrl};
use crate::event::Event;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// Messages looked at in one step.
const STEP: usize = 256;
/// How long nothing may come before the end does.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Where looking begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The oldest message that is there.
    Start,
    /// Behind the newest message that is there now.
    End,
    /// So many messages before that.
    Last(u64),
    /// The first message of this time or later, in milliseconds since 1970.
    Time(u64),
    /// A message, as the middleware names it: an offset, an id.
    Id(String),
    /// Behind these messages, one for each lane; lanes that are not named are
    /// read from their start.
    Behind(Places),
}

/// The last message that was dealt with, in each lane.
pub type Places = BTreeMap<u32, String>;

/// What of a queue is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub at: Position,
    /// Where it ends, not counting what is there; none when it follows what
    /// comes, for ever.
    pub until: Option<Position>,
}

/// A message that was looked at.
#[derive(Debug)]
pub struct Seen {
    /// Messages of one lane have an order: a partition; 0 where there is one.
    pub lane: u32,
    /// Its place there, as the middleware names it.
    pub mark: String,
    /// When it was sent, in milliseconds since 1970, as the middleware says.
    pub time_ms: Option<u64>,
    /// The event.
    pub event: Event,
    /// Why it is none.
    pub fault: Option<String>,
}

/// A look at one queue.
pub trait View {
    /// Appends up to `most` messages that come next. Waits for the first of
    /// them for `wait` at most.
    ///
    /// # Errors
    /// The queue is gone, or the middleware is.
    fn next(&mut self, most: usize, wait: Duration, into: &mut Vec<Seen>)
    -> Result<(), QueueError>;

    /// Whether nothing more will come: the end of the range was reached.
    fn is_at_end(&self) -> bool;

    /// Behind what it began: who notes this, and what came after it, can go on
    /// there.
    fn began_behind(&self) -> Places {
        Places::new()
    }

    /// How many are left until the end of the range, about; none where there
    /// is no end, or counting them would take long.
    ///
    /// # Errors
    /// As [`View::next`].
    fn left(&mut self) -> Result<Option<u64>, QueueError> {
        Ok(None)
    }
}

/// What tells messages apart: source and id (CloudEvents 1.0, section 3.1.1).
pub type Key = (String, String);

/// The keys of what is in a queue from a position on.
///
/// # Errors
/// There is none, it cannot be looked at, or its middleware is gone.
pub fn keys_from(url: &QueueUrl, at: Position) -> Result<HashSet<Key>, QueueError> {
    let range = Range { at, until: Some(Position::End) };
    let mut view = super::view(url, &range)?;
    let mut keys = HashSet::new();
    look_through(view.as_mut(), |seen| _ = keys.insert((seen.event.source, seen.event.id)))?;
    Ok(keys)
}

/// Shows all of a view that has an end.
///
/// # Errors
/// As [`View::next`]; or nothing came for long, and the end neither.
pub fn look_through(view: &mut dyn View, mut each: impl FnMut(Seen)) -> Result<(), QueueError> {
    let (mut seen, mut last) = (Vec::new(), Instant::now());
    while !view.is_at_end() {
        view.next(STEP, Duration::from_millis(200), &mut seen)?;
        if !seen.is_empty() {
            last = Instant::now();
        } else if last.elapsed() >= SILENCE_MAX {
            return Err(QueueError::Unreachable {
                what: "its end does not come".to_owned(),
                cure: "see whether all its servers are there".to_owned(),
            });
        }
        seen.drain(..).for_each(&mut each);
    }
    Ok(())
}

/// Looks at a queue.
///
/// # Errors
/// It is not there, the position is none of this middleware's, or the
/// middleware cannot show what it does not give away.
pub fn view(url: &QueueUrl, range: &Range) -> Result<Box<dyn View>, QueueError> {
    super::connect(url)?.view(url.name(), range)
}

impl Position {
    /// Reads `start`, `end`, `-100` (the last hundred), `-5m` (so long ago), a
    /// time (RFC 3339, or a date), or a name of the middleware's.
    pub fn parse(text: &str, now_ms: u64) -> Self {
        let ago = text.strip_prefix('-');
        if let Some(count) = ago.and_then(|text| text.parse().ok()) {
            return Self::Last(count);
        }
        if let Some(ago) = ago.and_then(|text| crate::units::duration(text).ok()) {
            let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            return Self::Time(now_ms.saturating_sub(ago_ms));
        }
        match text {
            "start" => Self::Start,
            "end" => Self::End,
            text => time_ms(text).map_or_else(|| Self::Id(text.to_owned()), Self::Time),
        }
    }
}

/// `2026-03-01T12:00:00Z`, with any offset; `2026-03-01` and
/// `2026-03-01T12:00` are of the local time zone.
fn time_ms(text: &str) -> Option<u64> {
    let stamp: jiff::Timestamp = match text.parse() {
        Ok(stamp) => stamp,
        Err(_) => {
            let local: jiff::civil::DateTime = text.parse().ok()?;
            local.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp()
        }
    };
    u64::try_from(stamp.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_positions() {
        let parse = |text: &str| Position::parse(text, 1_000_000);
        assert_eq!(parse("start"), Position::Start);
        assert_eq!(parse("end"), Position::End);
        assert_eq!(parse("-100"), Position::Last(100));
        assert_eq!(parse("-5m"), Position::Time(700_000));
        assert_eq!(parse("1970-01-01T00:00:02Z"), Position::Time(2_000));
        assert_eq!(parse("1970-01-01T02:00:02+02:00"), Position::Time(2_000));
        assert!(matches!(parse("2026-03-01"), Position::Time(_)));
        for id in ["42", "3/42", "1700000000000-0"] {
            assert_eq!(parse(id), Position::Id(id.to_owned()));
        }
    }
}
