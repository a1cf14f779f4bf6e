//! What an invoker needs to know to route: the chain, and where each of its
//! targets is. A single function on pipes or queues is a chain of one.

use super::dead::DeadSink;
use crate::chain::condition::Conditions;
use crate::chain::route::Router;
use crate::chain::{
    Chain, Function, Placement, Rules, RunSpec, Scopes, WorkerKind, naming, program,
};
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::queue::{Desk, Port, QueueError};
use crate::worker::filter::cure;
use std::collections::HashMap;
use std::path::Path;

/// Where everything goes.
pub struct Routing {
    /// The chain.
    pub chain: Chain,
    /// What follows from its shape.
    pub scopes: Scopes,
    /// Its rules, by function.
    pub rules: Rules,
    /// Its conditions, compiled.
    pub conditions: Conditions,
    /// What each function's process is started from; none for a mere URL.
    pub specs: Vec<Option<RunSpec>>,
    /// Input queue of each function; none outside a run.
    pub inputs: Vec<Option<Port>>,
    /// Where results go: the reply queue of a run, or what `--to` says.
    pub results: Port,
    /// Reply queues of triggers that wait for their own results, by the word
    /// in their name; none once they are gone.
    pub replies: HashMap<String, Port>,
    /// Name of the run's own reply queue.
    pub reply: String,
    /// Where dead letters go; in a run, with the results.
    pub dead: Option<DeadSink>,
    /// `source` of the events functions make.
    pub source: String,
    /// Keep a trailing line feed of what functions print.
    pub exact: bool,
}

impl Routing {
    /// What gives events their ids and targets.
    pub fn router(&self) -> Router<'_> {
        Router { chain: &self.chain, scopes: &self.scopes }
    }

    /// Where the end of a branch goes: to the trigger that waits for it, or,
    /// if that is none or is gone, to the run's own reply queue.
    ///
    /// # Errors
    /// The queue cannot be opened.
    pub fn reply_port(
        &mut self,
        end: &Event,
        desk: &mut Desk,
    ) -> std::result::Result<Port, QueueError> {
        let Some(control) = end.control.as_ref().filter(|control| !control.reply.is_empty()) else {
            return Ok(self.results);
        };
        let connection = self.results.connection;
        let held = self.replies.get(&control.reply).copied();
        if let Some(port) = held.filter(|port| desk.connection(connection).is_there(port.queue)) {
            return Ok(port);
        }
        // Those that are gone are forgotten first: their places are used again.
        self.replies.retain(|_, port| desk.connection(connection).is_there(port.queue));
        let name = naming::reply_of(&self.reply, &control.reply);
        match desk.connection(connection).open_send(&name) {
            Ok(queue) => {
                desk.connection(connection).falls_back(queue, self.results.queue);
                let port = Port { connection, queue };
                self.replies.insert(control.reply.clone(), port);
                Ok(port)
            }
            Err(QueueError::NoSuchQueue) => Ok(self.results),
            Err(error) => Err(error),
        }
    }

    /// Routing for one function outside a run.
    ///
    /// # Errors
    /// The program is not there or cannot be run.
    pub fn single(
        function: Function,
        folder: &Path,
        results: Port,
        dead: DeadSink,
        exact: bool,
    ) -> Result<Self> {
        let chain = alone(function, folder);
        let specs = specs(&chain)?;
        let source = format!("/faas/{}", chain.functions[0].name);
        let conditions = Conditions::of(&chain);
        Ok(Self {
            scopes: Scopes::of(&chain),
            rules: Rules::of(&chain),
            chain,
            conditions,
            specs,
            inputs: vec![None],
            results,
            replies: HashMap::new(),
            reply: String::new(),
            dead: Some(dead),
            source,
            exact,
        })
    }

    /// Routing for a run: opens all of its queues for sending; `connections`
    /// are those of the placement's middlewares at the desk.
    ///
    /// # Errors
    /// A queue is not there; the run was not opened, or is over.
    pub fn run(
        chain: Chain,
        placement: &Placement,
        desk: &mut Desk,
        connections: &[usize],
    ) -> Result<Self> {
        let mut ports = Vec::new();
        for (_, at, name) in placement.queues() {
            let target = desk.connection(connections[at]);
            let opened = target.open_send(name);
            let queue = opened.map_err(|error| error.failure("open", &target.url_of(name)))?;
            ports.push(Port { connection: connections[at], queue });
        }
        let home = Port { connection: connections[0], queue: crate::queue::QueueId(0) };
        let results = ports.pop().unwrap_or(home);
        let reply = placement.reply.clone();
        let conditions = Conditions::of(&chain);
        let specs = specs(&chain)?;
        let source = format!("/faas/{}", chain.name);
        let inputs = ports.into_iter().map(Some).collect();
        Ok(Self {
            scopes: Scopes::of(&chain),
            rules: Rules::of(&chain),
            chain,
            conditions,
            specs,
            inputs,
            results,
            replies: HashMap::new(),
            reply,
            dead: None,
            source,
            exact: false,
        })
    }
}

/// Where the process of a function outside a chain comes from.
///
/// # Errors
/// The program is not there or cannot be run.
pub fn spec_of(function: &Function, folder: &Path) -> Result<Option<RunSpec>> {
    Ok(specs(&alone(function.clone(), folder))?.pop().flatten())
}

/// Where each function's process comes from, if it has one.
///
/// # Errors
/// A program is not there or cannot be run.
pub fn specs(chain: &Chain) -> Result<Vec<Option<RunSpec>>> {
    let spec = |function: &Function| {
        if function.run.is_none() {
            return Ok(None);
        }
        let spec = program::run_spec(chain, function).map_err(|missing| {
            Failure::new(Exit::Usage, "run", &function.name, &missing).cure(missing.cure())
        })?;
        let is_filter = function.worker == WorkerKind::Filter;
        Ok(Some(if is_filter { cure::applied(spec) } else { spec }))
    };
    chain.functions.iter().map(spec).collect()
}

fn alone(function: Function, folder: &Path) -> Chain {
    Chain {
        name: function.name.clone(),
        functions: vec![function],
        start: vec![0],
        rules: Vec::new(),
        layout: crate::chain::Layout::PerFunction,
        deadline: std::time::Duration::MAX,
        deliver: crate::chain::Deliver::AtLeastOnce,
        queues: std::collections::BTreeMap::new(),
        digest: String::new(),
        file: None,
        folder: folder.to_owned(),
    }
}

/// Checks that every program of a chain is there and can be run.
///
/// # Errors
/// The first that is not.
pub fn check_programs(chain: &Chain) -> Result<()> {
    specs(chain).map(drop)
}
