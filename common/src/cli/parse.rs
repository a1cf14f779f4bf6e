//! From the words of a command line to flags. What a flag is, is said by the
//! command line, else by the environment, else by `./faas.toml`, else by the
//! file of the user, else by the tool.

use super::complete;
use crate::config::{Config, Setting};
use crate::error::Failure;
use crate::exit::Exit;
use crate::units::nearest;
use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

/// Switches that may be on by default; the others are for a single command.
const SWITCHES: [&str; 3] = ["exact", "quiet", "verbose"];
/// What says which things a command is about: nobody wants it by default.
const OBJECTS: [&str; 10] =
    ["chain", "from", "functions", "id", "ready-fd", "redrive", "resume", "run", "to", "url"];

/// Reads the command line. Asked for help, or for completion by a shell, it
/// answers and ends the process; so it does when the usage is wrong.
///
/// # Errors
/// The configuration cannot be read, or gives a flag what it cannot have.
pub fn parse<C: Parser>() -> Result<C, Vec<Failure>> {
    if complete::answered(C::command) {
        std::process::exit(0);
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let command = C::command();
    let tried = command.clone().try_get_matches_from(&words);
    let matches = tried.unwrap_or_else(|error| error.exit());
    let asked = Asked::new(&command, &matches);
    let settings = match takes_settings(&command, &matches, &asked.place) {
        true => settings(&command, &asked).map_err(|failure| vec![failure])?,
        false => Vec::new(),
    };
    let place = asked.place;
    let matches = match settings.is_empty() {
        true => matches,
        false => with(command, &place, &settings)
            .try_get_matches_from(&words)
            .map_err(|error| vec![of_setting(&error, &settings)])?,
    };
    // The flags are made from the same command.
    Ok(C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// What a command line asks for.
struct Asked<'a> {
    /// The tool, and its verbs.
    place: Vec<String>,
    /// The last verb, or the tool.
    command: &'a Command,
    matches: &'a ArgMatches,
}

impl<'a> Asked<'a> {
    fn new(tool: &'a Command, matches: &'a ArgMatches) -> Self {
        let mut asked = Self { place: vec![tool.get_name().to_owned()], command: tool, matches };
        while let Some((verb, matches)) = asked.matches.subcommand()
            && let Some(command) = asked.command.find_subcommand(verb)
        {
            asked.place.push(verb.to_owned());
            (asked.command, asked.matches) = (command, matches);
        }
        asked
    }

    /// Whether a flag is on the command line that this one cannot be together
    /// with.
    fn excludes(&self, flag: &str) -> bool {
        let is_given = |arg: &&Arg| {
            let source = self.matches.value_source(arg.get_id().as_str());
            source == Some(ValueSource::CommandLine)
        };
        let excludes = |one: &Arg, other: &Arg| {
            let others = self.command.get_arg_conflicts_with(one);
            others.iter().any(|arg| arg.get_id() == other.get_id())
        };
        let mut args = self.command.get_arguments();
        let Some(own) = args.find(|arg| arg.get_long() == Some(flag)) else { return false };
        let mut given = self.command.get_arguments().filter(is_given);
        given.any(|arg| excludes(own, arg) || excludes(arg, own))
    }
}

/// Not where another tool of ours has given every flag and hears of it through
/// a descriptor, nor where the configuration itself is worked on.
fn takes_settings(command: &Command, matches: &ArgMatches, place: &[String]) -> bool {
    let told = |arg: &Arg| {
        let is_named = arg.get_id().as_str().ends_with("_fd") || arg.get_id() == "generate";
        is_named && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let is_child = command.get_arguments().filter(|arg| arg.is_hide_set()).any(told);
    !is_child && place.get(1).is_none_or(|verb| verb != "profile")
}

/// All that the environment and the files say of what is asked for, but what
/// cannot be together with a flag that is on the command line.
fn settings(tool: &Command, asked: &Asked) -> Result<Vec<Setting>, Failure> {
    let place = &asked.place;
    let config = Config::load().map_err(|error| {
        Failure::new(Exit::Usage, "read", "the configuration", &error.what).cure(error.cure)
    })?;
    if let Some(error) = &config.left_out {
        let _ = writeln!(std::io::stderr(), "{}: {error}; it is left out", tool.get_name());
    }
    for setting in config.settings.iter().filter(|setting| setting.place[0] == place[0]) {
        check(tool, setting)?;
    }
    let in_files = config.settings.into_iter().filter(|setting| setting.place == *place);
    let mut settings: Vec<Setting> = in_files.collect();
    for arg in asked.command.get_arguments().filter(|arg| is_settable(arg)) {
        let Some(flag) = arg.get_long() else { continue };
        let mut names = vec![variable(place, flag)];
        names.extend((flag == "via").then(|| "FAAS_VIA".to_owned()));
        let said = names.into_iter().find_map(|name| {
            let value = std::env::var(&name).ok().filter(|value| !value.is_empty())?;
            Some((value, name))
        });
        if let Some((value, name)) = said {
            settings.retain(|setting| setting.flag != flag);
            let (place, flag) = (place.clone(), flag.to_owned());
            settings.push(Setting { place, flag, value, file: PathBuf::from(name) });
        }
    }
    settings.retain(|setting| !asked.excludes(&setting.flag));
    Ok(settings)
}

/// `FAAS_QUEUE_GET_OUTPUT`.
fn variable(place: &[String], flag: &str) -> String {
    format!("{}_{flag}", place.join("_")).replace('-', "_").to_ascii_uppercase()
}

fn is_settable(arg: &Arg) -> bool {
    let Some(flag) = arg.get_long().filter(|flag| !OBJECTS.contains(flag)) else { return false };
    let is_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    !arg.is_hide_set() && (is_value || SWITCHES.contains(&flag))
}

/// Whether the tool has such a verb, with such a flag.
fn check(command: &Command, setting: &Setting) -> Result<(), Failure> {
    let wrong = |what: String, cure: String| {
        let what = format!("{}: {what}", setting.file.display());
        Failure::new(Exit::Usage, "read", "the configuration", what).cure(cure)
    };
    let mut command = command;
    for verb in &setting.place[1..] {
        command = command.find_subcommand(verb).ok_or_else(|| {
            let verbs = command.get_subcommands().map(Command::get_name);
            let near =
                nearest(verb, verbs).unwrap_or_else(|| format!("{} --help", setting.place[0]));
            wrong(format!("{} has no verb {verb}", setting.place[0]), near)
        })?;
    }
    let known = command.get_arguments().filter(|arg| is_settable(arg));
    let known: Vec<&str> = known.filter_map(Arg::get_long).collect();
    if known.contains(&setting.flag.as_str()) {
        return Ok(());
    }
    if command.get_arguments().any(|arg| arg.get_long() == Some(setting.flag.as_str())) {
        let what = format!("{} is for a single command, not for all", setting.name());
        return Err(wrong(what, format!("--{}, on the command line", setting.flag)));
    }
    let near = nearest(&setting.flag, known.iter().copied());
    let near = near.unwrap_or_else(|| match known.is_empty() {
        true => format!("[{}.VERB], and the flag under it", setting.place[0]),
        false => known.join(", "),
    });
    Err(wrong(format!("{} is nothing to set", setting.name()), near))
}

/// The command, with these values for flags that are not given.
fn with(command: Command, place: &[String], settings: &[Setting]) -> Command {
    if let Some(verb) = place.get(1) {
        return command.mut_subcommand(verb, |verb| with(verb, &place[1..], settings));
    }
    let value = |arg: Arg| {
        let own = settings.iter().find(|setting| arg.get_long() == Some(setting.flag.as_str()));
        match own {
            Some(own) if SWITCHES.contains(&own.flag.as_str()) => {
                arg.value_parser(BoolishValueParser::new()).default_value(own.value.clone())
            }
            Some(own) => arg.default_value(own.value.clone()),
            None => arg,
        }
    };
    command.mut_args(value)
}

/// A value that the flag cannot have: where it stands, and what clap says.
fn of_setting(error: &clap::Error, settings: &[Setting]) -> Failure {
    let arg = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.as_str(),
        _ => "",
    };
    let is_it = |setting: &&Setting| {
        arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(setting.flag.as_str())).is_some_and(
            |rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-'),
        )
    };
    let place = settings.iter().find(is_it).map_or_else(
        || "the configuration".to_owned(),
        |setting| match setting.file.extension() {
            Some(_) => format!("{}, in {}", setting.name(), setting.file.display()),
            None => setting.file.display().to_string(),
        },
    );
    let said = error.to_string();
    let said: Vec<&str> = said.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
    Failure::new(Exit::Usage, "use", place, said)
}
