//! What parent and child say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| docmill_worker::extract::fuzzing::frames(data));
