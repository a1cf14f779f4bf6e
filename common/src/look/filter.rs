//! Which messages are meant, and what is made of them. Pure.

use crate::error::{Failure, Result};
use crate::event::{Body, Event, Show, parse_envelope, print_envelope};
use crate::exit::Exit;
use crate::jq::{self, Program, Val};
use regex::bytes::Regex;

/// Values that jq may make of one message; some programs never end.
const VIEWS_MAX: usize = 10_000;

/// Picks messages by what is in them, and changes them with jq.
#[derive(Default)]
pub struct Filter {
    grep: Option<Regex>,
    pick: Option<Program>,
    jq: Option<Program>,
}

impl Filter {
    /// A filter: `grep` is a regular expression, `pick` and `jq` are programs
    /// that see the event as it is printed.
    ///
    /// # Errors
    /// One of them is not understood.
    pub fn new(grep: Option<&str>, pick: Option<&str>, jq: Option<&str>) -> Result<Self> {
        let bad = |flag: &str, why: String| {
            let cure = match flag {
                "--grep" => "--grep 'order-[0-9]+'",
                "--where" => "--where '.data.total > 10'",
                _ => "--jq '.data.fixed = true'",
            };
            Failure::new(Exit::Usage, "read", flag, why).cure(cure)
        };
        let program = |flag: &str, text: Option<&str>| {
            let compiled = text.map(Program::compile).transpose();
            compiled.map_err(|why| bad(flag, why))
        };
        let grep = grep.map(Regex::new).transpose().map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            bad("--grep", last.trim_start_matches("error: ").to_owned())
        })?;
        Ok(Self { grep, pick: program("--where", pick)?, jq: program("--jq", jq)? })
    }

    /// Whether only some events are meant.
    pub fn is_picky(&self) -> bool {
        self.grep.is_some() || self.pick.is_some()
    }

    /// Whether an event is meant.
    ///
    /// # Errors
    /// The program has no answer, in words.
    pub fn picks(&self, event: &Event) -> std::result::Result<bool, String> {
        if let Some(grep) = &self.grep
            && !mentions(event, grep)?
        {
            return Ok(false);
        }
        match &self.pick {
            None => Ok(true),
            Some(program) => program.holds(value_of(event)?, Val::Null),
        }
    }

    /// What jq makes of an event, one text for each output; none when there
    /// is no program.
    ///
    /// # Errors
    /// What jq said.
    pub fn views(&self, event: &Event) -> std::result::Result<Option<Vec<String>>, String> {
        let Some(program) = &self.jq else { return Ok(None) };
        let outputs = program.run(value_of(event)?, Val::Null);
        let outputs = outputs.map(|output| output.map(|value| value.to_string()));
        let views = outputs.take(VIEWS_MAX + 1).collect::<Result_>()?;
        match views.len() > VIEWS_MAX {
            true => Err(format!("jq makes more than {VIEWS_MAX} values of it")),
            false => Ok(Some(views)),
        }
    }

    /// The event that jq makes of one: the same id, the same place in its
    /// run, unless the program says otherwise.
    ///
    /// # Errors
    /// It made none, or several.
    pub fn remade(&self, event: Event) -> std::result::Result<Event, String> {
        let Some(views) = self.views(&event)? else { return Ok(event) };
        let [view] = views.as_slice() else {
            return Err(format!("jq made {} values of it, and one is wanted", views.len()));
        };
        match parse_envelope(view.as_bytes()) {
            Ok(Some(made)) => Ok(Event { control: event.control, ..made }),
            Ok(None) => Err("jq made no event of it: specversion is gone".to_owned()),
            Err(error) => Err(format!("jq made no event of it: {error}")),
        }
    }
}

type Result_ = std::result::Result<Vec<String>, String>;

/// Whether something of an event matches: its body, or an attribute.
fn mentions(event: &Event, grep: &Regex) -> std::result::Result<bool, String> {
    let texts = [&event.id, &event.source, &event.kind].into_iter();
    let attributes = event.extensions.values().map(ToString::to_string);
    if texts.cloned().chain(attributes).any(|text| grep.is_match(text.as_bytes())) {
        return Ok(true);
    }
    let body = event.body.as_ref().map(Body::load).transpose();
    let body = body.map_err(|error| format!("its body cannot be read: {error}"))?;
    Ok(body.is_some_and(|body| grep.is_match(&body)))
}

/// An event as jq sees it: as it is printed.
pub(super) fn value_of(event: &Event) -> std::result::Result<Val, String> {
    let mut line = Vec::new();
    let bare = Event { control: None, ..event.clone() };
    print_envelope(&bare, Show::default(), &mut line)
        .map_err(|error| format!("its body cannot be read: {error}"))?;
    jq::parse(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str) -> Event {
        Event::bare("i-1".into(), "/s".into(), "application/json", body.as_bytes().to_vec())
    }

    fn filter(grep: Option<&str>, pick: Option<&str>, jq: Option<&str>) -> Filter {
        Filter::new(grep, pick, jq).expect("it is understood")
    }

    #[test]
    fn picks_by_words_and_by_jq() {
        let one = event(r#"{"n":7,"word":"kiwi"}"#);
        for (grep, pick, wanted) in [
            (Some("k.wi"), None, true),
            (Some("^i-1$"), None, true),
            (Some("apple"), None, false),
            (None, Some(".data.n > 6"), true),
            (None, Some(".data.n > 7"), false),
            (Some("kiwi"), Some(".type == \"faas.event\""), true),
            (Some("kiwi"), Some("empty"), false),
        ] {
            assert_eq!(filter(grep, pick, None).picks(&one), Ok(wanted), "{grep:?} {pick:?}");
        }
        assert!(filter(None, Some(".data.n.x"), None).picks(&one).is_err());
        assert!(Filter::new(Some("("), None, None).is_err());
        assert!(Filter::new(None, Some(". |"), None).is_err());
        assert!(Filter::new(None, None, Some("env")).is_err());
    }

    #[test]
    fn remakes_without_touching_numbers() {
        let jq = filter(None, None, Some(".data.fixed = true"));
        let made = jq.remade(event(r#"{"n":12345678901234567890,"x":1.0}"#)).expect("an event");
        let body = made.body.expect("a body");
        let body = String::from_utf8(body.load().expect("in memory").into_owned()).expect("text");
        assert_eq!(body, r#"{"n":12345678901234567890,"x":1.0,"fixed":true}"#);
        assert_eq!(made.id, "i-1");
        let endless = filter(None, None, Some("repeat(1)"));
        assert!(endless.views(&event("1")).is_err());
        for bad in ["empty", ".data", "., .", "del(.specversion)", "del(.id)"] {
            let remade = filter(None, None, Some(bad)).remade(event("1"));
            assert!(remade.is_err(), "{bad}");
        }
    }
}
