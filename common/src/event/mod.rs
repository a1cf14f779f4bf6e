//! The message: a CloudEvents 1.0 event in memory, one JSON line on a pipe, a
//! compact frame on a queue.

mod attr;
mod body;
pub mod control;
pub mod credit;
mod envelope;
pub mod frame;
pub mod headers;
pub mod id;
pub mod shape;
pub(crate) mod varint;

pub use attr::{Attr, NameError, check_name};
pub use body::{Body, BodyFile, MediaKind, detect_type, is_json, media_kind};
pub use control::{Control, JoinShare, Token, Verdict};
pub use envelope::{EnvelopeError, Show, parse_envelope, print_envelope};

use std::collections::BTreeMap;

/// Prefix of the attributes that are ours alone. From outside (pipes, HTTP,
/// function output) they are dropped, so nobody can forge them.
pub const CONTROL_PREFIX: &str = "faas";

/// One event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// Unique within `source`; together they are the de-duplication key.
    pub id: String,
    /// Where the event comes from, a URI reference.
    pub source: String,
    /// What kind of event it is.
    pub kind: String,
    /// When it happened, RFC 3339, as it was written.
    pub time: Option<String>,
    /// Media type of the body. Absent means JSON (CloudEvents 1.0, section 3.1.1).
    pub content_type: Option<String>,
    /// Extension attributes, by name.
    pub extensions: BTreeMap<String, Attr>,
    /// The body. No body and an empty body are not the same.
    pub body: Option<Body>,
    /// What the platform adds while the event travels inside a run.
    pub control: Option<Box<Control>>,
}

impl Event {
    /// An event around a bare body whose media type is known.
    pub fn bare(id: String, source: String, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            id,
            source,
            kind: "faas.event".to_owned(),
            content_type: Some(content_type.to_owned()),
            body: Some(Body::Inline(body)),
            ..Self::default()
        }
    }

    /// Length of the body in bytes; no body counts as zero.
    pub fn body_len(&self) -> u64 {
        self.body.as_ref().map_or(0, Body::len)
    }

    /// Drops what only the platform may say: the control block and every
    /// attribute with our prefix. Done to all that comes from outside.
    pub fn drop_control(&mut self) {
        self.control = None;
        self.extensions.retain(|name, _| !name.starts_with(CONTROL_PREFIX));
    }

    /// Sets a string attribute of ours, such as a dead letter's reason.
    pub fn note(&mut self, name: &str, value: impl Into<String>) {
        self.extensions.insert(name.to_owned(), Attr::Text(value.into()));
    }

    /// Reads a string attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.extensions.get(name) {
            Some(Attr::Text(text)) => Some(text),
            _ => None,
        }
    }
}
