//! Fuzz target: what names a place or a time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = faas_common::trigger::web::Listen::parse(text);
        let _ = faas_common::trigger::tick::Ticks::parse(text);
        let _ = faas_common::worker::http::Endpoint::parse(text);
        let _ = faas_common::worker::filter::stance::read(text);
        let _ = faas_common::stats::Line::parse(text);
    }
});
