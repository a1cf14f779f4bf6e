//! Conditions: jq, without what would make an answer depend on anything but
//! the event (`input`, `env`, `now`, `debug` and their like).

use super::model::{Chain, Rule};
use crate::event::{Body, Event, MediaKind, Show, media_kind, print_envelope};
use crate::limits;
use jaq_core::compile::{Compiler, Filter};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Native, Vars, data::JustLut, unwrap_valr};
use jaq_json::{Val, read};

type Compiled = Filter<Native<JustLut<Val>>>;

/// Names that would reach outside the event.
const FORBIDDEN: [&str; 13] = [
    "input",
    "inputs",
    "env",
    "now",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "localtime",
    "strflocaltime",
    "input_filename",
];

/// Deepest nesting of a body that a condition is judged on.
const DEPTH_MAX: usize = 1_000;

/// The conditions of a chain's rules, compiled.
pub struct Conditions {
    /// One for each rule that has a `when`.
    compiled: Vec<Option<Compiled>>,
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
    compile(text).map(drop)
}

impl Conditions {
    /// Compiles the conditions of a chain, which `load` has checked.
    pub fn of(chain: &Chain) -> Self {
        let compiled = |rule: &Rule| rule.when.as_deref().and_then(|text| compile(text).ok());
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
                    first_is_true(filter, &body, &envelope).map_err(|cause| fail(*index, cause))?
                }
            });
        }
        Ok(holds)
    }
}

fn first_is_true(filter: &Compiled, body: &Val, envelope: &Val) -> Result<bool, String> {
    let vars = Vars::new([envelope.clone()]);
    let ctx = Ctx::<JustLut<Val>>::new(&filter.lut, vars);
    let first = filter.id.run((ctx, body.clone())).map(unwrap_valr).next();
    match first {
        None => Ok(false),
        Some(Ok(value)) => Ok(!matches!(value, Val::Null | Val::Bool(false))),
        Some(Err(error)) => Err(error.to_string()),
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
        MediaKind::Json if depth(&bytes) > DEPTH_MAX => {
            return Err(format!("the body is nested deeper than {DEPTH_MAX}"));
        }
        MediaKind::Json => read::parse_single(&bytes).unwrap_or(Val::Null),
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

/// How deep JSON is nested; its parser for conditions calls itself for each level.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The envelope without its data, as a JSON value.
fn event_value(event: &Event) -> Val {
    let bare = Event { body: None, control: None, ..event.clone() };
    let mut line = Vec::new();
    // Without a body there is nothing that could fail to be read.
    let _ = print_envelope(&bare, Show::default(), &mut line);
    read::parse_single(&line).unwrap_or(Val::Null)
}

fn compile(text: &str) -> Result<Compiled, String> {
    let allowed = |name: &str| !FORBIDDEN.contains(&name);
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs.filter(|def| allowed(def.name)))
        .load(&arena, File { code: text, path: () })
        .map_err(|errors| {
            first_error(text, errors.into_iter().map(|(_, error)| load_error(error)))
        })?;
    Compiler::default()
        .with_funs(funs.filter(|fun| allowed(fun.0)))
        .with_global_vars(["$event"])
        .compile(modules)
        .map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, undefined)| undefined);
            first_error(text, undefined.map(|(name, kind)| unknown(name, kind.as_str())))
        })
}

fn unknown(name: &str, kind: &str) -> String {
    if FORBIDDEN.contains(&name) {
        format!("`{name}` is not allowed: a condition sees the event alone")
    } else {
        format!("unknown {kind} `{name}`")
    }
}

fn first_error(text: &str, errors: impl Iterator<Item = String>) -> String {
    let first = errors.into_iter().next().unwrap_or_else(|| "it does not compile".to_owned());
    format!("bad jq `{text}`: {first}")
}

fn load_error(error: jaq_core::load::Error<&str>) -> String {
    use jaq_core::load::Error as E;
    let near = |found: &str| match found.chars().take(20).collect::<String>() {
        found if found.is_empty() => "at its end".to_owned(),
        found => format!("near `{found}`"),
    };
    match error {
        E::Io(errors) => errors.into_iter().next().map_or_else(String::new, |(_, error)| error),
        E::Lex(errors) => errors.first().map_or_else(String::new, |(expected, found)| {
            format!("{} expected {}", expected.as_str(), near(found))
        }),
        E::Parse(errors) => errors.first().map_or_else(String::new, |(expected, found)| {
            format!("{} expected {}", expected.as_str(), near(found))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, content_type: &str, body: &[u8]) -> Result<bool, String> {
        let event = Event::bare("i".into(), "s".into(), content_type, body.to_vec());
        let filter = compile(condition)?;
        first_is_true(&filter, &body_value(&event)?, &event_value(&event))
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
