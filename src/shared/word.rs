//! A block: 64 pages, one bit each; a set bit is a free page.
//!
//! Pure functions on such words: where a run is, how long the longest one is.
//! Every one is a handful of shifts, whatever the word holds.
//!
//! Source: the doubling of runs by shifts is from Warren's "Hacker's Delight",
//! section 6-3.

/// Pages of a block.
pub(super) const BLOCK: u32 = 64;
/// Blocks of a chunk: a cache line of words. Two are as good for the models, and
/// have far fewer interleavings.
pub(super) const BLOCKS: usize = if cfg!(all(test, loom)) { 2 } else { 8 };
/// Pages of a chunk.
pub(super) const CHUNK: u32 = BLOCK * BLOCKS as u32;
/// The word of a block all of whose pages are free.
pub(super) const FULL: u64 = u64::MAX;
/// A block with fewer free pages is passed by: to claim it would cost more than
/// its pages are worth.
pub(super) const WORTH: u32 = 3;
/// A chunk is listed for single pages once one of its blocks has so many free
/// ones: the others have about half as many then. With fewer, CPUs would claim
/// chunks for a few pages each; with more, pages lie unlisted.
pub(super) const READY: u32 = 8;
/// A block with a free byte has that many.
const _: () = assert!(READY <= 8);

/// Returns whether at least `count` bits are set, 1 or more.
#[inline]
pub(super) const fn has(word: u64, count: u32) -> bool {
    let (mut left, mut gone) = (word, 1);
    while gone < count {
        // The lowest of them goes.
        left &= left.wrapping_sub(1);
        gone += 1;
    }
    left != 0
}

/// Returns whether the bit `at` is set, and the seven others that are of one byte
/// with it.
#[inline]
pub(super) const fn has_byte(word: u64, at: u32) -> bool {
    (word >> (at & !7)) as u8 == u8::MAX
}

/// Returns `count` bits from `at` on: 1 to 64 of them, all within the word.
#[inline]
pub(super) const fn mask(at: u32, count: u32) -> u64 {
    (u64::MAX >> (BLOCK - count)) << at
}

/// Returns where runs of `count` set bits begin, one bit for each place.
#[inline]
const fn places(word: u64, count: u32) -> u64 {
    let mut places = word;
    let mut length = 1;
    while length < count {
        let step = if length < count - length {
            length
        } else {
            count - length
        };
        places &= places >> step;
        length += step;
    }
    places
}

/// Returns where to take `count` bits (1 to 64): a run of exactly that length,
/// or else the lowest that is long enough.
#[inline]
pub(super) const fn find_run(word: u64, count: u32) -> Option<u32> {
    let places = places(word, count);
    if places == 0 {
        return None;
    }
    let behind = if count < BLOCK { word >> count } else { 0 };
    let exact = places & !(word << 1) & !behind;
    let best = if exact != 0 { exact } else { places };
    Some(best.trailing_zeros())
}

/// Returns how many bits are set from `at` on, below 64.
#[inline]
pub(super) const fn length_from(word: u64, at: u32) -> u32 {
    (word >> at).trailing_ones()
}

/// Returns where the run of set bits begins that the set bit `at` is of, and its
/// length.
#[inline]
pub(super) const fn run_around(word: u64, at: u32) -> (u32, u32) {
    let before = (word << (BLOCK - 1 - at)).leading_ones();
    let start = at + 1 - before;
    (start, length_from(word, start))
}

/// Returns the length of the longest run of set bits.
#[inline]
pub(super) const fn longest_run(word: u64) -> u32 {
    if word == u64::MAX {
        return BLOCK;
    }
    // Where runs of 1, 2, 4 … 32 bits begin.
    let mut runs = [word; 6];
    let mut power = 1;
    while power < 6 {
        runs[power] = runs[power - 1] & (runs[power - 1] >> (1 << (power - 1)));
        power += 1;
    }
    // The longest is a sum of those lengths, the largest first.
    let (mut places, mut length) = (u64::MAX, 0);
    while power > 0 {
        power -= 1;
        let longer = places & (runs[power] >> length);
        if longer != 0 {
            places = longer;
            length += 1 << power;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest_naively(word: u64) -> u32 {
        let (mut best, mut now) = (0, 0);
        for bit in 0..64 {
            now = if word >> bit & 1 == 1 { now + 1 } else { 0 };
            best = best.max(now);
        }
        best
    }

    fn words() -> impl Iterator<Item = u64> {
        let mut state = 1_u64;
        let random = (0..4000).map(move |turn| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let word = state ^ state >> 29;
            match turn % 4 {
                0 => word,
                1 => word | word << 1 | word << 2 | word << 3,
                2 => word & word << 7,
                _ => !(1 << (word % 64)),
            }
        });
        [0, 1, u64::MAX, u64::MAX >> 1, u64::MAX << 1, 1 << 63]
            .into_iter()
            .chain(random)
    }

    #[test]
    fn a_word_has_as_many_bits_as_are_counted() {
        for word in words() {
            for count in 1..=64 {
                assert_eq!(has(word, count), word.count_ones() >= count, "{word:#x}");
            }
        }
    }

    #[test]
    fn a_run_is_as_long_as_counting_from_one_of_its_bits_finds() {
        for word in words() {
            for at in (0..64).filter(|at| word >> at & 1 == 1) {
                let (start, length) = run_around(word, at);
                assert!(start <= at && at < start + length, "{word:#x}, {at}");
                assert_eq!(word & mask(start, length), mask(start, length));
                assert!(start == 0 || word >> (start - 1) & 1 == 0);
                assert!(start + length == 64 || word >> (start + length) & 1 == 0);
            }
        }
    }

    #[test]
    fn a_byte_is_aligned_and_full() {
        assert!(has_byte(0xff00, 8) && has_byte(0xff00, 15));
        assert!(!has_byte(0x0ff0, 8) && !has_byte(0xfe00, 9));
        assert!(has_byte(u64::MAX << 56, 63));
    }

    #[test]
    fn the_longest_run_is_what_counting_bit_by_bit_finds() {
        for word in words() {
            assert_eq!(longest_run(word), longest_naively(word), "{word:#x}");
        }
    }

    #[test]
    fn a_run_is_found_exactly_if_there_is_one_and_all_of_it_is_free() {
        for word in words() {
            for count in 1..=64 {
                let found = find_run(word, count);
                assert_eq!(found.is_some(), longest_naively(word) >= count);
                if let Some(at) = found {
                    assert!(at + count <= 64);
                    assert_eq!(
                        word & mask(at, count),
                        mask(at, count),
                        "{word:#x}, {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_run_of_the_very_length_is_taken_before_a_longer_one() {
        assert_eq!(find_run(0b0111_0011_1100, 3), Some(8));
        assert_eq!(find_run(0b0111_0011_1100, 2), Some(2));
        assert_eq!(find_run(u64::MAX, 64), Some(0));
        assert_eq!(find_run(u64::MAX << 62, 2), Some(62));
    }
}
