//! Parts of Office documents and books.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| docmill_worker::extract::fuzzing::ooxml(data));
