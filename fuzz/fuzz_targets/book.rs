//! Fuzz target: a page of a run's book.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = faas_common::runner::book::Page::decode(bytes);
});
