//! From what a function printed to the events it made.

use crate::chain::{Emit, Empty, Function};
use crate::event::shape::{self, InShape, Origin, Splitter};
use crate::event::{Body, CONTROL_PREFIX, Event, detect_type};
use crate::limits;

/// The events in a function's output. Ids and control are the router's to
/// give; the parent's own attributes and trace context go on.
///
/// # Errors
/// What is wrong with the output: a line that is no event, or too many.
pub fn parse(
    function: &Function,
    parent: &Event,
    printed: Vec<u8>,
    source: &str,
    time: &str,
    exact: bool,
) -> Result<Vec<Event>, String> {
    if printed.is_empty() && function.empty == Empty::End {
        return Ok(Vec::new());
    }
    let make = |content_type: &str, body: Body| Event {
        source: source.to_owned(),
        kind: "faas.event".to_owned(),
        time: Some(time.to_owned()),
        content_type: Some(content_type.to_owned()),
        extensions: inherited(parent),
        body: Some(body),
        ..Event::default()
    };
    match function.emit {
        Emit::One => {
            let Body::Inline(bytes) = shape::printed_body(printed, exact) else {
                return Ok(Vec::new());
            };
            Ok(vec![make(detect_type(&bytes), Body::Inline(bytes))])
        }
        Emit::Lines => records(printed, InShape::Lines)?
            .into_iter()
            .map(|record| Ok(make(detect_type(&record.bytes), Body::Inline(record.bytes))))
            .collect(),
        Emit::Events => records(printed, InShape::Auto)?
            .into_iter()
            .map(|record| {
                let origin = Origin { source: source.to_owned(), id_prefix: String::new() };
                let mut event = shape::read(&record, InShape::Auto, &origin)
                    .map_err(|error| format!("output line {}: {error}", record.number))?;
                event.source = source.to_owned();
                event.time.get_or_insert_with(|| time.to_owned());
                for (name, value) in inherited(parent) {
                    event.extensions.entry(name).or_insert(value);
                }
                Ok(event)
            })
            .collect(),
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
