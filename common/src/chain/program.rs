//! Where a function's program is.

use super::model::{Chain, Function, RunSpec};
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};

/// Why a program cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A path that leads to nothing.
    #[error("no program at {}", .0.display())]
    NotThere(PathBuf),
    /// A name that is nowhere on PATH.
    #[error("no program `{0}` on PATH")]
    NotOnPath(String),
    /// A file without permission to run it, or a folder.
    #[error("{} is not executable", .0.display())]
    NotExecutable(PathBuf),
}

impl Missing {
    /// What to try.
    pub fn cure(&self) -> String {
        match self {
            Self::NotThere(path) => format!("ls -l {}", path.display()),
            Self::NotOnPath(name) => format!("./{name}, or install {name}"),
            Self::NotExecutable(path) => format!("chmod +x {}", path.display()),
        }
    }
}

/// Finds a program as a shell would: a name with a slash relative to
/// `folder`, any other on PATH.
///
/// # Errors
/// [`Missing`]: it is not there or cannot be run.
pub fn find(name: &str, folder: &Path) -> Result<PathBuf, Missing> {
    if name.contains('/') {
        let path: PathBuf = folder.join(name).components().collect();
        if !path.exists() {
            return Err(Missing::NotThere(path));
        }
        return if is_executable(&path) { Ok(path) } else { Err(Missing::NotExecutable(path)) };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut candidates = std::env::split_paths(&path).map(|dir| folder.join(dir).join(name));
    candidates.find(|path| is_executable(path)).ok_or_else(|| Missing::NotOnPath(name.to_owned()))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// What a process of this function is started from.
///
/// # Errors
/// [`Missing`]: its program is not there or cannot be run.
pub fn run_spec(chain: &Chain, function: &Function) -> Result<RunSpec, Missing> {
    let run = function.run.as_deref().unwrap_or_default();
    let (name, args) =
        run.split_first().ok_or_else(|| Missing::NotOnPath(function.name.clone()))?;
    Ok(RunSpec {
        program: find(name, &chain.folder)?,
        name: name.clone(),
        args: args.to_vec(),
        folder: chain.folder.clone(),
        env: function.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}
