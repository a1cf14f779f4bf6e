//! The configuration file: `./faas.toml`, then that of the user
//! (`$XDG_CONFIG_HOME/faas-tools/config.toml`). It names servers, says where
//! their passwords are, and what flags are unless they are given:
//!
//! ```toml
//! middleware = "@prod"             # what `faas-queue ls` and `top` show unless asked
//!
//! [profile.prod]
//! url = "redis://ann@queues.example/0"
//! password_file = "~/.secrets/prod"   # or password_env, password_command
//!
//! [faas-invoke]
//! jobs = 4
//! ```

mod edit;
mod secret;
mod setting;

pub use edit::{add, remove};
pub use secret::Secret;
pub use setting::Setting;

use crate::error::plain_io;
use crate::units::nearest;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use toml_edit::{DocumentMut, Item, TableLike};

/// The file in the working directory.
const HERE: &str = "faas.toml";
/// Keys of a profile.
const PROFILE_KEYS: [&str; 5] =
    ["url", "password_file", "password_env", "password_command", "password"];
/// Keys of the file.
const KEYS: [&str; 6] = ["middleware", "profile", TOOLS[0], TOOLS[1], TOOLS[2], TOOLS[3]];
/// Tools whose flags can be set.
const TOOLS: [&str; 4] = ["faas-chain", "faas-invoke", "faas-queue", "faas-trigger"];

/// What is wrong with a configuration file, or with what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ConfigError {
    /// What is wrong.
    pub what: String,
    /// What can be done about it.
    pub cure: String,
}

/// A server with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where it is: a middleware, not one of its queues.
    pub url: String,
    /// Where its password is.
    pub secret: Option<Secret>,
    /// The file that says so.
    pub file: PathBuf,
}

/// All that the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// What is listed unless another is asked for.
    pub middleware: Option<String>,
    /// Servers by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Values for flags; there is one at most for a flag of a verb.
    pub settings: Vec<Setting>,
    /// A `./faas.toml` that was left out, and why. Whoever started a tool there
    /// need not have meant it.
    pub left_out: Option<ConfigError>,
}

impl Config {
    /// Reads the files that there are; the nearer one wins.
    ///
    /// # Errors
    /// One of them cannot be read, or says what is not understood.
    pub fn load() -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for path in files().iter().rev() {
            config.read(path)?;
        }
        Ok(config)
    }

    fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        match text_in(path) {
            Ok(Some(text)) => self.parse(&text, path),
            Ok(None) => Ok(()),
            Err(error) if path == Path::new(HERE) => {
                self.left_out = Some(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn parse(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            let what = format!("line {line}: {}", error.message().replace('\n', ", "));
            in_file(path, &what, "faas-queue profile add, which writes it")
        })?;
        known_keys(document.as_table(), &KEYS, path, "")?;
        if let Some(item) = document.get("middleware") {
            self.middleware = Some(text_of(item, "middleware", path)?);
        }
        for tool in TOOLS {
            let Some(item) = document.get(tool) else { continue };
            let table = item.as_table_like().ok_or_else(|| {
                in_file(
                    path,
                    &format!("{tool} is no table"),
                    &format!("[{tool}], and under it its flags"),
                )
            })?;
            setting::read(table, &[tool.to_owned()], path, &mut self.settings)?;
        }
        let Some(profiles) = document.get("profile") else { return Ok(()) };
        let profiles = profiles.as_table_like().ok_or_else(|| {
            in_file(path, "profile is no table", "[profile.NAME], and under it url = \"...\"")
        })?;
        for (name, item) in profiles.iter() {
            self.profiles.insert(name.to_owned(), profile(name, item, path)?);
        }
        Ok(())
    }

    /// The profile of a name.
    ///
    /// # Errors
    /// There is none; the nearest is named.
    pub fn profile(&self, name: &str) -> Result<&Profile, ConfigError> {
        self.profiles.get(name).ok_or_else(|| {
            if let Some(error) = &self.left_out {
                return error.clone();
            }
            let near = nearest(name, self.profiles.keys().map(String::as_str));
            let cure = near.map_or_else(
                || format!("faas-queue profile add {name} URL"),
                |near| format!("@{near}"),
            );
            ConfigError { what: format!("there is no profile {name}"), cure }
        })
    }
}

/// The address that `@NAME`, `@NAME/QUEUE` or `@NAME/QUEUE?OPTIONS` stands for.
///
/// # Errors
/// There is no such profile, or the files cannot be read.
pub fn expand(text: &str) -> Result<String, ConfigError> {
    let rest = text.strip_prefix('@').unwrap_or(text);
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, queue) = place.split_once('/').unwrap_or((place, ""));
    let config = Config::load()?;
    let profile = config.profile(name)?;
    Ok(joined(&profile.url, queue, options, profile.secret.as_ref().map(|_| name)))
}

/// A middleware's URL with a queue, more options, and the profile whose
/// password it needs.
fn joined(url: &str, queue: &str, options: &str, profile: Option<&str>) -> String {
    let (place, own) = url.split_once('?').unwrap_or((url, ""));
    let profile = profile.map(|name| format!("profile={name}"));
    let all = [own, options, profile.as_deref().unwrap_or_default()];
    let all: Vec<&str> = all.into_iter().filter(|some| !some.is_empty()).collect();
    let place = place.trim_end_matches('/');
    let mut joined = place.to_owned();
    if !queue.is_empty() {
        joined.push('/');
        joined.push_str(queue);
    }
    if !all.is_empty() {
        joined.push('?');
        joined.push_str(&all.join("&"));
    }
    joined
}

