//! Opening a run, and joining one that is open.

use super::places::Places;
use crate::chain::{Chain, ChainError, Deliver, Placement, Scopes, naming};
use crate::clock;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::invoker::Serve;
use crate::queue::mqueue::registry::{self, RunGuard, RunRecord};
use crate::queue::{Connection, Desk, Port, QueueError, QueueSpec, QueueUrl};
use crate::{limits, units};
use std::path::{Path, PathBuf};

/// A run's chain file must be the one the run was opened with. On a broker
/// the run is noted there, for whoever comes from another host.
///
/// # Errors
/// The run is not open, or was opened with another file.
pub fn check_run(
    chain: &Chain,
    placement: &Placement,
    path: &Path,
    home: &mut dyn Connection,
) -> Result<()> {
    let run = &placement.run;
    let digest = match placement.home().on_one_host {
        true => registry::run_record(run).map(|record| record.map(|record| record.digest)),
        false => home.run_note(run).map(|note| note.and_then(|note| digest_in(&note))),
    };
    let digest = digest.map_err(|error| error.failure("join", run))?;
    let Some(digest) = digest else {
        let via = via_flag(placement);
        let cure = format!("faas-queue new --chain {} --run {run}{via}", path.display());
        return Err(Failure::new(Exit::Unreachable, "join run", run, "it is not open").cure(cure));
    };
    if digest != chain.digest {
        let reason = format!("it was opened with another version of {}", path.display());
        return Err(Failure::new(Exit::Usage, "join run", run, reason)
            .cure("the file it was opened with, or a new run"));
    }
    Ok(())
}

fn digest_in(note: &[u8]) -> Option<String> {
    serde_json::from_slice::<RunRecord>(note).ok().map(|record| record.digest)
}

/// How a command is told where this run is.
pub fn via_flag(placement: &Placement) -> String {
    match placement.home().on_one_host {
        true => String::new(),
        false => format!(" --via {}", placement.middlewares[0]),
    }
}

/// Where a run that was opened on this host is, unless it is on this host
/// alone; nothing is known of runs that were opened elsewhere.
pub fn via_of(run: &str) -> Option<QueueUrl> {
    let record = registry::run_record(run).ok()??;
    let home = QueueUrl::parse(record.vias.first()?).ok()?;
    (home.scheme() != "mq").then_some(home)
}

/// The chain file of an open run; `via` is where it is when it was opened on
/// another host.
///
/// # Errors
/// The run is not open, or nothing is known of its file here.
pub fn file_of(run: &str, via: Option<&QueueUrl>) -> Result<PathBuf> {
    let failed = |reason: &str| Failure::new(Exit::Unreachable, "join run", run, reason);
    let record = registry::run_record(run).map_err(|error| error.failure("join", run))?;
    let record = match record {
        Some(record) => Some(record),
        None => super::orphans::noted(run, via)?,
    };
    let record = record.ok_or_else(|| failed("it is not open").cure("faas-queue ls"))?;
    let file = record.file.map(PathBuf::from).filter(|file| file.exists());
    file.ok_or_else(|| failed("its chain file is not here").cure("--chain FILE"))
}

/// Loads a chain and refuses what is not built yet or cannot be kept on the
/// middlewares it is for; `via` takes the place of what it says of `*`.
///
/// # Errors
/// Every flaw, as failures.
pub fn load_chain(
    path: &Path,
    action: &str,
    via: Option<&QueueUrl>,
) -> std::result::Result<Chain, Vec<Failure>> {
    let failures = |error: ChainError| error.failures(action);
    let chain = crate::chain::load(path).map_err(failures)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| ChainError::Read(path.to_owned(), error).failures(action))?;
    let placement = Placement::of(&chain, "run", via);
    let flaws = crate::chain::gate(&chain, &text, &placement);
    if flaws.is_empty() {
        Ok(chain)
    } else {
        Err(ChainError::Flaws(path.to_owned(), flaws).failures(action))
    }
}

/// Checks the name of a run.
///
/// # Errors
/// It is none.
pub fn check_name(run: &str) -> Result<()> {
    if naming::is_run_name(run) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "open run", run, "this is not a name")
        .cure("a letter, then up to 62 letters, digits, dashes and underscores"))
}

/// Opens a run: its record and all of its queues. A failure leaves nothing.
///
/// # Errors
/// There is a run of that name, or a queue cannot be made.
pub fn open_run(chain: &Chain, places: &mut Places, runner: Option<u32>) -> Result<RunGuard> {
    let (scopes, bound) = (Scopes::of(chain), spill_bound()?);
    let run = places.placement.run.clone();
    let record = RunRecord {
        digest: chain.digest.clone(),
        chain: chain.name.clone(),
        file: chain.file.as_ref().map(|file| file.display().to_string()),
        created: clock::rfc3339_now(),
        runner,
        vias: places.placement.middlewares.iter().map(QueueUrl::to_string).collect(),
        queues: places.queues().into_iter().map(|(_, at, name)| (at, name)).collect(),
    };
    let failed = |error: QueueError| match error {
        QueueError::Exists => {
            Failure::new(Exit::SomeFailed, "open run", &run, "there is one of that name")
                .cure(format!("another name, or faas-queue rm --run {run}"))
        }
        error => error.failure("open run", &run),
    };
    let guard = registry::open_run(&run, &record).map_err(failed)?;
    if let Err(error) =
        places.home().note_run(&run, &serde_json::to_vec(&record).unwrap_or_default())
    {
        let failure = failed(error);
        let _ = registry::close_run(&run);
        return Err(failure);
    }
    for (function, at, name) in places.queues() {
        let spec = spec_of(chain, &scopes, function, &run, bound);
        let connection = places.at(at);
        if let Err(error) = connection.create(&name, &spec) {
            let failure = error.failure("create", &connection.url_of(&name));
            // The failure told is the first one.
            let _ = close_run(places);
            return Err(failure);
        }
    }
    Ok(guard)
}

