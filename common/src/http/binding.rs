//! Events as HTTP messages: the CloudEvents HTTP protocol binding, version
//! 1.0.2. Binary mode: attributes are `ce-` headers, the body is the body.
//! Structured mode: the body is the envelope. Batched mode, which is only
//! read: a JSON array of envelopes.

use crate::event::{Attr, Body, CONTROL_PREFIX, Event, check_name, parse_envelope};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// Media type of an envelope.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// Media type of several.
const BATCHED: &str = "application/cloudevents-batch+json";

/// What headers and a body are.
#[derive(Debug)]
pub enum Message {
    /// Events; their ids are as they were sent.
    Events(Vec<Event>),
    /// A bare body, and its media type if it has one.
    Bare(Option<String>, Vec<u8>),
}

/// The headers of an event in binary mode. What no header can carry (a name
/// that is none) cannot be in an event.
pub fn headers_of(event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let name = HeaderName::try_from(format!("ce-{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(encode(value))) {
            headers.insert(name, value);
        }
    };
    put("specversion", "1.0");
    put("id", &event.id);
    put("source", &event.source);
    put("type", &event.kind);
    if let Some(time) = &event.time {
        put("time", time);
    }
    for (name, value) in &event.extensions {
        put(name, &value.to_string());
    }
    // An event that names no type has JSON (CloudEvents 1.0, section 3.1.1).
    let kind = event.content_type.as_deref().unwrap_or("application/json");
    if let (Some(_), Ok(kind)) = (&event.body, kind.parse()) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers
}

/// What came in.
///
/// # Errors
/// Why it is no event although it says so.
pub fn read(headers: &HeaderMap, body: Vec<u8>) -> Result<Message, String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let media = text(CONTENT_TYPE).map(str::to_owned);
    let essence = media.as_deref().unwrap_or("").split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(STRUCTURED) {
        return Ok(Message::Events(vec![envelope(&body)?]));
    }
    if essence.eq_ignore_ascii_case(BATCHED) {
        let parts: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&body)
            .map_err(|error| format!("no batch of events: {error}"))?;
        let events = parts.into_iter().map(|part| envelope(part.get().as_bytes()));
        return Ok(Message::Events(events.collect::<Result<_, _>>()?));
    }
    if headers.contains_key("ce-specversion") {
        return Ok(Message::Events(vec![binary(headers, media, body)?]));
    }
    Ok(Message::Bare(media, body))
}

fn envelope(text: &[u8]) -> Result<Event, String> {
    let event = parse_envelope(text).map_err(|error| error.to_string())?;
    let mut event = event.ok_or("it is no event: specversion is missing")?;
    event.drop_control();
    Ok(event)
}

fn binary(headers: &HeaderMap, media: Option<String>, body: Vec<u8>) -> Result<Event, String> {
    let mut event = Event { content_type: media, ..Event::default() };
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value.to_str().map(decode).map_err(|_| format!("ce-{name} is no text"))?;
        match name {
            "specversion" if value == "1.0" => {}
            "specversion" => return Err(format!("specversion {value} is not understood")),
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.kind = value,
            "time" => event.time = Some(value),
            _ if name.starts_with(CONTROL_PREFIX) => {}
            _ => {
                check_name(name).map_err(|error| format!("ce-{name}: {error}"))?;
                event.extensions.insert(name.to_owned(), Attr::Text(value));
            }
        }
    }
    for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.kind)] {
        if value.is_empty() {
            return Err(format!("ce-{name} is missing"));
        }
    }
    if !body.is_empty() {
        event.body = Some(Body::Inline(body));
    }
    Ok(event)
}

/// Section 3.1.3.2: spaces, quotes, percent signs and what is not printable
/// ASCII are percent-encoded.
fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' | 0..=0x20 | 0x7F.. => text += &format!("%{byte:02X}"),
            _ => text.push(char::from(byte)),
        }
    }
    text
}

/// The same back; a percent sign without two digits stays as it is.
fn decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> Event {
        let mut event =
            Event::bare("a 1".into(), "/shop".into(), "application/json", b"{}".to_vec());
        event.extensions.insert("subject".into(), Attr::Text("50 % \u{e9}".into()));
        event
    }

    #[test]
    fn an_event_comes_back_as_it_went() {
        let headers = headers_of(&event());
        assert_eq!(headers["ce-id"], "a%201");
        assert_eq!(headers["ce-subject"], "50%20%25%20%C3%A9");
        let Ok(Message::Events(read)) = read(&headers, b"{}".to_vec()) else { panic!("an event") };
        assert_eq!(read, [event()]);
    }

    #[test]
    fn bodies_without_attributes_are_bare() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let Ok(Message::Bare(Some(media), body)) = read(&headers, b"x".to_vec()) else {
            panic!("bare")
        };
        assert_eq!((media.as_str(), body.as_slice()), ("text/html", &b"x"[..]));
    }

    #[test]
    fn structured_and_batched() {
        let envelope =
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"faasrun":"x"}"#;
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/cloudevents+json; charset=utf-8"),
        );
        let one = read(&headers, envelope.into()).expect("an event");
        assert!(
            matches!(one, Message::Events(events) if events.len() == 1 && events[0].extensions.is_empty())
        );
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCHED));
        let two = read(&headers, format!("[{envelope},{envelope}]").into()).expect("events");
        assert!(matches!(two, Message::Events(events) if events.len() == 2));
        assert!(read(&headers, b"{}".to_vec()).is_err());
    }

    #[test]
    fn what_says_it_is_an_event_and_is_none() {
        for (name, value) in [("ce-id", ""), ("ce-type", ""), ("ce-specversion", "2.0")] {
            let mut headers = headers_of(&event());
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert!(read(&headers, Vec::new()).is_err(), "{name}");
        }
    }

    #[test]
    fn ours_cannot_be_forged() {
        let mut headers = headers_of(&event());
        headers.insert("ce-faasverdict", HeaderValue::from_static("result"));
        let Ok(Message::Events(read)) = read(&headers, b"{}".to_vec()) else { panic!("an event") };
        assert_eq!(read, [event()]);
    }

    proptest! {
        #[test]
        fn encoding_is_lossless(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn decoding_never_fails(text in any::<String>()) {
            decode(&text);
        }
    }
}
