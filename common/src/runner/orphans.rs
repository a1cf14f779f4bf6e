//! Runs that were left behind: what to do with their queues.

use super::join;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::mqueue::registry;

/// Removes a run whose runner is gone, or that was opened by hand.
///
/// # Errors
/// There is no such run, its runner lives, or something cannot be removed.
pub fn remove_run(run: &str) -> Result<()> {
    let record = registry::run_record(run).map_err(|error| error.failure("remove run", run))?;
    let fail = |exit, reason: String| Failure::new(exit, "remove run", run, reason);
    let Some(record) = record else {
        return Err(fail(Exit::Unreachable, "no such run".to_owned()).cure("faas-queue ls"));
    };
    if let Some(runner) = record.runner.filter(|_| !registry::is_orphaned(run)) {
        return Err(fail(Exit::SomeFailed, format!("its runner {runner} is at work"))
            .cure(format!("kill {runner}")));
    }
    remove(run)
}

/// Removes all runs whose runner is gone; returns how many.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_orphaned() -> Result<u64> {
    let names = registry::run_names().map_err(|error| error.failure("list", "runs"))?;
    let mut count = 0;
    for run in names.iter().filter(|run| registry::is_orphaned(run)) {
        remove(run)?;
        count += 1;
    }
    Ok(count)
}

fn remove(run: &str) -> Result<()> {
    let mut connection = join::connect_run()?;
    let queues = connection.list().map_err(|error| error.failure("list", "mq:"))?;
    for queue in queues.iter().filter(|queue| queue.run.as_deref() == Some(run)) {
        connection
            .remove(&queue.name)
            .map_err(|error| error.failure("remove", &format!("mq:/{}", queue.name)))?;
    }
    registry::close_run(run).map_err(|error| error.failure("remove run", run))
}
