//! Picking up a run whose runner was killed.

use super::book::{Book, Past};
use super::join;
use crate::chain::{Chain, Placement};
use crate::clock;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::mqueue::registry::{self, RunGuard, RunRecord};
use crate::queue::{Connection, QueueError};
use std::path::Path;

/// The book of a run that begins.
///
/// # Errors
/// It cannot be made.
pub(super) fn new_book(run: &str) -> Result<Book> {
    let path = registry::book_of(run).map_err(|error| error.failure("open run", run))?;
    Book::new(&path).map_err(|error| Failure::io("write", path.display().to_string(), &error))
}

/// Takes over a run: its record, its book, and what that says.
///
/// # Errors
/// There is none on this host, its runner lives, it was opened with another
/// chain file, or its book cannot be read.
pub(super) fn take_over(
    chain: &Chain,
    placement: &Placement,
    file: &Path,
    home: &mut dyn Connection,
) -> Result<(RunGuard, Book, Option<Past>)> {
    let run = &placement.run;
    let old = registry::run_record(run).map_err(|error| error.failure("resume", run))?;
    let Some(old) = old else {
        return Err(Failure::new(Exit::Unreachable, "resume", run, "there is no such run here")
            .cure("faas-queue ls"));
    };
    join::check_run(chain, placement, file, home)?;
    let runner = Some(std::process::id());
    let created = clock::rfc3339_now();
    let record = RunRecord { runner, created, ..old.clone() };
    let guard = registry::take_over_run(run, &record).map_err(|error| match error {
        QueueError::Exists => {
            let runner = old.runner.map_or_else(String::new, |runner| format!(" {runner}"));
            Failure::new(Exit::SomeFailed, "resume", run, format!("its runner{runner} is at work"))
                .cure("wait for it, or stop it")
        }
        error => error.failure("resume", run),
    })?;
    let path = registry::book_of(run).map_err(|error| error.failure("resume", run))?;
    let (book, past) = Book::read(&path)
        .map_err(|error| Failure::io("read", path.display().to_string(), &error))?;
    Ok((guard, book, Some(past)))
}
