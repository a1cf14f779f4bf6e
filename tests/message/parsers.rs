//! Every parser replays its corpus, and mutations of it, without a panic.
//! A corpus file's name begins with `good` or `bad`; that is checked too.

use faas_common::chain;
use faas_common::event::shape::{InShape, Splitter};
use faas_common::event::{frame, parse_envelope};
use faas_common::queue::QueueUrl;
use faas_common::queue::mqueue::{packet, parcel};
use faas_common::units;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::path::Path;

/// Mutations of each corpus file that are tried.
const MUTATIONS: usize = 2_000;

type Parser = fn(&[u8]) -> bool;

const PARSERS: [(&str, Parser); 8] = [
    ("envelope", |bytes| parse_envelope(bytes).is_ok()),
    ("frame", |bytes| frame::decode(bytes).is_ok()),
    ("packet", |bytes| !matches!(packet::open(bytes, Some(bytes.len())), packet::Packet::Damaged)),
    ("outbox", |bytes| parcel::read_outbox(bytes).is_some()),
    ("chain", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| chain::parse_text(text, Path::new("/")).is_ok())
    }),
    ("splitter", |bytes| {
        let shapes = [InShape::Lines, InShape::Nul, InShape::Raw, InShape::Frames];
        shapes.into_iter().all(|shape| {
            let mut splitter = Splitter::new(shape, 64);
            splitter.push(bytes);
            splitter.end();
            let mut good = true;
            while let Some(record) = splitter.next_record() {
                good &= record.fault.is_none();
            }
            good
        })
    }),
    ("url", |bytes| std::str::from_utf8(bytes).is_ok_and(|text| QueueUrl::parse(text).is_ok())),
    ("duration", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| units::duration(text).is_ok())
    }),
];

fn corpus(parser: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(parser);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut kept: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a corpus file can be read"))
        })
        .collect();
    kept.sort();
    kept
}

#[test]
fn every_parser_replays_its_corpus() {
    for (name, parser) in PARSERS {
        let files = corpus(name);
        assert!(files.iter().any(|(file, _)| file.starts_with("good")), "{name} has no good file");
        assert!(files.iter().any(|(file, _)| file.starts_with("bad")), "{name} has no bad file");
        for (file, bytes) in files {
            assert_eq!(parser(&bytes), file.starts_with("good"), "{name}/{file}");
        }
    }
}

#[test]
fn no_mutation_of_a_corpus_makes_a_parser_panic() {
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut tried = 0_u64;
    for (name, parser) in PARSERS {
        let files = corpus(name);
        let count = if name == "chain" { MUTATIONS / 10 } else { MUTATIONS };
        for (_, bytes) in &files {
            for _ in 0..count {
                let mut mutant = bytes.clone();
                for _ in 0..=rng.next_u32() % 4 {
                    mutate(&mut mutant, &mut rng);
                }
                parser(&mutant);
                tried += 1;
            }
        }
    }
    println!("{tried} mutants");
    assert!(tried > 10_000);
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut TestRng) {
    let at = rng.next_u32() as usize % (bytes.len() + 1);
    match rng.next_u32() % 5 {
        0 => bytes.insert(at, rng.next_u32() as u8),
        1 => bytes.truncate(at),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 if at < bytes.len() => {
            let to = (at + rng.next_u32() as usize % 16).min(bytes.len());
            let copy = bytes[at..to].to_vec();
            bytes.splice(at..at, copy);
        }
        _ if at < bytes.len() => bytes[at] ^= 1 << (rng.next_u32() % 8),
        _ => {}
    }
}
