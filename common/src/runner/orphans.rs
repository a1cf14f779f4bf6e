//! Runs that were left behind: what to do with their queues.

use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::mqueue::registry::{self, RunRecord};
use crate::queue::{self, QueueUrl};
use std::collections::BTreeSet;

/// Removes a run whose runner is gone, or that was opened by hand; `via` is
/// where it is when this host knows nothing of it.
///
/// # Errors
/// There is no such run, its runner lives, or something cannot be removed.
pub fn remove_run(run: &str, via: Option<&QueueUrl>) -> Result<()> {
    remove(run, &removable(run, via)?)
}

/// Messages that would be gone with a run that can be removed.
///
/// # Errors
/// As [`remove_run`].
pub fn messages_of_run(run: &str, via: Option<&QueueUrl>) -> Result<u64> {
    messages(run, &removable(run, via)?)
}

fn removable(run: &str, via: Option<&QueueUrl>) -> Result<RunRecord> {
    let record = registry::run_record(run).map_err(|error| error.failure("remove run", run))?;
    let fail = |exit, reason: String| Failure::new(exit, "remove run", run, reason);
    let Some(record) = record.map_or_else(|| noted(run, via), |record| Ok(Some(record)))? else {
        return Err(fail(Exit::Unreachable, "no such run".to_owned()).cure("faas-queue ls"));
    };
    let is_here = registry::run_record(run).is_ok_and(|record| record.is_some());
    if let Some(runner) = record.runner.filter(|_| is_here && !registry::is_orphaned(run)) {
        return Err(fail(Exit::SomeFailed, format!("its runner {runner} is at work"))
            .cure(format!("kill {runner}")));
    }
    Ok(record)
}

/// The middlewares of a run that was opened on this host.
///
/// # Errors
/// Nothing is known of it here.
pub fn middlewares_of(run: &str) -> Result<Vec<QueueUrl>> {
    let record = registry::run_record(run).map_err(|error| error.failure("look at run", run))?;
    let Some(record) = record else {
        let failure = Failure::new(Exit::Unreachable, "look at run", run, "it is not open here");
        return Err(failure.cure("the URL of its middleware, too"));
    };
    let url = |via: &String| QueueUrl::parse(via).unwrap_or(QueueUrl::local("mq", ""));
    Ok(vias(&record).iter().map(url).collect())
}

/// What a broker knows of a run.
pub(super) fn noted(run: &str, via: Option<&QueueUrl>) -> Result<Option<RunRecord>> {
    let Some(via) = via else { return Ok(None) };
    let note = queue::connect(via).and_then(|mut connection| connection.run_note(run));
    let note = note.map_err(|error| error.failure("open", &via.to_string()))?;
    Ok(note.and_then(|note| serde_json::from_slice(&note).ok()))
}

/// Removes all runs whose runner is gone; returns how many, and the failures
/// of those that cannot be removed.
///
/// # Errors
/// The records of runs cannot be read.
pub fn remove_orphaned() -> Result<(u64, Vec<Failure>)> {
    let (mut removed, mut failures) = (0, Vec::new());
    for (run, record) in orphaned()? {
        match remove(&run, &record) {
            Ok(()) => removed += 1,
            Err(failure) => failures.push(failure),
        }
    }
    Ok((removed, failures))
}

/// Messages that would be gone with all runs whose runner is gone, as far as
/// their middlewares answer.
///
/// # Errors
/// The records of runs cannot be read.
pub fn messages_of_orphaned() -> Result<u64> {
    let orphaned = orphaned()?;
    Ok(orphaned.iter().filter_map(|(run, record)| messages(run, record).ok()).sum())
}

fn orphaned() -> Result<Vec<(String, RunRecord)>> {
    let names = registry::run_names().map_err(|error| error.failure("list", "runs"))?;
    let orphaned = names.into_iter().filter(|run| registry::is_orphaned(run));
    let record = |run: String| {
        let record = registry::run_record(&run).map_err(|error| error.failure("remove run", &run));
        Ok((run, record?.unwrap_or_default()))
    };
    orphaned.map(record).collect()
}

/// The middlewares of a run.
fn vias(record: &RunRecord) -> Vec<String> {
    if record.vias.is_empty() { vec!["mq:/".to_owned()] } else { record.vias.clone() }
}

fn messages(run: &str, record: &RunRecord) -> Result<u64> {
    let mut count = 0;
    for via in vias(record) {
        let failed = |error: queue::QueueError| error.failure("remove run from", &via);
        let url = QueueUrl::parse(&via).unwrap_or(QueueUrl::local("mq", ""));
        let listed = queue::connect(&url).and_then(|mut connection| connection.list());
        let own = listed.map_err(failed)?.into_iter();
        let own = own.filter(|queue| queue.run.as_deref() == Some(run));
        count += own.map(|queue| queue.depth + queue.held).sum::<u64>();
    }
    Ok(count)
}

fn remove(run: &str, record: &RunRecord) -> Result<()> {
    for (at, via) in vias(record).iter().enumerate() {
        let failed = |error: queue::QueueError| error.failure("remove run from", via);
        let url = QueueUrl::parse(via).unwrap_or(QueueUrl::local("mq", ""));
        let mut connection = queue::connect(&url).map_err(failed)?;
        // Those that are known, and triggers' reply queues.
        let known = record.queues.iter().filter(|(held, _)| *held == at);
        let listed = connection.list().map_err(failed)?;
        let listed = listed.into_iter().filter(|queue| queue.run.as_deref() == Some(run));
        let names = known.map(|(_, name)| name.clone()).chain(listed.map(|queue| queue.name));
        for name in names.collect::<BTreeSet<_>>() {
            match connection.remove(&name) {
                Ok(()) | Err(queue::QueueError::NoSuchQueue) => {}
                Err(error) => return Err(error.failure("remove", &connection.url_of(&name))),
            }
        }
        connection.forget_run(run).map_err(failed)?;
    }
    registry::close_run(run).map_err(|error| error.failure("remove run", run))
}
