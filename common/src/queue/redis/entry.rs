//! An entry of a stream and the event in it.

use crate::event::{Body, Event, headers};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use redis::Value;
use serde_json::json;

/// The field of the body.
const DATA: &str = "data";

/// Tells the fields of an event, names and values in turn. The id comes
/// first: by it the server knows what came before.
///
/// # Errors
/// The body is in a file that cannot be read.
pub fn write(event: &Event, mut field: impl FnMut(&[u8])) -> std::io::Result<()> {
    headers::each(event, |name, value| {
        field(name.as_bytes());
        field(value);
    });
    if let Some(body) = &event.body {
        let data = body.load()?;
        field(DATA.as_bytes());
        field(&data);
    }
    Ok(())
}

/// The event of an entry, and what is wrong with it when it is none: then the
/// fields are its body, so that nothing is lost.
pub fn event(id: &str, queue: &str, fields: Vec<Value>) -> (Event, Option<String>) {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::with_capacity(fields.len() / 2);
    let mut data = None;
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match (bytes(name), bytes(value)) {
            (name, value) if name == DATA.as_bytes() => data = Some(value),
            (name, value) => pairs.push((String::from_utf8_lossy(&name).into_owned(), value)),
        }
    }
    let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    match headers::read(borrowed, None) {
        Ok(event) => (Event { body: data.map(Body::Inline), ..event }, None),
        Err(fault) => (foreign(id, queue, pairs, data), Some(fault)),
    }
}

fn foreign(id: &str, queue: &str, pairs: Vec<(String, Vec<u8>)>, data: Option<Vec<u8>>) -> Event {
    let value = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(error) => json!({ "base64": BASE64.encode(error.as_bytes()) }),
    };
    let data = data.map(|data| (DATA.to_owned(), data));
    let all = pairs.into_iter().chain(data).map(|(name, bytes)| (name, value(bytes)));
    let body: serde_json::Map<String, serde_json::Value> = all.collect();
    Event {
        id: id.to_owned(),
        source: queue.to_owned(),
        kind: "faas.foreign".to_owned(),
        content_type: Some("application/json".to_owned()),
        body: Some(Body::Inline(json!(body).to_string().into_bytes())),
        ..Event::default()
    }
}

/// The bytes of a value; none of what has none.
pub(super) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

/// A value as text.
pub(super) fn text(value: Value) -> String {
    String::from_utf8_lossy(&bytes(value)).into_owned()
}

/// The items of an array; none of what is none.
pub(super) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_kept_as_it_came() {
        let field = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let (event, fault) = event("1-0", "redis://h/0/q", vec![field("a"), field("b")]);
        assert_eq!(fault.as_deref(), Some("it is no event: ce_id is missing"));
        let body = event.body.expect("a body");
        assert_eq!(body.load().expect("in memory").as_ref(), b"{\"a\":\"b\"}");
        assert_eq!(event.id, "1-0");
    }
}