/// The password of a profile; none when it has none.
///
/// # Errors
/// It cannot be had.
pub fn password(profile: &str) -> Result<Option<String>, ConfigError> {
    // A program that asks somebody for it asks once.
    static TOLD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(password) = told.get(profile) {
        return Ok(Some(password.clone()));
    }
    let config = Config::load()?;
    let password = config.profile(profile)?.secret.as_ref().map(Secret::tell).transpose()?;
    told.extend(password.clone().map(|password| (profile.to_owned(), password)));
    Ok(password)
}

/// What a file says; none when there is no such file. What somebody else wrote
/// could run programs, or send passwords elsewhere.
fn text_in(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |error: std::io::Error| in_file(path, &plain_io(&error), "a file you can read");
    // A pipe of that name would have nobody at its other end.
    let options = nix::libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(options).open(path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(in_file(path, "it is no regular file", "a file of that name, or none"));
    }
    let is_ours = meta.uid() == nix::unistd::geteuid().as_raw() || meta.uid() == 0;
    if !is_ours || meta.mode() & 0o002 != 0 {
        let cure = format!("chown and chmod o-w {}, if it says what you want", path.display());
        return Err(in_file(path, "somebody else can write it", &cure));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// Where configuration is looked for, the nearest first.
pub fn files() -> Vec<PathBuf> {
    std::iter::once(PathBuf::from(HERE)).chain(user_file()).collect()
}

/// The file of the user.
pub fn user_file() -> Option<PathBuf> {
    // A relative one would mean another file wherever a tool is started.
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")))?;
    Some(base.join("faas-tools").join("config.toml"))
}

fn profile(name: &str, item: &Item, path: &Path) -> Result<Profile, ConfigError> {
    let place = format!("profile.{name}.");
    let table = item.as_table_like().ok_or_else(|| {
        let what = format!("profile.{name} is no table");
        in_file(path, &what, &format!("[profile.{name}], and under it url = \"...\""))
    })?;
    known_keys(table, &PROFILE_KEYS, path, &place)?;
    let url = table.get("url").ok_or_else(|| {
        in_file(path, &format!("{place}url is missing"), "url = \"redis://host/0\"")
    })?;
    let url = text_of(url, &format!("{place}url"), path)?;
    Ok(Profile { url, secret: Secret::read(table, &place, path)?, file: path.to_owned() })
}

fn known_keys(
    table: &dyn TableLike,
    known: &[&str],
    path: &Path,
    place: &str,
) -> Result<(), ConfigError> {
    let unknown = table.iter().map(|(key, _)| key).find(|key| !known.contains(key));
    let Some(key) = unknown else { return Ok(()) };
    let near = nearest(key, known.iter().copied()).unwrap_or_else(|| known.join(", "));
    Err(in_file(path, &format!("unknown key {place}{key}"), &near))
}

fn text_of(item: &Item, key: &str, path: &Path) -> Result<String, ConfigError> {
    let text = item.as_str().map(str::to_owned);
    text.ok_or_else(|| in_file(path, &format!("{key} is no string"), &format!("{key} = \"...\"")))
}

fn in_file(path: &Path, what: &str, cure: &str) -> ConfigError {
    ConfigError { what: format!("{}: {what}", path.display()), cure: cure.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.parse(text, Path::new("faas.toml")).map(|()| config)
    }

    #[test]
    fn reads_profiles() {
        let config = read(
            "middleware = \"@prod\"\n[profile.prod]\nurl = \"redis://h/0\"\n\
             password_env = \"SECRET\"\n[profile.dev]\nurl = \"mq:\"\n",
        );
        let config = config.expect("it is understood");
        assert_eq!(config.middleware.as_deref(), Some("@prod"));
        let prod = config.profile("prod").expect("it is there");
        assert_eq!(prod.secret, Some(Secret::Env("SECRET".to_owned())));
        assert_eq!(config.profile("prd").expect_err("it is not").cure, "@prod");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, wanted) in [
            ("x = [", "faas.toml: line 1"),
            ("midleware = \"a\"", "unknown key midleware"),
            ("[profile.a]\nurl = 3", "profile.a.url is no string"),
            ("[profile.a]\npassword_env = \"X\"", "profile.a.url is missing"),
            (
                "[profile.a]\nurl = \"mq:\"\npasword_file = \"x\"",
                "unknown key profile.a.pasword_file",
            ),
            ("profile = 3", "profile is no table"),
            (
                "[profile.a]\nurl = \"mq:\"\npassword_env = \"X\"\npassword_file = \"y\"",
                "profile.a has two passwords",
            ),
        ] {
            let said = read(text).expect_err(text).what;
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn joins_names_and_options() {
        assert_eq!(joined("redis://h/0", "q", "", None), "redis://h/0/q");
        assert_eq!(
            joined("redis://h/0?group=g", "q", "lease=5s", Some("prod")),
            "redis://h/0/q?group=g&lease=5s&profile=prod"
        );
        assert_eq!(joined("mq:", "jobs", "", None), "mq:/jobs");
        assert_eq!(joined("kafka://h:1", "", "", None), "kafka://h:1");
    }
}
