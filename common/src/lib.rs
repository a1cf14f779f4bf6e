//! The shared crate of faas-tools. Read it from the bottom of this list up:
//! each module uses only what stands below it.

pub mod chain;
pub mod cli;
pub mod clock;
pub mod error;
pub mod event;
pub mod exit;
pub mod invoker;
pub mod limits;
pub mod poll;
pub mod queue;
pub mod runner;
pub mod signals;
pub mod transfer;
pub mod trigger;
pub mod units;
pub mod worker;
