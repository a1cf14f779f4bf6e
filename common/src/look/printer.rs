//! Messages on stdout: the shapes of pipes, a table, a template, or what jq
//! makes of them.

use super::{Filter, Template};
use crate::cli::fit::{acts, fitted, width_of};
use crate::error::{Failure, Result};
use crate::event::shape::{self, OutShape};
use crate::event::{Attr, Body, Event, Show};
use crate::exit::Exit;
use crate::queue::Seen;
use std::io::IsTerminal;

/// Shapes in which messages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LookShape {
    /// One envelope a line [default, but on a terminal]
    Json,
    /// One body a line
    Lines,
    /// Bodies, each followed by a NUL byte
    Nul,
    /// Bodies with nothing between them
    Raw,
    /// Bodies after their 32-bit big-endian lengths
    Frames,
    /// A row a message, cut to the width of the terminal [default there]
    Table,
}

/// Width of a table where nobody says how wide it may be.
const WIDTH: usize = 100;
/// Width that a body has at least, where columns can make room for it.
const BODY_MIN: usize = 15;
/// Widths of the columns before the last.
const COLUMNS: [(&str, usize); 4] = [("SENT", 12), ("PLACE", 17), ("ID", 20), ("SIZE", 8)];

/// Prints messages.
pub struct Printer {
    shape: LookShape,
    template: Option<Template>,
    show: Show,
    width: usize,
    /// Columns that have room.
    columns: usize,
    has_head: bool,
}

/// How many columns leave room for a body.
fn columns_in(width: usize) -> usize {
    (1..=COLUMNS.len()).rev().find(|count| used_by(*count) + BODY_MIN <= width).unwrap_or(0)
}

fn used_by(columns: usize) -> usize {
    COLUMNS.iter().take(columns).map(|(_, width)| width + 2).sum()
}

impl Printer {
    /// A printer for stdout.
    pub fn new(shape: Option<LookShape>, template: Option<Template>, exact: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let default = if is_terminal { LookShape::Table } else { LookShape::Json };
        let width = crate::cli::table::width().unwrap_or(WIDTH);
        Self {
            shape: shape.unwrap_or(default),
            template,
            show: Show { exact, control: true },
            width,
            columns: columns_in(width),
            has_head: false,
        }
    }

    /// Appends what is printed of a message.
    ///
    /// # Errors
    /// The shape cannot carry it, or jq or the template cannot be applied.
    pub fn print(&mut self, seen: Seen, filter: &Filter, out: &mut Vec<u8>) -> Result<()> {
        let failed = |seen: &Seen, why: String| {
            Failure::new(Exit::SomeFailed, "show", format!("message {}", place_of(seen)), why)
        };
        if let Some(views) = filter.views(&seen.event).map_err(|why| failed(&seen, why))? {
            views.iter().for_each(|view| out.extend_from_slice(format!("{view}\n").as_bytes()));
            return Ok(());
        }
        if let Some(template) = &self.template {
            let text = template.print(&seen).map_err(|why| failed(&seen, why))?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let shape = match self.shape {
            LookShape::Json => OutShape::Json,
            LookShape::Lines => OutShape::Lines,
            LookShape::Nul => OutShape::Nul,
            LookShape::Raw => OutShape::Raw,
            LookShape::Frames => OutShape::Frames,
            LookShape::Table => {
                self.row(&seen, out);
                return Ok(());
            }
        };
        let place = place_of(&seen);
        let noted = noted(seen);
        shape::write(&noted, shape, self.show, out).map_err(|error| {
            let failure = Failure::new(Exit::SomeFailed, "show", format!("message {place}"), error);
            failure.cure("-o json, which carries any body")
        })
    }

    fn row(&mut self, seen: &Seen, out: &mut Vec<u8>) {
        let mut line = String::new();
        if !std::mem::replace(&mut self.has_head, true) {
            for (name, width) in COLUMNS.into_iter().take(self.columns) {
                cell(&mut line, name, width);
            }
            line.push_str("BODY\n");
        }
        let sent = seen.time_ms.map(clock_of).unwrap_or_else(|| "-".to_owned());
        let size = crate::units::show_size(seen.event.body_len());
        let place = place_of(seen);
        let columns = COLUMNS.into_iter().take(self.columns);
        for (text, (_, width)) in [&sent, &place, &seen.event.id, &size].iter().zip(columns) {
            cell(&mut line, text, width);
        }
        let rest = self.width.saturating_sub(used_by(self.columns)).max(4);
        line.push_str(&fitted(&glance(&seen.event, rest * 4), rest));
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }
}

/// Where a message is, as `--at` understands it.
pub(crate) fn place_of(seen: &Seen) -> String {
    if seen.mark.contains('-') { seen.mark.clone() } else { format!("{}/{}", seen.lane, seen.mark) }
}

/// A time as RFC 3339 says it.
pub(super) fn stamp(time_ms: u64) -> String {
    let stamp = i64::try_from(time_ms).ok().map(jiff::Timestamp::from_millisecond);
    stamp.and_then(|stamp| stamp.ok()).map_or_else(String::new, |stamp| stamp.to_string())
}

/// The time of day, here.
fn clock_of(time_ms: u64) -> String {
    let stamp = i64::try_from(time_ms).ok().map(jiff::Timestamp::from_millisecond);
    let Some(Ok(stamp)) = stamp else { return String::new() };
    stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

/// The event with what the middleware says of it.
fn noted(seen: Seen) -> Event {
    let place = place_of(&seen);
    let mut event = seen.event;
    event.note("faasplace", place);
    if let Some(time_ms) = seen.time_ms {
        event.note("faassent", stamp(time_ms));
    }
    if let Some(fault) = seen.fault {
        event.extensions.insert("faasfault".to_owned(), Attr::Text(fault));
    }
    event
}

/// The beginning of a body on one line.
pub(crate) fn glance(event: &Event, most: usize) -> String {
    let Some(body) = &event.body else { return String::new() };
    let Ok(bytes) = body_start(body, most) else { return "(cannot be read)".to_owned() };
    match std::str::from_utf8(&bytes) {
        Ok(text) => one_line(text),
        // The cut may be in the middle of a letter.
        Err(error) if error.valid_up_to() + 4 > bytes.len() && error.valid_up_to() > 0 => {
            one_line(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]))
        }
        Err(_) => format!("(binary) {}", hex(&bytes[..bytes.len().min(32)])),
    }
}

fn body_start(body: &Body, most: usize) -> std::io::Result<Vec<u8>> {
    match body {
        Body::Inline(bytes) => Ok(bytes[..bytes.len().min(most)].to_vec()),
        Body::File(_) => body.load().map(|bytes| bytes[..bytes.len().min(most)].to_vec()),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if acts(letter) { ' ' } else { letter }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text in a column of this width, and the gap behind it.
fn cell(line: &mut String, text: &str, width: usize) {
    let text = fitted(&one_line(text), width);
    let used = width_of(&text);
    line.push_str(&text);
    line.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(used)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_leave_room_for_a_body() {
        assert_eq!([10, 40, 60, 80, 120].map(columns_in), [0, 1, 2, 4, 4]);
    }

    #[test]
    fn glances_at_bodies() {
        let glance_at = |bytes: &[u8]| {
            let kind = "application/octet-stream";
            glance(&Event::bare("i".into(), "s".into(), kind, bytes.to_vec()), 8)
        };
        assert_eq!(glance_at(b"a\nb"), "a b");
        assert_eq!(glance_at(b"\xff\x00\x01"), "(binary) ff0001");
        assert_eq!(glance_at("1234567é".as_bytes()), "1234567");
    }
}
