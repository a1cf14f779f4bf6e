//! One function for each verb.

mod look;
mod moving;
mod profile;

use crate::cli::{Cli, Get, Ls, New, Put, Rm, Stat, Verb};
use faas_common::chain::Placement;
use faas_common::cli::log::Log;
use faas_common::cli::shared::{named_queue, queue_url, via};
use faas_common::cli::table;
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::poll::Poller;
use faas_common::queue::{self, Connection, Desk, Port, QueueSpec, QueueUrl};
use faas_common::runner::places::Places;
use faas_common::runner::{join, orphans};
use faas_common::transfer::{self, Edit, Step, Transfer, Until};
use faas_common::trigger::{Destination, Progress, Trigger};
use std::rc::Rc;
use std::time::Duration;

type Outcome = Result<Exit, Failure>;

pub fn run(cli: Cli) -> Result<Exit, Vec<Failure>> {
    match cli.verb {
        Some(Verb::New(flags)) => new(&flags),
        Some(Verb::Ls(flags)) => ls(&flags).map_err(one),
        Some(Verb::Stat(flags)) => stat(&flags).map_err(one),
        Some(Verb::Peek(flags)) => look::peek(&flags).map_err(one),
        Some(Verb::Tail(flags)) => look::tail(&flags).map_err(one),
        Some(Verb::Put(flags)) => put(&flags).map_err(one),
        Some(Verb::Get(flags)) => get(&flags).map_err(one),
        Some(Verb::Cp(flags)) => moving::cp(&flags).map_err(one),
        Some(Verb::Mv(flags)) => moving::mv(&flags).map_err(one),
        Some(Verb::Redrive(flags)) => moving::redrive(&flags).map_err(one),
        Some(Verb::Purge(flags)) => moving::purge(&flags).map_err(one),
        Some(Verb::Rm(flags)) => rm(&flags),
        Some(Verb::Profile(flags)) => profile::profile(&flags).map_err(one),
        None => Ok(Exit::Usage),
    }
}

fn one(failure: Failure) -> Vec<Failure> {
    vec![failure]
}

fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>, Failure> {
    queue::connect(url).map_err(|error| error.failure("open", &url.to_string()))
}

fn new(flags: &New) -> Result<Exit, Vec<Failure>> {
    if let (Some(file), Some(run)) = (&flags.chain, &flags.run) {
        let via = via(flags.via.as_deref()).map_err(one)?;
        let chain = join::load_chain(file, "create", via.as_ref())?;
        join::check_name(run).map_err(one)?;
        let placement = Placement::of(&chain, run, via.as_ref());
        let mut places = Places::connect(placement).map_err(one)?;
        join::open_run(&chain, &mut places, None).map_err(one)?;
        return Ok(Exit::Done);
    }
    let spec = QueueSpec {
        capacity: flags.capacity,
        message_size: flags.size,
        order: flags.order,
        when_full: flags.when_full,
        demand: flags.capacity.is_some()
            || flags.size.is_some()
            || flags.order.is_some()
            || flags.when_full.is_some(),
        ..QueueSpec::default()
    };
    each(&flags.urls, "create", |connection, name| connection.create(name, &spec).map(drop))
}

fn rm(flags: &Rm) -> Result<Exit, Vec<Failure>> {
    if let Some(run) = &flags.run {
        let via = via(flags.via.as_deref()).map_err(one)?;
        return orphans::remove_run(run, via.as_ref()).map(|()| Exit::Done).map_err(one);
    }
    if flags.orphaned {
        let removed = orphans::remove_orphaned().map_err(one)?;
        Log::new("faas-queue", false).line(&format!("removed {removed} orphaned runs"));
        return Ok(Exit::Done);
    }
    each(&flags.urls, "remove", |connection, name| connection.remove(name))
}

/// Does something to each queue; those that fail do not stop the others.
fn each(
    urls: &[String],
    action: &str,
    work: impl Fn(&mut dyn Connection, &str) -> Result<(), queue::QueueError>,
) -> Result<Exit, Vec<Failure>> {
    let mut failures = Vec::new();
    for text in urls {
        let done = named_queue(text).and_then(|url| {
            let mut connection = connect(&url)?;
            work(connection.as_mut(), url.name()).map_err(|error| error.failure(action, text))
        });
        failures.extend(done.err());
    }
    if failures.is_empty() { Ok(Exit::Done) } else { Err(failures) }
}

