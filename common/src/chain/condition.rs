//! Conditions: jq, without what would make an answer depend on anything but
//! the event (`input`, `env`, `now`, `debug` and their like).

use super::model::{Chain, Rule};
use crate::event::{Body, Event, MediaKind, Show, media_kind, print_envelope};
use crate::jq::{self, Program, Val};
use crate::limits;

/// The conditions of a chain's rules, compiled.
pub struct Conditions {
    /// One for each rule that has a `when`.
    compiled: Vec<Option<Program>>,
    uses_event: Vec<bool>,
    needs_body: Vec<bool>,
}

/// A condition that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules[{rule}]: {cause}")]
pub struct ConditionError {
    /// Index of the rule.
    pub rule: usize,
    /// What jq said.
    pub cause: String,
}

/// Whether a condition compiles.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(text: &str) -> Result<(), String> {
    Program::compile(text).map(drop)
}

impl Conditions {
    /// Compiles the conditions of a chain, which `load` has checked.
    pub fn of(chain: &Chain) -> Self {
        let compiled =
            |rule: &Rule| rule.when.as_deref().and_then(|text| Program::compile(text).ok());
        let needs = |rule: &Rule| rule.when.as_deref().is_some_and(needs_body);
        let uses = |rule: &Rule| rule.when.as_deref().is_some_and(|text| text.contains("$event"));
        Self {
            compiled: chain.rules.iter().map(compiled).collect(),
            uses_event: chain.rules.iter().map(uses).collect(),
            needs_body: chain.rules.iter().map(needs).collect(),
        }
    }

    /// Judges the conditions of `rules` (those of one function) for an event:
    /// which of them hold. A rule without a condition is not judged: `false`.
    /// `before` is told each rule's index before its condition runs.
    ///
    /// # Errors
    /// A condition failed, or the body is too large to judge: then no rule
    /// of the function may fire.
    pub fn judge(
        &self,
        rules: &[(usize, &Rule)],
        event: &Event,
        mut before: impl FnMut(usize),
    ) -> Result<Vec<bool>, ConditionError> {
        if !rules.iter().any(|(index, _)| self.compiled[*index].is_some()) {
            return Ok(vec![false; rules.len()]);
        }
        let fail = |rule: usize, cause: String| ConditionError { rule, cause };
        let needs_body = rules.iter().find(|(index, _)| self.needs_body[*index]);
        let body = match needs_body {
            Some((rule, _)) => body_value(event).map_err(|cause| fail(*rule, cause))?,
            None => Val::Null,
        };
        let uses_event = rules.iter().any(|(index, _)| self.uses_event[*index]);
        let envelope = if uses_event { event_value(event) } else { Val::Null };
        let mut holds = Vec::with_capacity(rules.len());
        for (index, _) in rules {
            holds.push(match &self.compiled[*index] {
                None => false,
                Some(filter) => {
                    before(*index);
                    let holds = filter.holds(body.clone(), envelope.clone());
                    holds.map_err(|cause| fail(*index, cause))?
                }
            });
        }
        Ok(holds)
    }
}

/// The JSON body, a text body as a string, anything else null.
fn body_value(event: &Event) -> Result<Val, String> {
    if event.body_len() > limits::CONDITION_BODY_MAX {
        let limit = crate::units::show_size(limits::CONDITION_BODY_MAX);
        return Err(format!("the body of {} bytes is over {limit}", event.body_len()));
    }
    let Some(bytes) = event.body.as_ref().map(Body::load).transpose().map_err(|e| e.to_string())?
    else {
        return Ok(Val::Null);
    };
    Ok(match media_kind(event.content_type.as_deref()) {
        MediaKind::Json => jq::parse(&bytes)?,
        MediaKind::Other => match std::str::from_utf8(&bytes) {
            Ok(text) => Val::from(text.to_owned()),
            Err(_) => Val::Null,
        },
    })
}

/// Whether a condition may look at the body: all do, but for plain
/// comparisons of the envelope's attributes with literals.
fn needs_body(condition: &str) -> bool {
    let mut rest = condition.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || "_.$".contains(c)));
        let word = &rest[..word.unwrap_or(rest.len())];
        let plain = word.parse::<f64>().is_ok()
            || matches!(word, "and" | "or" | "true" | "false" | "null")
            || word == "$event"
            || word.starts_with("$event.");
        let len = match first {
            '"' => match rest[1..].find(['"', '\\']) {
                Some(end) if rest.as_bytes()[1 + end] == b'"' => end + 2,
                _ => return true,
            },
            '=' | '!' | '<' | '>' | '(' | ')' => 1,
            _ if plain => word.len(),
            _ => return true,
        };
        rest = rest[len..].trim_start();
    }
    false
}

/// The envelope without its data, as a JSON value.
fn event_value(event: &Event) -> Val {
    let bare = Event { body: None, control: None, ..event.clone() };
    let mut line = Vec::new();
    // Without a body there is nothing that could fail to be read.
    let _ = print_envelope(&bare, Show::default(), &mut line);
    jq::parse(&line).unwrap_or(Val::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, content_type: &str, body: &[u8]) -> Result<bool, String> {
        let event = Event::bare("i".into(), "s".into(), content_type, body.to_vec());
        Program::compile(condition)?.holds(body_value(&event)?, event_value(&event))
    }

    #[test]
    fn judges_bodies_and_envelopes() {
        let json = "application/json";
        assert_eq!(holds(".risk > 0.8", json, br#"{"risk":0.9}"#), Ok(true));
        assert_eq!(holds(".risk > 0.8", json, br#"{"risk":0.1}"#), Ok(false));
        assert_eq!(holds("test(\"b+\")", "text/plain", b"abbc"), Ok(true));
        assert_eq!(holds("$event.id == \"i\"", json, b"1"), Ok(true));
        assert_eq!(holds(". == null", "image/png", b"\xff\xfe"), Ok(true));
        assert_eq!(holds("empty", json, b"1"), Ok(false));
        assert_eq!(holds("0", json, b"1"), Ok(true));
        assert_eq!(holds("false, true", json, b"1"), Ok(false));
        assert!(holds(".a.b", json, b"1").is_err());
        assert!(holds("error(\"no\")", json, b"1").is_err());
    }

    #[test]
    fn knows_which_conditions_need_no_body() {
        for plain in ["$event.type == \"a.b\"", "($event.x > 3) and $event.y != null", "true"] {
            assert!(!needs_body(plain), "{plain}");
        }
        for other in [
            ".x",
            "$event.type == .x",
            "length > 3",
            "$event | .type",
            "$event.a == \"\\(.)\"",
            "\"",
            "$eventual",
        ] {
            assert!(needs_body(other), "{other}");
        }
    }

    #[test]
    fn sees_the_event_alone() {
        for bad in
            ["env", "now", "input", "inputs", "debug", "$ENV.HOME", "halt", "$__loc__x", ". |"]
        {
            let error = check(bad);
            assert!(error.is_err(), "{bad} was accepted");
        }
        for good in [".a", "any(.items[]; .x > 1)", "now_ish as $x | 1"] {
            let ok = check(good).is_ok();
            assert_eq!(ok, !good.contains("now_ish"), "{good}");
        }
    }
}
