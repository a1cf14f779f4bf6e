//! The one message that a join makes of its parts.

use super::model::{Chain, FunctionInput, Join};
use super::scopes::Scopes;
use crate::event::{
    Body, Control, Event, MediaKind, Show, id, is_json, media_kind, print_envelope,
};
use crate::limits;
use crate::queue::gather::Firing;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::collections::BTreeMap;
use std::io;

/// What a firing came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The message: the parts as one JSON object, by the function they come from.
    pub event: Event,
    /// Why it is a dead letter, if it is one.
    pub flaw: Option<String>,
}

/// Makes the message of `join` from the parts of one instance. Its id follows
/// from the invocation and the instance alone, so that a join that fires
/// again makes the same message. `instance` is as in [`crate::event::JoinShare`].
///
/// # Errors
/// A part's body is in a file that cannot be read.
pub fn assemble(
    chain: &Chain,
    scopes: &Scopes,
    join: usize,
    instance: &str,
    firing: &Firing<Event>,
) -> io::Result<Joined> {
    let function = &chain.functions[join];
    let first = firing.parts.first().cloned().unwrap_or_default();
    let known = first.control.as_deref().cloned().unwrap_or_default();
    let origin = id::Origin {
        invocation: &known.invocation,
        parent_source: "",
        parent_id: instance,
        function: &function.name,
    };
    let joined = match firing.too_large {
        true => None,
        false => object(chain, scopes, join, &firing.parts)?,
    };
    let fits = joined.is_some();
    let body = joined.unwrap_or_else(|| b"null".to_vec());
    let event = Event {
        id: id::derive(origin, "join", &function.name, 0),
        source: format!("/faas/{}", chain.name),
        kind: "faas.join".to_owned(),
        time: firing.parts.iter().filter_map(|part| part.time.clone()).max(),
        content_type: Some("application/json".to_owned()),
        extensions: extensions(&firing.parts),
        body: Some(Body::Inline(body)),
        control: Some(Box::new(control(known, firing))),
    };
    let flaw = match function.join {
        _ if !fits => Some("join: its parts are over the limit of 1 GiB".to_owned()),
        Some(Join::Of(of)) if firing.short => Some(format!("join: {} of {of}", firing.parts.len())),
        Some(Join::All) if firing.failed && function.failed == super::model::Failed::Dead => {
            Some("join: a part failed".to_owned())
        }
        _ => None,
    };
    Ok(Joined { event, flaw })
}

/// What the message carries on: all shares of its parts, and of each count
/// the largest.
fn control(first: Control, firing: &Firing<Event>) -> Control {
    let controls = || firing.parts.iter().filter_map(|part| part.control.as_deref());
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for (rule, count) in controls().flat_map(|control| &control.counts) {
        let most = counts.entry(*rule).or_default();
        *most = (*most).max(*count);
    }
    let mut joins = firing.load.joins.clone();
    joins.sort_by(|a, b| (a.join, &a.instance).cmp(&(b.join, &b.instance)));
    Control {
        credit: firing.load.credit.clone(),
        joins,
        counts: counts.into_iter().collect(),
        hop: controls().map(|control| control.hop).max().unwrap_or(0),
        sender: None,
        gathered: true,
        ..first
    }
}

/// The parts' attributes; where two have the same, the first part's.
fn extensions(parts: &[Event]) -> BTreeMap<String, crate::event::Attr> {
    let mut all = BTreeMap::new();
    for (name, value) in parts.iter().flat_map(|part| &part.extensions) {
        if !name.starts_with(crate::event::CONTROL_PREFIX) {
            all.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    all
}

/// `None`: it is more than a body can be.
fn object(
    chain: &Chain,
    scopes: &Scopes,
    join: usize,
    parts: &[Event],
) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let whole_event = chain.functions[join].input == FunctionInput::Event;
    let mut by_source: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for part in parts {
        let sender = part.control.as_ref().and_then(|control| control.sender);
        let source = sender.map_or(join, |sender| sender as usize);
        let value = if whole_event { envelope(part)? } else { value(part)? };
        length += value.len() as u64 + 1;
        if length > limits::BODY_MAX - (1 << 20) {
            return Ok(None);
        }
        by_source.entry(source).or_default().push(value);
    }
    let mut out = b"{".to_vec();
    for (source, values) in by_source {
        if out.len() > 1 {
            out.push(b',');
        }
        let name = chain.functions.get(source).map_or("", |function| function.name.as_str());
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        let several = scopes.sends_several(join, source) || values.len() > 1;
        let joined = values.join(&b","[..]);
        if several {
            out.push(b'[');
        }
        out.extend_from_slice(&joined);
        if several {
            out.push(b']');
        }
    }
    out.push(b'}');
    Ok(Some(out))
}

fn envelope(part: &Event) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    print_envelope(part, Show { exact: true, control: false }, &mut line)?;
    line.pop();
    Ok(line)
}

/// A part's body as JSON: JSON as itself, text as a string, other bytes as an
/// object that says so.
fn value(part: &Event) -> io::Result<Vec<u8>> {
    let Some(body) = &part.body else { return Ok(b"null".to_vec()) };
    let bytes = body.load()?;
    let kind = media_kind(part.content_type.as_deref());
    Ok(match (kind, std::str::from_utf8(&bytes)) {
        (MediaKind::Json, _) if is_json(&bytes) => bytes.trim_ascii().to_vec(),
        (MediaKind::Other, Ok(text)) => serde_json::Value::from(text).to_string().into_bytes(),
        _ => {
            let mut object = serde_json::json!({ "data_base64": BASE64.encode(&bytes) });
            if let Some(content_type) = &part.content_type {
                object["datacontenttype"] = content_type.as_str().into();
            }
            object.to_string().into_bytes()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::parse_text;
    use crate::queue::gather::Load;
    use std::path::Path;

    #[test]
    fn bodies_become_values() {
        let text = r#"{ "chain": "c", "functions": {
            "a": {"run":["cat"]}, "b": {"run":["cat"], "emit": "lines"}, "j": {"run":["cat"], "join": "all"} },
            "start": ["a", "b"], "rules": [ {"from": ["a","b"], "to": "j"} ] }"#;
        let chain = parse_text(text, Path::new("/")).expect("a valid chain");
        let scopes = Scopes::of(&chain);
        let part = |sender, content_type: &str, body: &[u8]| Event {
            control: Some(Box::new(Control { sender: Some(sender), ..Control::default() })),
            ..Event::bare("i".into(), "s".into(), content_type, body.to_vec())
        };
        let parts = vec![
            part(1, "text/plain", b"one \"line\""),
            part(0, "application/json", b" {\"n\": 1.50}\n"),
            part(1, "application/octet-stream", b"\xff"),
        ];
        let firing =
            Firing { parts, load: Load::default(), failed: false, short: false, too_large: false };
        let joined = assemble(&chain, &scopes, 2, "", &firing).expect("all is in memory");
        let body = joined.event.body.expect("a body").load().expect("in memory").into_owned();
        assert_eq!(
            String::from_utf8(body).expect("JSON"),
            r#"{"a":{"n": 1.50},"b":["one \"line\"",{"data_base64":"/w==","datacontenttype":"application/octet-stream"}]}"#
        );
        assert_eq!(joined.flaw, None);
    }
}
