//! The chain: which functions there are, and which output goes where, when.
//! Everything here is pure but for reading the file and looking up programs.

pub mod condition;
pub mod delivery;
pub mod draw;
pub mod ending;
pub mod flaw;
mod gate;
mod graph;
pub mod join;
mod model;
pub mod naming;
mod parse;
mod placement;
pub mod plan;
pub mod program;
pub mod route;
mod rules;
pub mod scopes;
mod source;
mod validate;

pub use delivery::check_deliver;
pub use flaw::{ChainError, Flaw};
pub use gate::{Note, gate, notes};
pub use model::{
    Chain, Deliver, Emit, Empty, ExitAction, Failed, Function, FunctionInput, Join, KeepWarm,
    Layout, QueueWish, Rule, RunSpec, Target, WorkerKind,
};
pub use placement::Placement;
pub use rules::Rules;
pub use scopes::Scopes;
pub use validate::flaws_of;

use crate::event::id;
use std::path::Path;

/// Reads and validates a chain file.
///
/// # Errors
/// [`ChainError`] with every flaw found, each with its place and its cure.
pub fn load(path: &Path) -> Result<Chain, ChainError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ChainError::Read(path.to_owned(), error))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    };
    let folder = folder.canonicalize().unwrap_or(folder);
    let mut chain =
        parse_text(&text, &folder).map_err(|flaws| ChainError::Flaws(path.to_owned(), flaws))?;
    chain.file = path.canonicalize().ok();
    Ok(chain)
}

/// Reads and validates a chain from text; relative programs are looked up in
/// `folder`.
///
/// # Errors
/// Every flaw found, in the order of the text.
pub fn parse_text(text: &str, folder: &Path) -> Result<Chain, Vec<Flaw>> {
    let (mut chain, mut flaws) = parse::parse(text)?;
    chain.digest = id::digest(text.as_bytes());
    folder.clone_into(&mut chain.folder);
    if flaws.is_empty() {
        flaws = validate::validate(&chain, text);
    }
    flaws.sort_by_key(|flaw| (flaw.line, flaw.column));
    if flaws.is_empty() { Ok(chain) } else { Err(flaws) }
}
