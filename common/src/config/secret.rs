//! Where a password is. It is read when it is needed, and never shown.

use super::{ConfigError, in_file, text_of};
use crate::error::plain_io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toml_edit::TableLike;

/// Where a password is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(String),
    /// In a variable of the environment.
    Env(String),
    /// A program prints it.
    Command(Vec<String>),
    /// In the configuration itself, because somebody wanted that.
    Plain(String),
}

/// The password is not part of what is printed.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place())
    }
}

impl Secret {
    /// Where it is, for people: `file ~/.secrets/prod`.
    pub fn place(&self) -> String {
        match self {
            Self::File(path) => format!("file {path}"),
            Self::Env(name) => format!("environment {name}"),
            Self::Command(argv) => format!("command {}", argv.join(" ")),
            Self::Plain(_) => "in the file".to_owned(),
        }
    }

    /// The key and the value that say so in a file.
    pub(super) fn entry(&self) -> (&'static str, toml_edit::Value) {
        match self {
            Self::File(path) => ("password_file", path.into()),
            Self::Env(name) => ("password_env", name.into()),
            Self::Command(argv) => {
                ("password_command", argv.iter().collect::<toml_edit::Array>().into())
            }
            Self::Plain(text) => ("password", text.into()),
        }
    }

    /// What a profile says of its password.
    pub(super) fn read(
        table: &dyn TableLike,
        place: &str,
        path: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let mut found = Vec::new();
        for key in ["password_file", "password_env", "password"] {
            let Some(item) = table.get(key) else { continue };
            let text = text_of(item, &format!("{place}{key}"), path)?;
            found.push(match key {
                "password_file" => Self::File(text),
                "password_env" => Self::Env(text),
                _ => Self::Plain(text),
            });
        }
        if let Some(item) = table.get("password_command") {
            let words = item.as_array().map(|array| {
                array.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect::<Vec<_>>()
            });
            let bad = || {
                let what = format!("{place}password_command is no list of words");
                in_file(path, &what, "password_command = [\"pass\", \"show\", \"prod\"]")
            };
            found.push(Self::Command(words.filter(|words| !words.is_empty()).ok_or_else(bad)?));
        }
        if found.len() > 1 {
            let what = format!("{} has two passwords", place.trim_end_matches('.'));
            return Err(in_file(path, &what, "one of them"));
        }
        let secret = found.pop();
        if matches!(secret, Some(Self::Plain(_))) {
            only_ours(path)?;
        }
        Ok(secret)
    }

    /// The password.
    ///
    /// # Errors
    /// It cannot be had; why is said without it.
    pub fn tell(&self) -> Result<String, ConfigError> {
        let failed = |why: String, cure: &str| ConfigError {
            what: format!("the password ({}) cannot be had: {why}", self.place()),
            cure: cure.to_owned(),
        };
        let text = match self {
            Self::Plain(text) => return Ok(text.clone()),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| failed("it is not set".to_owned(), &format!("export {name}=...")))?,
            Self::File(path) => std::fs::read_to_string(at_home(path))
                .map_err(|error| failed(plain_io(&error), "a file you can read"))?,
            Self::Command(argv) => {
                let (program, rest) =
                    argv.split_first().map_or(("", argv.as_slice()), |(p, r)| (p, r));
                let made = Command::new(program)
                    .args(rest)
                    .stdin(Stdio::inherit())
                    .stderr(Stdio::inherit())
                    .output()
                    .map_err(|error| failed(plain_io(&error), "that command, by hand"))?;
                if !made.status.success() {
                    return Err(failed(made.status.to_string(), "that command, by hand"));
                }
                String::from_utf8(made.stdout)
                    .map_err(|_| failed("it is no text".to_owned(), "that command, by hand"))?
            }
        };
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A password in a file that others can read is no secret.
fn only_ours(path: &Path) -> Result<(), ConfigError> {
    let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o077);
    match mode {
        Ok(mode) if mode != 0 => {
            let cure = format!("chmod 600 {}, or password_file", path.display());
            Err(in_file(path, "there is a password in it, and others can read it", &cure))
        }
        _ => Ok(()),
    }
}

/// `~/x` as a path.
fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
