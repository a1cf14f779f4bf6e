//! What measurements come to, and how they are written down. Pure: takes no
//! clock, file or socket.
//!
//! - `histogram`: latencies, many of them, in little memory
//! - `median`: the middle of a few rounds, and how far they spread
//! - `ratio`: one subject against another, round by round
//! - `goal`: what a figure is to reach
//! - `record`: the lines a measurement leaves behind, for people and programs

mod goal;
mod histogram;
mod median;
mod ratio;
mod record;

pub use goal::{Goal, GoalError};
pub use histogram::{Latencies, Percentiles};
pub use median::{Spread, median};
pub use ratio::{Ratio, RatioError, Verdict};
pub use record::{Head, Host, Latency, Line, Measure, Parameters, RatioLine, RecordError, SCHEMA};
