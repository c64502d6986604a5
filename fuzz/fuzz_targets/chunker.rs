//! Pages of blocks, cut into chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| docmill_worker::extract::fuzzing::chunker(data));
