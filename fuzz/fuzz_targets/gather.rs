//! Fuzz target: a record of a join.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::queue::mqueue::gatherings::parse(bytes);
});
