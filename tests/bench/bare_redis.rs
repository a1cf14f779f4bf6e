//! The bare loop over Redis Streams: a process for each hop that reads its
//! stream (XREADGROUP), asks the program, and hands over with the script that
//! our own hand-offs use. It keeps nothing in mind: no leases, nothing sent
//! again when a connection breaks, nobody looks for what dead readers left.

use crate::process::Process;
use crate::program::{Filter, Program, exe};
use crate::subject::{BODY, FIELDS, PATIENCE, Subject};
use redis::{Connection, IntoConnectionInfo as _, Script, Value, cmd};
use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The script of a hand-off, as our invokers have it.
const SETTLE: &str = include_str!("../../common/src/queue/redis/scripts/settle.lua");

/// The group that reads a stream.
const GROUP: &str = "faas";

/// Messages that a stream holds until senders wait: as ours, unless asked.
const CAPACITY: u32 = 1_000;

/// How long one read waits for a message.
const WAIT_MS: u32 = 2_000;

/// Most results that the ends of the chain take at once.
const RESULTS: usize = 64;

/// What was taken and is done, if anything, and what follows from it.
type Move<'a> = (Option<&'a str>, Option<&'a [u8]>);

/// Which words are not the same in all: the id, the control block, the body.
const DIFFER: [usize; 3] = [2, 14, 16];

/// One that reads a stream and sends to another.
struct Client {
    connection: Connection,
    settle: String,
    name: String,
    from: String,
    /// The keys of the script; the numbers below are places among them.
    keys: [String; 5],
    batch: u64,
}

/// The stream that is read, and who wants room in it.
const FROM: [u32; 2] = [2, 3];
/// The stream that is sent to, and who wants room in it.
const TO: [u32; 2] = [4, 5];

impl Client {
    fn open(url: &str, name: &str, from: &str, to: &str) -> Self {
        let mut connection = connect(url);
        let settle = Script::new(SETTLE).load(&mut connection).expect("a script");
        let wants = |stream: &str| format!("{{{stream}}}:wants");
        let sent = format!("{{{from}}}:sent.{name}");
        let keys = [sent, from.to_owned(), wants(from), to.to_owned(), wants(to)];
        let (name, from) = (name.to_owned(), from.to_owned());
        Self { connection, settle, name, from, keys, batch: 0 }
    }

    /// Waits for messages, not for ever: their ids and bodies.
    fn take(&mut self, most: usize) -> Vec<(String, Vec<u8>)> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.name).arg("COUNT").arg(most);
        read.arg("BLOCK").arg(WAIT_MS).arg("STREAMS").arg(&self.from).arg(">");
        let answer: Value = read.query(&mut self.connection).expect("it reads");
        let mut came = Vec::new();
        for stream in items(answer) {
            // The last of each is what counts: entries, fields, the body.
            for entry in items(items(stream).pop().unwrap_or_default()) {
                let mut entry = items(entry);
                let body = items(entry.pop().unwrap_or_default()).pop().unwrap_or_default();
                let id = bytes(entry.pop().unwrap_or_default());
                came.push((String::from_utf8(id).expect("digits"), bytes(body)));
            }
        }
        came
    }

    /// Hands over: all of it in one call of the script.
    fn settle(&mut self, moves: &[Move<'_>]) {
        if moves.is_empty() {
            return;
        }
        self.batch += 1;
        let mut call = cmd("EVALSHA");
        call.arg(&self.settle).arg(self.keys.len()).arg(&self.keys[..]);
        call.arg(self.batch).arg(GROUP).arg(&self.name);
        // All are alike.
        let (is_taken, is_sent) = (moves[0].0.is_some(), moves[0].1.is_some());
        match is_taken {
            true => call.arg(1).arg(&FROM).arg(moves.len()),
            false => call.arg(0),
        };
        // Where they go and what shape they have.
        match is_sent {
            true => {
                call.arg(1).arg(&TO).arg(0).arg(CAPACITY).arg("block").arg(0);
                call.arg(1).arg(2 * FIELDS.len() + 2).arg(&FIELDS[..]);
                call.arg("data").arg("").arg(DIFFER.len()).arg(&DIFFER)
            }
            false => call.arg(0).arg(0),
        };
        // What is done, no joins, what is sent.
        call.arg(1).arg(if is_taken { &[1, 1][..] } else { &[0] }).arg(0);
        call.arg(if is_sent { &[1, 1, 1][..] } else { &[0] });
        for (taken, body) in moves {
            call.arg(1).arg(*taken);
            if let Some(body) = body {
                let [(_, id), .., (_, control)] = FIELDS;
                call.arg(id).arg(control).arg(*body);
            }
        }
        let answer: String = call.query(&mut self.connection).expect("it answers");
        assert!(answer.split(',').all(|one| one == "d"), "not all is done: {answer}");
    }
}

