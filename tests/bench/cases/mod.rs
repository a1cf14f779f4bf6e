//! What is measured.

pub mod ahead;
pub mod burst;
pub mod exec;
pub mod hop;
pub mod idle;
pub mod large;
pub mod saturation;
pub mod scale;

/// Rounds, of which the median counts.
const ROUNDS: usize = 9;
