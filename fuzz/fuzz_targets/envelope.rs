//! Fuzz target: an envelope on a pipe; what is read must be printed and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(event)) = faas_common::event::parse_envelope(bytes) else { return };
    let show = faas_common::event::Show { exact: true, control: false };
    let mut line = Vec::new();
    faas_common::event::print_envelope(&event, show, &mut line).expect("a body in memory");
    let again = faas_common::event::parse_envelope(&line).expect("what we print we read");
    assert_eq!(again, Some(event));
});
