//! What all tools share at their edge: how they talk, what they print, how
//! they end.

pub mod complete;
pub mod confirm;
pub mod fit;
pub mod generate;
pub mod log;
pub mod main;
pub mod meter;
pub mod parse;
pub mod queue;
pub mod shared;
pub mod table;
