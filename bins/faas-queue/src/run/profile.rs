//! Profiles: servers with names.

use super::{Outcome, connect};
use crate::cli::profile::{Add, List, Profile, ProfileVerb, Remove, Test};
use faas_common::cli::log::Log;
use faas_common::cli::shared::{queue_url, without_password};
use faas_common::cli::table;
use faas_common::config::{self, Config, ConfigError, Secret};
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::queue::QueueUrl;
use faas_common::units::show_duration;
use serde_json::json;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

pub fn profile(flags: &Profile) -> Outcome {
    match &flags.verb {
        ProfileVerb::Add(flags) => add(flags),
        ProfileVerb::Ls(flags) => list(flags),
        ProfileVerb::Rm(flags) => remove(flags),
        ProfileVerb::Test(flags) => test(flags),
    }
}

fn failed(action: &'static str, name: &str) -> impl FnOnce(ConfigError) -> Failure {
    let name = name.to_owned();
    move |error| Failure::new(Exit::Usage, action, name, &error.what).cure(error.cure)
}

fn add(flags: &Add) -> Outcome {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if flags.name.is_empty() || !flags.name.bytes().all(fits) {
        let reason = "a name has letters, digits, - and _";
        return Err(Failure::new(Exit::Usage, "add", &flags.name, reason).cure("prod-eu"));
    }
    if flags.url.starts_with('@') {
        let reason = "a profile is of a server, not of a profile";
        return Err(Failure::new(Exit::Usage, "add", &flags.name, reason).cure("its URL"));
    }
    let url = queue_url(&flags.url)?;
    if url == QueueUrl::Pipe || !url.name().is_empty() {
        let reason = format!("{} is a queue, and a profile is of a server", flags.url);
        let failure = Failure::new(Exit::Usage, "add", &flags.name, reason);
        return Err(failure.cure(format!(
            "{}, and @{}/QUEUE later",
            url.with_name(""),
            flags.name
        )));
    }
    let path = match flags.here {
        true => PathBuf::from("faas.toml"),
        false => config::user_file().ok_or_else(|| {
            let reason = "neither XDG_CONFIG_HOME nor HOME is set";
            Failure::new(Exit::Usage, "add", &flags.name, reason).cure("--here")
        })?,
    };
    let secret = secret(flags)?;
    config::add(&path, &flags.name, &flags.url, secret.as_ref())
        .map_err(failed("add", &flags.name))?;
    let said = format!("profile {} is in {}", flags.name, path.display());
    Log::new("faas-queue", false).line(&said);
    Ok(Exit::Done)
}

fn secret(flags: &Add) -> Result<Option<Secret>, Failure> {
    if let Some(file) = &flags.password_file {
        // It is read from wherever a tool is started.
        let path = match file.starts_with("~/") {
            true => PathBuf::from(file),
            false => std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file)),
        };
        return Ok(Some(Secret::File(path.display().to_string())));
    }
    if let Some(name) = &flags.password_env {
        return Ok(Some(Secret::Env(name.clone())));
    }
    if let Some(command) = &flags.password_command {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            let reason = "the command has no words";
            let failure = Failure::new(Exit::Usage, "add", &flags.name, reason);
            return Err(failure.cure("--password-command 'pass show redis'"));
        }
        return Ok(Some(Secret::Command(words)));
    }
    if !flags.password_plain {
        return Ok(None);
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::io("read", "the password", &error))?;
    Ok(Some(Secret::Plain(line.trim_end_matches(['\r', '\n']).to_owned())))
}

fn list(flags: &List) -> Outcome {
    let config = Config::load().map_err(failed("read", "the configuration"))?;
    let rows = config.profiles.iter().map(|(name, profile)| {
        let secret = profile.secret.as_ref().map(Secret::place);
        (name, without_password(&profile.url), secret, profile.file.display().to_string())
    });
    if flags.output == table::Listing::Json {
        let lines = rows.map(|(name, url, password, file)| {
            json!({ "profile": name, "url": url, "password": password, "file": file }).to_string()
        });
        return table::print(&lines.fold(String::new(), |all, line| all + &line + "\n"))
            .map(|()| Exit::Done);
    }
    let head = ["PROFILE", "URL", "PASSWORD", "FILE"];
    let rows = rows.map(|(name, url, secret, file)| {
        vec![format!("@{name}"), url, secret.unwrap_or_else(|| "-".to_owned()), file]
    });
    table::print(&table::table(&head, rows)).map(|()| Exit::Done)
}

fn remove(flags: &Remove) -> Outcome {
    let name = flags.name.trim_start_matches('@');
    // Also from a file that says what is not understood.
    for file in config::files() {
        if config::remove(&file, name).map_err(failed("remove", name))? {
            return Ok(Exit::Done);
        }
    }
    let failure = Failure::new(Exit::Unreachable, "remove", name, "there is no such profile");
    Err(failure.cure("faas-queue profile ls"))
}

fn test(flags: &Test) -> Outcome {
    let name = format!("@{}", flags.name.trim_start_matches('@'));
    let url = queue_url(&name)?;
    let begin = Instant::now();
    let connection = connect(&url)?;
    let took = show_duration(begin.elapsed());
    let title = connection.capabilities().title;
    table::print(&format!("{name} is {title} at {}, connected in {took}\n", url.without_query()))?;
    Ok(Exit::Done)
}
