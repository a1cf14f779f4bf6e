//! What is measured.

pub mod ahead;
mod brokers;
pub mod burst;
pub mod exec;
pub mod hop;
pub mod idle;
pub mod kafka_chain;
pub mod kafka_exact;
pub mod large;
pub mod looking;
pub mod put;
pub mod redis_chain;
pub mod saturation;
pub mod scale;

/// Rounds, of which the median counts.
const ROUNDS: usize = 9;
