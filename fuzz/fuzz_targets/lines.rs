//! Fuzz target: what a filter printed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (asked, said) = bytes.split_first().unwrap_or((&0, &[]));
    let mut lines = faas_common::worker::filter::lines::Lines::new(*asked > 1);
    (0..u64::from(*asked % 8)).for_each(|call| lines.ask(call, &format!("e{call}")));
    let _ = lines.hear(said);
});
