//! Which queue of a run is on which middleware, and what it is called there.
//! The reply queue is where most queues are: at home.

use super::model::Chain;
use super::naming;
use crate::queue::{Capabilities, Flaws, QueueUrl, find, mqueue};
use std::time::Duration;

/// `max.poll.interval.ms` unless a URL says it.
const POLL_INTERVAL_MS: u64 = 300_000;

/// The queues of one run of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The run.
    pub run: String,
    /// The middlewares, home first; a run has at least that.
    pub middlewares: Vec<QueueUrl>,
    /// Index of the middleware of each function.
    pub of: Vec<usize>,
    /// Name of each function's queue.
    pub inputs: Vec<String>,
    /// Name of the reply queue, at home.
    pub reply: String,
}

impl Placement {
    /// Where the queues of `run` are. `via` is home, if it is given, whatever
    /// the file says of `*`; a function that names its own stays there.
    pub fn of(chain: &Chain, run: &str, via: Option<&QueueUrl>) -> Self {
        let said = |name: &str| {
            let wish = chain.queues.get(name)?;
            QueueUrl::parse(wish.via.as_deref()?).ok()
        };
        let home = via.cloned().or_else(|| said("*")).unwrap_or(QueueUrl::local("mq", ""));
        let mut middlewares = vec![home];
        let of = chain.functions.iter().map(|function| {
            let Some(url) = said(&function.name) else { return 0 };
            // The same server with no word of options is the same.
            let is_it = |held: &QueueUrl| {
                *held == url || (url.query().is_empty() && held.without_query() == url)
            };
            middlewares.iter().position(is_it).unwrap_or_else(|| {
                middlewares.push(url);
                middlewares.len() - 1
            })
        });
        let of: Vec<usize> = of.collect();
        let is_local = |index: usize| capabilities(&middlewares[index]).on_one_host;
        let input = |(function, &at): (&super::Function, &usize)| {
            naming::input(is_local(at), run, &function.name)
        };
        let inputs = chain.functions.iter().zip(&of).map(input).collect();
        let reply = naming::reply(is_local(0), run);
        Self { run: run.to_owned(), of, inputs, reply, middlewares }
    }

    /// What the middleware of a function can do.
    pub fn capabilities(&self, function: usize) -> &'static Capabilities {
        capabilities(&self.middlewares[self.of[function]])
    }

    /// What may go wrong when a host or broker of a function's queue is lost;
    /// of the reply queue's without a function.
    pub fn host_lost(&self, function: Option<usize>) -> Flaws {
        let url = &self.middlewares[function.map_or(0, |function| self.of[function])];
        let flaws = capabilities(url).host_lost;
        let copies = url.option("replicas").and_then(|text| text.parse().ok()).unwrap_or(1_u32);
        match url.scheme() {
            "kafka" => Flaws { may_lose: copies < 2, ..flaws },
            _ => flaws,
        }
    }

    /// After how long without a look for messages a reader of a function's
    /// queue is taken for dead, where readers have to look; Kafka's
    /// `max.poll.interval.ms`.
    pub fn silent_max(&self, function: usize) -> Option<Duration> {
        let url = &self.middlewares[self.of[function]];
        let said = || url.option("max.poll.interval.ms")?.parse().ok();
        (url.scheme() == "kafka").then(|| Duration::from_millis(said().unwrap_or(POLL_INTERVAL_MS)))
    }

    /// What the middleware of the reply queue can do.
    pub fn home(&self) -> &'static Capabilities {
        capabilities(&self.middlewares[0])
    }

    /// Every queue: function (none for the reply queue), middleware, name.
    pub fn queues(&self) -> Vec<(Option<usize>, usize, &str)> {
        let inputs = self.inputs.iter().zip(&self.of).enumerate();
        let mut queues: Vec<_> = inputs.map(|(i, (name, &at))| (Some(i), at, &**name)).collect();
        queues.push((None, 0, &self.reply));
        queues
    }

    /// Name of the queue of copies, at home.
    pub fn tap(&self) -> String {
        naming::tap(self.home().on_one_host, &self.run)
    }

    /// Whether all queues are on one middleware.
    pub fn is_uniform(&self) -> bool {
        self.of.iter().all(|&at| at == 0)
    }
}

/// A URL in a placement has been parsed, so its middleware is known.
fn capabilities(url: &QueueUrl) -> &'static Capabilities {
    find(url.scheme()).map_or(&mqueue::CAPABILITIES, |middleware| middleware.capabilities)
}
