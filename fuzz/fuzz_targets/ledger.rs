//! Fuzz target: an entry of a ledger.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::queue::mqueue::ledger::Entry::decode(bytes);
});
