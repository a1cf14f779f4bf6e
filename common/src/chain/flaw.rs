//! What is wrong with a chain file, where, and what would be right.

use crate::error::Failure;
use crate::exit::Exit;
use std::path::PathBuf;

/// One flaw of a chain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The object: `functions.price.retries`, `rules[2].to`.
    pub object: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub cure: String,
}

/// Why a chain file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It cannot be read.
    #[error("cannot read {}: {}", .0.display(), crate::error::plain_io(.1))]
    Read(PathBuf, std::io::Error),
    /// It has flaws.
    #[error("{} has {} flaws", .0.display(), .1.len())]
    Flaws(PathBuf, Vec<Flaw>),
}

impl ChainError {
    /// One failure for each flaw, as a person is told of them.
    pub fn failures(&self, action: &str) -> Vec<Failure> {
        match self {
            Self::Read(path, error) => {
                let mut failure = Failure::io("read", path.display().to_string(), error);
                failure.exit = Exit::Usage;
                vec![failure.cure("the path of a chain file, such as chain.json")]
            }
            Self::Flaws(path, flaws) => flaws
                .iter()
                .map(|flaw| {
                    let object = format!("{}:{}:{}", path.display(), flaw.line, flaw.column);
                    let reason = if flaw.object.is_empty() {
                        flaw.what.clone()
                    } else {
                        format!("{}: {}", flaw.object, flaw.what)
                    };
                    Failure::new(Exit::Usage, action, object, reason).cure(&flaw.cure)
                })
                .collect(),
        }
    }
}
