//! The same chain by our invokers.

use crate::link::Link;
use crate::process::{Process, tool};
use crate::program::Program;
use crate::subject::{BODY, PATIENCE, Subject};
use faas_common::chain::route::Router;
use faas_common::chain::{Chain, Placement, Scopes, ending, parse_text};
use faas_common::event::credit::Credit;
use faas_common::event::{Body, Control, Event};
use faas_common::queue::{self, Outgoing, QueueId, QueueUrl, Settled, Settlement, Taken};
use faas_common::runner::places::Places;
use faas_common::runner::{join, orphans};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Runs opened so far: each has a name of its own.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// Most results asked for at once where each question is a round trip.
const REMOTE_RESULTS: usize = 64;

/// A run, and the invokers that serve it.
pub struct Ours {
    chain: Chain,
    scopes: Scopes,
    run: String,
    name: &'static str,
    _folder: tempfile::TempDir,
    /// One for each function, or one for all.
    pub invokers: Vec<Process>,
    link: Link,
    inputs: Vec<QueueId>,
    reply: QueueId,
    waiting: Vec<Taken>,
    /// A message that found no room.
    unsent: bool,
    sent: u64,
}

/// A chain of `hops` functions in a row.
pub fn in_a_row(hops: usize, program: &Program) -> String {
    let functions: Vec<String> =
        (0..hops).map(|i| format!("\"f{i}\": {}", program.json())).collect();
    let rules: Vec<String> =
        (1..hops).map(|i| format!("{{ \"from\": \"f{}\", \"to\": \"f{i}\" }}", i - 1)).collect();
    format!(
        "{{ \"chain\": \"bench\", \"functions\": {{ {} }}, \"start\": \"f0\", \"rules\": [ {} ] }}",
        functions.join(", "),
        rules.join(", ")
    )
}

impl Ours {
    /// A chain in a row, an invoker for each function.
    pub fn start(hops: usize, program: &Program) -> Self {
        Self::open("ours", &in_a_row(hops, program), false)
    }

    /// The same over the middleware of a URL.
    pub fn start_via(via: &str, hops: usize, program: &Program) -> Self {
        let via = QueueUrl::parse(via).expect("a URL");
        Self::open_via("ours", &in_a_row(hops, program), false, Some(&via))
    }

    /// A chain from its text; `together`: one invoker serves all functions.
    pub fn open(name: &'static str, text: &str, together: bool) -> Self {
        Self::open_via(name, text, together, None)
    }

    fn open_via(name: &'static str, text: &str, together: bool, via: Option<&QueueUrl>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("chain.json");
        std::fs::write(&file, text).expect("the chain file can be written");
        let chain = parse_text(text, folder.path()).expect("the chain is valid");
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let run = format!("bench-{}-{number}", std::process::id());
        let placement = Placement::of(&chain, &run, via);
        let mut places = Places::connect(placement.clone()).expect("a connection");
        join::open_run(&chain, &mut places, None).expect("the run opens");
        let invokers = if together {
            vec![invoker(&file, &run, None, via)]
        } else {
            chain.functions.iter().map(|f| invoker(&file, &run, Some(&f.name), via)).collect()
        };
        let connection = queue::connect(&placement.middlewares[0]).expect("a connection");
        let mut link = Link::new(connection);
        link.connection.wait_rather_than_spill();
        let mut input =
            |index: usize| link.connection.open_send(&placement.inputs[index]).expect("a queue");
        let inputs = chain.start.iter().map(|index| input(*index)).collect();
        let reply = link.connection.open_receive(&placement.reply).expect("the reply queue");
        link.connection.listen(reply, true).expect("it listens");
        Self {
            scopes: Scopes::of(&chain),
            chain,
            run,
            name,
            _folder: folder,
            invokers,
            link,
            inputs,
            reply,
            waiting: Vec::new(),
            unsent: false,
            sent: 0,
        }
    }

    /// Starts an invocation; `false` when there is no room.
    pub fn send(&mut self, body: Body) -> bool {
        if self.unsent {
            let mut done = Vec::new();
            self.link.connection.resume(&mut done).expect("it sends");
            self.unsent = done.is_empty();
            return !self.unsent;
        }
        self.sent += 1;
        let id = self.sent.to_string();
        let mut event = Event::bare(id, "/bench".into(), "application/json", Vec::new());
        event.body = Some(body);
        let control = Control {
            run: self.run.clone(),
            invocation: ending::name("bench", self.sent),
            credit: Credit::whole(),
            ..Control::default()
        };
        let outputs = Router { chain: &self.chain, scopes: &self.scopes }
            .start(&event, &control, &self.chain.start)
            .into_iter()
            .map(|emission| Outgoing { queue: self.inputs[0], event: emission.event })
            .collect();
        let settled = self.link.settle(Settlement { outputs, ..Settlement::default() });
        self.link.flush();
        self.unsent = settled == Settled::Waiting;
        !self.unsent
    }

    /// Waits for the next result: its message's number, and its body.
    pub fn result(&mut self) -> (u64, Option<Body>) {
        let began = Instant::now();
        while self.waiting.is_empty() {
            let most = if self.link.is_remote { REMOTE_RESULTS } else { 8 };
            let connection = &mut self.link.connection;
            connection.try_receive(self.reply, most, &mut self.waiting).expect("it receives");
            if self.waiting.is_empty() {
                assert!(began.elapsed() < PATIENCE, "no result came");
                self.link.wait();
            }
        }
        let taken = self.waiting.remove(0);
        let control = taken.event.control.as_ref().expect("a reply");
        assert!(control.is_result(), "{:?}", taken.event.extensions);
        let (_, number) = ending::split(&control.invocation);
        self.link.settle(Settlement { taken: vec![taken.receipt], ..Settlement::default() });
        self.link.flush();
        (number, taken.event.body)
    }

    /// Ends the invokers; what they said of the cost of calls.
    pub fn finish(mut self) -> Vec<serde_json::Value> {
        let said: Vec<String> = self.invokers.drain(..).map(Process::finish).collect();
        said.iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

/// An invoker that is ready.
fn invoker(file: &Path, run: &str, function: Option<&str>, via: Option<&QueueUrl>) -> Process {
    let mut command = tool("faas-invoke");
    command.arg("--chain").arg(file).args(["--run", run, "--ready-fd", "1", "--report-fd", "1"]);
    if let Some(via) = via {
        command.arg("--via").arg(via.to_string());
    }
    command.args(function.iter().flat_map(|name| ["--functions", *name]));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Process::start(command);
    process.wait_ready();
    process
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn try_send(&mut self) -> bool {
        self.send(Body::Inline(BODY.to_vec()))
    }

    fn receive(&mut self) -> Option<u64> {
        let (number, body) = self.result();
        let body = body.expect("a body");
        assert_eq!(body.load().expect("it can be read").as_ref(), BODY);
        Some(number)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.invokers.clear();
        orphans::remove_run(&self.run, None).expect("the run can be removed");
    }
}