fn connect(url: &str) -> Connection {
    let about = url.into_connection_info().expect("a URL");
    let tcp = about.tcp_settings().clone().set_nodelay(true);
    let client = redis::Client::open(about.set_tcp_settings(tcp)).expect("a client");
    client.get_connection().expect("it answers")
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        other => panic!("not what an entry has: {other:?}"),
    }
}

/// A worker's life: `URL FROM TO MOST PROGRAM...`.
pub fn work(args: &[String]) -> ! {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("it can be set");
    let most: usize = args[3].parse().expect("a number");
    let program = Program { argv: args[4..].to_vec(), is_filter: true, is_ahead: false };
    let mut client = Client::open(&args[0], "worker", &args[1], &args[2]);
    let mut filter = Filter::start(&program);
    loop {
        let taken = client.take(most);
        let answer = |(id, body): (String, Vec<u8>)| (id, filter.ask(&body).to_vec());
        let done: Vec<(String, Vec<u8>)> = taken.into_iter().map(answer).collect();
        let moves = done.iter().map(|(id, body)| (Some(id.as_str()), Some(body.as_slice())));
        client.settle(&moves.collect::<Vec<_>>());
    }
}

/// A chain of bare workers.
pub struct BareRedis {
    name: &'static str,
    _workers: Vec<Process>,
    /// Sends to the first stream, reads the last.
    ends: Client,
    came: VecDeque<Vec<u8>>,
    /// Messages that go out before the next wait.
    unsent: usize,
}

impl BareRedis {
    /// Starts a worker for each hop, which takes up to `most` messages at once
    /// and settles them at once.
    pub fn start(
        name: &'static str,
        url: &str,
        hops: usize,
        program: &Program,
        most: usize,
    ) -> Self {
        let streams: Vec<String> = (0..=hops).map(|i| format!("bare-{most}-{i}")).collect();
        let mut connection = connect(url);
        for stream in &streams {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(stream).arg(GROUP).arg("0").arg("MKSTREAM");
            create.exec(&mut connection).expect("a new stream");
        }
        let worker = |pair: &[String]| {
            let mut command = Command::new(exe());
            command.args(["bare-redis", url]).args(pair).arg(most.to_string());
            command.args(&program.argv).stdin(Stdio::null());
            Process::start(command)
        };
        let workers = streams.windows(2).map(worker).collect();
        let ends = Client::open(url, "ends", &streams[hops], &streams[0]);
        Self { name, _workers: workers, ends, came: VecDeque::new(), unsent: 0 }
    }
}

impl Subject for BareRedis {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Goes out with the others before the next wait.
    fn try_send(&mut self) -> bool {
        self.unsent += 1;
        true
    }

    fn receive(&mut self) -> Option<u64> {
        let began = Instant::now();
        loop {
            if let Some(body) = self.came.pop_front() {
                assert_eq!(body, BODY);
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "no result came");
            let sends: Vec<Move<'_>> = vec![(None, Some(BODY)); self.unsent];
            self.ends.settle(&sends);
            self.unsent = 0;
            let came = self.ends.take(RESULTS);
            let moves: Vec<Move<'_>> = came.iter().map(|(id, _)| (Some(&**id), None)).collect();
            self.ends.settle(&moves);
            self.came.extend(came.into_iter().map(|(_, body)| body));
        }
    }
}
