//! Fuzz target: a queue URL.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = faas_common::queue::QueueUrl::parse(text);
        let _ = faas_common::units::duration(text);
        let _ = faas_common::units::size(text);
    }
});
