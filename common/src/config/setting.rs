//! Values for flags, as the configuration file gives them:
//!
//! ```toml
//! [faas-invoke]
//! jobs = 4
//!
//! [faas-queue.get]
//! output = "lines"
//! ```

use super::{ConfigError, in_file};
use std::path::{Path, PathBuf};
use toml_edit::{TableLike, Value};

/// A value for a flag of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The tool, then its verb, where it has verbs.
    pub place: Vec<String>,
    /// The flag, without its dashes.
    pub flag: String,
    /// What stands for it, as it would on a command line.
    pub value: String,
    /// The file that says so.
    pub file: PathBuf,
}

impl Setting {
    /// `[faas-queue.get] output`, in the words of the file.
    pub fn name(&self) -> String {
        format!("{} of [{}]", self.flag, self.place.join("."))
    }
}

/// The settings in the table of a tool, and in those of its verbs.
pub(super) fn read(
    table: &dyn TableLike,
    place: &[String],
    path: &Path,
    into: &mut Vec<Setting>,
) -> Result<(), ConfigError> {
    for (key, item) in table.iter() {
        if let Some(inner) = item.as_table_like() {
            let place = [place, &[key.to_owned()]].concat();
            read(inner, &place, path, into)?;
            continue;
        }
        let Some(value) = item.as_value().and_then(text) else {
            let what =
                format!("{key} of [{}] is neither text, a number, true nor false", place.join("."));
            return Err(in_file(path, &what, &format!("{key} = \"...\"")));
        };
        let (place, file) = (place.to_vec(), path.to_owned());
        // The nearer file is read later.
        into.retain(|held| held.place != place || held.flag != key);
        into.push(Setting { place, flag: key.to_owned(), value, file });
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(is_so) => Some(is_so.value().to_string()),
        _ => None,
    }
}
