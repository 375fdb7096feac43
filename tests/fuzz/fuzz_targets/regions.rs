//! See `src/regions.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanheap_fuzz::regions::run(data));
