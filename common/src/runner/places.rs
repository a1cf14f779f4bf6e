//! Connections to all middlewares of a run.

use crate::chain::{Chain, Deliver, Placement};
use crate::error::Result;
use crate::queue::{self, Connection, Desk, QueueUrl};

/// A run's queues and how to reach them.
pub struct Places {
    /// Where they are.
    pub placement: Placement,
    connections: Vec<Box<dyn Connection>>,
}

impl Places {
    /// Connects to every middleware of a placement.
    ///
    /// # Errors
    /// One cannot be reached.
    pub fn connect(placement: Placement) -> Result<Self> {
        // What is sent from one middleware to another may be sent again.
        let knows_ids = |url: &QueueUrl| {
            let is_able = queue::find(url.scheme()).is_some_and(|m| m.capabilities.drops_known_ids);
            is_able && !placement.is_uniform()
        };
        let connect = |url: &QueueUrl| match knows_ids(url) {
            true => connect(&url.with_option("dedupe", "on")),
            false => connect(url),
        };
        let connections = placement.middlewares.iter().map(connect).collect::<Result<_>>()?;
        Ok(Self { placement, connections })
    }

    /// The connection to a middleware of the placement.
    pub fn at(&mut self, index: usize) -> &mut dyn Connection {
        self.connections[index].as_mut()
    }

    /// The connection to the middleware of the reply queue.
    pub fn home(&mut self) -> &mut dyn Connection {
        self.at(0)
    }

    /// Every queue: function, middleware, name.
    pub fn queues(&self) -> Vec<(Option<usize>, usize, String)> {
        let queues = self.placement.queues().into_iter();
        queues.map(|(function, at, name)| (function, at, name.to_owned())).collect()
    }

    /// Puts the connections on a desk, which copies aside for whoever looks at
    /// the run; their indices there, in order.
    pub fn into_desk(self, desk: &mut Desk) -> (Placement, Vec<usize>) {
        let indices = self.connections.into_iter().map(|connection| desk.add(connection));
        let indices: Vec<usize> = indices.collect();
        desk.tap(indices[0], &self.placement.middlewares[0], &self.placement.tap());
        (self.placement, indices)
    }
}

fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>> {
    queue::connect(url).map_err(|error| error.failure("open", &url.to_string()))
}

/// Connects to the middlewares of a run to serve its functions or to send to
/// them: exactly once where that is asked for.
///
/// # Errors
/// One cannot be reached, or cannot do it.
pub fn connect_to_serve(
    chain: &Chain,
    placement: Placement,
    deliver: Option<Deliver>,
) -> Result<Places> {
    let mut places = Places::connect(placement)?;
    let wants = |function: usize| {
        deliver.unwrap_or_else(|| chain.deliver_to(function)) == Deliver::ExactlyOnce
    };
    for function in (0..chain.functions.len()).filter(|function| wants(*function)) {
        let at = places.placement.of[function];
        let url = places.placement.middlewares[at].to_string();
        places
            .at(at)
            .exactly_once()
            .map_err(|error| error.failure("deliver exactly once on", &url))?;
    }
    Ok(places)
}
