//! The frame around every tool's `run`: failures shown, exit code returned.

use crate::error::Failure;
use crate::exit::Exit;
use std::io::Write;
use std::process::ExitCode;

/// Runs a tool: shows its failures on stderr and turns what comes back into
/// an exit code. A panic is a bug of ours: exit 70.
pub fn run(
    tool: &'static str,
    body: impl FnOnce() -> Result<Exit, Vec<Failure>> + std::panic::UnwindSafe,
) -> ExitCode {
    let exit = match std::panic::catch_unwind(body) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failures)) => {
            let mut exit = Exit::Done;
            for failure in &failures {
                let _ = writeln!(std::io::stderr(), "{tool}: {failure}");
                exit = exit.worst(failure.exit);
            }
            exit
        }
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "{tool}: this is a bug of ours; please report it");
            Exit::Bug
        }
    };
    exit.into()
}
