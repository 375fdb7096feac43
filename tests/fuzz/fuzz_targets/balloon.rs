//! See `src/balloon.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanheap_fuzz::balloon::run(data));
