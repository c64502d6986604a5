//! Pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| docmill_worker::extract::fuzzing::html(data));
