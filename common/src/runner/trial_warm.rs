//! A trial of a function that is kept warm, or is behind a URL: one call, then
//! it is ended.

use crate::chain::{Function, FunctionInput};
use crate::cli::log::Log;
use crate::clock;
use crate::event::Event;
use crate::poll::{Poller, Ready};
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::environment;
use crate::worker::filter::{self, Filter};
use crate::worker::guard::{Guard, Report};
use crate::worker::http::{Connection, Endpoint, Question, Reply, Server, Trouble, free_port};
use std::io;
use std::time::{Duration, Instant};

/// How soon something that was not ready is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What a trial works with.
pub(super) struct Bench<'a> {
    pub(super) guard: &'a Guard,
    pub(super) poller: &'a Poller,
    pub(super) function: &'a Function,
    /// Its index with the guard.
    pub(super) index: usize,
    pub(super) log: &'a mut Log,
}

type Ended = (CallEnd, Output);

impl Bench<'_> {
    fn due(&self) -> Instant {
        let longest = Duration::from_secs(86_400);
        Instant::now() + self.function.timeout.min(longest)
    }

    /// Asks a filter one line.
    pub(super) fn filter(&mut self, event: &Event) -> io::Result<Ended> {
        let function = self.function;
        let line = match filter::line_of(event, function.input == FunctionInput::Event) {
            Ok(line) => line,
            Err(reason) => return Ok((CallEnd::Unfit(reason), Output::default())),
        };
        let env = environment::of_process(&function.name);
        let by_id = function.answers_by_id();
        let mut filter = Filter::start(self.guard, self.poller, 0, (1, self.index), env, by_id)?;
        filter.ask(1, &event.id, line);
        let ended = self.listen_to(&mut filter)?;
        filter.stderr.finish().iter().for_each(|line| self.log.of_function(&function.name, line));
        Ok(ended)
    }

    fn listen_to(&self, filter: &mut Filter) -> io::Result<Ended> {
        let due = self.due();
        let answered = |line: Vec<u8>| (CallEnd::Exit(0), Output::Printed(line.into()));
        loop {
            let step = filter.step(self.poller, 0);
            if let Some((_, line)) = step.answers.into_iter().next() {
                return Ok(answered(line));
            }
            if let Some(breach) = step.breach {
                return Ok((CallEnd::Protocol(breach.to_string()), Output::default()));
            }
            if Instant::now() >= due {
                return Ok((CallEnd::Killed(Kill::Timeout), Output::default()));
            }
            self.poller.wait(LOOK_AGAIN, &mut Vec::new())?;
            match self.guard.report() {
                Report::Started(started) => filter.started(started.pid),
                Report::Ended(ended) => {
                    let (step, _) = filter.finish();
                    return Ok(match step.answers.into_iter().next() {
                        Some((_, line)) => answered(line),
                        None => (ended.outcome.into(), Output::default()),
                    });
                }
                Report::Died => return Ok((CallEnd::GuardDied, Output::default())),
                Report::Nothing => {}
            }
        }
    }

    /// Asks a function behind a URL, started by us where it has a program.
    pub(super) fn web(&mut self, event: &Event) -> io::Result<Ended> {
        let none = |reason: String| Ok((CallEnd::NoAnswer(reason), Output::default()));
        let url = self.function.url.as_deref().unwrap_or_default();
        let Ok(mut endpoint) = Endpoint::parse(url) else { return none("not an HTTP URL".into()) };
        let due = self.due();
        let mut server = None;
        if self.function.run.is_some() {
            let port = endpoint.port().map_or_else(free_port, Ok)?;
            endpoint.set_port(port);
            let env = environment::of_process(&self.function.name);
            let at = (1, self.index);
            let address = endpoint.address()?;
            server = Some(Server::start(self.guard, self.poller, 0, at, env, address)?);
        }
        if let Some(server) = &mut server
            && let Some(ended) = self.wait_for(server, due)
        {
            return Ok(ended);
        }
        let mut connection = Connection::open(endpoint.address()?)?;
        self.poller.add_edge(&connection, 1 << 32)?;
        let asked = connection.ask(&Question {
            event,
            whole_event: self.function.input == FunctionInput::Event,
            attempt: 1,
            host: &endpoint.host(),
            path: endpoint.path(),
            authorization: endpoint.authorization.as_deref(),
        });
        if let Err(reason) = asked {
            return Ok((CallEnd::Unfit(reason), Output::default()));
        }
        let ended = self.read(&mut connection, due)?;
        if let Some(server) = &mut server {
            self.pass_on(server);
        }
        Ok(ended)
    }

    /// Until a server listens; how the call ended if it never does.
    fn wait_for(&mut self, server: &mut Server, due: Instant) -> Option<Ended> {
        while !server.look() {
            self.pass_on(server);
            if Instant::now() >= due {
                return Some((CallEnd::Killed(Kill::Timeout), Output::default()));
            }
            if let Report::Ended(ended) = self.guard.report() {
                self.pass_on(server);
                let end = CallEnd::from(ended.outcome);
                let reason = format!("http: its server ended ({end}) before it listened");
                return Some((CallEnd::NoAnswer(reason), Output::default()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        None
    }

    fn pass_on(&mut self, server: &mut Server) {
        for from in [&mut server.stdout, &mut server.stderr] {
            from.read().iter().for_each(|line| self.log.of_function(&self.function.name, line));
        }
    }

    fn read(&self, connection: &mut Connection, due: Instant) -> io::Result<Ended> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            if let Some(answer) = connection.advance() {
                return Ok(self.judge(answer));
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok((CallEnd::Killed(Kill::Timeout), Output::default()));
            }
            self.poller.wait(left, &mut ready)?;
        }
    }

    fn judge(&self, answer: Result<Reply, Trouble>) -> Ended {
        match answer {
            Ok(reply) => {
                let end =
                    reply.end(i64::try_from(clock::unix_us() / 1_000_000).unwrap_or(i64::MAX));
                match reply.output() {
                    Ok(output) => (end, output),
                    Err(reason) => (CallEnd::Unfit(format!("http: {reason}")), Output::default()),
                }
            }
            Err(Trouble::TooLarge) => (CallEnd::Killed(Kill::OutputTooLarge), Output::default()),
            Err(Trouble::Stale) => {
                (CallEnd::NoAnswer("http: closed without an answer".into()), Output::default())
            }
            Err(Trouble::Refused) => {
                (CallEnd::NoAnswer("http: connection refused".into()), Output::default())
            }
            Err(Trouble::Failed(reason)) => {
                (CallEnd::NoAnswer(format!("http: {reason}")), Output::default())
            }
        }
    }
}
