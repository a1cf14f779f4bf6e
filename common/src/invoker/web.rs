//! Functions behind URLs: connections that are kept alive, and the servers
//! that we start for them.

use super::calls::base;
use super::timers::Timer;
use super::{Invoker, Running, Serve, WEB};
use crate::chain::{Chain, FunctionInput, WorkerKind};
use crate::clock;
use crate::limits::FAREWELL_MAX_MS;
use crate::queue::QueueError;
use crate::worker::end::{CallEnd, Kill, Output};
use crate::worker::environment;
use crate::worker::guard::Ended;
use crate::worker::http::{Connection, Endpoint, Question, Reply, Server, Trouble, free_port};
use crate::worker::keep::Keep;
use crate::worker::token;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// How soon a server that does not listen yet is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How late at most.
const LOOK_AT_LAST: Duration = Duration::from_millis(50);

/// Where a function is.
pub(super) struct Site {
    endpoint: Endpoint,
    /// Whether we start it.
    has_server: bool,
    /// The process that runs.
    server: Option<u64>,
    /// Calls that wait for it to listen.
    waiting: VecDeque<u64>,
}

/// A connection, and the call on it.
pub(super) struct WebCall {
    served: usize,
    connection: Connection,
    call: Option<u64>,
}

/// A server of ours.
pub(super) struct Kept {
    served: usize,
    server: Server,
    /// Whether it is being killed.
    pub(super) is_condemned: bool,
    is_idle_set: bool,
    /// Whether it ever listened.
    was_up: bool,
    /// Whether it was asked to end.
    is_retired: bool,
}

/// Where the served functions with URLs are.
pub(super) fn sites(chain: &Chain, serve: &[Serve]) -> HashMap<usize, Site> {
    let site = |(index, serve): (usize, &Serve)| {
        let function = &chain.functions[serve.function];
        let url = function.url.as_deref().filter(|_| function.worker == WorkerKind::Http)?;
        let site = Site {
            // Checked with the file.
            endpoint: Endpoint::parse(url).ok()?,
            has_server: function.run.is_some(),
            server: None,
            waiting: VecDeque::new(),
        };
        Some((index, site))
    };
    serve.iter().enumerate().filter_map(site).collect()
}

impl Invoker {
    pub(super) fn has_server(&self, served: usize) -> bool {
        self.sites.get(&served).is_some_and(|site| site.has_server)
    }

    /// Sees to it that there is somebody to ask.
    pub(super) fn start_web(
        &mut self,
        call: u64,
        served: usize,
    ) -> Result<(u64, Running), CallEnd> {
        let needs_server =
            self.sites.get(&served).is_some_and(|s| s.has_server && s.server.is_none());
        if needs_server && !self.must_wait_for_port(served) {
            self.served[served].timing.cold_starts += 1;
            self.start_server(served).map_err(|error| super::calls::not_started(&error))?;
        }
        Ok((call, Running::Web(None)))
    }

    /// Sends a call's request, on a connection that is idle or on a new one;
    /// it waits while its server does not listen yet.
    pub(super) fn ask_web(&mut self, call: u64) -> Result<(), QueueError> {
        let Some((work, _)) = self.calls.get(&call) else { return Ok(()) };
        let served = work.served;
        if let Some(site) = self.sites.get_mut(&served).filter(|site| site.has_server) {
            let kept = site.server.and_then(|process| self.servers.get(&process));
            if kept.is_none_or(|kept| kept.server.booted.is_none()) {
                site.waiting.push_back(call);
                return if site.server.is_none() { self.restart_server(served) } else { Ok(()) };
            }
        }
        let connection = match self.connection_of(served) {
            Ok(connection) => connection,
            Err(error) => {
                let reason = format!("http: {}", crate::error::plain_io(&error));
                return self.end_web(call, CallEnd::NoAnswer(reason));
            }
        };
        match self.put_question(call, connection) {
            Ok(()) => self.on_connection(connection),
            Err(reason) => self.end_web(call, CallEnd::Unfit(format!("http: {reason}"))),
        }
    }

