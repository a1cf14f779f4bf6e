//! A question before what cannot be undone.

use crate::error::{Failure, Result};
use crate::exit::Exit;
use std::io::{BufRead, IsTerminal, Write};

/// Whether to go on: asked on a terminal, taken as said with `yes`.
///
/// # Errors
/// There is nobody to ask.
pub fn confirm(action: &str, object: &str, what: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let reason = format!("that removes {what}, and there is nobody to ask");
        return Err(Failure::new(Exit::Usage, action, object, reason).cure("--yes, or --dry-run"));
    }
    eprint!("{action} {object}: that removes {what}. Go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    // Who ends the input has not said yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `1 message`, `7 messages`.
pub fn messages(count: u64) -> String {
    format!("{count} message{}", if count == 1 { "" } else { "s" })
}
