//! Rows, look after look, for a pipe.

use super::Watched;
use super::watch;
use crate::cli::table::Listing;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::{Connection, QueueError};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// Prints a row for each queue, so many times, or until nobody reads.
///
/// # Errors
/// A middleware cannot be asked, or stdout not be written.
pub fn print_rows(watched: &Watched, times: Option<u64>, shape: Listing) -> Result<Exit> {
    let mut connections: Vec<Option<Box<dyn Connection>>> = Vec::new();
    connections.resize_with(watched.urls.len(), || None);
    let mut before: BTreeMap<String, (Option<u64>, Option<u64>)> = BTreeMap::new();
    let (mut last, mut cost) = (Instant::now(), Duration::ZERO);
    for round in 0..times.unwrap_or(u64::MAX) {
        if round > 0 {
            std::thread::sleep(watch::pause(watched.every, cost));
        }
        let took = std::mem::replace(&mut last, Instant::now());
        let took_s = (last - took).as_secs_f64();
        let mut text = String::new();
        for (url, connection) in watched.urls.iter().zip(&mut connections) {
            let listed = watch::sample(connection, url, watched.run.as_deref());
            let failed = |error: QueueError| error.failure("look at", &url.to_string());
            let listed = listed.map_err(failed)?;
            if listed.is_empty() && !url.name().is_empty() {
                return Err(failed(QueueError::NoSuchQueue));
            }
            for (name, stat, _) in listed {
                let totals = (stat.sent_total, stat.done_total);
                let old = before.insert(name.clone(), totals);
                let rate = |old: Option<u64>, new: Option<u64>| {
                    Some(new?.saturating_sub(old?) as f64 / took_s)
                };
                let (sent, done) = match old {
                    Some(old) => (rate(old.0, totals.0), rate(old.1, totals.1)),
                    None => (None, None),
                };
                text.push_str(&row(&name, &stat, sent, done, shape));
            }
        }
        cost = last.elapsed();
        match write(&text, round == 0 && shape == Listing::Table) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::io("write to", "stdout", &error)),
        }
    }
    Ok(Exit::Done)
}

fn row(
    url: &str,
    stat: &crate::queue::QueueStat,
    sent: Option<f64>,
    done: Option<f64>,
    shape: Listing,
) -> String {
    let time = crate::clock::rfc3339_now();
    if shape == Listing::Json {
        let line = json!({
            "time": time, "queue": url, "depth": stat.depth, "held": stat.held,
            "rate_in": sent, "rate_out": done, "readers": stat.readers,
        });
        return format!("{line}\n");
    }
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    format!(
        "{:<27}  {:<40}  {:>7}  {:>6}  {:>9}  {:>9}  {:>7}\n",
        time,
        url,
        stat.depth,
        stat.held,
        rate(sent),
        rate(done),
        stat.readers
    )
}

fn write(text: &str, with_head: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if with_head {
        let names = ["TIME", "QUEUE", "DEPTH", "HELD", "IN/S", "OUT/S", "READERS"];
        let [time, queue, depth, held, sent, done, readers] = names;
        writeln!(
            stdout,
            "{time:<27}  {queue:<40}  {depth:>7}  {held:>6}  {sent:>9}  {done:>9}  {readers:>7}"
        )?;
    }
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