/// Most bytes that wait in one spill file: `FAAS_SPILL_MAX`, or the default.
///
/// # Errors
/// The variable holds no size.
fn spill_bound() -> Result<u64> {
    let Ok(text) = std::env::var("FAAS_SPILL_MAX") else { return Ok(limits::SPILL_MAX) };
    units::size(&text).map_err(|error| {
        Failure::new(Exit::Usage, "read", "FAAS_SPILL_MAX", error.to_string())
            .cure("FAAS_SPILL_MAX=64MiB")
    })
}

/// Removes a run's queues, with all they hold, and its record.
///
/// # Errors
/// Something cannot be removed.
pub fn close_run(places: &mut Places) -> Result<()> {
    let run = places.placement.run.clone();
    // Whoever looks at the run sees its end by the queue of copies.
    let tap = (None, 0, places.placement.tap());
    for (_, at, name) in places.queues().into_iter().chain([tap]) {
        let connection = places.at(at);
        match connection.remove(&name) {
            Ok(()) | Err(QueueError::NoSuchQueue) => {}
            Err(error) => return Err(error.failure("remove", &connection.url_of(&name))),
        }
    }
    for at in 0..places.placement.middlewares.len() {
        places.at(at).forget_run(&run).map_err(|error| error.failure("close run", &run))?;
    }
    registry::close_run(&run).map_err(|error| error.failure("close run", &run))
}

/// What the chain file says of a function's queue; of the reply queue, what
/// it says of all.
///
/// Around a cycle, and where ends of branches go, no sender may wait for room:
/// there messages spill.
fn spec_of(
    chain: &Chain,
    scopes: &Scopes,
    function: Option<usize>,
    run: &str,
    bound: u64,
) -> QueueSpec {
    let all = chain.queues.get("*").cloned().unwrap_or_default();
    let own = function
        .and_then(|index| chain.queues.get(&chain.functions[index].name).cloned())
        .unwrap_or_default();
    // A part that ends at its join returns its share to the join's own queue.
    let spills = |index: usize| scopes.is_cyclic(index) || chain.functions[index].join.is_some();
    QueueSpec {
        capacity: own.capacity.or(all.capacity),
        message_size: None,
        order: own.order.or(all.order),
        when_full: own.when_full,
        // What a function demands of order and policy was checked with the file.
        demand: own.capacity.is_some(),
        run: Some(run.to_owned()),
        spill: function.is_none_or(spills).then_some(bound),
    }
}

/// Indices of the functions to serve; all of them when none is named.
///
/// # Errors
/// The chain has no function of that name.
pub fn functions(chain: &Chain, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..chain.functions.len()).collect());
    }
    let known = || chain.functions.iter().map(|function| function.name.as_str());
    names
        .iter()
        .map(|name| {
            chain.find(name).ok_or_else(|| {
                let cure = crate::units::nearest(name, known())
                    .unwrap_or_else(|| known().collect::<Vec<_>>().join(", "));
                Failure::new(
                    Exit::Usage,
                    "find function",
                    name,
                    format!("chain {} has none of that name", chain.name),
                )
                .cure(cure)
            })
        })
        .collect()
}

/// What an invoker is told beside the chain file.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeOptions {
    /// Calls at once, instead of the function's own number.
    pub jobs: Option<u32>,
    /// Delivery, instead of the chain's.
    pub deliver: Option<Deliver>,
    /// Hand over in the order of intake.
    pub keep_order: bool,
}

/// Opens a function's input queue to serve it; `connections` are those of the
/// placement's middlewares at the desk.
///
/// # Errors
/// The queue is not there.
pub fn serve(
    chain: &Chain,
    function: usize,
    placement: &Placement,
    options: ServeOptions,
    desk: &mut Desk,
    connections: &[usize],
) -> Result<Serve> {
    let (name, connection) = (&placement.inputs[function], connections[placement.of[function]]);
    let target = desk.connection(connection);
    let opened = target.open_receive(name);
    let queue = opened.map_err(|error| error.failure("open", &target.url_of(name)))?;
    let own = chain.functions[function].concurrency;
    Ok(Serve {
        function,
        from: Port { connection, queue },
        concurrency: options.jobs.map_or(own, |jobs| jobs as usize),
        at_most_once: options.deliver.unwrap_or(chain.deliver_to(function)) == Deliver::AtMostOnce,
        keep_order: options.keep_order,
    })
}
