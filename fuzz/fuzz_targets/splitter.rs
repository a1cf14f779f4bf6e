//! Fuzz target: a stream cut into records.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use faas_common::event::shape::{InShape, Splitter};
    for shape in [InShape::Lines, InShape::Nul, InShape::Raw, InShape::Frames] {
        let mut splitter = Splitter::new(shape, 64);
        for chunk in bytes.chunks(7) {
            splitter.push(chunk);
            while splitter.next_record().is_some() {}
        }
        splitter.end();
        while splitter.next_record().is_some() {}
        assert!(splitter.is_done());
    }
});
