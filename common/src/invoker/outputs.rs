//! From what a function printed to the events it made.

use crate::chain::{Emit, Empty, Function};
use crate::event::shape::{self, InShape, Origin, Splitter};
use crate::event::{Body, CONTROL_PREFIX, Event, MediaKind, detect_type, media_kind};
use crate::limits;
use crate::worker::end::Output;
use crate::worker::spool::Spool;

/// The events in a function's output. Ids and control are the router's to
/// give; the parent's own attributes and trace context go on.
///
/// # Errors
/// What is wrong with the output: a line that is no event, or too many.
pub fn parse(
    function: &Function,
    parent: &Event,
    output: Output,
    source: &str,
    time: &str,
    exact: bool,
) -> Result<Vec<Event>, String> {
    let child = Child { parent, source, time };
    // Answers of filters that carry ids are events.
    let emit = if function.answers_by_id() { Emit::Events } else { function.emit };
    let (media, spool, exact) = match output {
        Output::Events(events) => {
            return Ok(events.into_iter().map(|event| child.adopt(event)).collect());
        }
        Output::Printed(spool) => (None, spool, exact),
        // What is text for people ends in a line feed, here as there.
        Output::Sent(media, bytes) => {
            let is_text = media.as_deref().is_none_or(is_textual);
            (media, Spool::from(bytes), exact || !is_text)
        }
    };
    if spool.is_empty() && function.empty == Empty::End {
        return Ok(Vec::new());
    }
    let unread = |error: std::io::Error| format!("its output cannot be read: {error}");
    let inline = |bytes: Vec<u8>| (detect_type(&bytes).to_owned(), Body::Inline(bytes));
    match emit {
        Emit::One => {
            let (body, detected) = spool.into_body(exact).map_err(unread)?;
            let media = media.unwrap_or_else(|| detected.to_owned());
            Ok(vec![child.make((media, body))])
        }
        Emit::Lines => records(spool.into_bytes().map_err(unread)?, InShape::Lines)?
            .into_iter()
            .map(|record| Ok(child.make(inline(record.bytes))))
            .collect(),
        Emit::Events => records(spool.into_bytes().map_err(unread)?, InShape::Auto)?
            .into_iter()
            .map(|record| {
                let origin = Origin { source: source.to_owned(), id_prefix: String::new() };
                let event = shape::read(&record, InShape::Auto, &origin)
                    .map_err(|error| format!("output line {}: {error}", record.number))?;
                Ok(child.adopt(event))
            })
            .collect(),
    }
}

fn is_textual(media: &str) -> bool {
    media.starts_with("text/") || media_kind(Some(media)) == MediaKind::Json
}

/// What an output has from the event it follows from.
struct Child<'a> {
    parent: &'a Event,
    source: &'a str,
    time: &'a str,
}

impl Child<'_> {
    /// A new event around a body.
    fn make(&self, (media, body): (String, Body)) -> Event {
        Event {
            source: self.source.to_owned(),
            kind: "faas.event".to_owned(),
            time: Some(self.time.to_owned()),
            content_type: Some(media),
            extensions: inherited(self.parent),
            body: Some(body),
            ..Event::default()
        }
    }

    /// An event that the function made itself.
    fn adopt(&self, mut event: Event) -> Event {
        event.source = self.source.to_owned();
        event.time.get_or_insert_with(|| self.time.to_owned());
        for (name, value) in inherited(self.parent) {
            event.extensions.entry(name).or_insert(value);
        }
        event
    }
}

fn inherited(parent: &Event) -> std::collections::BTreeMap<String, crate::event::Attr> {
    let ours = |name: &str| name.starts_with(CONTROL_PREFIX);
    parent
        .extensions
        .iter()
        .filter(|(name, _)| !ours(name))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

fn records(printed: Vec<u8>, shape: InShape) -> Result<Vec<shape::Record>, String> {
    let mut splitter = Splitter::new(shape, limits::BODY_MAX);
    splitter.push(&printed);
    splitter.end();
    let mut records = Vec::new();
    while let Some(record) = splitter.next_record() {
        if records.len() == limits::OUTPUTS_PER_CALL_MAX {
            return Err(format!("more than {} outputs", limits::OUTPUTS_PER_CALL_MAX));
        }
        records.push(record);
    }
    Ok(records)
}
