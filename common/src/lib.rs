//! The shared crate of faas-tools. Each module uses only those that stand
//! below it here:
//!
//! - `trigger`, `runner`: the jobs of whole tools
//! - `transfer`, `invoker`: loops that move events, without and with a function
//! - `cli`: the edge all tools share
//! - `worker`: how a function is kept and called
//! - `chain`: the graph: model, validation, conditions, routing, ending
//! - `queue`: the middleware abstraction and a folder for each middleware
//! - `event`: the message
//! - `poll`, `signals`, `clock`, `units`, `error`, `exit`, `limits`

pub mod chain;
pub mod cli;
pub mod clock;
pub mod error;
pub mod event;
pub mod exit;
pub mod invoker;
pub mod journal;
pub mod limits;
pub mod poll;
pub mod queue;
pub mod runner;
pub mod signals;
pub mod transfer;
pub mod trigger;
pub mod units;
pub mod worker;
