//! A function behind a URL: an event is a POST (CloudEvents binary mode), the
//! status is the verdict, the body the output.
//!
//! - `endpoint`: where the URL leads
//! - `connection`: one connection, kept alive, with at most one call on it
//! - `reply`: from an answer to an output
//! - `server`: a function that we start, which listens on a port of its own

mod connection;
mod endpoint;
mod reply;
mod server;

pub use connection::{Connection, Question, Trouble};
pub use endpoint::{Endpoint, EndpointError};
pub use reply::Reply;
pub use server::{Server, free_port};
