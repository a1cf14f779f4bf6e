//! The same chain by our invokers: one process for each function of a run.

use crate::program::Program;
use crate::subject::{BODY, PATIENCE, Subject};
use faas_common::chain::route::Router;
use faas_common::chain::{Chain, Scopes, naming, parse_text};
use faas_common::event::credit::Credit;
use faas_common::event::{Control, Event};
use faas_common::poll::Poller;
use faas_common::queue::{Connection, Outgoing, QueueId, Settled, Settlement, Taken};
use faas_common::runner::{join, orphans};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

/// A run of a chain of `cat`s.
pub struct Ours {
    chain: Chain,
    scopes: Scopes,
    run: String,
    folder: tempfile::TempDir,
    invokers: Vec<Child>,
    connection: Box<dyn Connection>,
    poller: Rc<Poller>,
    start: QueueId,
    reply: QueueId,
    waiting: Vec<Taken>,
    sent: u64,
}

fn chain_text(hops: usize, program: &Program) -> String {
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
    /// Opens the run and starts an invoker for each function.
    pub fn start(hops: usize, program: &Program) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, text) = (folder.path().join("chain.json"), chain_text(hops, program));
        std::fs::write(&file, &text).expect("the chain file can be written");
        let chain = parse_text(&text, folder.path()).expect("the chain is valid");
        let run = format!("bench-{}-{hops}", std::process::id());
        let mut connection = join::connect_run().expect("a connection");
        join::open_run(&chain, &run, None, connection.as_mut()).expect("the run opens");
        let invokers = (0..hops).map(|i| invoker(&file, &run, &format!("f{i}"))).collect();
        let poller = Rc::new(Poller::new().expect("a poller"));
        connection.attach(poller.clone(), 0);
        let start = connection.open_send(&naming::input(&run, "f0")).expect("the first queue");
        let reply = connection.open_receive(&naming::reply(&run)).expect("the reply queue");
        connection.listen(reply, true).expect("it listens");
        Self {
            scopes: Scopes::of(&chain),
            chain,
            run,
            folder,
            invokers,
            connection,
            poller,
            start,
            reply,
            waiting: Vec::new(),
            sent: 0,
        }
    }
}

/// An invoker that is ready.
fn invoker(file: &Path, run: &str, function: &str) -> Child {
    let exe = std::env::current_exe().expect("it has a path");
    let mut child = Command::new(exe.with_file_name("faas-invoke"))
        .arg("--chain")
        .arg(file)
        .args(["--run", run, "--functions", function, "--ready-fd", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("faas-invoke is beside this program");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("it becomes ready");
    child
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn send(&mut self) {
        self.sent += 1;
        let event =
            Event::bare(self.sent.to_string(), "/bench".into(), "application/json", BODY.to_vec());
        let control = Control {
            run: self.run.clone(),
            invocation: format!("bench-{}", self.sent),
            credit: Credit::whole(),
            ..Control::default()
        };
        let outputs = Router { chain: &self.chain, scopes: &self.scopes }
            .start(&event, &control, &self.chain.start)
            .into_iter()
            .map(|emission| Outgoing { queue: self.start, event: emission.event })
            .collect();
        let mut settlement = Settlement { outputs, ..Settlement::default() };
        let settled = self.connection.settle(&mut settlement).expect("it sends");
        assert_eq!(settled, Settled::Done, "eight in flight never fill a queue");
    }

    fn receive(&mut self) {
        let began = Instant::now();
        while self.waiting.is_empty() {
            self.connection.try_receive(self.reply, 8, &mut self.waiting).expect("it receives");
            if self.waiting.is_empty() {
                assert!(began.elapsed() < PATIENCE, "no result came");
                self.poller.wait(PATIENCE, &mut Vec::new()).expect("it waits");
            }
        }
        let taken = self.waiting.remove(0);
        let body = taken.event.body.as_ref().expect("a body").load().expect("it can be read");
        assert_eq!(body.as_ref(), BODY);
        let mut settlement = Settlement { taken: vec![taken.receipt], ..Settlement::default() };
        self.connection.settle(&mut settlement).expect("it settles");
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        for invoker in &mut self.invokers {
            let _ = invoker.kill();
            let _ = invoker.wait();
        }
        orphans::remove_run(&self.run).expect("the run can be removed");
        let _ = self.folder.path();
    }
}
