//! Answers and what follows from them; connections that break and come back.

use super::bulk::Grant;
use super::entry::text;
use super::link::Link;
use super::{Expect, RedisConnection, error, scripts};
use crate::queue::{Connection, QueueError, QueueId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use redis::{Cmd, Value};
use std::time::{Duration, Instant};

/// Which of our descriptors is ready, in the lowest bits of a token.
pub(super) const MAIN: u64 = 0;
pub(super) const READER: u64 = 1;
pub(super) const EAR: u64 = 2;
pub(super) const ALARM: u64 = 3;

/// How long whoever begins waits for a server.
const BEGIN_MAX: Duration = Duration::from_secs(5);

/// How long a question waits for its answer, through a restart of the server.
const ASK_MAX: Duration = Duration::from_secs(15);

/// How long a server is away until that is said.
const AWAY_NOTICE: Duration = Duration::from_secs(1);

impl RedisConnection {
    /// The first connection: what is wrong with it is told at once.
    pub(super) fn begin(&mut self) -> Result<(), QueueError> {
        let patience = Instant::now() + BEGIN_MAX;
        let mut tries = 0;
        loop {
            self.reconnect();
            self.pump();
            if self.main.is_up() {
                self.keys.is_cluster = self.main.server.is_cluster;
                return Ok(());
            }
            if let Some(trouble) = self.main.trouble.take() {
                tries += 1;
                // One that was cut off in the middle of a greeting is tried again.
                let is_passing = matches!(&trouble, QueueError::Unreachable { what, .. }
                    if what.contains("first word"));
                let most = self.settings.servers.len() + 2 * usize::from(is_passing);
                if tries >= most || Instant::now() >= patience {
                    return Err(trouble);
                }
                self.main.retry_now();
                continue;
            }
            self.wait_for_answers(patience)?;
        }
    }

    /// Sends a command and waits for its answer; other answers that come
    /// before are dealt with. Only what may be done twice is asked.
    pub(super) fn ask(&mut self, command: &Cmd) -> Result<Value, QueueError> {
        self.ask_within(command, ASK_MAX)
    }

    /// The same, for no longer than so long.
    pub(super) fn ask_within(
        &mut self,
        command: &Cmd,
        most: Duration,
    ) -> Result<Value, QueueError> {
        let patience = Instant::now() + most;
        self.questions += 1;
        loop {
            if self.main.is_up() && !self.is_asked() {
                self.main.send(command, Expect::Ask(self.questions));
            }
            self.wait_for_answers(patience.min(Instant::now() + Duration::from_millis(50)))?;
            self.pump();
            match self.answer.take() {
                Some((number, Value::ServerError(error))) if number == self.questions => {
                    match error::of_answer(&error) {
                        Some(error) => return Err(error),
                        None => self.on_trouble(&error),
                    }
                }
                Some((number, answer)) if number == self.questions => return Ok(answer),
                _ => {}
            }
            if Instant::now() >= patience {
                return Err(self.no_answer());
            }
        }
    }

    fn is_asked(&self) -> bool {
        let is_it = |expect: &Expect| matches!(expect, Expect::Ask(n) if *n == self.questions);
        self.main.expects().any(is_it)
    }

    fn no_answer(&mut self) -> QueueError {
        let timeout = std::io::ErrorKind::TimedOut.into();
        let silent = || error::of_io(&timeout, false, self.settings.is_tls);
        self.main.trouble.take().unwrap_or_else(silent)
    }

    /// Sleeps until an answer may be there, or it is time to connect again.
    pub(super) fn wait_for_answers(&mut self, until: Instant) -> Result<(), QueueError> {
        self.write_out();
        let until = self.main.retry_at().map_or(until, |at| at.min(until));
        let left_ms = until.saturating_duration_since(Instant::now()).as_millis().clamp(1, 500);
        let timeout = PollTimeout::from(left_ms as u16);
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, self.main.has_unsent());
        fds.extend(self.main.fd().map(|fd| PollFd::new(fd, flags)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(QueueError::io("waiting for the server")(errno.into())),
        }
    }

    /// Writes what was sent.
    pub(super) fn write_out(&mut self) {
        if self.main.flush().is_err() {
            self.on_broken(true);
        }
        if self.reader.flush().is_err() {
            self.on_broken(false);
        }
        if let Some(ear) = &mut self.ear
            && ear.flush().is_err()
        {
            // It is made again when somebody waits for room.
            self.outbox.try_full_again();
        }
    }

    /// Deals with all that came, and sends what follows from it.
    pub(super) fn pump(&mut self) {
        self.main.rouse();
        self.reader.rouse();
        self.ear.iter_mut().for_each(Link::rouse);
        self.take_answers();
    }

    /// One of the connections told that more came.
    pub(super) fn on_told(&mut self, which: u64) {
        match which {
            MAIN => self.main.rouse(),
            READER => self.reader.rouse(),
            _ => self.ear.iter_mut().for_each(Link::rouse),
        }
        self.take_answers();
    }

    fn take_answers(&mut self) {
        self.reconnect();
        loop {
            match self.main.next(&self.settings) {
                Ok(Some((expect, value))) => self.on_answer(expect, value),
                Ok(None) => break,
                Err(_) => {
                    self.on_broken(true);
                    break;
                }
            }
        }
        loop {
            match self.reader.next(&self.settings) {
                Ok(Some((expect, value))) => self.on_answer(expect, value),
                Ok(None) => break,
                Err(_) => {
                    self.on_broken(false);
                    break;
                }
            }
        }
        self.hear();
        if self.main.is_up() && self.away_since.take().is_some_and(|(_, said)| said) {
            self.notices.push(format!("{} is back", self.settings.url.without_query()));
        }
    }

    /// Room in a queue that was full.
    fn hear(&mut self) {
        let Some(ear) = &mut self.ear else { return };
        while let Ok(Some((_, value))) = ear.next(&self.settings) {
            if !matches!(value, Value::ServerError(_)) {
                self.outbox.try_full_again();
            }
        }
    }

    fn on_answer(&mut self, expect: Expect, value: Value) {
        if let Value::ServerError(error) = &value {
            match (&expect, error::of_answer(error)) {
                (Expect::Ask(number), _) => self.answer = Some((*number, value)),
                (Expect::Queued, _) if error.code() == "NOPERM" => self.grant = Grant::No,
                (Expect::Queued | Expect::Granted, _) => {}
                // The number tells whether it was done one by one.
                (Expect::Added(_), _) => self.on_bulk_aborted(),
                (Expect::Batch, None) => {
                    self.outbox.send_again();
                    self.on_trouble(&error.clone());
                }
                (_, None) => self.on_trouble(&error.clone()),
                (_, Some(error)) => self.on_error(expect, error),
            }
            return;
        }
        match expect {
            Expect::Nothing | Expect::Queued => {}
            Expect::Keep => self.on_keep(text(value).parse().unwrap_or(0)),
            Expect::Ask(number) => self.answer = Some((number, value)),
            Expect::Batch => self.on_batch(text(value)),
            Expect::Added(queue) => self.on_added(queue, value),
            Expect::Granted => self.on_granted(&value),
            Expect::Depth(queue) => self.on_depth(queue, text(value).parse().unwrap_or(0)),
            Expect::Replicas => self.on_replicas(text(value).parse().unwrap_or(0)),
            Expect::Read(queues, most) => self.on_read(&queues, most, value),
            Expect::Wait(queues, most) => self.on_wait(&queues, most, value),
            Expect::Own(queue) => self.on_own(queue, value),
            Expect::Adopt(queue, most) => self.on_adopt(queue, most, value),
            Expect::There(queue) => self.on_there(queue, text(value) != "0"),
        }
    }

    /// A command went wrong in a way that will not pass.
    fn on_error(&mut self, expect: Expect, error: QueueError) {
        match (expect, error) {
            (Expect::Batch, error) => self.on_batch_failed(error),
            (Expect::Read(queues, _) | Expect::Wait(queues, _), QueueError::NoSuchQueue) => {
                self.forget_asked(true);
                self.forget_asked(false);
                let looks: Vec<Cmd> = queues
                    .iter()
                    .map(|id| redis::cmd("EXISTS").arg(&self.queue(*id).stream).take())
                    .collect();
                for (id, look) in queues.into_iter().zip(looks) {
                    self.main.send(&look, Expect::There(id));
                }
            }
            // It is seen by the look that follows.
            (_, QueueError::NoSuchQueue) => {}
            (Expect::Keep | Expect::Nothing, _) => {}
            (_, error) => self.failed = Some(error),
        }
    }

    /// Whether a queue is still there.
    fn on_there(&mut self, id: QueueId, is_there: bool) {
        let queue = self.queue(id);
        if is_there {
            // A stream that came back, or was made again, has readers again.
            return;
        }
        queue.is_gone = true;
        if queue.receives || !queue.is_fleeting() {
            let name = self.name_of_queue(id);
            self.failed = Some(QueueError::Removed { name });
        }
    }

    pub(super) fn name_of_queue(&self, id: QueueId) -> String {
        self.url_of(&self.open[id.0 as usize].name)
    }

    /// An answer that says: not here, or not now.
    fn on_trouble(&mut self, error: &redis::ServerError) {
        if error.code() == "NOSCRIPT" {
            // Somebody emptied the server's cache of scripts.
            for script in scripts::ALL {
                let load = redis::cmd("SCRIPT").arg("LOAD").arg(script.source).take();
                self.main.send(&load, Expect::Nothing);
            }
            return;
        }
        if let Some((host, port)) = moved_to(error) {
            let servers = &mut self.settings.servers;
            servers.retain(|server| *server != (host.clone(), port));
            servers.insert(0, (host, port));
            self.main.start_over();
            self.reader.start_over();
        }
        let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
        let trouble = || QueueError::Unreachable {
            what: format!("the server says: {}", said.trim()),
            cure: "the same in a moment".to_owned(),
        };
        self.main.redial(trouble());
        self.reader.redial(trouble());
        self.on_broken(true);
        self.on_broken(false);
    }

    fn on_broken(&mut self, was_main: bool) {
        self.forget_asked(was_main);
        if was_main {
            self.grant = Grant::Unknown;
            self.outbox.send_again();
            self.away_since.get_or_insert((Instant::now(), false));
        }
    }

    /// Whether messages are waited for on a connection that is not there.
    pub(super) fn has_reader_to_make(&self) -> bool {
        !self.reader.is_up() && self.open.iter().any(|queue| queue.receives)
    }

    /// Makes connections that are not there.
    pub(super) fn reconnect(&mut self) {
        let _ = self.main.dial(&self.settings);
        let receives = self.open.iter().any(|queue| queue.receives);
        if receives && self.main.is_up() {
            self.reader.follow(&self.main);
            let _ = self.reader.dial(&self.settings);
        }
        if let Some(ear) = &mut self.ear {
            ear.follow(&self.main);
        }
        if let Some(ear) = &mut self.ear
            && ear.dial(&self.settings) == Ok(true)
        {
            let channel = format!("faas.room.{}", self.name);
            ear.send(redis::cmd("SUBSCRIBE").arg(channel), Expect::Nothing);
        }
    }

    /// Somebody waits for room: listen for it.
    pub(super) fn listen_for_room(&mut self) {
        if self.ear.is_some() {
            return;
        }
        let Ok(mut ear) = Link::new(&self.settings, false) else { return };
        if let Some((poller, base)) = &self.poller {
            ear.attach(poller.clone(), base | EAR);
        }
        self.ear = Some(ear);
        self.reconnect();
        self.write_out();
    }

    /// Says once that the server is away.
    pub(super) fn tell_away(&mut self) {
        let Some((since, said)) = &mut self.away_since else { return };
        if since.elapsed() >= AWAY_NOTICE && !std::mem::replace(said, true) {
            let why = self.main.trouble.as_ref().map_or_else(String::new, ToString::to_string);
            self.notices.push(format!(
                "{} is away: {why}; waiting for it",
                self.settings.url.without_query()
            ));
        }
    }
}

/// `MOVED 3999 127.0.0.1:6381`: where a cluster keeps the keys.
fn moved_to(error: &redis::ServerError) -> Option<(String, u16)> {
    if error.code() != "MOVED" {
        return None;
    }
    let (host, port) = error.details()?.split(' ').nth(1)?.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}
