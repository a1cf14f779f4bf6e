//! How a function is kept and called.

pub mod end;
pub mod environment;
pub mod exec;
pub mod filter;
pub mod guard;
pub mod http;
pub mod keep;
mod output;
pub mod retry;
pub mod spool;
pub mod stderr;
pub mod stdin;
pub mod token;
