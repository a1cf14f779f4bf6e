//! Shapes of pipes: streams cut anywhere give the same records.

use faas_common::event::shape::{
    InShape, OutShape, RecordFault, Splitter, WriteError, read, write,
};
use faas_common::event::shape::{Origin, Record};
use faas_common::event::{Event, Show};
use proptest::prelude::*;

fn records(shape: InShape, limit: u64, chunks: &[&[u8]]) -> Vec<Record> {
    let mut splitter = Splitter::new(shape, limit);
    let mut records = Vec::new();
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(record) = splitter.next_record() {
            records.push(record);
        }
    }
    splitter.end();
    while let Some(record) = splitter.next_record() {
        records.push(record);
    }
    assert!(splitter.is_done());
    records
}

fn origin() -> Origin {
    Origin { source: "/test".into(), id_prefix: "p".into() }
}

proptest! {
    #[test]
    fn where_a_stream_is_cut_makes_no_difference(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(0), Just(b'a'), Just(2), any::<u8>()], 0..200),
        cuts in prop::collection::vec(0_usize..200, 0..6),
        shape in prop_oneof![Just(InShape::Lines), Just(InShape::Nul), Just(InShape::Raw), Just(InShape::Frames)],
        limit in prop_oneof![Just(5_u64), Just(1_000_000)],
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let whole = records(shape, limit, &[&bytes]);
        let cut = records(shape, limit, &chunks);
        // How much of an overlong record is kept may differ, not that it is one.
        let faults = |records: &[Record]| records.iter().map(|r| (r.number, r.fault)).collect::<Vec<_>>();
        prop_assert_eq!(faults(&whole), faults(&cut));
        for (a, b) in whole.iter().zip(&cut).filter(|(a, _)| a.fault.is_none()) {
            prop_assert_eq!(&a.bytes, &b.bytes);
        }
    }

    #[test]
    fn what_a_shape_writes_it_reads(bodies in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        for (out, input) in [(OutShape::Frames, InShape::Frames), (OutShape::Nul, InShape::Nul), (OutShape::Lines, InShape::Lines)] {
            let mut stream = Vec::new();
            let mut kept = Vec::new();
            for body in &bodies {
                let event = Event::bare("i".into(), "s".into(), "application/octet-stream", body.clone());
                let before = stream.len();
                match write(&event, out, Show::default(), &mut stream) {
                    Ok(()) => kept.push(body.clone()),
                    Err(WriteError::Shape { .. }) => prop_assert_eq!(stream.len(), before),
                    Err(error) => prop_assert!(false, "{}", error),
                }
            }
            let read: Vec<Vec<u8>> = records(input, 1 << 20, &[&stream]).into_iter().map(|r| r.bytes).collect();
            prop_assert_eq!(read, kept);
        }
    }
}

#[test]
fn an_overlong_line_does_not_touch_its_neighbours() {
    let text = b"one\ntoo long for that\nthree\n";
    let records = records(InShape::Lines, 8, &[text]);
    assert_eq!(records[0].bytes, b"one");
    assert_eq!(records[1].fault, Some(RecordFault::TooLong { seen: 17, limit: 8 }));
    assert_eq!((records[2].number, records[2].bytes.as_slice()), (3, &b"three"[..]));
}

#[test]
fn a_line_is_an_envelope_only_with_specversion() {
    let of = |line: &[u8]| {
        let record = Record { number: 7, bytes: line.to_vec(), fault: None };
        read(&record, InShape::Auto, &origin())
    };
    let bare = of(b"{\"a\":1}").expect("a bare object");
    assert_eq!((bare.id.as_str(), bare.content_type.as_deref()), ("p-7", Some("application/json")));
    assert_eq!(of(b"12").expect("a number").content_type.as_deref(), Some("application/json"));
    assert_eq!(of(b"abc").expect("a word").content_type.as_deref(), Some("text/plain"));
    assert_eq!(
        of(b"\xff").expect("a byte").content_type.as_deref(),
        Some("application/octet-stream")
    );
    let envelope = of(br#"{"specversion":"1.0","id":"i","source":"s","type":"t","data":{"a":1}}"#);
    assert_eq!(envelope.expect("an envelope").id, "i");
    assert!(of(b"  {\"a\":").is_err(), "it begins like an envelope");
}

#[test]
fn control_attributes_from_outside_are_dropped() {
    let line = br#"{"specversion":"1.0","id":"i","source":"s","type":"t","faasrun":"r","faascredit":"all","faasreason":"x","mine":"kept","traceparent":"00-a-b-01"}"#;
    let record = Record { number: 1, bytes: line.to_vec(), fault: None };
    for shape in [InShape::Auto, InShape::Json] {
        let event = read(&record, shape, &origin()).expect("an envelope");
        let names: Vec<&str> = event.extensions.keys().map(String::as_str).collect();
        assert_eq!(names, ["mine", "traceparent"]);
        assert!(event.control.is_none());
    }
}
