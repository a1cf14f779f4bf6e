//! Every parser replays its corpus, and mutations of it, without a panic.
//! A corpus file's name begins with `good` or `bad`; that is checked too.

use faas_common::chain;
use faas_common::event::shape::{InShape, Splitter};
use faas_common::event::{Event, frame, headers, parse_envelope};
use faas_common::journal::{self, Tail};
use faas_common::queue::QueueUrl;
use faas_common::queue::kafka::mark::Mark;
use faas_common::queue::mqueue::ledger::Entry;
use faas_common::queue::mqueue::slab::Name;
use faas_common::queue::mqueue::{gatherings, packet, parcel};
use faas_common::queue::redis::entry;
use faas_common::runner::book::Page;
use faas_common::trigger::tick::Ticks;
use faas_common::trigger::web::Listen;
use faas_common::units;
use faas_common::worker::filter::lines::Lines;
use faas_common::worker::filter::stance::{self, Stance};
use faas_common::worker::http::{Endpoint, Reply};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each parser is fed with mutants; `FAAS_FUZZ_MS` asks for another
/// time.
const FUZZ_MS: u64 = 1_500;

type Parser = fn(&[u8]) -> bool;

const PARSERS: [(&str, Parser); 22] = [
    ("journal", |bytes| journal::parse(bytes, 0, bytes.len() as u64).2 == Tail::Whole),
    ("gather", |bytes| gatherings::parse(bytes).is_some()),
    ("book", |bytes| Page::decode(bytes).is_some()),
    ("ledger", |bytes| Entry::decode(bytes).is_some()),
    ("body_name", |bytes| std::str::from_utf8(bytes).is_ok_and(|text| Name::parse(text).is_some())),
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
    ("headers", |bytes| headers_of(bytes).is_ok()),
    ("entry", |bytes| entry_of(bytes).is_none()),
    ("mark", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| Mark::parse(text).print() == text)
    }),
    ("url", |bytes| std::str::from_utf8(bytes).is_ok_and(|text| QueueUrl::parse(text).is_ok())),
    ("http", |bytes| {
        let (headers, body) = http_message(bytes);
        let reply = Reply { status: 503, headers, body };
        reply.end(0);
        reply.output().is_ok()
    }),
    ("lines", |bytes| {
        let (asked, said) = bytes.split_first().unwrap_or((&0, &[]));
        let mut lines = Lines::new(*asked > 1);
        (0..u64::from(*asked % 8)).for_each(|call| lines.ask(call, &format!("e{call}")));
        lines.hear(said).is_ok()
    }),
    ("stance", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| stance::read(text) != Stance::Unknown)
    }),
    ("listen", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| matches!(Listen::parse(text), Ok(Some(_))))
    }),
    ("endpoint", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| Endpoint::parse(text).is_ok())
    }),
    ("clock", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| matches!(Ticks::parse(text), Ok(Some(_))))
    }),
    ("duration", |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| units::duration(text).is_ok())
    }),
];

/// Headers a line each, an empty line, the body.
type Fields = Vec<(String, Vec<u8>)>;

/// Lines of `name: value`, an empty one, and the body.
fn fields(bytes: &[u8]) -> (Fields, Option<Vec<u8>>) {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match split {
        Some(at) => (&bytes[..at], Some(bytes[at + 2..].to_vec())),
        None => (bytes, None),
    };
    let pair = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8(line[..colon].to_vec()).ok()?;
        Some((name, line[colon + 1..].trim_ascii().to_vec()))
    };
    (head.split(|byte| *byte == b'\n').filter_map(pair).collect(), body)
}

fn headers_of(bytes: &[u8]) -> Result<Event, String> {
    let (fields, body) = fields(bytes);
    headers::read(fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())), body)
}

/// What is wrong with an entry of a stream.
fn entry_of(bytes: &[u8]) -> Option<String> {
    let (fields, body) = fields(bytes);
    let mut words: Vec<Vec<u8>> =
        fields.into_iter().flat_map(|(name, value)| [name.into_bytes(), value]).collect();
    words.extend(body.into_iter().flat_map(|body| [b"data".to_vec(), body]));
    entry::event("1-0", "q", words.into_iter().map(redis::Value::BulkString).collect()).1
}

fn http_message(bytes: &[u8]) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, rest.to_vec())
}

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

/// Mutants of the corpus, and of two of its files spliced, for a while. The
/// seed is printed; `FAAS_TEST_SEED` gives the same mutants again.
#[test]
fn no_mutation_of_a_corpus_makes_a_parser_panic() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = || std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = number("FAAS_TEST_SEED").unwrap_or_else(now);
    println!("FAAS_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let time = Duration::from_millis(number("FAAS_FUZZ_MS").unwrap_or(FUZZ_MS));
    for (name, parser) in PARSERS {
        let files = corpus(name);
        let (mut tried, until) = (0_u64, Instant::now() + time);
        while Instant::now() < until {
            let pick = |rng: &mut TestRng| &files[rng.next_u32() as usize % files.len()].1;
            let mut mutant = pick(&mut rng).clone();
            if rng.next_u32().is_multiple_of(4) {
                let other = pick(&mut rng).clone();
                mutant.truncate(rng.next_u32() as usize % (mutant.len() + 1));
                mutant.extend_from_slice(&other[rng.next_u32() as usize % (other.len() + 1)..]);
            }
            for _ in 0..=rng.next_u32() % 4 {
                mutate(&mut mutant, &mut rng);
            }
            parser(&mutant);
            tried += 1;
        }
        println!("{name}: {tried} mutants");
        assert!(tried > 100, "{name} was fed");
    }
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
