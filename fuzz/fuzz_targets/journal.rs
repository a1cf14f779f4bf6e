//! Fuzz target: a journal.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::journal::parse(bytes, 0, bytes.len() as u64);
});
