//! Any bytes, any JSON, any size come back as they were.

use faas_common::event::control::{Control, Verdict};
use faas_common::event::credit::Credit;
use faas_common::event::shape::{self, InShape, Origin, Record};
use faas_common::event::{
    Attr, Body, Event, JoinShare, Show, Token, frame, is_json, print_envelope,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const EXACT: Show = Show { exact: true, control: false };

/// JSON texts as people and machines write them, not as a library would.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,30}",
        Just("1.0".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just("\"\\u0000\\ud800\\n\"".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string is JSON")),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let space = prop_oneof![Just(""), Just(" "), Just("\n  "), Just("\r\n\t")];
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), space.clone()).prop_map(
                |(items, space)| format!("[{space}{}{space}]", items.join(&format!(",{space}")))
            ),
            (prop::collection::vec(("[ab\"]{0,2}", inner), 0..5), space).prop_map(
                |(members, space)| {
                    let members: Vec<String> = members
                        .into_iter()
                        .map(|(key, value)| {
                            format!(
                                "{}:{space}{value}",
                                serde_json::to_string(&key).expect("a string")
                            )
                        })
                        .collect();
                    format!("{{{space}{}{space}}}", members.join(","))
                }
            ),
        ]
    })
}

#[allow(clippy::type_complexity)]
fn event() -> impl Strategy<Value = Event> {
    let body = prop_oneof![
        any::<Vec<u8>>().prop_map(|bytes| (None, bytes)),
        any::<Vec<u8>>().prop_map(|bytes| (Some("application/octet-stream"), bytes)),
        any::<String>().prop_map(|text| (Some("text/plain"), text.into_bytes())),
        any::<String>().prop_map(|text| (Some("application/json"), text.into_bytes())),
        json_text().prop_map(|text| (Some("application/json"), text.into_bytes())),
        json_text().prop_map(|text| (None, text.into_bytes())),
        json_text()
            .prop_map(|text| (Some("application/vnd.x+json; charset=utf-8"), text.into_bytes())),
    ];
    let attr = prop_oneof![
        any::<bool>().prop_map(Attr::Bool),
        any::<i64>().prop_map(Attr::Int),
        any::<String>().prop_map(Attr::Text),
    ];
    let extensions = prop::collection::btree_map("x[a-z0-9]{1,8}", attr, 0..4);
    let text = ".{1,20}";
    (text, text, text, prop::option::of(any::<String>()), prop::option::of(body), extensions)
        .prop_map(
            |(id, source, kind, time, body, extensions): (
                String,
                String,
                String,
                _,
                Option<(Option<&str>, Vec<u8>)>,
                BTreeMap<String, Attr>,
            )| {
                Event {
                    id,
                    source,
                    kind,
                    time,
                    content_type: body.as_ref().and_then(|(kind, _)| kind.map(str::to_owned)),
                    extensions,
                    body: body.map(|(_, bytes)| Body::Inline(bytes)),
                    control: None,
                }
            },
        )
}

fn reread(event: &Event, show: Show) -> Event {
    let mut line = Vec::new();
    print_envelope(event, show, &mut line).expect("a body in memory can be printed");
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(!line.contains(&b'\n'), "an envelope is one line");
    let record = Record { number: 1, bytes: line, fault: None };
    let origin = Origin { source: "s".into(), id_prefix: "p".into() };
    shape::read(&record, InShape::Json, &origin).expect("what we print we read")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn exact_envelopes_are_lossless(event in event()) {
        prop_assert_eq!(reread(&event, EXACT), event);
    }

    #[test]
    fn frames_are_lossless(mut event in event(), hop in any::<u32>(), started in any::<u64>()) {
        event.control = Some(Box::new(Control {
            run: "r".into(), version: "v".into(), step: "s".into(), invocation: "t-1".into(),
            credit: Credit::whole().split(5).swap_remove(3), hop, started_us: started,
            verdict: Some(Verdict::Dead),
            joins: (0..hop % 4).map(|join| JoinShare {
                join,
                instance: if join % 2 == 0 { String::new() } else { "4d2c".into() },
                share: Credit::whole().split(3).swap_remove(1),
            }).collect(),
            counts: (0..hop % 3).map(|rule| (rule, hop)).collect(),
            deadline_us: started / 2, sender: (hop % 2 == 0).then_some(hop),
            token: [None, Some(Token::Absent), Some(Token::Failed)][hop as usize % 3],
            gathered: hop % 5 == 0,
            reply: if hop % 7 == 0 { "4d2c".into() } else { String::new() },
        }));
        let bytes = frame::encode(&event).expect("a body in memory can be encoded");
        prop_assert_eq!(frame::decode(&bytes), Ok((event, frame::Place::Inside)));
    }

    /// Without --exact JSON keeps every token; only line breaks between them
    /// become spaces. Other bodies stay to the byte.
    #[test]
    fn plain_envelopes_keep_every_token(event in event()) {
        let again = reread(&event, Show::default());
        let bytes = |event: &Event| event.body.as_ref().map(|b| b.load().expect("in memory").into_owned());
        let (before, after) = (bytes(&event), bytes(&again));
        if before.as_deref().is_some_and(is_json) && event.content_type.as_deref() != Some("text/plain") {
            let spaced = |bytes: Option<Vec<u8>>| {
                let bytes = bytes.unwrap_or_default();
                let text: Vec<u8> = bytes.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
                text.trim_ascii().to_vec()
            };
            prop_assert_eq!(spaced(before), spaced(after));
        } else {
            prop_assert_eq!(before, after);
        }
    }
}

#[test]
fn numbers_and_keys_stay_as_they_were_written() {
    for json in [
        "12345678901234567890123",
        "1.0",
        "-0",
        "1E+2",
        r#"{"b":1,"a":2,"b":3}"#,
        r#""\u0000""#,
        r#"{"deep":[[[[{"x":1.50}]]]]}"#,
    ] {
        let event = Event::bare("i".into(), "s".into(), "application/json", json.into());
        let mut line = Vec::new();
        print_envelope(&event, Show::default(), &mut line).expect("printed");
        let text = String::from_utf8(line).expect("UTF-8");
        assert!(text.ends_with(&format!("\"data\":{json}}}\n")), "{text}");
        assert_eq!(reread(&event, EXACT), event);
    }
}

#[test]
fn no_body_and_an_empty_body_are_not_the_same() {
    let mut event = Event::bare("i".into(), "s".into(), "text/plain", Vec::new());
    assert_eq!(reread(&event, EXACT).body, Some(Body::Inline(Vec::new())));
    event.body = None;
    assert_eq!(reread(&event, EXACT).body, None);
}

#[test]
fn nesting_has_no_bottom() {
    let json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let event = Event::bare("i".into(), "s".into(), "application/json", json.into_bytes());
    assert_eq!(reread(&event, EXACT), event);
}
