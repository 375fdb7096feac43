//! A block of three pages: what `word.rs` says of blocks of 64, the plain way.
//!
//! So few that every state can be visited, and enough for a run with a page beside it.
//! The thresholds keep their order: a block that is worth a claim, and one more page
//! makes its chunk worth listing.

/// Pages of a block.
pub(super) const BLOCK: u32 = 3;
/// Blocks of a chunk.
pub(super) const BLOCKS: usize = 2;
/// Pages of a chunk.
pub(super) const CHUNK: u32 = BLOCK * BLOCKS as u32;
/// The word of a block all of whose pages are free.
pub(super) const FULL: u64 = (1 << BLOCK) - 1;
/// A block with fewer free pages is passed by.
pub(super) const WORTH: u32 = 2;
/// A chunk is listed once one of its blocks has so many free pages.
pub(super) const READY: u32 = 3;

/// Returns whether at least `count` bits are set.
pub(super) const fn has(word: u64, count: u32) -> bool {
    word.count_ones() >= count
}

/// Returns whether the bit `at` is set, and all others that are listed with it: here
/// the whole block.
pub(super) const fn has_byte(word: u64, at: u32) -> bool {
    at < BLOCK && word == FULL
}

/// Returns `count` bits from `at` on.
pub(super) const fn mask(at: u32, count: u32) -> u64 {
    ((1 << count) - 1) << at
}

/// Returns how many bits are set from `at` on.
pub(super) const fn length_from(word: u64, at: u32) -> u32 {
    (word >> at).trailing_ones()
}

/// Returns where the run of set bits begins that the set bit `at` is of, and its
/// length.
pub(super) fn run_around(word: u64, at: u32) -> (u32, u32) {
    let start = (0..=at).find(|&start| length_from(word, start) > at - start);
    let start = start.unwrap_or(at);
    (start, length_from(word, start))
}

/// Returns the length of the longest run of set bits.
pub(super) fn longest_run(word: u64) -> u32 {
    (0..BLOCK)
        .map(|at| length_from(word, at))
        .max()
        .unwrap_or(0)
}

/// Returns where to take `count` bits: a run of exactly that length, or else the
/// lowest that is long enough.
pub(super) fn find_run(word: u64, count: u32) -> Option<u32> {
    let begins = |at: &u32| *at == 0 || word >> (at - 1) & 1 == 0;
    let exact = (0..BLOCK)
        .filter(begins)
        .find(|&at| length_from(word, at) == count);
    exact.or_else(|| (0..BLOCK).find(|&at| length_from(word, at) >= count))
}
