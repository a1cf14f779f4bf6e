//! Changing the configuration file; what else is in it stays as it is.

use super::{ConfigError, Secret, in_file};
use crate::clock;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, value};

/// Writes a profile, in place of one of the same name.
///
/// # Errors
/// The file cannot be read or written.
pub fn add(path: &Path, name: &str, url: &str, secret: Option<&Secret>) -> Result<(), ConfigError> {
    let mut document = read(path)?;
    let profiles = document.entry("profile").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let profiles = profiles
        .as_table_like_mut()
        .ok_or_else(|| in_file(path, "profile is no table", "[profile.NAME]"))?;
    let mut table = Table::new();
    table.insert("url", value(url));
    if let Some((key, secret)) = secret.map(Secret::entry) {
        table.insert(key, Item::Value(secret));
    }
    profiles.insert(name, Item::Table(table));
    write(path, &document, matches!(secret, Some(Secret::Plain(_))))
}

/// Removes a profile; `false` when the file has none of that name.
///
/// # Errors
/// The file cannot be read or written.
pub fn remove(path: &Path, name: &str) -> Result<bool, ConfigError> {
    let mut document = read(path)?;
    let profiles = document.get_mut("profile").and_then(Item::as_table_like_mut);
    let removed = profiles.and_then(|profiles| profiles.remove(name)).is_some();
    if removed {
        write(path, &document, false)?;
    }
    Ok(removed)
}

fn read(path: &Path) -> Result<DocumentMut, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(in_file(path, &error.to_string(), "a file you can read")),
    };
    text.parse().map_err(|error: toml_edit::TomlError| {
        in_file(path, &error.message().replace('\n', ", "), "mend it by hand")
    })
}

/// A reader sees the old file or the new one. Others may read what they could
/// before, but never a password.
fn write(path: &Path, document: &DocumentMut, is_secret: bool) -> Result<(), ConfigError> {
    let failed = |error: std::io::Error| in_file(path, &error.to_string(), "a folder of yours");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // A link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&path).map_or(0o600, |meta| meta.permissions().mode() & 0o777);
    let mode = if is_secret { mode & 0o600 } else { mode };
    let next = path.with_extension(format!("{:08x}.next", clock::random_u64() & 0xFFFF_FFFF));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(&next).map_err(failed)?;
    let written = file
        .write_all(document.to_string().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&next, &path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&next);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_else_is_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("faas.toml");
        std::fs::write(&path, "# ours\n[profile.a]\nurl = \"mq:\" # here\n").expect("written");
        let secret = Secret::Command(vec!["pass".to_owned(), "b".to_owned()]);
        add(&path, "b", "redis://h/0", Some(&secret)).expect("added");
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(text.starts_with("# ours\n[profile.a]\nurl = \"mq:\" # here\n"), "{text}");
        let mut config = Config::default();
        config.parse(&text, &path).expect("understood");
        assert_eq!(config.profiles["b"].secret, Some(secret));
        assert_eq!(remove(&path, "b"), Ok(true));
        assert_eq!(remove(&path, "b"), Ok(false));
    }

    #[test]
    fn a_password_is_not_for_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new").join("config.toml");
        let secret = Secret::Plain("hush".to_owned());
        add(&path, "a", "redis://h/0", Some(&secret)).expect("added");
        let read = || {
            let mut config = Config::default();
            config.read(&path).map(|()| config)
        };
        let debug = format!("{:?}", read().expect("only ours"));
        assert!(!debug.contains("hush"), "{debug}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(read().expect_err("others can read it").what.contains("others can read it"));
    }
}
