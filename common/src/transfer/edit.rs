//! What the sender of events says of them.

use crate::error::{Failure, Result};
use crate::event::{Attr, CONTROL_PREFIX, Event, check_name};
use crate::exit::Exit;

/// What an event has by itself.
const OURS: [&str; 4] = ["id", "specversion", "data", "database64"];
/// What is not there when it is empty (CloudEvents 1.0, section 3.1).
const NEVER_EMPTY: [&str; 3] = ["source", "type", "time"];

/// Attributes that events get on their way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    id: Option<String>,
    attributes: Vec<(String, String)>,
}

impl Edit {
    /// Reads what was asked for: an id, a key, and headers as `NAME=VALUE`.
    ///
    /// # Errors
    /// A header is not of that form, or its name is not allowed.
    pub fn new(id: Option<&str>, key: Option<&str>, headers: &[String]) -> Result<Self> {
        if id == Some("") {
            let failure = Failure::new(Exit::Usage, "set", "--id", "an id has a letter at least");
            return Err(failure.cure("--id order-1"));
        }
        if key == Some("") {
            let failure = Failure::new(Exit::Usage, "set", "--key", "a key has a letter at least");
            return Err(failure.cure("--key ann"));
        }
        let mut attributes = Vec::new();
        attributes.extend(key.map(|key| ("partitionkey".to_owned(), key.to_owned())));
        for header in headers {
            let bad = |why: String| Failure::new(Exit::Usage, "set header", header, why);
            let (name, value) = header
                .split_once('=')
                .ok_or_else(|| bad("it is not NAME=VALUE".to_owned()).cure("-H region=eu"))?;
            check_name(name).map_err(|error| bad(error.to_string()).cure("-H region=eu"))?;
            if name.starts_with(CONTROL_PREFIX) {
                let why = format!("names that begin with {CONTROL_PREFIX} are ours");
                return Err(bad(why).cure(format!("-H my{name}=...")));
            }
            if OURS.contains(&name) {
                return Err(bad(format!("`{name}` is said otherwise")).cure("--id, or stdin"));
            }
            if NEVER_EMPTY.contains(&name) && value.is_empty() {
                return Err(bad(format!("`{name}` is never empty")).cure(format!("-H {name}=x")));
            }
            if name == "time" && value.parse::<jiff::Timestamp>().is_err() {
                let why = "a time is written as RFC 3339 has it".to_owned();
                return Err(bad(why).cure("-H time=2026-03-01T12:00:00Z"));
            }
            attributes.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self { id: id.map(str::to_owned), attributes })
    }

    /// Sets them on the event with this number, counted from 1.
    pub fn apply(&self, event: &mut Event, number: u64) {
        if let Some(id) = &self.id {
            event.id = if number == 1 { id.clone() } else { format!("{id}-{number}") };
        }
        for (name, value) in &self.attributes {
            match name.as_str() {
                "source" => event.source.clone_from(value),
                "type" => event.kind.clone_from(value),
                "time" => event.time = Some(value.clone()),
                "datacontenttype" => event.content_type = Some(value.clone()),
                _ => _ = event.extensions.insert(name.clone(), Attr::Text(value.clone())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_what_was_said() {
        let headers = ["region=eu".to_owned(), "type=order".to_owned()];
        let edit = Edit::new(Some("o"), Some("k"), &headers).expect("it is understood");
        let mut event = Event::bare("i".into(), "s".into(), "text/plain", Vec::new());
        edit.apply(&mut event, 1);
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("o", "order"));
        assert_eq!((event.text("region"), event.text("partitionkey")), (Some("eu"), Some("k")));
        edit.apply(&mut event, 2);
        assert_eq!(event.id, "o-2");
        for bad in [
            "region",
            "Region=eu",
            "faasrun=r",
            "=x",
            "id=1",
            "data=x",
            "specversion=2",
            "type=",
            "time=yesterday",
        ] {
            assert!(Edit::new(None, None, &[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(Edit::new(Some(""), None, &[]).is_err());
        assert!(Edit::new(None, Some(""), &[]).is_err());
        assert!(Edit::new(None, None, &["time=2026-03-01T12:00:00+02:00".to_owned()]).is_ok());
    }
}
