//! The shared crate of faas-tools. Read it from the bottom of this list up:
//! each module uses only what stands below it.

pub mod worker;
pub mod chain;
pub mod queue;
pub mod poll;
pub mod event;
pub mod units;
pub mod clock;
pub mod error;
pub mod exit;
pub mod limits;
