//! A connection that is made again when it breaks: greeted, with what every
//! answer is the answer to.

use super::settings::Settings;
use super::wire::{Stream, Wire};
use super::{scripts, tls};
use crate::dial::dial;
use crate::poll::Poller;
use crate::queue::QueueError;
use nix::sys::socket::{setsockopt, sockopt};
use redis::{Cmd, Value, cmd};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First wait after a connection that failed; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// The longest.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A peer that acknowledges nothing for so long is gone, in milliseconds.
const SILENCE_MAX_MS: u32 = 10_000;
/// A connection that is not greeted in this time is given up.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// What a server said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) is_cluster: bool,
    pub(super) is_replica: bool,
    pub(super) version: (u32, u32),
}

/// See the module. `E` says what an answer is for.
pub(super) struct Link<E> {
    wire: Option<Wire>,
    expected: VecDeque<E>,
    /// Answers of the greeting that are still to come.
    greeting: usize,
    since: Instant,
    retry_at: Instant,
    backoff: Duration,
    /// Which of the servers is tried.
    turn: usize,
    token: u64,
    poller: Option<Rc<Poller>>,
    tls: Option<Arc<ClientConfig>>,
    /// Whether scripts are used here.
    has_scripts: bool,
    /// What the server said of itself.
    pub(super) server: Server,
    /// Why the last connection failed; none once one is greeted.
    pub(super) trouble: Option<QueueError>,
    /// Number of the connection's process on the server.
    pub(super) client_id: i64,
}

impl<E: Default> Link<E> {
    pub(super) fn new(settings: &Settings, has_scripts: bool) -> Result<Self, QueueError> {
        let now = Instant::now();
        Ok(Self {
            wire: None,
            expected: VecDeque::new(),
            greeting: 0,
            since: now,
            retry_at: now,
            backoff: BACKOFF_MIN,
            turn: 0,
            token: 0,
            poller: None,
            tls: tls::config(settings)?,
            has_scripts,
            server: Server::default(),
            trouble: None,
            client_id: 0,
        })
    }

    /// Whether it is connected and greeted.
    pub(super) fn is_up(&self) -> bool {
        self.wire.is_some() && self.greeting == 0
    }

    /// Answers that are to come.
    pub(super) fn expects(&self) -> impl Iterator<Item = &E> {
        self.expected.iter()
    }

    pub(super) fn attach(&mut self, poller: Rc<Poller>, token: u64) {
        self.token = token;
        if let Some(wire) = &self.wire {
            // A descriptor that cannot be waited on is looked at twice a second.
            let _ = poller.add_edge(wire, token);
        }
        self.poller = Some(poller);
    }