    /// Starts a server for those who wait; if it cannot be, they are told.
    fn restart_server(&mut self, served: usize) -> Result<(), QueueError> {
        if self.must_wait_for_port(served) {
            return Ok(());
        }
        self.served[served].timing.cold_starts += 1;
        let Err(error) = self.start_server(served) else { return Ok(()) };
        let waiting = self.sites.get_mut(&served).map(|site| std::mem::take(&mut site.waiting));
        for call in waiting.into_iter().flatten() {
            self.end_web(call, super::calls::not_started(&error))?;
        }
        Ok(())
    }

    /// Whether a server that is about to end still has the one port there is.
    fn must_wait_for_port(&self, served: usize) -> bool {
        let function = &self.routing.chain.functions[self.served[served].serve.function];
        let url = function.url.as_deref().and_then(|url| Endpoint::parse(url).ok());
        let is_named = url.is_some_and(|endpoint| endpoint.port().is_some());
        is_named && self.servers.values().any(|kept| kept.served == served)
    }

    fn put_question(&mut self, call: u64, connection: u64) -> Result<(), String> {
        let gone = || "there is no connection".to_owned();
        let (work, running) = self.calls.get_mut(&call).ok_or_else(gone)?;
        let web = self.connections.get_mut(&connection).ok_or_else(gone)?;
        let endpoint = &self.sites.get(&work.served).ok_or_else(gone)?.endpoint;
        let function = &self.routing.chain.functions[self.served[work.served].serve.function];
        web.connection.ask(&Question {
            event: &work.event,
            whole_event: function.input == FunctionInput::Event,
            attempt: work.attempts,
            host: &endpoint.host(),
            path: endpoint.path(),
            authorization: endpoint.authorization.as_deref(),
        })?;
        web.call = Some(call);
        *running = Running::Web(Some(connection));
        Ok(())
    }

    /// A connection without a call; a new one if there is none.
    fn connection_of(&mut self, served: usize) -> io::Result<u64> {
        let idle =
            |web: &WebCall| web.served == served && web.call.is_none() && web.connection.is_idle();
        if let Some((number, _)) = self.connections.iter().find(|(_, web)| idle(web)) {
            return Ok(*number);
        }
        let site = self.sites.get_mut(&served).ok_or(io::ErrorKind::NotFound)?;
        let address = site.endpoint.address()?;
        let connection = match Connection::open(address) {
            Ok(connection) => connection,
            Err(error) => {
                site.endpoint.failed();
                return Err(error);
            }
        };
        self.next_work += 1;
        let number = self.next_work;
        self.poller.add_edge(&connection, WEB | number)?;
        self.connections.insert(number, WebCall { served, connection, call: None });
        Ok(number)
    }

    /// A connection is ready for something.
    pub(super) fn on_connection(&mut self, number: u64) -> Result<(), QueueError> {
        let Some(web) = self.connections.get_mut(&number) else { return Ok(()) };
        let answer = web.connection.advance();
        let (was_used, served) = (web.connection.was_used(), web.served);
        let call = if answer.is_some() { web.call.take() } else { None };
        if web.connection.is_over() {
            self.poller.remove(&web.connection);
            self.connections.remove(&number);
        }
        match (answer, call) {
            (Some(answer), Some(call)) => self.on_answer(call, served, answer, was_used),
            _ => Ok(()),
        }
    }

    fn on_answer(
        &mut self,
        call: u64,
        served: usize,
        answer: Result<Reply, Trouble>,
        was_used: bool,
    ) -> Result<(), QueueError> {
        let trouble = match answer {
            Ok(reply) => return self.on_reply(call, reply),
            Err(trouble) => trouble,
        };
        // A server of ours that does not listen: what became of it is told.
        let is_down = matches!(&trouble, Trouble::Refused) && self.has_server(served);
        if is_down {
            self.wait_for_server(served);
            return self.ask_web(call);
        }
        let end = match trouble {
            // The server closed what it had kept alive; that is no attempt.
            // The connection is over, so this cannot go on for ever.
            Trouble::Stale if was_used && !self.served[served].serve.at_most_once => {
                return self.ask_web(call);
            }
            Trouble::Stale => CallEnd::NoAnswer("http: closed without an answer".to_owned()),
            Trouble::Refused => CallEnd::NoAnswer("http: connection refused".to_owned()),
            Trouble::TooLarge => CallEnd::Killed(Kill::OutputTooLarge),
            Trouble::Failed(reason) => CallEnd::NoAnswer(format!("http: {reason}")),
        };
        if let Some(site) = self.sites.get_mut(&served) {
            site.endpoint.failed();
        }
        self.end_web(call, end)
    }

