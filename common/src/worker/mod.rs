//! How a function is kept and called.

pub mod environment;
pub mod exec;
pub mod guard;
pub mod retry;
pub mod stdin;
