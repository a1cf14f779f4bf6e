//! From flags to an invoker.

use crate::cli::{Cli, EmitFlag, KeepFlag, WorkerFlag};
use faas_common::chain::{
    self, Emit, Function, FunctionInput, KeepWarm, Placement, WorkerKind, check_deliver,
};
use faas_common::cli::log::Log;
use faas_common::cli::shared::{Delivery, named_queue, queue_url, ready, via};
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::invoker::{self, DeadSink, Invoker, Routing, Serve, Until};
use faas_common::poll::Poller;
use faas_common::queue::{self, Desk, Port, QueueUrl};
use faas_common::runner::join::{self, ServeOptions};
use faas_common::runner::{costs, places};
use faas_common::worker::guard::Guard;
use faas_common::worker::http::Endpoint;
use std::path::Path;
use std::rc::Rc;

type Outcome<T> = Result<T, Vec<Failure>>;

pub fn run(cli: Cli) -> Outcome<Exit> {
    let poller = Poller::new().map_err(|e| vec![Failure::io("open", "an epoll set", &e)])?;
    let (poller, mut until) = (Rc::new(poller), Until::default());
    (until.idle, until.count) = (cli.idle, cli.count);
    let mut desk = Desk::new(poller.clone());
    let (guard, routing, serve) = match &cli.chain {
        Some(file) => {
            until.run.clone_from(&cli.run);
            serve_chain(&cli, file, &mut desk)?
        }
        None => serve_program(&cli, &mut desk).map_err(|failure| vec![failure])?,
    };
    let log = Log::new("faas-invoke", cli.quiet);
    let work = || -> Result<Exit, Failure> {
        let mut invoker = Invoker::new(guard, desk, poller, routing, serve, until, log)?;
        ready(cli.ready_fd)?;
        let (exit, tally) = invoker.run()?;
        let timings = invoker.timings();
        if cli.verbose {
            let mut log = Log::new("faas-invoke", false);
            log.line(&format!(
                "{} done, {} dropped, {} dead, {} retries",
                tally.done, tally.dropped, tally.dead, tally.retried
            ));
            timings.iter().for_each(|(name, timing)| log.line(&format!("{name}: {timing}")));
        }
        costs::tell(cli.report_fd, &timings)?;
        Ok(exit)
    };
    work().map_err(|failure| vec![failure])
}

/// Starts the guard: before anything that might start a thread, such as the
/// client of a broker.
fn guard_of(specs: &[Option<chain::RunSpec>]) -> Result<Guard, Failure> {
    Guard::start(specs).map_err(|e| Failure::io("start", "the guard of functions", &e))
}

fn serve_chain(cli: &Cli, file: &Path, desk: &mut Desk) -> Outcome<(Guard, Routing, Vec<Serve>)> {
    let run = cli.run.as_deref().unwrap_or_default();
    let one = |failure| vec![failure];
    let via = via(cli.via.as_deref()).map_err(one)?.or_else(|| join::via_of(run));
    let chain = join::load_chain(file, "serve", via.as_ref())?;
    let placement = Placement::of(&chain, run, via.as_ref());
    let deliver = cli.deliver.map(Delivery::deliver);
    if let Some(deliver) = deliver {
        check_deliver(&chain, &placement, deliver).map_err(one)?;
    }
    let functions = join::functions(&chain, &cli.functions).map_err(one)?;
    let guard = invoker::specs(&chain).and_then(|specs| guard_of(&specs)).map_err(one)?;
    let mut places = places::connect_to_serve(&chain, placement.clone(), deliver).map_err(one)?;
    join::check_run(&chain, &placement, file, places.home()).map_err(one)?;
    let (placement, connections) = places.into_desk(desk);
    let options = ServeOptions { jobs: cli.jobs, deliver, keep_order: cli.keep_order };
    let serve = functions
        .into_iter()
        .map(|function| join::serve(&chain, function, &placement, options, desk, &connections))
        .collect::<Result<Vec<_>, _>>()
        .map_err(one)?;
    let routing = Routing::run(chain, &placement, desk, &connections).map_err(one)?;
    Ok((guard, routing, serve))
}

