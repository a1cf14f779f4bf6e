//! Fuzz target: a record of outputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::queue::mqueue::parcel::read_outbox(bytes);
});
