//! A JSON text whose values know where they stand, and the collector of flaws.

use super::flaw::Flaw;
use crate::units;
use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// The text under examination and what was found wrong with it.
pub(super) struct Source<'t> {
    text: &'t str,
    pub(super) flaws: Vec<Flaw>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, flaws: Vec::new() }
    }

    /// The text as a tree; strict JSON, no comments.
    pub(super) fn tree(&self) -> Result<Value<'t>, Vec<Flaw>> {
        let syntax = |line, column, what: String| {
            vec![Flaw {
                line,
                column,
                object: String::new(),
                what,
                cure: "strict JSON: double quotes, no comments, no comma at the end".to_owned(),
            }]
        };
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(self.text) {
            let whole = error.to_string();
            let what = whole.split(" at line").next().unwrap_or(&whole);
            return Err(syntax(
                error.line().max(1),
                error.column().max(1),
                format!("not JSON: {what}"),
            ));
        }
        let options = ParseOptions { allow_comments: false, ..ParseOptions::default() };
        let parsed =
            parse_to_ast(self.text, &CollectOptions::default(), &options).map_err(|error| {
                syntax(error.line_display(), error.column_display(), error.to_string())
            })?;
        parsed.value.ok_or_else(|| syntax(1, 1, "the file is empty".to_owned()))
    }

    /// Records a flaw at a place in the text.
    pub(super) fn flaw(
        &mut self,
        at: &impl Ranged,
        object: &str,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let before = &self.text[..at.range().start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.flaws.push(Flaw {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            object: object.to_owned(),
            what: what.into(),
            cure: cure.into(),
        });
    }

    /// The members of an object whose keys are known and stand once; the
    /// others are flaws.
    pub(super) fn checked_keys<'a, 'v>(
        &mut self,
        object: &'a Object<'v>,
        path: &str,
        known: &[&str],
    ) -> Vec<&'a ObjectProp<'v>> {
        let mut good: Vec<&ObjectProp> = Vec::new();
        for property in &object.properties {
            let key = property.name.as_str();
            let here = join(path, key);
            if !known.contains(&key) {
                let cure = units::nearest(key, known.iter().copied())
                    .unwrap_or_else(|| format!("one of {}", known.join(", ")));
                self.flaw(&property.range, &here, format!("unknown key `{key}`"), cure);
            } else if good.iter().any(|held| held.name.as_str() == key) {
                self.flaw(&property.range, &here, "this key stands twice", format!("one `{key}`"));
            } else {
                good.push(property);
            }
        }
        good
    }

    /// Records a flaw at the value a path such as `rules[2].to` leads to, or
    /// at the nearest thing around it.
    pub(super) fn flaw_at(&mut self, path: &str, what: impl Into<String>, cure: impl Into<String>) {
        let Ok(tree) = self.tree() else { return };
        let mut at = &tree;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let next = match at {
                Value::Object(object) => object.get(step).map(|property| &property.value),
                Value::Array(array) => step.parse().ok().and_then(|i: usize| array.elements.get(i)),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        let range = at.range();
        self.flaw(&range, path, what, cure);
    }

    pub(super) fn boolean(&mut self, value: &Value<'_>, path: &str) -> Option<bool> {
        let literal = value.as_boolean_lit().map(|literal| literal.value);
        if literal.is_none() {
            self.flaw(value, path, "not a boolean", "true or false");
        }
        literal
    }

    pub(super) fn number(&mut self, value: &Value<'_>, path: &str, least: u32) -> Option<u32> {
        let number = value
            .as_number_lit()
            .and_then(|literal| literal.value.parse::<u32>().ok())
            .filter(|number| *number >= least);
        if number.is_none() {
            self.flaw(
                value,
                path,
                format!("not a whole number of at least {least}"),
                least.max(1).to_string(),
            );
        }
        number
    }

    pub(super) fn duration(
        &mut self,
        value: &Value<'_>,
        path: &str,
    ) -> Option<std::time::Duration> {
        let text = value.as_string_lit().map(|text| text.value.as_ref());
        match text.map(units::duration) {
            Some(Ok(duration)) => Some(duration),
            Some(Err(error)) => {
                self.flaw(value, path, error.to_string(), "\"2s\"");
                None
            }
            None => {
                self.flaw(value, path, "not a duration in a string", "\"2s\"");
                None
            }
        }
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        value: &Value<'_>,
        path: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = value.as_string_lit().map_or("", |text| text.value.as_ref());
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let all = known.clone().collect::<Vec<_>>().join(", ");
            let cure = units::nearest(text, known).unwrap_or_else(|| format!("one of {all}"));
            self.flaw(value, path, format!("not one of {all}"), cure);
        }
        found
    }

    /// A name of a chain, a function or a run.
    pub(super) fn name(&mut self, at: &impl Ranged, name: &str, path: &str) {
        if !is_name(name) {
            self.flaw(
                at,
                path,
                format!("`{name}` is not a name"),
                "a letter, then up to 62 letters, digits, dashes and underscores",
            );
        }
    }
}

/// Whether a text can name a chain, a function or a run.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.len() <= 63
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A member's path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
