//! HTTP/1.1 in the one loop of a tool, without threads: the library (hyper)
//! reads and writes the protocol, our epoll set says when a socket is ready.
//!
//! - `socket`: a socket that never blocks, as hyper wants it
//! - `task`: a future that is polled when its socket is ready
//! - `binding`: events as HTTP messages (CloudEvents HTTP binding 1.0)
//! - `visitor`: a connection of somebody who asks us
//! - `body`: bodies on their way out, from memory or from a file

pub mod binding;
pub mod body;
pub mod socket;
pub mod task;
pub mod visitor;
