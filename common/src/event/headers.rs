//! An event as headers and a body, on middlewares that have them: the names
//! are those of the CloudEvents Kafka protocol binding, version 1.0.2, binary
//! mode. PROTOCOL.md, "Headers", is its specification. Nothing is lost either
//! way.

use super::{Attr, Body, Control, Event, check_name};

/// Media type of the body.
const CONTENT_TYPE: &str = "content-type";
/// Our control block, as bytes.
const CONTROL: &str = "faas-control";
/// Attributes that are no text: `attempts=i,again=b`.
const TYPES: &str = "faas-types";
/// Prefix of all others.
const PREFIX: &str = "ce_";

/// Tells the names and values of an event's headers; the id comes first. Its
/// body goes beside them.
pub fn each(event: &Event, mut put: impl FnMut(&str, &[u8])) {
    put("ce_id", event.id.as_bytes());
    put("ce_specversion", b"1.0");
    put("ce_source", event.source.as_bytes());
    put("ce_type", event.kind.as_bytes());
    if let Some(time) = &event.time {
        put("ce_time", time.as_bytes());
    }
    if let Some(content_type) = &event.content_type {
        put(CONTENT_TYPE, content_type.as_bytes());
    }
    let mut types = Vec::new();
    for (name, value) in &event.extensions {
        put(&format!("{PREFIX}{name}"), value.to_string().as_bytes());
        match value {
            Attr::Int(_) => types.push(format!("{name}=i")),
            Attr::Bool(_) => types.push(format!("{name}=b")),
            Attr::Text(_) => {}
        }
    }
    if !types.is_empty() {
        put(TYPES, types.join(",").as_bytes());
    }
    if let Some(control) = &event.control {
        let mut bytes = Vec::new();
        control.encode(&mut bytes);
        put(CONTROL, &bytes);
    }
}

/// Puts an event together. Headers that are not ours are left out.
///
/// # Errors
/// Why this is no event.
pub fn read<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    data: Option<Vec<u8>>,
) -> Result<Event, String> {
    let mut event = Event { body: data.map(Body::Inline), ..Event::default() };
    let mut types = String::new();
    let mut seen = false;
    for (name, value) in fields {
        if name == CONTROL {
            let control = Control::decode(value).map_err(|error| format!("{CONTROL}: {error}"))?;
            event.control = Some(Box::new(control));
            continue;
        }
        let attribute = name.strip_prefix(PREFIX);
        if attribute.is_none() && name != CONTENT_TYPE && name != TYPES {
            continue;
        }
        let text = || String::from_utf8(value.to_vec()).map_err(|_| format!("{name} is no text"));
        match attribute {
            None if name == TYPES => types = text()?,
            None => event.content_type = Some(text()?),
            Some("specversion") if value == b"1.0" => seen = true,
            Some("specversion") => {
                return Err(format!("specversion {} is not understood", text()?));
            }
            Some("id") => event.id = text()?,
            Some("source") => event.source = text()?,
            Some("type") => event.kind = text()?,
            Some("time") => event.time = Some(text()?),
            Some(extension) => {
                check_name(extension).map_err(|error| format!("{name}: {error}"))?;
                event.extensions.insert(extension.to_owned(), Attr::Text(text()?));
            }
        }
    }
    give_types(&mut event, &types);
    let required = [("id", &event.id), ("source", &event.source), ("type", &event.kind)];
    let missing = required.iter().find(|(_, value)| value.is_empty());
    match missing {
        Some((name, _)) => Err(format!("it is no event: {PREFIX}{name} is missing")),
        None if !seen => Err(format!("it is no event: {PREFIX}specversion is missing")),
        None => Ok(event),
    }
}

/// A value that is not what it says stays a text.
fn give_types(event: &mut Event, types: &str) {
    for (name, kind) in types.split(',').filter_map(|one| one.split_once('=')) {
        let Some(Attr::Text(text)) = event.extensions.get(name) else { continue };
        let value = match kind {
            "i" => text.parse().ok().map(Attr::Int),
            "b" => text.parse().ok().map(Attr::Bool),
            _ => None,
        };
        if let Some(value) = value {
            event.extensions.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::credit::Credit;
    use proptest::prelude::*;

    fn there_and_back(event: &Event) -> Result<Event, String> {
        let mut fields = Vec::new();
        each(event, |name, value| fields.push((name.to_owned(), value.to_vec())));
        let data = event.body.as_ref().map(|body| body.load().expect("in memory").into_owned());
        read(fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())), data)
    }

    fn attr() -> impl Strategy<Value = Attr> {
        prop_oneof![
            any::<bool>().prop_map(Attr::Bool),
            any::<i64>().prop_map(Attr::Int),
            ".{0,20}".prop_map(Attr::Text),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            texts in prop::array::uniform3(".{1,20}"),
            optional in prop::array::uniform2(prop::option::of(".{0,20}")),
            extensions in prop::collection::btree_map("[a-z0-9]{1,12}", attr(), 0..5),
            body in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            is_in_a_run in any::<bool>(),
        ) {
            let [id, source, kind] = texts;
            let [time, content_type] = optional;
            let taken = ["id", "source", "type", "time", "specversion"];
            let extensions = extensions.into_iter().filter(|(n, _)| !taken.contains(&n.as_str()));
            let control = is_in_a_run.then(|| Box::new(Control {
                run: "r".into(), credit: Credit::whole(), ..Control::default()
            }));
            let event = Event {
                id, source, kind, time, content_type, control,
                extensions: extensions.collect(),
                body: body.map(Body::Inline),
            };
            prop_assert_eq!(there_and_back(&event), Ok(event));
        }
    }

    #[test]
    fn says_what_is_no_event() {
        let none = read([("x", &b"y"[..])].into_iter(), None);
        assert_eq!(none, Err("it is no event: ce_id is missing".to_owned()));
    }
}
