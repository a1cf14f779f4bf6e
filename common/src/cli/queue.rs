//! One queue, with all that is known of it.

use super::fit::{clean, fitted};
use super::table::{Listing, json_of, print, print_lines, width};
use crate::error::Result;
use crate::queue::{Connection, QueueDetail, QueueStat, ReaderStat};
use crate::units::{show_duration, show_size};
use serde_json::{Value, json};
use std::time::Duration;

/// What people see, in this order.
const ROWS: [&str; 21] = [
    "queue",
    "depth",
    "held",
    "capacity",
    "oldest_s",
    "rate_in",
    "rate_out",
    "sent_total",
    "done_total",
    "redelivered",
    "dead",
    "order",
    "partitions",
    "when_full",
    "message_size",
    "guarantee",
    "process_killed",
    "host_lost",
    "run",
    "created",
    "readers",
];

/// A queue at one moment, and what came and went before it.
pub struct Portrait {
    /// How it is.
    pub stat: QueueStat,
    /// What takes longer to find out.
    pub detail: QueueDetail,
    /// Messages in the queue of its dead letters, where there is one.
    pub dead: Option<u64>,
    /// Messages sent and done in a second, where they were counted.
    pub rates: Option<(f64, f64)>,
    /// When it was, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A property; on a terminal it fits into one line.
fn line(name: &str, shown: &str) -> String {
    let line = format!("{name:<16}{}", clean(shown));
    fitted(&line, width().unwrap_or(usize::MAX)) + "\n"
}

impl Portrait {
    /// Prints it: a line for each property, or a JSON object.
    ///
    /// # Errors
    /// Stdout cannot be written; a closed one is no error.
    pub fn print(&self, connection: &dyn Connection, shape: Listing) -> Result<()> {
        let value = self.json(connection);
        if shape == Listing::Json {
            return print_lines(std::iter::once(value));
        }
        let mut text = String::new();
        for name in ROWS {
            let shown = match &value[name] {
                Value::Null => continue,
                Value::String(text) => self.shown(name).unwrap_or_else(|| text.clone()),
                other => self.shown(name).unwrap_or_else(|| other.to_string()),
            };
            text.push_str(&line(name, &shown));
        }
        for reader in &self.detail.readers {
            text.push_str(&line("reader", &self.words(reader)));
        }
        print(&text)
    }

    /// `pid 12 at faas-invoke for 3m, holds 1`.
    fn words(&self, reader: &ReaderStat) -> String {
        let at = reader.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        let since = reader.since_ms.map_or_else(String::new, |since_ms| {
            format!(" for {}", show_duration(self.age(since_ms).max(Duration::from_secs(1))))
        });
        let held = reader.held.map_or_else(String::new, |held| format!(", holds {held}"));
        format!("{}{at}{since}{held}", reader.name)
    }

    /// What is easier to read than a bare number.
    fn shown(&self, name: &str) -> Option<String> {
        match name {
            "message_size" => Some(show_size(self.stat.message_size)),
            "order" if self.detail.partitions > Some(1) => {
                Some(format!("{} in each partition", self.detail.order?.word()))
            }
            "oldest_s" => Some(show_duration(self.age(self.detail.oldest_ms?))),
            _ => None,
        }
    }

    fn age(&self, since_ms: u64) -> Duration {
        Duration::from_millis(self.now_ms.saturating_sub(since_ms))
    }

    fn json(&self, connection: &dyn Connection) -> Value {
        let capabilities = connection.capabilities();
        let detail = &self.detail;
        let mut value = json_of(&self.stat, connection);
        let Some(object) = value.as_object_mut() else { return value };
        let mut add = |name: &str, value: Value| _ = object.insert(name.to_owned(), value);
        let rate = |rate: f64| json!((rate * 10.0).round() / 10.0);
        add("rate_in", self.rates.map_or(Value::Null, |(sent, _)| rate(sent)));
        add("rate_out", self.rates.map_or(Value::Null, |(_, done)| rate(done)));
        add("oldest_s", json!(detail.oldest_ms.map(|oldest_ms| self.age(oldest_ms).as_secs_f64())));
        add("redelivered", json!(detail.redelivered));
        add("dead", json!(self.dead));
        add("order", json!(detail.order.map(|order| order.word())));
        add("when_full", json!(detail.when_full.map(|when_full| when_full.word())));
        add("partitions", json!(detail.partitions));
        let guarantee = match capabilities.exactly_once {
            true => "at-least-once, exactly-once where asked",
            false => "at-least-once",
        };
        add("guarantee", json!(guarantee));
        add("process_killed", json!(capabilities.process_killed.words()));
        add("host_lost", json!(capabilities.host_lost.words()));
        let readers = detail.readers.iter().map(|reader| {
            json!({
                "name": reader.name,
                "place": reader.place,
                "since_s": reader.since_ms.map(|since_ms| self.age(since_ms).as_secs_f64()),
                "held": reader.held,
            })
        });
        add("readers_are", readers.collect());
        value
    }
}