fn serve_program(cli: &Cli, desk: &mut Desk) -> Result<(Guard, Routing, Vec<Serve>), Failure> {
    let name = name(cli)?;
    let function = function(cli, &name)?;
    let folder =
        std::env::current_dir().map_err(|e| Failure::io("find", "the working directory", &e))?;
    let guard = guard_of(&[invoker::spec_of(&function, &folder)?])?;
    let (from, to) = (queue_url(&cli.from)?, queue_url(&cli.to)?);
    if from == to && from != QueueUrl::Pipe {
        return Err(Failure::new(
            Exit::Usage,
            "send to",
            &cli.to,
            "it is the queue that is read from",
        )
        .cure(format!("--to {}.done", cli.to)));
    }
    let pipe = || cli.pipe.connection("/faas-invoke/stdin", false);
    let mut ports = Ports { exactly_once: exactly_once(cli, &from, &to)?, ..Ports::default() };
    let source = ports.open(desk, &from, true, pipe)?;
    let target = ports.open(desk, &to, false, pipe)?;
    let dead = dead_sink(cli, &from, &name, &mut ports, desk, source)?;
    let concurrency = function.concurrency;
    let routing = Routing::single(function, &folder, target, dead, cli.pipe.exact)?;
    Ok((
        guard,
        routing,
        vec![Serve {
            function: 0,
            from: source,
            concurrency,
            at_most_once: cli.deliver == Some(Delivery::AtMostOnce),
            keep_order: cli.keep_order,
        }],
    ))
}

/// Whether hand-offs are to take effect exactly once: that needs one
/// middleware at both ends.
fn exactly_once(cli: &Cli, from: &QueueUrl, to: &QueueUrl) -> Result<bool, Failure> {
    if cli.deliver != Some(Delivery::ExactlyOnce) {
        return Ok(false);
    }
    let place = |url: &QueueUrl| (url.scheme().to_owned(), url.authority().to_owned());
    let able = queue::find(from.scheme()).is_some_and(|m| m.capabilities.exactly_once);
    let dead = cli.dead.as_deref().filter(|text| is_queue(text)).map(queue_url).transpose()?;
    let is_near = |url: &QueueUrl| place(from) == place(url);
    if able && is_near(to) && dead.as_ref().is_none_or(is_near) {
        return Ok(true);
    }
    let reason = match (able, from) {
        (true, _) => format!("{from}, {to} and the dead letters are not on one middleware"),
        (false, QueueUrl::Pipe) => "stdin and stdout are outside of any middleware".to_owned(),
        (false, _) => format!(
            "{}: cannot deliver exactly once: sending and acknowledging are two steps",
            from.scheme()
        ),
    };
    Err(Failure::new(Exit::Usage, "deliver", "exactly-once", reason)
        .cure("--deliver at-least-once, and functions that know FAAS_IDEMPOTENCY_KEY"))
}

/// What the function is called: after its program, or its host.
fn name(cli: &Cli) -> Result<String, Failure> {
    let file = |program: &String| {
        Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned())
    };
    let program = cli.program.first().and_then(file);
    let host =
        || Some(Endpoint::parse(cli.url.as_deref()?).ok()?.host().replace([':', '[', ']'], "-"));
    program.or_else(host).or(cli.url.clone().map(|_| "function".to_owned())).ok_or_else(|| {
        Failure::new(Exit::Usage, "run", "a function", "no program was given")
            .cure("faas-invoke -- tr a-z A-Z")
    })
}

