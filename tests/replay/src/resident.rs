//! Tables that are in memory before the first event.
//!
//! The replay measures the process, its own tables included: these must not
//! grow after the baseline was taken. Memory that an allocator hands out
//! zeroed becomes real only when it is written, so every entry is.

use std::hint::black_box;

/// Returns a table of `len` entries, every one of them written.
#[must_use]
pub fn table<T: Clone>(value: T, len: usize) -> Vec<T> {
    // The compiler must not see that the value may be all zeroes: it would
    // ask for zeroed memory then, and write nothing.
    vec![black_box(value); len]
}

/// Returns an empty table with room for `len` entries, in memory already.
#[must_use]
pub fn room<T: Clone>(value: T, len: usize) -> Vec<T> {
    let mut table = table(value, len);
    table.clear();
    table
}
