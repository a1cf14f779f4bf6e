//! Man pages and completions, made from the flags.

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
        Generate::Bash => {
            clap_complete::generate(clap_complete::Shell::Bash, &mut command, name, &mut out)
        }
        Generate::Zsh => {
            clap_complete::generate(clap_complete::Shell::Zsh, &mut command, name, &mut out)
        }
        Generate::Fish => {
            clap_complete::generate(clap_complete::Shell::Fish, &mut command, name, &mut out)
        }
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
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let title = format!("{name} {}", verb.get_name());
        let _ = writeln!(out, ".SH \"{}\"", title.to_uppercase());
        let verb_page = clap_mangen::Man::new(verb.clone().bin_name(title));
        let mut body = Vec::new();
        let _ = verb_page.render_synopsis_section(&mut body);
        let _ = verb_page.render_description_section(&mut body);
        let _ = verb_page.render_options_section(&mut body);
        let _ = verb_page.render_extra_section(&mut body);
        let text = String::from_utf8_lossy(&body).replace(".SH ", ".SS ");
        out.extend_from_slice(text.as_bytes());
    }
    let _ = page.render_extra_section(out);
}
