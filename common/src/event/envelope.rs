//! The envelope: one event as one JSON object on one line (CloudEvents 1.0,
//! JSON event format), bodies kept to the letter.

use super::{Attr, Body, CONTROL_PREFIX, Event, MediaKind, check_name, is_json, media_kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::io;

/// Why a line is not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a JSON object, or cut short.
    #[error("not valid JSON: {}", on_one_line(.0))]
    Json(#[from] serde_json::Error),
    /// A specversion this version of the tools does not speak.
    #[error("specversion {0} is not supported, only 1.0 is")]
    Version(String),
    /// A required attribute is missing or not a non-empty string.
    #[error("attribute `{0}` is missing or not a non-empty string")]
    Missing(&'static str),
    /// An attribute with a value CloudEvents does not allow.
    #[error("attribute `{0}` is not a string, a boolean or a whole number")]
    Value(String),
    /// An attribute name CloudEvents does not allow.
    #[error(transparent)]
    Name(#[from] super::NameError),
    /// `data_base64` that is not base64, or beside `data`.
    #[error("`data_base64` is not base64, or stands beside `data`")]
    Base64,
}

/// The record is a line already; only the column says something.
fn on_one_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

/// The members of a JSON object in order, each value as its own text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if name == "specversion" && members.iter().any(|(held, _)| *held == name) {
                        return Err(A::Error::custom("specversion stands twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Reads a line that begins like a JSON object. `Ok(None)` when it is one
/// without `specversion`: then it is a bare JSON body.
///
/// # Errors
/// [`EnvelopeError`] when it is no JSON object or a bad envelope.
pub fn parse_envelope(line: &[u8]) -> Result<Option<Event>, EnvelopeError> {
    let text =
        std::str::from_utf8(line).map_err(|_| serde_json::Error::custom("it is not UTF-8"))?;
    let Members(members) = serde_json::from_str(text)?;
    let Some((_, version)) = members.iter().find(|(name, _)| name == "specversion") else {
        return Ok(None);
    };
    if string(version).as_deref() != Some("1.0") {
        return Err(EnvelopeError::Version(version.get().trim_matches('"').to_owned()));
    }
    let mut builder = Builder::default();
    for (name, value) in members {
        builder.member(name, value)?;
    }
    builder.finish().map(Some)
}

#[derive(Default)]
struct Builder<'a> {
    event: Event,
    seen: std::collections::HashSet<String>,
    data: Option<&'a RawValue>,
}

impl<'a> Builder<'a> {
    fn member(&mut self, name: String, value: &'a RawValue) -> Result<(), EnvelopeError> {
        if !self.seen.insert(name.clone()) {
            return Err(serde_json::Error::custom(format!("`{name}` stands twice")).into());
        }
        let required = |field| {
            string(value).filter(|text| !text.is_empty()).ok_or(EnvelopeError::Missing(field))
        };
        match name.as_str() {
            "specversion" => {}
            "id" => self.event.id = required("id")?,
            "source" => self.event.source = required("source")?,
            "type" => self.event.kind = required("type")?,
            "data" => self.data = Some(value),
            "data_base64" => {
                let text = string(value).ok_or(EnvelopeError::Base64)?;
                let bytes = BASE64.decode(text).map_err(|_| EnvelopeError::Base64)?;
                self.event.body = Some(Body::Inline(bytes));
            }
            _ if value.get() == "null" => {}
            "time" => self.event.time = Some(string(value).ok_or(EnvelopeError::Value(name))?),
            "datacontenttype" => {
                self.event.content_type = Some(string(value).ok_or(EnvelopeError::Value(name))?);
            }
            _ => {
                check_name(&name)?;
                let attr = attribute(value).ok_or_else(|| EnvelopeError::Value(name.clone()))?;
                self.event.extensions.insert(name, attr);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Event, EnvelopeError> {
        for (field, value) in
            [("id", &self.event.id), ("source", &self.event.source), ("type", &self.event.kind)]
        {
            if value.is_empty() {
                return Err(EnvelopeError::Missing(field));
            }
        }
        if let Some(data) = self.data {
            if self.event.body.is_some() {
                return Err(EnvelopeError::Base64);
            }
            let text = match media_kind(self.event.content_type.as_deref()) {
                MediaKind::Json => None,
                MediaKind::Other => string(data),
            };
            let bytes = text.unwrap_or_else(|| data.get().to_owned()).into_bytes();
            self.event.body = Some(Body::Inline(bytes));
        }
        Ok(self.event)
    }
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn attribute(value: &RawValue) -> Option<Attr> {
    match serde_json::from_str(value.get()).ok()? {
        serde_json::Value::Bool(value) => Some(Attr::Bool(value)),
        serde_json::Value::Number(number) => number.as_i64().map(Attr::Int),
        serde_json::Value::String(text) => Some(Attr::Text(text)),
        _ => None,
    }
}

/// What of an event is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Show {
    /// Bodies to the byte: JSON that does not fit on a line goes as base64.
    pub exact: bool,
    /// The control block too, as attributes, for people who debug a run.
    pub control: bool,
}

/// Appends the event as one line of JSON with its line feed.
///
/// # Errors
/// The body is in a file that cannot be read.
pub fn print_envelope(event: &Event, show: Show, out: &mut Vec<u8>) -> io::Result<()> {
    let mut print = Printer { out };
    print.out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    print.text("id", &event.id);
    print.text("source", &event.source);
    print.text("type", &event.kind);
    if let Some(time) = &event.time {
        print.text("time", time);
    }
    if let Some(content_type) = &event.content_type {
        print.text("datacontenttype", content_type);
    }
    for (name, value) in &event.extensions {
        print.attribute(name, value);
    }
    if let (true, Some(control)) = (show.control, &event.control) {
        for (name, value) in control_attributes(control) {
            print.attribute(&format!("{CONTROL_PREFIX}{name}"), &value);
        }
    }
    if let Some(body) = &event.body {
        print.body(&body.load()?, event.content_type.as_deref(), show.exact);
    }
    print.out.extend_from_slice(b"}\n");
    Ok(())
}

fn control_attributes(control: &super::Control) -> Vec<(&'static str, Attr)> {
    let mut shown = vec![
        ("run", Attr::Text(control.run.clone())),
        ("invocation", Attr::Text(control.invocation.clone())),
        ("hop", Attr::Int(i64::from(control.hop))),
    ];
    if !control.step.is_empty() {
        shown.push(("step", Attr::Text(control.step.clone())));
    }
    if let Some(verdict) = control.verdict {
        shown.push(("verdict", Attr::Text(verdict.word().to_owned())));
    }
    shown
}

struct Printer<'a> {
    out: &'a mut Vec<u8>,
}

impl Printer<'_> {
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    /// A string cannot fail to become JSON, nor a Vec to be written to.
    fn string(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut *self.out, text);
    }

    fn attribute(&mut self, name: &str, value: &Attr) {
        match value {
            Attr::Text(text) => self.text(name, text),
            other => {
                self.name(name);
                self.out.extend_from_slice(other.to_string().as_bytes());
            }
        }
    }

    fn body(&mut self, body: &[u8], content_type: Option<&str>, exact: bool) {
        let text = std::str::from_utf8(body);
        match (media_kind(content_type), text) {
            (MediaKind::Json, _) if is_json(body) => self.json(body, exact),
            (MediaKind::Other, Ok(text)) => self.text("data", text),
            _ => self.base64(body),
        }
    }

    /// Line breaks in JSON can only stand between its tokens.
    fn json(&mut self, body: &[u8], exact: bool) {
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let padded = body.trim_ascii().len() != body.len();
        if exact && (padded || body.iter().any(is_break)) {
            return self.base64(body);
        }
        self.name("data");
        let start = self.out.len();
        self.out.extend_from_slice(body);
        for byte in self.out[start..].iter_mut().filter(|byte| is_break(byte)) {
            *byte = b' ';
        }
    }

    fn base64(&mut self, body: &[u8]) {
        self.name("data_base64");
        self.out.push(b'"');
        self.out.extend_from_slice(BASE64.encode(body).as_bytes());
        self.out.push(b'"');
    }
}