    /// Sends a command when there is a connection; else it is forgotten, as
    /// it is when the connection breaks before its answer.
    pub(super) fn send(&mut self, command: &Cmd, expect: E) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        wire.send(command);
        self.expected.push_back(expect);
        true
    }

    /// The same for commands that were packed before, with what each answer
    /// is for.
    pub(super) fn send_packed(&mut self, bytes: &[u8], expect: impl Iterator<Item = E>) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        wire.send_packed(bytes);
        self.expected.extend(expect);
        true
    }

    /// Writes what was sent. `Err` when the connection broke.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        wire.flush().map_err(|error| self.broke(&error))
    }

    /// More may have come.
    pub(super) fn rouse(&mut self) {
        if let Some(wire) = &mut self.wire {
            wire.rouse();
        }
    }

    /// The next answer and what it is for.
    pub(super) fn next(&mut self, settings: &Settings) -> Result<Option<(E, Value)>, Broken> {
        loop {
            let Some(wire) = &mut self.wire else { return Ok(None) };
            let value = match wire.next() {
                Ok(Some(value)) => value,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.broke(&error)),
            };
            if self.greeting == 0 {
                // What nobody asked for is a message to a listener.
                return Ok(Some((self.expected.pop_front().unwrap_or_default(), value)));
            }
            self.greeting -= 1;
            if let Err(error) = self.greeted(&value, settings) {
                return Err(self.give_up(error));
            }
            if self.greeting == 0 {
                self.backoff = BACKOFF_MIN;
                self.trouble = None;
            }
        }
    }

    /// Connects when there is no connection and it is time. `Ok(true)` when a
    /// new one begins.
    pub(super) fn dial(&mut self, settings: &Settings) -> Result<bool, Broken> {
        if self.wire.is_some() {
            let is_late = self.greeting > 0 && self.since.elapsed() > GREETING_MAX;
            return match is_late {
                true => Err(self.broke(&io::ErrorKind::TimedOut.into())),
                false => Ok(false),
            };
        }
        if Instant::now() < self.retry_at {
            return Ok(false);
        }
        self.since = Instant::now();
        let mut wire = self.open(settings).map_err(|error| self.broke(&error))?;
        let greeting = greeting(settings, self.has_scripts);
        self.greeting = greeting.len();
        greeting.iter().for_each(|command| wire.send(command));
        if let Some(poller) = &self.poller {
            let _ = poller.add_edge(&wire, self.token);
        }
        self.wire = Some(wire);
        Ok(true)
    }

    fn open(&self, settings: &Settings) -> io::Result<Wire> {
        let (host, port) = &settings.servers[self.turn % settings.servers.len()];
        let address = (host.as_str(), *port).to_socket_addrs()?.next();
        let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let stream = dial(address.ok_or_else(none)?)?;
        end_when_silent(&stream)?;
        Ok(Wire::new(match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => Stream::Tls(Box::new(tls::wrap(config.clone(), host, stream)?)),
        }))
    }

    /// One answer of the greeting: HELLO is the first, CLIENT ID the second.
    fn greeted(&mut self, value: &Value, settings: &Settings) -> Result<(), QueueError> {
        if let Value::ServerError(error) = value {
            let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
            return Err(super::error::of_greeting(text.trim(), settings));
        }
        match value {
            Value::Array(_) | Value::Map(_) => {
                self.server = describe(value);
                super::error::check_server(&self.server, settings)
            }
            Value::Int(id) => {
                self.client_id = *id;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn broke(&mut self, error: &io::Error) -> Broken {
        let trouble = super::error::of_io(error, self.greeting > 0, self.tls.is_some());
        self.give_up(trouble)
    }

    fn wire_gone(&mut self) {
        if let (Some(wire), Some(poller)) = (&self.wire, &self.poller) {
            poller.remove(wire);
        }
        self.wire = None;
        self.greeting = 0;
        self.expected.clear();
    }

    /// Forgets the connection and all answers that were to come.
    pub(super) fn give_up(&mut self, trouble: QueueError) -> Broken {
        self.wire_gone();
        self.turn = self.turn.wrapping_add(1);
        self.retry_at = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.trouble = Some(trouble);
        Broken
    }

    /// Connects without waiting out the back-off.
    pub(super) fn retry_now(&mut self) {
        self.retry_at = Instant::now();
    }

    /// Goes to another server, or to the same once more, at once.
    pub(super) fn redial(&mut self, trouble: QueueError) {
        if self.wire.is_some() {
            self.give_up(trouble);
        } else {
            self.trouble = Some(trouble);
        }
        self.retry_at = Instant::now();
    }

    /// The first of the servers has its turn next.
    pub(super) fn start_over(&mut self) {
        self.wire_gone();
        self.turn = 0;
    }

    /// Goes where another connection found the server.
    pub(super) fn follow(&mut self, other: &Self) {
        if self.wire.is_none() {
            self.turn = other.turn;
        }
    }

    /// When to try to connect again; none while there is a connection.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.wire.is_none().then_some(self.retry_at)
    }

    /// Whether something waits to be written, or to be connected.
    pub(super) fn has_unsent(&self) -> bool {
        self.wire.as_ref().is_some_and(Wire::has_unsent)
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.wire.as_ref().map(AsFd::as_fd)
    }
}

/// The connection broke: what was sent and not answered may or may not have
/// been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A host that vanished is known by what it does not acknowledge.
fn end_when_silent(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::TcpUserTimeout, &SILENCE_MAX_MS)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &(SILENCE_MAX_MS / 2_000))?;
    Ok(setsockopt(stream, sockopt::TcpKeepInterval, &2)?)
}

fn greeting(settings: &Settings, has_scripts: bool) -> Vec<Cmd> {
    let mut hello = cmd("HELLO");
    hello.arg(2);
    if settings.password.is_some() || settings.user.is_some() {
        let user = settings.user.as_deref().unwrap_or("default");
        // A user without a password is let in with any.
        let password = settings.password.as_deref().unwrap_or_default();
        hello.arg("AUTH").arg(user).arg(password);
    }
    hello.arg("SETNAME").arg(&settings.client);
    let mut greeting = vec![hello, cmd("CLIENT").arg("ID").take()];
    if settings.database > 0 {
        greeting.push(cmd("SELECT").arg(settings.database).take());
    }
    if has_scripts {
        let load = |source: &str| cmd("SCRIPT").arg("LOAD").arg(source).take();
        greeting.extend(scripts::ALL.iter().map(|script| load(script.source)));
    }
    greeting
}

/// Reads the answer of HELLO: names and values in turn.
fn describe(value: &Value) -> Server {
    let Value::Array(items) = value else { return Server::default() };
    let mut server = Server::default();
    for pair in items.chunks_exact(2) {
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::SimpleString(text) => text.clone(),
            _ => String::new(),
        };
        match (text(&pair[0]).as_str(), text(&pair[1])) {
            ("mode", mode) => server.is_cluster = mode == "cluster",
            ("role", role) => server.is_replica = role != "master",
            ("version", version) => {
                let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
                server.version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
            }
            _ => {}
        }
    }
    server
}
