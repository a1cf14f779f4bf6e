//! The message: lossless on pipes and queues, whatever is in it.

mod lossless;
mod parsers;
mod shapes;
