//! `faas-chain run`: opens a run, starts a trigger and invokers as processes
//! of their own, prints results as they come, knows the end by the credit
//! that came back, and leaves nothing behind.

mod children;
mod collector;
pub mod join;
pub mod orphans;
mod progress;
mod summary;
mod talk;
pub mod trial;

use crate::chain::{Chain, naming};
use crate::cli::log::Log;
use crate::cli::shared::PipeFlags;
use crate::clock;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invoker::DeadSink;
use crate::poll::Poller;
use crate::queue::{Desk, Port};
use crate::signals::Signals;
use children::Children;
use collector::{Collector, Parts};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is run and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The chain file.
    pub chain: PathBuf,
    /// Name of the run; chosen when there is none.
    pub run: Option<String>,
    /// So many invokers that serve all functions, instead of one for each.
    pub invokers: Option<usize>,
    /// File for dead letters.
    pub dead: Option<PathBuf>,
    /// Shapes of stdin and stdout.
    pub pipe: PipeFlags,
    /// Only failures on stderr.
    pub quiet: bool,
}

/// Runs a chain over stdin.
///
/// # Errors
/// The chain file has flaws, or the run cannot be opened.
pub fn run(options: &Options) -> Result<Exit, Vec<Failure>> {
    let chain = join::load_chain(&options.chain, "run")?;
    let name = match &options.run {
        Some(name) => {
            join::check_name(name).map_err(one)?;
            name.clone()
        }
        None => naming::new_run(&chain.name, clock::random_u64()),
    };
    crate::invoker::check_programs(&chain).map_err(one)?;
    open_and_collect(options, &chain, &name).map_err(one)
}

fn one(failure: Failure) -> Vec<Failure> {
    vec![failure]
}

fn open_and_collect(options: &Options, chain: &Chain, run: &str) -> crate::error::Result<Exit> {
    // From here on a signal is read, so that it cannot leave a half-open run.
    let signals = Signals::catch_also(&[Signal::SIGCHLD])
        .map_err(|error| Failure::io("catch", "signals", &error))?;
    let dead = options.dead.clone().unwrap_or_else(|| PathBuf::from(format!("{run}.dead.ndjson")));
    DeadSink::check(&dead)?;
    let poller =
        Rc::new(Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?);
    let mut connection = join::connect_run()?;
    let guard = join::open_run(chain, run, Some(std::process::id()), connection.as_mut())?;
    let collected = collect(options, chain, run, &dead, (poller, signals, connection));
    // Every process of the run is gone by now; nobody can write to it again.
    let exit = collected.map_err(|failure| {
        let cure =
            format!("its queues are kept: faas-queue ls, and then faas-queue rm --run {run}");
        failure.cure(cure)
    })?;
    join::connect_run()
        .and_then(|mut connection| join::close_run(chain, run, connection.as_mut()))?;
    drop(guard);
    Ok(exit)
}

/// What the collector waits with and on.
type Ends = (Rc<Poller>, Signals, Box<dyn crate::queue::Connection>);

fn collect(
    options: &Options,
    chain: &Chain,
    run: &str,
    dead: &Path,
    (poller, signals, mut connection): Ends,
) -> crate::error::Result<Exit> {
    let reply = naming::reply(run);
    let queue = connection
        .open_receive(&reply)
        .map_err(|error| error.failure("open", &format!("mq:/{reply}")))?;
    let mut desk = Desk::new(poller.clone());
    let replies = Port { connection: desk.add(connection), queue };
    let stdout = options.pipe.connection("-", false);
    let results = Port { connection: desk.add(Box::new(stdout)), queue: crate::queue::QueueId(1) };
    let parts = Parts {
        desk,
        poller,
        signals,
        replies,
        results,
        children: Children::start(options, chain, run)?,
        dead: DeadSink::file(dead),
        log: Log::new("faas-chain", options.quiet),
    };
    let mut collector = Collector::new(parts, chain, run)?;
    let (exit, summary) = collector.run();
    collector.end_children();
    summary.print(run, dead, options.quiet);
    exit
}
