//! Listings: a table for people, a JSON object a line for programs.

use super::fit::{clean, fit};
use crate::error::{Failure, Result};
use crate::queue::{Connection, MIDDLEWARES, QueueStat, table_rows};
use crate::units::show_size;
use serde_json::{Value, json};
use std::io::{ErrorKind, IsTerminal, Write};
use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

/// Columns between those of a table.
const GAP: usize = 2;

/// Shape of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Listing {
    /// A table
    #[default]
    Table,
    /// A JSON object a line
    Json,
}

/// Prints queues.
///
/// # Errors
/// Stdout cannot be written; a closed one is no error.
pub fn print_queues(
    stats: &[QueueStat],
    connection: &dyn Connection,
    shape: Listing,
) -> Result<()> {
    if shape == Listing::Json {
        return print_lines(stats.iter().map(|stat| json_of(stat, connection)));
    }
    let can = connection.capabilities();
    let head = ["QUEUE", "DEPTH", "HELD", "CAPACITY", "MESSAGE", "READERS", "RUN"];
    let rows = stats.iter().map(|stat| {
        let run = match (&stat.run, stat.orphaned) {
            (Some(run), true) => format!("{run} (orphaned)"),
            (Some(run), false) => run.clone(),
            (None, _) => "-".to_owned(),
        };
        vec![
            clean(&connection.url_of(&stat.name)),
            stat.depth.to_string(),
            if can.counts_held { stat.held.to_string() } else { "-".to_owned() },
            if can.bounded { stat.capacity.to_string() } else { "-".to_owned() },
            show_size(stat.message_size),
            stat.readers.to_string(),
            run,
        ]
    });
    print(&table(&head, rows))
}

/// Prints what each middleware can do.
///
/// # Errors
/// As [`print_queues`].
pub fn print_capabilities(shape: Listing) -> Result<()> {
    // Over TLS it is the same.
    let all = MIDDLEWARES.iter().map(|middleware| middleware.capabilities);
    let all: Vec<_> = all.filter(|capabilities| capabilities.scheme != "rediss").collect();
    let rows = table_rows(&all);
    if shape == Listing::Json {
        return print_lines(all.iter().enumerate().map(|(column, capabilities)| {
            let cells = rows.iter().map(|row| (row[0].clone(), json!(row[column + 1])));
            let cells: serde_json::Map<String, Value> = cells.collect();
            json!({ "middleware": capabilities.scheme, "title": capabilities.title, "can": cells })
        }));
    }
    let names: Vec<String> =
        all.iter().map(|capabilities| format!("{}:", capabilities.scheme)).collect();
    let head: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    print(&format!("\n{}", table(&head, rows.into_iter())))
}

/// A queue as programs read it.
pub fn json_of(stat: &QueueStat, connection: &dyn Connection) -> Value {
    let can = connection.capabilities();
    json!({
        "queue": connection.url_of(&stat.name),
        "depth": stat.depth,
        "held": can.counts_held.then_some(stat.held),
        "capacity": can.bounded.then_some(stat.capacity),
        "message_size": stat.message_size,
        "readers": stat.readers,
        "run": stat.run,
        "orphaned": stat.orphaned,
        "created": stat.created,
        "sent_total": stat.sent_total,
        "done_total": stat.done_total,
    })
}

/// A table with a head and no lines.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    if let Some(width) = width() {
        fit(&mut all, width, GAP);
    }
    let mut builder = Builder::default();
    all.into_iter().for_each(|row| builder.push_record(row));
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
    let text = table.to_string();
    text.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Prints a value a line.
///
/// # Errors
/// As [`print_queues`].
pub fn print_lines(values: impl Iterator<Item = Value>) -> Result<()> {
    print(&values.fold(String::new(), |text, value| text + &value.to_string() + "\n"))
}

/// Width of the terminal, when stdout is one.
pub fn width() -> Option<usize> {
    let size = ratatui::crossterm::terminal::size().ok()?;
    std::io::stdout().is_terminal().then_some(usize::from(size.0)).filter(|width| *width > 0)
}

/// Prints on stdout; a reader that has seen enough is no error.
///
/// # Errors
/// Stdout cannot be written.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::io("write to", "stdout", &error))
        }
        _ => Ok(()),
    }
}
