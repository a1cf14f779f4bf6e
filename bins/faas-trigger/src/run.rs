//! From flags to a trigger.

use crate::cli::Cli;
use faas_common::chain::{Chain, Placement};
use faas_common::cli::log::Log;
use faas_common::cli::shared::{named_queue, queue_url, ready, via};
use faas_common::error::Failure;
use faas_common::event::shape::InShape;
use faas_common::exit::Exit;
use faas_common::invoker::watchdog;
use faas_common::limits;
use faas_common::poll::Poller;
use faas_common::queue::pipe::{PipeConnection, SourceOptions};
use faas_common::queue::{self, Desk, Port, QueueUrl};
use faas_common::runner::join;
use faas_common::runner::places::Places;
use faas_common::transfer::{Transfer, Until, Window};
use faas_common::trigger::tick::Ticks;
use faas_common::trigger::web::{Listen, WebOptions, WebTrigger};
use faas_common::trigger::{Destination, Progress, Trigger};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long a request waits for its results.
const WAIT: Duration = Duration::from_secs(30);

pub fn run(cli: Cli) -> Result<Exit, Vec<Failure>> {
    let via = via(cli.via.as_deref()).map_err(|failure| vec![failure])?;
    let via = via.or_else(|| join::via_of(cli.run.as_deref()?));
    // A run knows its chain file.
    let file = match (&cli.chain, &cli.run) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(run)) => {
            Some(join::file_of(run, via.as_ref()).map_err(|failure| vec![failure])?)
        }
        (None, None) => None,
    };
    let start = match (&file, &cli.run) {
        (Some(file), Some(run)) => {
            let chain = join::load_chain(file, "start", via.as_ref())?;
            let placement = Placement::of(&chain, run, via.as_ref());
            Some(Start { file: file.clone(), chain, placement })
        }
        _ => None,
    };
    let listen = Listen::parse(&cli.source).map_err(|failure| vec![failure])?;
    let work = || -> Result<Exit, Failure> {
        let poller = Poller::new().map_err(|e| Failure::io("open", "an epoll set", &e))?;
        let poller = Rc::new(poller);
        let mut desk = Desk::new(poller.clone());
        if let Some(listen) = listen {
            let destination = destination(&cli, start, &mut desk)?;
            return serve(&cli, listen, destination, desk, poller);
        }
        if cli.wait {
            return Err(Failure::new(Exit::Usage, "wait for", "results", "nobody asked by HTTP")
                .cure("faas-trigger http://127.0.0.1:8080/orders --run NAME --wait"));
        }
        desk.fail_without_room();
        let from = open_source(&cli, &mut desk)?;
        let destination = destination(&cli, start, &mut desk)?;
        ready(cli.ready_fd)?;
        let until = Until { count: cli.count, timeout: cli.timeout, ..Until::default() };
        let log = Log::new("faas-trigger", cli.quiet);
        let target = cli.to.clone().or(cli.run.clone()).unwrap_or_default();
        let doing = ("send to", target);
        let window = match (cli.max_in_flight, cli.window_fd) {
            (Some(most), Some(fd)) => Some(Window::new(most, fd)?),
            _ => None,
        };
        let transfer = Transfer { desk, poller, from, until, doing, log, window };
        let progress = Progress::to(cli.status_fd)?;
        let report = Trigger::new(destination, &cli.dead, progress)
            .redriving(cli.redrive.is_some())
            .run(transfer)?;
        if cli.verbose {
            let line = format!("{} events sent, {} bad lines", report.moved, report.bad);
            Log::new("faas-trigger", false).line(&line);
        }
        Ok(report.exit())
    };
    work().map_err(|failure| vec![failure])
}

/// The run that is fed.
struct Start {
    file: PathBuf,
    chain: Chain,
    placement: Placement,
}

