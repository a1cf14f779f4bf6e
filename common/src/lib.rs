//! The shared crate of faas-tools. Read it from the bottom of this list up:
//! each module uses only what stands below it.

pub mod event;
pub mod units;
pub mod clock;
pub mod error;
pub mod exit;
pub mod limits;
