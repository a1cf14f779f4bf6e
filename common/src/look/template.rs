//! `-f`: a line of one's own for each message, in the language of Jinja.

use crate::error::{Failure, Result};
use crate::event::{Event, Show, print_envelope};
use crate::exit::Exit;
use crate::queue::Seen;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, escape_formatter};

const NAME: &str = "-f";

/// A template: what is printed of a message.
pub struct Template(Environment<'static>);

impl Template {
    /// Reads a template; `\n`, `\t` and `\\` stand for what they usually do.
    ///
    /// # Errors
    /// It is not understood.
    pub fn new(text: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Map | ValueKind::Seq | ValueKind::None | ValueKind::Bool => {
                let json = serde_json::to_string(value);
                let failed = |error: serde_json::Error| {
                    minijinja::Error::new(ErrorKind::BadSerialization, error.to_string())
                };
                out.write_str(&json.map_err(failed)?).map_err(minijinja::Error::from)
            }
            _ => escape_formatter(out, state, value),
        });
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.add_template_owned(NAME, unescaped(text)).map_err(|error| {
            let why = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Failure::new(Exit::Usage, "read", NAME, why).cure(r"-f '{{id}} {{data.total}}\n'")
        })?;
        Ok(Self(environment))
    }

    /// What it makes of a message.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn print(&self, seen: &Seen) -> std::result::Result<String, String> {
        let values = values_of(&seen.event)?;
        let place = super::printer::place_of(seen);
        let time = seen.time_ms.map(super::printer::stamp);
        let added = minijinja::context! { place, sent => time, size => seen.event.body_len() };
        let context = minijinja::value::merge_maps([added, values]);
        let template = self.0.get_template(NAME).map_err(|error| error.to_string())?;
        template
            .render(context)
            .map_err(|error| error.detail().map_or_else(|| error.to_string(), str::to_owned))
    }
}

/// The attributes of an event by name; `data` is the body: parsed when it is
/// JSON, a text when it is one.
fn values_of(event: &Event) -> std::result::Result<Value, String> {
    let mut line = Vec::new();
    print_envelope(event, Show { control: true, ..Show::default() }, &mut line)
        .map_err(|error| format!("its body cannot be read: {error}"))?;
    let line = super::numbers::kept(&line);
    let values: serde_json::Value =
        serde_json::from_slice(&line).map_err(|error| error.to_string())?;
    Ok(Value::from(Serde(values)))
}

fn unescaped(text: &str) -> String {
    let (mut out, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match (letter, letters.clone().next()) {
            ('\\', Some(next @ ('n' | 't' | '0' | '\\'))) => {
                letters.next();
                out.push(match next {
                    'n' => '\n',
                    't' => '\t',
                    '0' => '\0',
                    other => other,
                });
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(template: &str, kind: &str, body: &str) -> std::result::Result<String, String> {
        let event = Event::bare("i".into(), "/s".into(), kind, body.into());
        let seen = Seen { lane: 0, mark: "7".into(), time_ms: Some(0), event, fault: None };
        Template::new(template).expect("it is understood").print(&seen)
    }

    #[test]
    fn prints_what_is_asked_for() {
        let json = "application/json";
        let cases = [
            (r"{{id}} {{data.a[1]}}\n", json, r#"{"a":[1,2]}"#, "i 2\n"),
            ("{{data}}", "text/plain", "<&\"", "<&\""),
            (r"{{place}}\t{{size}}", json, "12", "0/7\t2"),
            (
                "{{data}} {{data.b}}",
                json,
                r#"{"b":[1,null,"x"]}"#,
                r#"{"b":[1,null,"x"]} [1,null,"x"]"#,
            ),
            ("{{data.n}} {{data.t}}", json, r#"{"n":null,"t":true}"#, "null true"),
            (
                "{{data[0]}} {{data[1]}}",
                json,
                "[12345678901234567890123,1e400]",
                "12345678901234567890123 1e400",
            ),
            (r"\\n", json, "1", r"\n"),
            ("{{sent}}", json, "1", "1970-01-01T00:00:00Z"),
            ("{{nothing}}.", json, "1", "."),
        ];
        for (template, kind, body, wanted) in cases {
            assert_eq!(printed(template, kind, body).as_deref(), Ok(wanted), "{template}");
        }
        assert!(printed("{{data.a.b.c}}", json, "1").is_err());
        assert!(Template::new("{{").is_err());
    }
}
