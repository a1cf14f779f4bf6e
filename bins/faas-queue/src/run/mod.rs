//! One function for each verb.

mod look;
mod moving;
mod ping;
mod profile;

use crate::cli::{Cli, Get, Ls, New, Put, Rm, Stat, Verb};
use faas_common::chain::Placement;
use faas_common::cli::confirm::{confirm, messages};
use faas_common::cli::log::Log;
use faas_common::cli::queue::Portrait;
use faas_common::cli::shared::{named_queue, queue_url, via};
use faas_common::cli::table;
use faas_common::clock;
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::poll::Poller;
use faas_common::queue::{self, Connection, Desk, Port, QueueSpec, QueueUrl};
use faas_common::runner::places::Places;
use faas_common::runner::{join, orphans};
use faas_common::signals;
use faas_common::transfer::{self, Edit, Step, Transfer, Until};
use faas_common::trigger::{Destination, Progress, Trigger};
use std::rc::Rc;
use std::time::{Duration, Instant};

type Outcome = Result<Exit, Failure>;

pub fn run(cli: Cli) -> Result<Exit, Vec<Failure>> {
    match cli.verb {
        Some(Verb::New(flags)) => new(&flags),
        Some(Verb::Ls(flags)) => ls(&flags).map_err(one),
        Some(Verb::Stat(flags)) => stat(&flags).map_err(one),
        Some(Verb::Peek(flags)) => look::peek(&flags).map_err(one),
        Some(Verb::Tail(flags)) => look::tail(&flags).map_err(one),
        Some(Verb::Top(flags)) => look::top(&flags).map_err(one),
        Some(Verb::Ping(flags)) => ping::ping(&flags).map_err(one),
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
    if flags.run.is_some() || flags.orphaned {
        return rm_runs(flags);
    }
    // Who wants it anyway need not wait for a count.
    if flags.dry_run || !flags.yes {
        let count = rm_count(flags)?;
        let object = flags.urls.join(" ");
        if !goes_on(flags, &object, count).map_err(one)? {
            return Ok(if flags.dry_run { Exit::Done } else { Exit::SomeFailed });
        }
    }
    each(&flags.urls, "remove", |connection, name| connection.remove(name))
}

fn rm_runs(flags: &Rm) -> Result<Exit, Vec<Failure>> {
    let via = via(flags.via.as_deref()).map_err(one)?;
    if flags.dry_run || !flags.yes {
        let counted = match &flags.run {
            Some(run) => orphans::messages_of_run(run, via.as_ref()),
            None => orphans::messages_of_orphaned(),
        };
        let object =
            flags.run.as_ref().map_or("orphaned runs".to_owned(), |run| format!("run {run}"));
        if !goes_on(flags, &object, counted.map_err(one)?).map_err(one)? {
            return Ok(if flags.dry_run { Exit::Done } else { Exit::SomeFailed });
        }
    }
    let Some(run) = &flags.run else {
        let (removed, failures) = orphans::remove_orphaned().map_err(one)?;
        Log::new("faas-queue", false).line(&format!("removed {removed} orphaned runs"));
        return if failures.is_empty() { Ok(Exit::Done) } else { Err(failures) };
    };
    orphans::remove_run(run, via.as_ref()).map(|()| Exit::Done).map_err(one)
}

/// Messages in queues that are to be removed.
fn rm_count(flags: &Rm) -> Result<u64, Vec<Failure>> {
    let (mut sum, mut failures) = (0, Vec::new());
    for text in &flags.urls {
        let counted = named_queue(text).and_then(|url| {
            let mut connection = connect(&url)?;
            match count_kept(connection.as_mut(), url.name()) {
                // Whoever removes it is told so then.
                Err(queue::QueueError::NoSuchQueue) if !flags.dry_run => Ok(0),
                counted => counted.map_err(|error| error.failure("remove", text)),
            }
        });
        match counted {
            Ok(count) => sum += count,
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(sum) } else { Err(failures) }
}

/// Messages that go with a queue. Where those that were taken can be read
/// again, others may count on them.
fn count_kept(connection: &mut dyn Connection, name: &str) -> Result<u64, queue::QueueError> {
    let stat = connection.stat(name)?;
    let kept = stat.sent_total.filter(|_| connection.capabilities().replay).unwrap_or(0);
    Ok(kept.max(stat.depth + stat.held))
}

/// Whether messages may go: none, or somebody wants that.
fn goes_on(flags: &Rm, object: &str, count: u64) -> Result<bool, Failure> {
    let what = messages(count);
    if flags.dry_run {
        Log::new("faas-queue", false).line(&format!("{object}: {what} would be removed"));
        return Ok(false);
    }
    Ok(count == 0 || confirm("remove", object, &what, flags.yes)?)
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
    let text = flags.url.clone().map_or_else(look::middleware, Ok)?;
    let url = queue_url(&text)?;
    let mut connection = connect(&url)?;
    let mut stats = connection.list().map_err(|error| error.failure("list", &text))?;
    stats.retain(|stat| url.name().is_empty() || stat.name == url.name());
    if stats.is_empty() && !url.name().is_empty() {
        return Err(queue::QueueError::NoSuchQueue.failure("look at", &text));
    }
    table::print_queues(&stats, connection.as_ref(), flags.output)?;
    if flags.verbose {
        table::print_capabilities(flags.output)?;
    }
    Ok(Exit::Done)
}

fn stat(flags: &Stat) -> Outcome {
    let url = named_queue(&flags.url)?;
    let mut connection = connect(&url)?;
    let failed = |error: queue::QueueError| error.failure("look at", &flags.url);
    let before = connection.stat(url.name()).map_err(failed)?;
    let begin = Instant::now();
    std::thread::sleep(flags.over);
    let stat = match flags.over.is_zero() {
        true => before.clone(),
        false => connection.stat(url.name()).map_err(failed)?,
    };
    let took_s = begin.elapsed().as_secs_f64();
    let rate = |before: Option<u64>, now: Option<u64>| {
        Some(now?.saturating_sub(before?) as f64 / took_s).filter(|_| !flags.over.is_zero())
    };
    let rates =
        rate(before.sent_total, stat.sent_total).zip(rate(before.done_total, stat.done_total));
    let detail = connection.detail(url.name()).map_err(failed)?;
    let letters = connection.stat(&format!("{}.dead", url.name()));
    let dead = letters.ok().map(|stat| stat.depth + stat.held);
    let portrait = Portrait { stat, detail, dead, rates, now_ms: clock::unix_us() / 1000 };
    portrait.print(connection.as_ref(), flags.output)?;
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
    let until = Until { timeout: flags.timeout, waits_for_source: true, ..Until::default() };
    let mut log = Log::new("faas-queue", flags.quiet);
    let (doing, told) = (("put into", flags.url.clone()), Log::new("faas-queue", flags.quiet));
    let transfer = Transfer { desk, poller, from, until, doing, log: told, window: None };
    let trigger =
        Trigger::new(Destination::Queue(to), &flags.dead, Progress::to(None)?).editing(edit);
    let report = trigger.run(transfer)?;
    if let transfer::End::Signal(_) = report.end {
        log.line(&format!("{} put before that", messages(report.moved)));
    }
    if matches!(report.end, transfer::End::TimedOut | transfer::End::GaveUp) {
        let reason = format!("no room after {}", messages(report.moved));
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
    let (timeout, waits_for_reader) = (flags.timeout, true);
    let until = Until { count, timeout, waits_for_reader, ..Until::default() };
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
        let held = transfer.hold(hold)?;
        let exit = if held.is_disturbed { Exit::SomeFailed } else { report.exit() };
        return Ok(held.signal.map_or(exit, Exit::by_signal));
    }
    Ok(report.exit())
}

fn desk() -> Result<(Desk, Rc<Poller>), Failure> {
    signals::block();
    let poller = Poller::new().map_err(|error| Failure::io("open", "an epoll set", &error))?;
    let poller = Rc::new(poller);
    Ok((Desk::new(poller.clone()), poller))
}
