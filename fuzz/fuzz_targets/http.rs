//! Fuzz target: the headers (a line each) and the body of an HTTP message.
#![no_main]

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (head, body) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 1..])) {
            headers.append(name, value);
        }
    }
    let reply = faas_common::worker::http::Reply { status: 503, headers, body: body.to_vec() };
    reply.end(0);
    let _ = reply.output();
});
