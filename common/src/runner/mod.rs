//! `faas-chain run`: opens a run, starts a trigger and invokers as processes
//! of their own, prints results as they come, knows the end by the credit
//! that came back, and leaves nothing behind.

pub mod book;
mod children;
mod collector;
pub mod costs;
pub mod join;
pub mod orphans;
mod overdue;
mod parts;
pub mod places;
mod progress;
mod resume;
mod stillness;
mod summary;
mod talk;
pub mod tap;
pub mod trial;
mod trial_warm;

use crate::chain::{Chain, Deliver, Function, Placement, WorkerKind, naming};
use crate::cli::log::Log;
use crate::cli::shared::{Delivery, PipeFlags};
use crate::clock;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invoker::DeadSink;
use crate::poll::Poller;
use crate::queue::{Desk, Port, QueueUrl};
use crate::signals::Signals;
use book::{Book, Past};
use children::Children;
use collector::Collector;
use nix::sys::signal::Signal;
use parts::Parts;
use places::Places;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What is run and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The chain file.
    pub chain: PathBuf,
    /// Name of the run; chosen when there is none.
    pub run: Option<String>,
    /// So many invokers that serve all functions, instead of one for each.
    pub invokers: Option<usize>,
    /// Where its queues are, instead of what the chain says of `*`.
    pub via: Option<QueueUrl>,
    /// File for dead letters.
    pub dead: Option<PathBuf>,
    /// Pick up this run, whose runner is gone, instead of opening one.
    pub resume: Option<String>,
    /// A file of dead letters, in place of stdin.
    pub redrive: Option<PathBuf>,
    /// Delivery, instead of what the chain says.
    pub deliver: Option<Delivery>,
    /// Most invocations under way at once.
    pub max_in_flight: Option<u64>,
    /// Shapes of stdin and stdout.
    pub pipe: PipeFlags,
    /// Only failures on stderr.
    pub quiet: bool,
    /// Say what the calls of each function cost.
    pub verbose: bool,
}

/// Runs a chain over stdin.
///
/// # Errors
/// The chain file has flaws, or the run cannot be opened.
pub fn run(options: &Options) -> Result<Exit, Vec<Failure>> {
    // A run that is picked up is where it was opened.
    let via = options.via.clone().or_else(|| join::via_of(options.resume.as_deref()?));
    let chain = join::load_chain(&options.chain, "run", via.as_ref())?;
    if let Some(deliver) = options.deliver {
        let placement = Placement::of(&chain, "run", via.as_ref());
        crate::chain::check_deliver(&chain, &placement, deliver.deliver())
            .map_err(|failure| vec![failure])?;
    }
    let name = match options.resume.as_ref().or(options.run.as_ref()) {
        Some(name) => {
            join::check_name(name).map_err(one)?;
            name.clone()
        }
        None => naming::new_run(&chain.name, clock::random_u64()),
    };
    crate::invoker::check_programs(&chain).map_err(one)?;
    check_files(options, &name).map_err(one)?;
    let placement = Placement::of(&chain, &name, via.as_ref());
    open_and_collect(options, &chain, placement).map_err(one)
}

/// A message that is delivered at most once is in no queue while its function
/// runs: for so long nothing may be to be seen of it.
fn unseen(chain: &Chain, deliver: Option<Deliver>) -> Duration {
    let once = |function: &usize| {
        deliver.unwrap_or_else(|| chain.deliver_to(*function)) == Deliver::AtMostOnce
    };
    let timeouts = (0..chain.functions.len()).filter(once).map(|f| chain.functions[f].timeout);
    timeouts.max().unwrap_or_default().min(chain.deadline)
}

/// A file of dead letters is not read while it is written.
fn check_files(options: &Options, run: &str) -> crate::error::Result<()> {
    let Some(redrive) = &options.redrive else { return Ok(()) };
    let dead = dead_file(options, run);
    let same =
        redrive.canonicalize().is_ok_and(|path| Ok(path) == dead.canonicalize().map_err(drop));
    if same {
        let name = redrive.display().to_string();
        let reason = "its own dead letters would go to the same file";
        return Err(Failure::new(Exit::Usage, "redrive", name, reason).cure("--dead OTHER"));
    }
    Ok(())
}