fn ls(flags: &Ls) -> Outcome {
    let url = queue_url(&flags.url)?;
    let mut connection = connect(&url)?;
    let mut stats = connection.list().map_err(|error| error.failure("list", &flags.url))?;
    stats.retain(|stat| url.name().is_empty() || stat.name == url.name());
    table::print_queues(&stats, connection.as_ref(), flags.output)?;
    if flags.verbose {
        table::print_capabilities(flags.output)?;
    }
    Ok(Exit::Done)
}

fn stat(flags: &Stat) -> Outcome {
    let url = named_queue(&flags.url)?;
    let mut connection = connect(&url)?;
    let stat = connection.stat(url.name()).map_err(|error| error.failure("look at", &flags.url))?;
    table::print_queue(&stat, connection.as_ref(), flags.output)?;
    Ok(Exit::Done)
}

fn put(flags: &Put) -> Outcome {
    let url = named_queue(&flags.url)?;
    let edit = Edit::new(flags.id.as_deref(), flags.key.as_deref(), &flags.headers)?;
    let (mut desk, poller) = desk()?;
    desk.fail_without_room();
    let pipe = flags.pipe.connection("/faas-queue/stdin", false);
    let from = Port { connection: desk.add(Box::new(pipe)), queue: queue::QueueId(0) };
    let mut connection = connect(&url)?;
    if flags.delay.is_some() && !connection.capabilities().delayed {
        let reason = format!("{}: delivers at once", url.scheme());
        let failure = Failure::new(Exit::Usage, "delay", &flags.url, reason);
        return Err(failure.cure("sleep before faas-queue put"));
    }
    let queue =
        connection.open_send(url.name()).map_err(|error| error.failure("open", &flags.url))?;
    let to = Port { connection: desk.add(connection), queue };
    let until = Until { timeout: flags.timeout, ..Until::default() };
    let log = Log::new("faas-queue", flags.quiet);
    let doing = ("put into", flags.url.clone());
    let transfer = Transfer { desk, poller, from, until, doing, log, window: None };
    let trigger =
        Trigger::new(Destination::Queue(to), &flags.dead, Progress::to(None)?).editing(edit);
    let report = trigger.run(transfer)?;
    if report.end == transfer::End::TimedOut {
        let reason = format!("no room after {} messages", report.moved);
        let failure = Failure::new(Exit::TryAgain, "put into", &flags.url, reason);
        return Err(failure.cure(format!("faas-queue get --timeout 0 {}", flags.url)));
    }
    Ok(report.exit())
}

fn get(flags: &Get) -> Outcome {
    let url = named_queue(&flags.url)?;
    let (mut desk, poller) = desk()?;
    let mut connection = connect(&url)?;
    let queue =
        connection.open_receive(url.name()).map_err(|error| error.failure("open", &flags.url))?;
    let from = Port { connection: desk.add(connection), queue };
    let pipe = flags.pipe.connection("-", true);
    let to = Port { connection: desk.add(Box::new(pipe)), queue: queue::QueueId(1) };
    let all = flags.timeout == Some(Duration::ZERO);
    let count = flags.count.or(if all { None } else { Some(1) });
    let until = Until { count, timeout: flags.timeout, ..Until::default() };
    let log = Log::new("faas-queue", false);
    let doing = ("get from", flags.url.clone());
    let mut transfer = Transfer { desk, poller, from, until, doing, log, window: None };
    let goes_back = flags.nack || flags.hold.is_some();
    let report = transfer.run(
        |taken| match (goes_back, transfer::show(taken, to)?) {
            (true, Step::Send(outputs) | Step::Bad(outputs)) => Ok(Step::Keep(outputs)),
            (_, step) => Ok(step),
        },
        |_| Ok(()),
    )?;
    if let Some(hold) = flags.hold.filter(|_| report.kept > 0) {
        return transfer.hold(hold).map(|signal| signal.map_or(report.exit(), Exit::by_signal));
    }
    Ok(report.exit())
}

fn desk() -> Result<(Desk, Rc<Poller>), Failure> {
    let poller = Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?;
    let poller = Rc::new(poller);
    Ok((Desk::new(poller.clone()), poller))
}
