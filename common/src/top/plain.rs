//! Rows, look after look, for a pipe.

use super::Watched;
use super::parts::Listed;
use super::watch;
use crate::cli::fit::{clean, fitted_middle, width_of};
use crate::cli::log::Log;
use crate::cli::table::{Listing, width};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::{Connection, QueueError, QueueUrl};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// Width of the column of URLs, where nobody says how wide a row may be.
const URL: usize = 40;
/// Width of the other columns.
const OTHERS: usize = 77;
/// Width below which only depths are shown.
const NARROW: usize = 76;

/// Prints a row for each queue, so many times, or until nobody reads. A server
/// that goes away is told of once, and asked again.
///
/// # Errors
/// Nothing of what is watched could be looked at to begin with, or stdout
/// cannot be written.
pub fn print_rows(watched: &Watched, times: Option<u64>, shape: Listing) -> Result<Exit> {
    let mut rows = Rows {
        sources: watched.urls.iter().map(Source::new).collect(),
        run: watched.run.clone(),
        before: BTreeMap::new(),
        shape,
        last: Instant::now(),
        log: Log::new("faas-queue", false),
        worst: Exit::Done,
    };
    let mut cost = Duration::ZERO;
    for round in 0..times.unwrap_or(u64::MAX) {
        if round > 0 {
            std::thread::sleep(watch::pause(watched.every, cost));
        }
        let text = rows.look(round == 0)?;
        cost = rows.last.elapsed();
        match write(&text, round == 0 && shape == Listing::Table) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::io("write to", "stdout", &error)),
        }
    }
    Ok(rows.worst)
}

/// What is watched, and what is kept from look to look.
struct Rows {
    sources: Vec<Source>,
    run: Option<String>,
    /// Messages that were sent and done at the look before.
    before: BTreeMap<String, (Option<u64>, Option<u64>)>,
    shape: Listing,
    last: Instant,
    log: Log,
    worst: Exit,
}

/// A middleware, or a queue of it.
struct Source {
    url: QueueUrl,
    connection: Option<Box<dyn Connection>>,
    /// Whether it was told that it cannot be looked at.
    is_told: bool,
}

impl Source {
    fn new(url: &QueueUrl) -> Self {
        Self { url: url.clone(), connection: None, is_told: false }
    }

    fn look(&mut self, run: Option<&str>) -> Result<Vec<Listed>> {
        let failed = |error: QueueError| error.failure("look at", &self.url.to_string());
        let listed = watch::sample(&mut self.connection, &self.url, run).map_err(failed)?;
        match listed.is_empty() && !self.url.name().is_empty() {
            true => Err(failed(QueueError::NoSuchQueue)),
            false => Ok(listed),
        }
    }
}

impl Rows {
    /// The rows of one look.
    fn look(&mut self, is_first: bool) -> Result<String> {
        let took = std::mem::replace(&mut self.last, Instant::now());
        let took_s = (self.last - took).as_secs_f64();
        let (mut text, mut failures) = (String::new(), Vec::new());
        let mut all = Vec::new();
        for source in &mut self.sources {
            match source.look(self.run.as_deref()) {
                Ok(listed) => {
                    source.is_told = false;
                    all.extend(listed);
                }
                Err(failure) => {
                    let was_told = std::mem::replace(&mut source.is_told, true);
                    failures.push((failure, was_told));
                }
            }
        }
        if is_first && failures.len() == self.sources.len() && !failures.is_empty() {
            return Err(failures.remove(0).0);
        }
        for (failure, was_told) in failures {
            self.worst = self.worst.worst(failure.exit);
            if !was_told {
                self.log.failure(&failure);
            }
        }
        for listed in all {
            text.push_str(&self.row(&listed, took_s));
        }
        Ok(text)
    }

    fn row(&mut self, listed: &Listed, took_s: f64) -> String {
        let Listed { url, stat, counts_held, .. } = listed;
        let totals = (stat.sent_total, stat.done_total);
        let old = self.before.insert(url.clone(), totals).unwrap_or_default();
        let rate =
            |old: Option<u64>, new: Option<u64>| Some(new?.saturating_sub(old?) as f64 / took_s);
        let (sent, done) = (rate(old.0, totals.0), rate(old.1, totals.1));
        let time = crate::clock::rfc3339_now();
        if self.shape == Listing::Json {
            let held = counts_held.then_some(stat.held);
            let line = json!({
                "time": time, "queue": url, "depth": stat.depth, "held": held,
                "rate_in": sent, "rate_out": done, "readers": stat.readers,
            });
            return format!("{line}\n");
        }
        let held = if *counts_held { stat.held.to_string() } else { "-".to_owned() };
        let shown =
            |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        let numbers = [stat.depth.to_string(), held, shown(sent), shown(done)];
        line(&time, &clean(url), &numbers.each_ref().map(String::as_str), &stat.readers.to_string())
    }
}

/// A row; on a terminal it fits into one line: what has no room is left out,
/// the day first, then rates and readers.
fn line(time: &str, url: &str, [depth, held, sent, done]: &[&str; 4], readers: &str) -> String {
    let width = width();
    let (time, time_width) = match width {
        Some(width) if width < OTHERS + URL => (time.get(11..19).unwrap_or(time), 8),
        _ => (time, 27),
    };
    let mut numbers = format!("  {depth:>7}  {held:>6}");
    if width.is_none_or(|width| width >= NARROW) {
        numbers.push_str(&format!("  {sent:>9}  {done:>9}  {readers:>7}"));
    }
    let used = time_width + 2 + numbers.len();
    let room = width.map(|width| width.saturating_sub(used).max(8));
    let url = room.map_or_else(|| url.to_owned(), |room| fitted_middle(url, room));
    let gap = " ".repeat(room.unwrap_or(URL).min(URL).saturating_sub(width_of(&url)));
    format!("{time:<time_width$}  {url}{gap}{numbers}\n")
}

fn write(text: &str, with_head: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if with_head {
        let numbers = ["DEPTH", "HELD", "IN/S", "OUT/S"];
        stdout.write_all(line("TIME", "QUEUE", &numbers, "READERS").as_bytes())?;
    }
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