fn dead_file(options: &Options, run: &str) -> PathBuf {
    options.dead.clone().unwrap_or_else(|| PathBuf::from(format!("{run}.dead.ndjson")))
}

fn one(failure: Failure) -> Vec<Failure> {
    vec![failure]
}

fn open_and_collect(
    options: &Options,
    chain: &Chain,
    placement: Placement,
) -> crate::error::Result<Exit> {
    let run = &placement.run.clone();
    // From here on a signal is read, so that it cannot leave a half-open run.
    let signals = Signals::catch_also(&[Signal::SIGCHLD])
        .map_err(|error| Failure::io("catch", "signals", &error))?;
    let dead = dead_file(options, run);
    DeadSink::check(&dead)?;
    let poller =
        Rc::new(Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?);
    let mut places = Places::connect(placement.clone())?;
    let (guard, book, past) = match options.resume {
        Some(_) => resume::take_over(chain, &placement, &options.chain, places.home())?,
        None => {
            let runner = Some(std::process::id());
            let guard = join::open_run(chain, &mut places, runner)?;
            (guard, resume::new_book(run)?, None)
        }
    };
    let ends = Ends { poller, signals, places, book, past };
    let collected = collect(options, chain, run, &dead, ends);
    // Every process of the run is gone by now; nobody can write to it again.
    let exit = collected.map_err(|failure| {
        let file = options.chain.display();
        let cure = format!(
            "its queues are kept: faas-chain run --resume {run} {file}, or faas-queue rm --run {run}"
        );
        failure.cure(cure)
    })?;
    Places::connect(placement).and_then(|mut places| join::close_run(&mut places))?;
    drop(guard);
    Ok(exit)
}

/// What the collector waits with and on, and what it knows and writes down.
struct Ends {
    poller: Rc<Poller>,
    signals: Signals,
    places: Places,
    book: Book,
    past: Option<Past>,
}

fn collect(
    options: &Options,
    chain: &Chain,
    run: &str,
    dead: &Path,
    ends: Ends,
) -> crate::error::Result<Exit> {
    let Ends { poller, signals, mut places, book, past } = ends;
    let via = places.placement.middlewares[0].clone();
    let reply = places.placement.reply.clone();
    let home = places.home();
    let opened = home.open_receive(&reply);
    let queue = opened.map_err(|error| error.failure("open", &home.url_of(&reply)))?;
    let mut desk = Desk::new(poller.clone());
    let (placement, connections) = places.into_desk(&mut desk);
    let queues = placement.queues().into_iter();
    let queues = queues.map(|(_, at, name)| (connections[at], name.to_owned())).collect();
    let replies = Port { connection: connections[0], queue };
    let stdout = options.pipe.connection("-", false);
    let results = Port { connection: desk.add(Box::new(stdout)), queue: crate::queue::QueueId(1) };
    let parts = Parts {
        desk,
        poller,
        signals,
        replies,
        results,
        children: Children::start(options, chain, run, &via)?,
        queues,
        dead: DeadSink::file(dead),
        log: Log::new("faas-chain", options.quiet),
        book,
        past,
        unseen: unseen(chain, options.deliver.map(Delivery::deliver)),
    };
    let mut collector = Collector::new(parts, chain, run)?;
    let (exit, summary) = collector.run();
    let costs = collector.end_children();
    let is_warm = |function: &&Function| function.worker != WorkerKind::Exec || function.ahead;
    let warm: Vec<&str> = chain.functions.iter().filter(is_warm).map(|f| f.name.as_str()).collect();
    let cold_starts = (!warm.is_empty()).then(|| costs.cold_starts(|name| warm.contains(&name)));
    summary.print(run, dead, options.quiet, cold_starts);
    if options.verbose {
        eprint!("{}", costs.table());
    }
    if summary.abandoned && exit.is_ok() {
        let reason = "one of its invokers cannot be kept alive";
        return Err(Failure::new(Exit::SomeFailed, "go on with run", run, reason));
    }
    exit
}
