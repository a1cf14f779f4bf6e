//! The table of middlewares. Adding one is a folder beside this file and a
//! line in [`MIDDLEWARES`].

#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(feature = "redis")]
use super::redis;
use super::{Capabilities, Connection, QueueError, QueueUrl, mem, mqueue};

/// One line of the table.
pub struct Middleware {
    /// What it can do.
    pub capabilities: &'static Capabilities,
    /// Connects to the middleware of a URL.
    pub connect: fn(url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError>,
}

/// All middlewares of this build.
pub static MIDDLEWARES: &[Middleware] = &[
    Middleware { capabilities: &mqueue::CAPABILITIES, connect: mqueue::connect },
    #[cfg(feature = "redis")]
    Middleware { capabilities: &redis::CAPABILITIES, connect: redis::connect },
    #[cfg(feature = "redis")]
    Middleware { capabilities: &redis::CAPABILITIES_TLS, connect: redis::connect },
    #[cfg(feature = "kafka")]
    Middleware { capabilities: &kafka::CAPABILITIES, connect: kafka::connect },
    Middleware { capabilities: &mem::CAPABILITIES, connect: mem::connect },
];

/// The middleware of a scheme.
pub fn find(scheme: &str) -> Option<&'static Middleware> {
    MIDDLEWARES.iter().find(|m| m.capabilities.scheme == scheme)
}

/// Connects to the middleware of a URL.
///
/// # Errors
/// The middleware cannot be reached, or its queues live inside one process
/// and no other could ever see them.
pub fn connect(url: &QueueUrl) -> Result<Box<dyn Connection>, QueueError> {
    let refused = |what: &str| QueueError::Refused {
        what: what.to_owned(),
        alternative: "a queue on this host, such as mq:/NAME".to_owned(),
    };
    let QueueUrl::Queue { scheme, .. } = url else {
        return Err(refused("- is a pipe, not a queue"));
    };
    let middleware = find(scheme).ok_or_else(|| refused("no such middleware"))?;
    if !middleware.capabilities.between_processes {
        return Err(refused("its queues live inside one process"));
    }
    (middleware.connect)(url)
}