    /// It is looked at until it listens, or its end is told.
    fn wait_for_server(&mut self, served: usize) {
        let process = self.sites.get(&served).and_then(|site| site.server);
        if let Some((process, kept)) = process.and_then(|p| Some((p, self.servers.get_mut(&p)?))) {
            kept.server.booted = None;
            self.timers.set(Instant::now() + LOOK_AGAIN, Timer::Look(process));
        }
    }

    fn on_reply(&mut self, call: u64, reply: Reply) -> Result<(), QueueError> {
        let Some((work, _)) = self.calls.remove(&call) else { return Ok(()) };
        let end = reply.end(i64::try_from(clock::unix_us() / 1_000_000).unwrap_or(i64::MAX));
        let function = &self.routing.chain.functions[self.served[work.served].serve.function];
        let is_output = function.status_action(reply.status) == crate::chain::ExitAction::Ok;
        let (end, output, said) = if is_output {
            match reply.output() {
                Ok(output) => (end, output, Vec::new()),
                Err(reason) => {
                    (CallEnd::Unfit(format!("http: {reason}")), Output::default(), Vec::new())
                }
            }
        } else {
            (end, Output::default(), reply.said())
        };
        let served = work.served;
        self.end_call(call, work, end, output, said)?;
        self.rest_site(served);
        Ok(())
    }

    /// Ends a call that got no answer, and the connection it was on.
    pub(super) fn end_web(&mut self, call: u64, end: CallEnd) -> Result<(), QueueError> {
        let Some((work, running)) = self.calls.remove(&call) else { return Ok(()) };
        if let Running::Web(Some(number)) = running
            && self.connections.get(&number).is_some_and(|web| web.call == Some(call))
            && let Some(web) = self.connections.remove(&number)
        {
            self.poller.remove(&web.connection);
        }
        if let Some(site) = self.sites.get_mut(&work.served) {
            site.waiting.retain(|waiting| *waiting != call);
        }
        let served = work.served;
        self.end_call(call, work, end, Output::default(), Vec::new())?;
        self.rest_site(served);
        Ok(())
    }

