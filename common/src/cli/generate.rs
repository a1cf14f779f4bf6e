//! Man pages and completions, made from the flags.

use super::complete;
use crate::exit::Exit;
use clap::{Command, ValueEnum};
use std::io::Write;

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// The man page, roff.
    Man,
    /// Completion for bash.
    Bash,
    /// Completion for zsh.
    Zsh,
    /// Completion for fish.
    Fish,
}

/// Prints it on stdout.
pub fn print(mut command: Command, what: Generate) -> Exit {
    let name = command.get_name().to_owned();
    let mut out = Vec::new();
    match what {
        Generate::Man => {
            command = command.disable_help_subcommand(true);
            command.build();
            man(&command, &name, &mut out);
        }
        Generate::Bash => out.extend_from_slice(complete::bash(&name).as_bytes()),
        Generate::Zsh => out.extend_from_slice(complete::zsh(&name).as_bytes()),
        Generate::Fish => out.extend_from_slice(complete::fish(&name).as_bytes()),
    }
    match std::io::stdout().write_all(&out) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::SomeFailed,
    }
}

/// One page for a tool and its verbs. Writing to memory does not fail.
fn man(command: &Command, name: &str, out: &mut Vec<u8>) {
    let page =
        clap_mangen::Man::new(command.clone()).date("").source("faas-tools").manual("faas-tools");
    let _ = page.render_title(out);
    let _ = page.render_name_section(out);
    let _ = page.render_synopsis_section(out);
    let _ = page.render_description_section(out);
    let _ = page.render_options_section(out);
    verbs(command, name, out);
    out.extend_from_slice(ending(&page, ".SH").as_bytes());
}

/// A section for each verb, and for the verbs it has itself.
fn verbs(command: &Command, name: &str, out: &mut Vec<u8>) {
    let is_shown = |verb: &&Command| !verb.is_hide_set() && verb.get_name() != "help";
    for verb in command.get_subcommands().filter(is_shown) {
        let title = format!("{name} {}", verb.get_name());
        let _ = writeln!(out, ".SH \"{}\"", title.to_uppercase());
        let verb_page = clap_mangen::Man::new(verb.clone().bin_name(&title));
        let mut body = Vec::new();
        let _ = verb_page.render_synopsis_section(&mut body);
        let _ = verb_page.render_description_section(&mut body);
        let _ = verb_page.render_options_section(&mut body);
        let text = String::from_utf8_lossy(&body).replace(".SH ", ".SS ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(ending(&verb_page, ".SS").as_bytes());
        verbs(verb, &title, out);
    }
}

/// What stands below the flags in `--help`, under the headings that readers of
/// man pages look for.
fn ending(page: &clap_mangen::Man, heading: &str) -> String {
    let mut rendered = Vec::new();
    let _ = page.render_extra_section(&mut rendered);
    let rendered = String::from_utf8_lossy(&rendered);
    let text = rendered.split_once(" EXTRA\n").map_or("", |(_, text)| text);
    let (mut ending, mut under) = (String::new(), "");
    for line in text.lines() {
        let (title, line) = match line {
            "Examples:" => ("EXAMPLES", ""),
            _ if line.starts_with("Exit codes: ") => ("EXIT STATUS", &line["Exit codes: ".len()..]),
            _ if line.starts_with("Flags can be set in ") => ("FILES", line),
            // What follows examples without their indent is another matter.
            _ if under == "EXAMPLES" && line.starts_with(|first: char| first != ' ') => {
                ("NOTES", line)
            }
            _ if under.is_empty() && !line.is_empty() => ("NOTES", line),
            _ => (under, line),
        };
        if title != under {
            ending = ending.trim_end().to_owned() + if ending.is_empty() { "" } else { "\n" };
            ending.push_str(&format!("{heading} \"{title}\"\n"));
            under = title;
        }
        if !(line.is_empty() && ending.ends_with("\"\n")) {
            ending.push_str(line);
            ending.push('\n');
        }
    }
    ending
}
