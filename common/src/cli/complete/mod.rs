//! Completion, live: a shell asks the tool itself what could stand at a place
//! of its command line, so queues, runs and profiles are those that there are
//! at that moment.
//!
//! The shell's side is a script for each shell. It sets [`VARIABLE`] to the
//! place of the word to be completed (counted from 0; what is no number means
//! the last), and gives the words after `--`. The answer is a line for each
//! candidate, with a tab and a hint behind those that have one.

mod names;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use std::ffi::OsString;
use std::io::Write as _;

/// Set when a shell asks.
pub const VARIABLE: &str = "_FAAS_COMPLETE";

const BASH: &str = include_str!("completion.bash");
const ZSH: &str = include_str!("completion.zsh");
const FISH: &str = include_str!("completion.fish");

/// The script for bash.
pub fn bash(tool: &str) -> String {
    script(BASH, tool)
}

/// The script for zsh.
pub fn zsh(tool: &str) -> String {
    script(ZSH, tool)
}

/// The script for fish.
pub fn fish(tool: &str) -> String {
    script(FISH, tool)
}

fn script(template: &str, tool: &str) -> String {
    template.replace("FUNCTION", &tool.replace('-', "_")).replace("TOOL", tool)
}

/// Answers a shell on stdout; false when none has asked.
pub fn answered(command: impl FnOnce() -> Command) -> bool {
    let Some(place) = std::env::var_os(VARIABLE) else { return false };
    let mut words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").collect();
    if words.is_empty() {
        return false;
    }
    words.remove(0);
    let last = words.len().saturating_sub(1);
    let place = place.to_str().and_then(|place| place.parse().ok()).unwrap_or(last).min(last);
    let is_empty = words.get(place).is_none_or(|word| word.is_empty());
    let here = std::env::current_dir().ok();
    let mut command = with_names(command());
    // Without an answer the shell offers what it offers by itself.
    let found = clap_complete::engine::complete(&mut command, words, place, here.as_deref());
    let _ = std::io::stdout().write_all(shown(found.unwrap_or_default(), is_empty).as_bytes());
    true
}

/// A line for each candidate. Flags are offered before anything was typed only
/// where there is nothing else.
fn shown(found: Vec<CompletionCandidate>, is_empty: bool) -> String {
    let is_flag = |one: &CompletionCandidate| one.get_value().to_string_lossy().starts_with('-');
    let hides_flags = is_empty && found.iter().any(|one| !is_flag(one));
    let mut text = String::new();
    for one in found.iter().filter(|one| !(hides_flags && is_flag(one))) {
        let value = one.get_value().to_string_lossy();
        let hint = one.get_help().map(ToString::to_string).unwrap_or_default();
        let hint = hint.lines().next().unwrap_or_default();
        match hint.is_empty() {
            true => text.push_str(&value),
            false => text.push_str(&format!("{value}\t{hint}")),
        }
        text.push('\n');
    }
    text
}

/// The same command, whose arguments know what they can be.
fn with_names(command: Command) -> Command {
    let verbs: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let is_profile = command.get_name() == "profile";
    let command = command.mut_args(|arg| named(arg, is_profile));
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| match is_profile {
            true => verb.mut_args(|arg| named(arg, true)),
            false => with_names(verb),
        })
    })
}

fn named(arg: Arg, is_profile: bool) -> Arg {
    let what = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    match what {
        // The URL of a function, not of a queue.
        Some("URL") if arg.get_long() == Some("url") => arg,
        Some("URL" | "FROM" | "TO" | "SOURCE") => arg.add(ArgValueCompleter::new(names::queues)),
        Some("RUN") => arg.add(ArgValueCompleter::new(names::runs)),
        Some("NAME") if arg.get_long() == Some("run") => {
            arg.add(ArgValueCompleter::new(names::runs))
        }
        Some("NAME") if is_profile && arg.is_positional() => {
            arg.add(ArgValueCompleter::new(names::profiles))
        }
        Some("PROGRAM") => arg.add(ArgValueCompleter::new(PathCompleter::any())),
        _ => arg,
    }
}
