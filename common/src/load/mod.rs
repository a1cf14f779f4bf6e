//! When messages are sent under a measured load, and what became of them.
//!
//! - `random`: random numbers that a seed makes again
//! - `arrivals`: when each message is to be sent, computed beforehand
//! - `pacer`: keeps to that plan by the clock, and notes where it could not
//! - `window`: which messages are under way, for as many as may be at once
//! - `runs`: the numbers that are done, in little memory
//!
//! Open loop: `Plan`, `Schedule` and `Pacer`; sending does not wait for
//! answers, as users do not wait for each other. Closed loop: `Window` alone;
//! the next is sent when there is room. Only `pacer` looks at a clock.

mod arrivals;
mod pacer;
mod random;
mod runs;
mod window;

pub use arrivals::{Arrivals, Extent, Plan, PlanError, Schedule};
pub use pacer::{Due, Pacer};
pub use random::SplitMix64;
pub use window::{Window, WindowError};