fn destination(cli: &Cli, start: Option<Start>, desk: &mut Desk) -> Result<Destination, Failure> {
    match (start, &cli.to) {
        (Some(start), _) => {
            let Start { file, chain, placement } = start;
            let mut places = Places::connect(placement.clone())?;
            join::check_run(&chain, &placement, &file, places.home())?;
            Destination::run(&chain, places, desk)
        }
        (_, Some(to)) => Ok(Destination::Queue(open_target(to, desk)?)),
        _ => Err(Failure::new(Exit::Usage, "send", "events", "no target was given")),
    }
}

/// Receives events by HTTP.
fn serve(
    cli: &Cli,
    listen: Listen,
    destination: Destination,
    desk: Desk,
    poller: Rc<Poller>,
) -> Result<Exit, Failure> {
    let options = WebOptions {
        listen,
        wait: cli.wait,
        timeout: cli.timeout.unwrap_or(WAIT),
        body_max: cli.max_body.unwrap_or(limits::REQUEST_BODY_MAX).min(limits::BODY_MAX),
        count: cli.count,
    };
    let log = Log::new("faas-trigger", cli.quiet);
    let trigger = WebTrigger::new(options, destination, desk, poller, &cli.dead, log)?;
    ready(cli.ready_fd)?;
    let (exit, accepted) = trigger.run()?;
    if cli.verbose {
        Log::new("faas-trigger", false).line(&format!("{accepted} events sent"));
    }
    Ok(exit)
}

fn open_source(cli: &Cli, desk: &mut Desk) -> Result<Port, Failure> {
    if let Some(file) = &cli.redrive {
        return open_letters(cli, file, desk);
    }
    if let Some(ticks) = Ticks::parse(&cli.source)? {
        let connection = desk.add(Box::new(ticks));
        return Ok(Port { connection, queue: queue::QueueId(0) });
    }
    let url = queue_url(&cli.source)?;
    if url == QueueUrl::Pipe {
        let connection = desk.add(Box::new(cli.pipe.connection("/faas-trigger/stdin", false)));
        return Ok(Port { connection, queue: queue::QueueId(0) });
    }
    if cli.to.as_deref().is_some_and(|to| QueueUrl::parse(to).as_ref() == Ok(&url)) {
        let failure =
            Failure::new(Exit::Usage, "send to", &cli.source, "it is the queue that is read from");
        return Err(failure.cure("another queue"));
    }
    let opened = queue::connect(&url).and_then(|mut connection| {
        let queue = connection.open_receive(url.name())?;
        Ok(Port { connection: desk.add(connection), queue })
    });
    opened.map_err(|error| error.failure("open", &url.to_string()))
}

/// A file of dead letters, in place of stdin.
fn open_letters(cli: &Cli, file: &Path, desk: &mut Desk) -> Result<Port, Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::io("redrive", file.display().to_string(), &error);
        Failure { exit: Exit::Usage, ..failure }
    };
    let same =
        file.canonicalize().is_ok_and(|path| Ok(path) == cli.dead.canonicalize().map_err(drop));
    if same {
        let name = file.display().to_string();
        let reason = "its own dead letters would go to the same file";
        return Err(Failure::new(Exit::Usage, "redrive", name, reason).cure("--dead OTHER"));
    }
    if file != Path::new("-") {
        let letters = File::open(file).map_err(failed)?;
        nix::unistd::dup2_stdin(&letters).map_err(|errno| failed(errno.into()))?;
    }
    let _ = watchdog::install();
    let source = SourceOptions {
        shape: InShape::Json,
        letters: true,
        ..cli.pipe.source("/faas-trigger/redrive")
    };
    let connection = desk.add(Box::new(PipeConnection::new(source, cli.pipe.sink(false))));
    Ok(Port { connection, queue: queue::QueueId(0) })
}

fn open_target(to: &str, desk: &mut Desk) -> Result<Port, Failure> {
    let url = named_queue(to)?;
    let opened = queue::connect(&url).and_then(|mut connection| {
        let queue = connection.open_send(url.name())?;
        Ok(Port { connection: desk.add(connection), queue })
    });
    opened.map_err(|error| error.failure("open", &url.to_string()))
}