fn function(cli: &Cli, name: &str) -> Result<Function, Failure> {
    let mut function = Function::program(name, cli.program.clone());
    function.run = Some(cli.program.clone()).filter(|program| !program.is_empty());
    function.url.clone_from(&cli.url);
    let implied = if cli.url.is_some() { WorkerFlag::Http } else { WorkerFlag::Exec };
    function.worker = match cli.worker.unwrap_or(implied) {
        WorkerFlag::Exec => WorkerKind::Exec,
        WorkerFlag::Filter => WorkerKind::Filter,
        WorkerFlag::Http => WorkerKind::Http,
    };
    function.keep = match cli.keep {
        None | Some(KeepFlag::Adaptive) => KeepWarm::Adaptive,
        Some(KeepFlag::Always) => KeepWarm::Always,
        Some(KeepFlag::Never) => KeepWarm::Never,
    };
    function.pipeline = cli.pipeline;
    function.ahead = cli.ahead;
    function.timeout = cli.timeout.unwrap_or(function.timeout);
    function.retries = cli.retries.unwrap_or(function.retries);
    function.backoff = cli.backoff.unwrap_or(function.backoff);
    function.concurrency = cli.jobs.map_or(1, |jobs| jobs as usize);
    function.emit = match cli.emit {
        None | Some(EmitFlag::One) => Emit::One,
        Some(EmitFlag::Lines) => Emit::Lines,
        Some(EmitFlag::Events) => Emit::Events,
    };
    if cli.event {
        function.input = FunctionInput::Event;
    }
    match chain::flaws_of(&function).into_iter().next() {
        None => Ok(function),
        Some((_, what, cure)) => Err(Failure::new(Exit::Usage, "run", name, what).cure(cure)),
    }
}

fn dead_sink(
    cli: &Cli,
    from: &QueueUrl,
    name: &str,
    ports: &mut Ports,
    desk: &mut Desk,
    source: Port,
) -> Result<DeadSink, Failure> {
    match (&cli.dead, from) {
        (Some(text), _) if is_queue(text) => {
            let url = named_queue(text)?;
            if url == *from {
                let reason = "it is the queue that is read from";
                return Err(Failure::new(Exit::Usage, "send dead letters to", text, reason)
                    .cure(format!("--dead {text}.dead")));
            }
            let connection = ports.connection(desk, &url)?;
            Ok(DeadSink::queue(connection, url.name().to_owned()))
        }
        (Some(file), _) => Ok(DeadSink::file(file)),
        (None, QueueUrl::Pipe) => Ok(DeadSink::file(format!("{name}.dead.ndjson"))),
        (None, url) => Ok(DeadSink::queue(source.connection, format!("{}.dead", url.name()))),
    }
}

/// Whether a place for dead letters is a queue; anything else is a file.
fn is_queue(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    text.contains(':') && queue::find(scheme).is_some()
}

/// Connections by what they are to: at most one to the pipes, one to each
/// middleware.
#[derive(Default)]
struct Ports {
    open: Vec<(QueueUrl, usize)>,
    exactly_once: bool,
}

impl Ports {
    fn connection(&mut self, desk: &mut Desk, url: &QueueUrl) -> Result<usize, Failure> {
        let place = url.with_name("");
        let same = |(held, _): &&(QueueUrl, usize)| held.without_query() == place.without_query();
        if let Some((held, index)) = self.open.iter().find(same) {
            // One connection, so that a hand-off is one step.
            if !place.query().is_empty() && *held != place {
                let reason = format!("it has other options than {held}");
                return Err(Failure::new(Exit::Usage, "open", url.to_string(), reason)
                    .cure("the same options, with the first of them"));
            }
            return Ok(*index);
        }
        let opened = queue::connect(url).and_then(|mut connection| {
            if self.exactly_once {
                connection.exactly_once()?;
            }
            Ok(connection)
        });
        let connection = opened.map_err(|error| error.failure("open", &url.to_string()))?;
        let index = desk.add(connection);
        self.open.push((place, index));
        Ok(index)
    }

    fn open(
        &mut self,
        desk: &mut Desk,
        url: &QueueUrl,
        receive: bool,
        pipe: impl Fn() -> queue::pipe::PipeConnection,
    ) -> Result<Port, Failure> {
        if *url == QueueUrl::Pipe && !self.open.iter().any(|(held, _)| *held == QueueUrl::Pipe) {
            let index = desk.add(Box::new(pipe()));
            self.open.push((QueueUrl::Pipe, index));
        }
        let connection = self.connection(desk, url)?;
        let target = desk.connection(connection);
        let opened =
            if receive { target.open_receive(url.name()) } else { target.open_send(url.name()) };
        let queue = opened.map_err(|error| error.failure("open", &url.to_string()))?;
        Ok(Port { connection, queue })
    }
}