    /// Starts the server of a function, if it is one that we start.
    pub(super) fn start_server(&mut self, served: usize) -> io::Result<()> {
        let Some(site) = self.sites.get_mut(&served).filter(|site| site.has_server) else {
            return Ok(());
        };
        self.next_work += 1;
        let process = self.next_work;
        let index = self.served[served].serve.function;
        let function = &self.routing.chain.functions[index];
        let named = function.url.as_deref().and_then(|url| Endpoint::parse(url).ok()?.port());
        let port = named.map_or_else(free_port, Ok)?;
        if named.is_some() {
            // Whoever has it would get our messages.
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?);
        }
        site.endpoint.set_port(port);
        let env = environment::of_process(&function.name);
        let guard = self.guard.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let address = site.endpoint.address()?;
        let server =
            Server::start(guard, &self.poller, base(process), (process, index), env, address)?;
        site.server = Some(process);
        self.servers.insert(
            process,
            Kept {
                served,
                server,
                is_condemned: false,
                is_idle_set: false,
                was_up: false,
                is_retired: false,
            },
        );
        self.timers.set(Instant::now() + LOOK_AGAIN, Timer::Look(process));
        Ok(())
    }

    /// Looks whether a server listens by now.
    pub(super) fn look_at_server(&mut self, process: u64) -> Result<(), QueueError> {
        let Some(kept) = self.servers.get_mut(&process) else { return Ok(()) };
        if kept.server.booted.is_some() {
            return Ok(());
        }
        if !kept.server.look() {
            // Soon at first; who takes long is looked at less often.
            let pause = (kept.server.age() / 10).clamp(LOOK_AGAIN, LOOK_AT_LAST);
            self.timers.set(Instant::now() + pause, Timer::Look(process));
            return Ok(());
        }
        let served = kept.served;
        kept.was_up = true;
        if let Some(boot) = kept.server.booted {
            self.served[served].booted(boot);
        }
        let waiting = self.sites.get_mut(&served).map(|site| std::mem::take(&mut site.waiting));
        for call in waiting.into_iter().flatten() {
            self.ask_web(call)?;
        }
        self.rest_server(process);
        Ok(())
    }

    pub(super) fn on_server_pipe(&mut self, process: u64, pipe: u64) {
        let Some(kept) = self.servers.get_mut(&process) else { return };
        let name = &self.routing.chain.functions[self.served[kept.served].serve.function].name;
        let from =
            if pipe == token::STDERR { &mut kept.server.stderr } else { &mut kept.server.stdout };
        from.read().iter().for_each(|line| self.log.of_function(name, line));
        // A server lives long: its talk is bounded by the call.
        from.begin_call();
    }

    /// A server is gone: who waits for it tries again, with a new one.
    pub(super) fn on_server_end(&mut self, ended: Ended) -> Result<(), QueueError> {
        self.on_server_pipe(ended.call, token::STDOUT);
        self.on_server_pipe(ended.call, token::STDERR);
        let Some(kept) = self.servers.remove(&ended.call) else { return Ok(()) };
        let end = CallEnd::from(ended.outcome);
        let Some(site) = self.sites.get_mut(&kept.served) else { return Ok(()) };
        if site.server == Some(ended.call) {
            site.server = None;
        }
        let waiting =
            if site.server.is_none() { std::mem::take(&mut site.waiting) } else { VecDeque::new() };
        let name = &self.routing.chain.functions[self.served[kept.served].serve.function].name;
        if !kept.is_condemned && !kept.is_retired {
            self.log.line(&format!("the server of {name} ended ({end})"));
        }
        for call in waiting {
            // One that did listen has failed whoever it had taken a call from,
            // and nobody else.
            if kept.was_up || kept.is_retired {
                self.ask_web(call)?;
                continue;
            }
            let reason = match end {
                CallEnd::NotStarted(_) => end.clone(),
                _ => {
                    CallEnd::NoAnswer(format!("http: its server ended ({end}) before it listened"))
                }
            };
            self.end_web(call, reason)?;
        }
        Ok(())
    }

    /// It may have been idle for long enough.
    pub(super) fn on_idle_server(&mut self, process: u64) {
        if let Some(kept) = self.servers.get_mut(&process) {
            kept.is_idle_set = false;
            self.rest_server(process);
        }
    }

    fn rest_site(&mut self, served: usize) {
        if let Some(process) = self.sites.get(&served).and_then(|site| site.server) {
            self.rest_server(process);
        }
    }

    /// What becomes of a server that nobody asks.
    pub(super) fn rest_server(&mut self, process: u64) {
        let Some(kept) = self.servers.get_mut(&process) else { return };
        let served = &self.served[kept.served];
        let silence = served.last_arrival.map_or(Duration::ZERO, |at| at.elapsed());
        let is_going = kept.is_condemned || kept.is_retired;
        if served.running > 0 || is_going || kept.server.booted.is_none() {
            return;
        }
        match served.keep.keep() {
            Keep::Forever => {}
            Keep::For(time) if silence < time => {
                if !std::mem::replace(&mut kept.is_idle_set, true) {
                    self.timers.set(Instant::now() + (time - silence), Timer::Idle(process));
                }
            }
            Keep::No | Keep::For(_) => self.retire_server(process),
        }
    }

    /// Asks a server to end; if it does not, it is killed.
    fn retire_server(&mut self, process: u64) {
        let Some(kept) = self.servers.get_mut(&process) else { return };
        kept.is_retired = true;
        let served = kept.served;
        if let Some(site) = self.sites.get_mut(&served) {
            site.server = None;
        }
        let poller = &self.poller;
        self.connections.retain(|_, web| {
            let stays = web.served != served || web.call.is_some();
            if !stays {
                poller.remove(&web.connection);
            }
            stays
        });
        if let Some(guard) = &self.guard {
            // A guard that is gone is noticed at its socket.
            let _ = guard.terminate(process);
        }
        let patience = Duration::from_millis(FAREWELL_MAX_MS);
        self.timers.set(Instant::now() + patience, Timer::Overdue(process));
    }

    pub(super) fn condemn_server(&mut self, process: u64) {
        if let Some(kept) = self.servers.get_mut(&process) {
            kept.is_condemned = true;
            self.kill_process(process);
        }
    }

    /// The guard was killed, and the servers with it.
    pub(super) fn forget_servers(&mut self) {
        self.servers.clear();
        for site in self.sites.values_mut().filter(|site| site.has_server) {
            site.server = None;
            site.waiting.clear();
        }
    }
}
