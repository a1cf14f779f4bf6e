//! Fuzz target: the mark beside an offset.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::queue::kafka::mark::Mark::parse(&String::from_utf8_lossy(bytes));
});
