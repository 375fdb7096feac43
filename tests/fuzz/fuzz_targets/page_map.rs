//! See `src/page_map.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanheap_fuzz::page_map::run(data));
