//! What people see of messages: which of them, in which shape; and following
//! a queue without taking from it.

mod filter;
mod numbers;
mod printer;
mod show;
mod template;

pub use filter::Filter;
pub use printer::{LookShape, Printer};
pub(crate) use printer::{glance, place_of};
pub use show::{Look, look};
pub use template::Template;
