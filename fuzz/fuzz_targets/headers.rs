//! Fuzz target: an event as headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let _ = faas_common::event::headers::read(fields.map(|(n, v)| (n, v.as_bytes())), None);
});
