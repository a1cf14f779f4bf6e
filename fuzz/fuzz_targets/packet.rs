//! Fuzz target: a packet of a POSIX queue.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::queue::mqueue::packet::open(bytes, None);
    let _ = faas_common::queue::mqueue::packet::open(bytes, Some(bytes.len()));
});
