//! `faas-queue top`: queues on a full screen, and the messages in them.
//!
//! - `model`: what is shown and what keys do. Pure
//! - `opened`: the queue that is open. Pure
//! - `parts`: what the model is made of. Pure
//! - `body`, `json`, `fold`: a body as lines, and what of it is folded. Pure
//! - `message`: a message as rows. Pure
//! - `draw`: the model on a screen
//! - `watch`: threads that ask middlewares, and what they tell
//! - `screen`: the loop
//! - `plain`: rows, for a pipe

mod body;
mod draw;
mod fold;
mod json;
mod message;
mod model;
mod opened;
mod parts;
mod plain;
mod screen;
mod watch;

pub use plain::print_rows;
pub use screen::show;

use crate::queue::QueueUrl;
use std::time::Duration;

/// What to watch.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Middlewares, or queues of them.
    pub urls: Vec<QueueUrl>,
    /// Only queues of this run.
    pub run: Option<String>,
    /// How often to look.
    pub every: Duration,
}
