//! Fuzz target: a frame of a queue.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((event, faas_common::event::frame::Place::Inside)) =
        faas_common::event::frame::decode(bytes)
    {
        let again = faas_common::event::frame::encode(&event).expect("a body in memory");
        let read = faas_common::event::frame::decode(&again);
        assert_eq!(read, Ok((event, faas_common::event::frame::Place::Inside)));
    }
});
