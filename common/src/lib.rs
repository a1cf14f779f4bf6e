//! The shared crate of faas-tools. Read it from the bottom of this list up:
//! each module uses only what stands below it.

pub mod trigger;
pub mod runner;
pub mod transfer;
pub mod invoker;
pub mod cli;
pub mod worker;
pub mod chain;
pub mod queue;
pub mod poll;
pub mod signals;
pub mod event;
pub mod units;
pub mod clock;
pub mod error;
pub mod exit;
pub mod limits;
