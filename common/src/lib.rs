//! The shared crate of faas-tools. Each module uses only those that stand
//! below it here:
//!
//! - `trigger`, `runner`, `top`: the jobs of whole tools
//! - `ping`: round trips through a queue of one's own
//! - `look`: messages as people see them, without taking them
//! - `transfer`, `invoker`: loops that move events, without and with a function
//! - `cli`: the edge all tools share
//! - `worker`: how a function is kept and called
//! - `chain`: the graph: model, validation, conditions, routing, ending
//! - `queue`: the middleware abstraction and a folder for each middleware
//! - `http`: HTTP/1.1 in the loop of a tool
//! - `event`: the message
//! - `config`: the configuration file, profiles and their passwords
//! - `jq`: programs in jq that see one event alone
//! - `load`: when messages are sent under a measured load
//! - `stats`: latencies, medians, ratios, the record of a measurement
//! - `poll`, `signals`, `clock`, `units`, `error`, `exit`, `limits`

pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dial;
pub mod error;
pub mod event;
pub mod exit;
pub mod http;
pub mod invoker;
pub mod journal;
pub mod jq;
pub mod limits;
pub mod load;
pub mod look;
pub mod ping;
pub mod poll;
pub mod queue;
pub mod runner;
pub mod signals;
pub mod stats;
pub mod top;
pub mod transfer;
pub mod trigger;
pub mod units;
pub mod worker;
