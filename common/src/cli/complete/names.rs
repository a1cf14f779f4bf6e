//! Names that a command line could go on with: queues, runs, profiles.

use crate::cli::confirm::messages;
use crate::config::{Config, Secret};
use crate::queue::{MIDDLEWARES, QueueStat, QueueUrl, connect};
use clap_complete::engine::CompletionCandidate;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take before whoever pressed TAB goes on typing.
const ANSWER_MAX: Duration = Duration::from_millis(1500);
/// How long it may take longer to tell how much is in its queues.
const COUNT_MAX: Duration = Duration::from_millis(300);

/// Queues whose address begins like this. Servers and profiles are offered as
/// far as their slash: behind it are their queues.
pub fn queues(begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else { return Vec::new() };
    let mut found = Vec::new();
    if let Some((base, url)) = place_of(begun) {
        found = queues_at(&base, &url);
    } else {
        found.extend(servers(begun));
        if "mq:/".starts_with(begun) {
            found.extend(queues_at("mq:/", &QueueUrl::local("mq", "")));
        }
    }
    found.retain(|one| one.get_value().to_string_lossy().starts_with(begun));
    found
}

/// Runs that have queues on this host.
pub fn runs(begun: &OsStr) -> Vec<CompletionCandidate> {
    let stats = listed(QueueUrl::local("mq", ""));
    let names: BTreeSet<String> = stats.into_iter().filter_map(|(_, stat)| stat?.run).collect();
    let begun = begun.to_string_lossy();
    let fitting = names.into_iter().filter(|name| name.starts_with(begun.as_ref()));
    fitting.map(CompletionCandidate::new).collect()
}

/// Profiles by their bare names.
pub fn profiles(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let config = Config::load().unwrap_or_default();
    let fitting = config.profiles.into_iter().filter(|(name, _)| name.starts_with(begun.as_ref()));
    fitting
        .map(|(name, profile)| CompletionCandidate::new(name).help(Some(profile.url.into())))
        .collect()
}

/// What can stand before the name of a queue.
fn servers(begun: &str) -> Vec<CompletionCandidate> {
    let profiles =
        Config::load().unwrap_or_default().profiles.into_iter().map(|(name, profile)| {
            CompletionCandidate::new(format!("@{name}/")).help(Some(profile.url.into()))
        });
    let schemes = MIDDLEWARES.iter().map(|middleware| middleware.capabilities);
    let schemes = schemes.filter(|capabilities| capabilities.between_processes);
    let schemes = schemes.map(|capabilities| {
        let slashes = if capabilities.scheme == "mq" { "/" } else { "//" };
        CompletionCandidate::new(format!("{}:{slashes}", capabilities.scheme))
            .help(Some(capabilities.title.into()))
    });
    let wants_all = !begun.is_empty();
    profiles.chain(schemes.filter(|_| wants_all)).collect()
}

/// What of an address is before the queue's name, and the middleware that is.
/// None while it does not name a server yet.
fn place_of(begun: &str) -> Option<(String, QueueUrl)> {
    // Options may name a profile, and are written at the end.
    let (place, _) = begun.rsplit_once('/').filter(|_| !begun.contains('?'))?;
    let is_profile = begun.starts_with('@');
    if is_profile && asks_somebody(place.trim_start_matches('@')) {
        return None;
    }
    if !is_profile && place.ends_with('/') {
        // `redis://ho`: still the server.
        return None;
    }
    let url = QueueUrl::parse(&format!("{place}/")).ok()?;
    Some((format!("{place}/"), url))
}

/// Whether a program has to be run for the password of a profile: it might
/// ask for something, in the middle of a line that is being typed.
fn asks_somebody(profile: &str) -> bool {
    let config = Config::load().unwrap_or_default();
    let secret = config.profiles.get(profile).and_then(|profile| profile.secret.as_ref());
    matches!(secret, Some(Secret::Command(_)))
}

fn queues_at(base: &str, url: &QueueUrl) -> Vec<CompletionCandidate> {
    let mut found = Vec::new();
    for (name, stat) in listed(url.clone()) {
        let address = format!("{base}{name}");
        // One that cannot be written this way would lead to another.
        if QueueUrl::parse(&address).is_ok_and(|parsed| parsed.name() == name) {
            let hint = stat.map(|stat| messages(stat.depth + stat.held).into());
            found.push(CompletionCandidate::new(address).help(hint));
        }
    }
    found
}

/// The queues of a middleware, and what is in them where that is told soon
/// too; none when it does not answer.
fn listed(url: QueueUrl) -> Vec<(String, Option<QueueStat>)> {
    let (told, answer) = mpsc::channel();
    // It is left to itself when it takes too long: this process ends soon.
    std::thread::spawn(move || {
        let Ok(mut connection) = connect(&url) else { return };
        let names = connection.names().unwrap_or_default();
        let _ = told.send(names.into_iter().map(|name| (name, None)).collect());
        if let Ok(stats) = connection.list() {
            let _ = told.send(stats.into_iter().map(|s| (s.name.clone(), Some(s))).collect());
        }
    });
    let names = answer.recv_timeout(ANSWER_MAX).unwrap_or_default();
    answer.recv_timeout(COUNT_MAX).unwrap_or(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_servers_from_queues() {
        for (begun, base) in [
            ("", None),
            ("mq", None),
            ("redis:", None),
            ("redis://", None),
            ("redis://h", None),
            ("redis://h/", Some("redis://h/")),
            ("redis://h/0/jo", Some("redis://h/0/")),
            ("kafka://h:1/x", Some("kafka://h:1/")),
            ("mq:/jo", Some("mq:/")),
            ("no:/x", None),
            ("redis://h/0/x?profile=p&group=a/", None),
        ] {
            let told = place_of(begun).map(|(base, _)| base);
            assert_eq!(told.as_deref(), base, "{begun}");
        }
    }
}
