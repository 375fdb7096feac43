//! A set of numbers that may be wrong: where to look first.
//!
//! One bit for each number, one bit for 64 of those, and so on up to a single
//! word, so that the lowest number is found in as many steps as there are
//! levels: three for 256 GiB of chunks. Nothing depends on a hint being there or
//! being right. What it is for is asked of the words and states themselves.
//!
//! Invariant, whenever no call is in progress: a bit above is set exactly if
//! the word below it is not zero. For that the upper bit is set after the lower
//! word, and whoever clears it looks at the word again, and sets it back if that
//! is not zero any more. All of it is sequentially consistent: the order of one
//! word's store and another's load decides.

use super::atomic::{AtomicU64, Ordering};
use super::word::mask;

/// The levels that 2^32 pages need at the most, in blocks.
const LEVELS: usize = 5;

/// A set of hints for the numbers below some length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints<'m> {
    /// From the single word down to the lowest level.
    levels: [&'m [AtomicU64]; LEVELS],
    height: usize,
}

/// Returns how many words a set for numbers below `len` takes.
pub(super) const fn words_for(len: u32) -> usize {
    let mut words = 0;
    let mut count = len;
    loop {
        count = count.div_ceil(64);
        if count == 0 {
            return words;
        }
        words += count as usize;
        if count == 1 {
            return words;
        }
    }
}

impl<'m> Hints<'m> {
    /// Takes the words for numbers below `len` off the front of `memory`, which
    /// is zero there: an empty set. `None` if it is too short.
    pub(super) fn new(memory: &mut &'m [AtomicU64], len: u32) -> Option<Self> {
        let mut levels: [&'m [AtomicU64]; LEVELS] = [&[]; LEVELS];
        let mut height = 0;
        let mut count = len;
        while count > 1 || count == 1 && height == 0 {
            count = count.div_ceil(64);
            (*levels.get_mut(height)?, *memory) = memory.split_at_checked(count as usize)?;
            height += 1;
        }
        levels.get_mut(..height)?.reverse();
        Some(Self { levels, height })
    }

    /// Puts a number in.
    pub(super) fn set(&self, number: u32) {
        let mut number = number;
        for level in self.levels().iter().rev() {
            let Some(word) = level.get(number as usize / 64) else {
                return;
            };
            let bit = 1 << (number % 64);
            // SeqCst: with the second look of `clear_at`.
            if word.load(Ordering::SeqCst) & bit == 0 {
                word.fetch_or(bit, Ordering::SeqCst);
            }
            number /= 64;
        }
    }

    /// Takes a number out.
    pub(super) fn clear(&self, number: u32) {
        self.clear_some(number, 1);
    }

    /// Takes out `count` numbers, a divisor of 64, from a multiple of it on.
    pub(super) fn clear_some(&self, first: u32, count: u32) {
        let lowest = self.height.saturating_sub(1);
        self.clear_at(lowest, first, mask(first % 64, count));
    }

    /// Returns whether there may be a number.
    #[inline]
    pub(super) fn may_have_any(&self) -> bool {
        let [top, ..] = self.levels;
        let top = top.first();
        // SeqCst: with whoever sets a hint and then looks whether somebody is
        // there to see it.
        top.is_some_and(|word| word.load(Ordering::SeqCst) != 0)
    }

    /// Returns the lowest number. While others change the set, it may be one
    /// that was there, or none although one is there.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        // Most sets that are asked are empty.
        if self.may_have_any() {
            self.descend()
        } else {
            None
        }
    }

    fn descend(&self) -> Option<u32> {
        'again: loop {
            let mut number = 0;
            for (depth, level) in self.levels().iter().enumerate() {
                let word = level.get(number as usize)?.load(Ordering::SeqCst);
                if word == 0 {
                    // The bit above is stale; above the top there is none.
                    self.clear_at(depth.checked_sub(1)?, number, 1 << (number % 64));
                    continue 'again;
                }
                number = number * 64 + word.trailing_zeros();
            }
            return Some(number);
        }
    }

    fn levels(&self) -> &[&'m [AtomicU64]] {
        self.levels.get(..self.height).unwrap_or(&[])
    }

    /// Clears bits of the word of a level that `number` is in, and those above whose
    /// words become zero.
    fn clear_at(&self, depth: usize, mut number: u32, mut bits: u64) {
        let levels = self.levels().get(..=depth).unwrap_or(&[]);
        // What a bit stands for, which is looked at again: for the first, the word
        // of the level below, if there is one.
        let mut below = self
            .levels()
            .get(depth + 1)
            .and_then(|level| level.get(number as usize));
        for level in levels.iter().rev() {
            let Some(word) = level.get(number as usize / 64) else {
                return;
            };
            let left = word.fetch_and(!bits, Ordering::SeqCst) & !bits;
            let below_is_back = below.is_some_and(|below| below.load(Ordering::SeqCst) != 0);
            if below_is_back {
                word.fetch_or(bits, Ordering::SeqCst);
                return;
            }
            if left != 0 {
                return;
            }
            below = Some(word);
            number /= 64;
            bits = 1 << (number % 64);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn memory(len: u32) -> Vec<AtomicU64> {
        (0..words_for(len)).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_set_of_hints_is_a_set_if_nobody_else_changes_it() {
        for len in [1, 63, 64, 65, 4096, 4097, 300_000] {
            let memory = memory(len);
            let mut rest = &memory[..];
            let hints = Hints::new(&mut rest, len).expect("enough");
            assert!(rest.is_empty());
            let mut set = BTreeSet::new();
            let mut state = 1_u64;
            for turn in 0..4000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let number = (state >> 33) as u32 % len;
                if state >> 58 == 0 {
                    // Eight that lie side by side.
                    let first = number & !7;
                    hints.clear_some(first, 8);
                    set.retain(|number| !(first..first + 8).contains(number));
                } else if state >> 62 == 0 || turn > 3000 {
                    let number = set.pop_first().unwrap_or(number);
                    hints.clear(number);
                } else {
                    hints.set(number);
                    set.insert(number);
                }
                assert_eq!(hints.first(), set.first().copied(), "of {len}");
                assert_eq!(hints.may_have_any(), !set.is_empty());
            }
        }
    }

    #[test]
    fn a_stale_upper_bit_is_cleared_by_whoever_meets_it() {
        let memory = memory(4096);
        let mut rest = &memory[..];
        let hints = Hints::new(&mut rest, 4096).expect("enough");
        hints.set(100);
        hints.set(4000);
        memory[100 / 64].store(0, Ordering::Relaxed);
        assert_eq!(hints.first(), Some(4000));
        assert_eq!(memory[64].load(Ordering::Relaxed), 1 << (4000 / 64));
    }

    #[test]
    fn no_numbers_take_no_words_and_there_is_no_first() {
        let mut none: &[AtomicU64] = &[];
        let hints = Hints::new(&mut none, 0).expect("nothing is enough");
        hints.set(0);
        hints.clear(0);
        assert_eq!((hints.first(), hints.may_have_any()), (None, false));
        assert!(Hints::new(&mut none, 1).is_none());
    }
}
