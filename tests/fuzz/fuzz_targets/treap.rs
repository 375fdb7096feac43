//! See `src/treap.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanheap_fuzz::treap::run(data));
