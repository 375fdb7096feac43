//! Sets of numbers that may be wrong: where to look first.
//!
//! One bit for each number, one bit for 64 of those, and so on up to a single
//! word, so that the lowest number is found in as many steps as there are
//! levels: three for 256 GiB of chunks. Nothing depends on a hint being there or
//! being right. What it is for is asked of the words and states themselves.
//!
//! Several sets of the same numbers are made at once ([`Lists`]), with a word over
//! all of them that says which have any.
//!
//! Invariant, whenever no call is in progress: a bit above is set exactly if
//! the word below it is not zero; but for a set that was emptied, the bit of which
//! stays until somebody looks. For that whoever makes a word other than zero
//! sets the bit above afterwards, and whoever clears that looks at the word again,
//! and sets it back if it is not zero any more. All of it is sequentially consistent:
//! the order of one word's store and another's load decides.

use core::ops::Range;

use super::atomic::{AtomicU64, Ordering};
use super::word::mask;

/// The levels that 2^32 pages need at the most, in blocks.
const LEVELS: usize = 5;
/// The sets that there can be: one word says which have any.
const SETS: usize = 64;

/// Sets of hints for the numbers below some length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'m> {
    /// From the single words down to the lowest level.
    levels: [Level<'m>; LEVELS],
    height: usize,
    /// A bit for each set: whether there may be a number.
    any: &'m AtomicU64,
}

/// A level of all sets, one set's words behind another's.
#[derive(Clone, Copy, Debug)]
struct Level<'m> {
    words: &'m [AtomicU64],
    /// Words of a set.
    each: usize,
}

/// One of the sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints<'l, 'm> {
    lists: &'l Lists<'m>,
    set: usize,
}

/// Returns how many words `sets` sets for numbers below `len` take; `None` if the
/// number overflows.
pub(super) const fn words_for(sets: usize, len: u32) -> Option<usize> {
    let mut words = 0;
    let mut count = len;
    while count > 1 || count == 1 && words == 0 {
        count = count.div_ceil(64);
        words += count as usize;
    }
    match words.checked_mul(sets) {
        Some(words) => words.checked_add(1),
        None => None,
    }
}

impl<'m> Level<'m> {
    const NONE: Self = Self {
        words: &[],
        each: 0,
    };

    #[inline]
    fn word(&self, set: usize, at: u32) -> Option<&'m AtomicU64> {
        self.words.get(set * self.each + at as usize)
    }
}

impl<'m> Lists<'m> {
    /// Takes the words for `sets` sets of numbers below `len` off the front of
    /// `memory`, which is zero there: empty sets. `None` if it is too short, or
    /// there are too many.
    pub(super) fn new(memory: &mut &'m [AtomicU64], sets: usize, len: u32) -> Option<Self> {
        if sets > SETS {
            return None;
        }
        let (any, rest) = memory.split_first()?;
        *memory = rest;
        let mut levels = [Level::NONE; LEVELS];
        let mut height = 0;
        let mut count = len;
        while count > 1 || count == 1 && height == 0 {
            count = count.div_ceil(64);
            let level = levels.get_mut(height)?;
            level.each = count as usize;
            let words = level.each.checked_mul(sets)?;
            (level.words, *memory) = memory.split_at_checked(words)?;
            height += 1;
        }
        levels.get_mut(..height)?.reverse();
        Some(Self {
            levels,
            height,
            any,
        })
    }

    /// Returns one of the sets. One that does not exist is empty, and stays so.
    #[inline]
    pub(super) const fn of(&self, set: usize) -> Hints<'_, 'm> {
        Hints { lists: self, set }
    }

    /// Returns the first of these sets in which there may be a number.
    #[inline]
    pub(super) fn first_of(&self, sets: Range<usize>) -> Option<usize> {
        let within = mask(sets.start as u32, sets.len() as u32);
        loop {
            let any = self.any.load(Ordering::SeqCst) & within;
            if any == 0 {
                return None;
            }
            let set = any.trailing_zeros() as usize;
            if self.of(set).may_have_any() {
                return Some(set);
            }
            self.any.fetch_and(!(1 << set), Ordering::SeqCst);
            // The second look.
            if self.of(set).may_have_any() {
                self.any.fetch_or(1 << set, Ordering::SeqCst);
            }
        }
    }

    #[inline]
    fn levels(&self) -> &[Level<'m>] {
        self.levels.get(..self.height).unwrap_or(&[])
    }
}

impl Hints<'_, '_> {
    /// Puts a number in.
    pub(super) fn set(&self, number: u32) {
        self.set_some(number, 1);
    }

    /// Puts in `count` numbers, a divisor of 64, from a multiple of it on.
    #[inline]
    pub(super) fn set_some(&self, first: u32, count: u32) {
        let lowest = self.lists.height.saturating_sub(1);
        self.set_at(lowest, first, mask(first % 64, count));
    }

    /// Takes a number out.
    pub(super) fn clear(&self, number: u32) {
        self.clear_some(number, 1);
    }

    /// Takes out `count` numbers, a divisor of 64, from a multiple of it on.
    pub(super) fn clear_some(&self, first: u32, count: u32) {
        let lowest = self.lists.height.saturating_sub(1);
        self.clear_at(lowest, first, mask(first % 64, count));
    }

    /// Returns whether a number is in.
    #[inline]
    pub(super) fn contains(&self, number: u32) -> bool {
        let lowest = self.lists.levels().last();
        let word = lowest.and_then(|level| level.word(self.set, number / 64));
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (number % 64) & 1 == 1)
    }

    /// Returns whether there may be a number.
    #[inline]
    pub(super) fn may_have_any(&self) -> bool {
        let [top, ..] = &self.lists.levels;
        // SeqCst: with whoever sets a hint and then looks whether somebody is
        // there to see it.
        top.word(self.set, 0)
            .is_some_and(|word| word.load(Ordering::SeqCst) != 0)
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
            for (depth, level) in self.lists.levels().iter().enumerate() {
                let word = level.word(self.set, number)?.load(Ordering::SeqCst);
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

    /// Sets bits of the word of a level that `number` is in, and those above as far as
    /// the words were zero: where one was not, whoever made it so sees to the rest.
    fn set_at(&self, depth: usize, mut number: u32, mut bits: u64) {
        let levels = self.lists.levels().get(..=depth).unwrap_or(&[]);
        for level in levels.iter().rev() {
            let Some(word) = level.word(self.set, number / 64) else {
                return;
            };
            // SeqCst: with the second look of `clear_at`.
            if word.load(Ordering::SeqCst) & bits == bits
                || word.fetch_or(bits, Ordering::SeqCst) != 0
            {
                return;
            }
            number /= 64;
            bits = 1 << (number % 64);
        }
        let bit = mask(self.set as u32 % SETS as u32, 1);
        if self.lists.any.load(Ordering::SeqCst) & bit == 0 {
            self.lists.any.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// Clears bits of the word of a level that `number` is in, and those above whose
    /// words become zero.
    fn clear_at(&self, depth: usize, mut number: u32, mut bits: u64) {
        let levels = self.lists.levels().get(..=depth).unwrap_or(&[]).iter();
        // What a bit stands for, which is looked at again: for the first, the word
        // of the level below, if there is one.
        let mut below = self
            .lists
            .levels()
            .get(depth + 1)
            .and_then(|level| level.word(self.set, number));
        for (depth, level) in levels.enumerate().rev() {
            let Some(word) = level.word(self.set, number / 64) else {
                return;
            };
            let left = word.fetch_and(!bits, Ordering::SeqCst) & !bits;
            let below_is_back = below.is_some_and(|below| below.load(Ordering::SeqCst) != 0);
            if below_is_back {
                // It was zero meanwhile, and may have been seen so by who cleared above.
                self.set_at(depth, number, bits);
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

    fn memory(sets: usize, len: u32) -> Vec<AtomicU64> {
        let words = words_for(sets, len).expect("a size");
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn hints_are_sets_if_nobody_else_changes_them() {
        for len in [1, 63, 64, 65, 4096, 4097, 300_000] {
            let memory = memory(3, len);
            let mut rest = &memory[..];
            let lists = Lists::new(&mut rest, 3, len).expect("enough");
            assert!(rest.is_empty());
            let mut sets: [BTreeSet<u32>; 3] = Default::default();
            let mut state = 1_u64;
            for turn in 0..12_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let number = (state >> 33) as u32 % len;
                let which = (state >> 20) as usize % 3;
                let (hints, set) = (lists.of(which), &mut sets[which]);
                if state >> 58 == 0 {
                    // Eight that lie side by side.
                    let first = number & !7;
                    hints.clear_some(first, 8);
                    set.retain(|number| !(first..first + 8).contains(number));
                } else if state >> 58 == 1 && number | 7 < len {
                    let first = number & !7;
                    hints.set_some(first, 8);
                    set.extend(first..first + 8);
                } else if state >> 62 == 0 || turn > 9000 {
                    let number = set.pop_first().unwrap_or(number);
                    hints.clear(number);
                } else {
                    hints.set(number);
                    set.insert(number);
                }
                assert_eq!(hints.first(), set.first().copied(), "of {len}");
                assert_eq!(hints.may_have_any(), !set.is_empty());
                assert_eq!(hints.contains(number), set.contains(&number));
                for from in 0..3 {
                    let first = (from..3).find(|&set| !sets[set].is_empty());
                    assert_eq!(lists.first_of(from..3), first);
                }
            }
        }
    }

    #[test]
    fn a_stale_upper_bit_is_cleared_by_whoever_meets_it() {
        let memory = memory(1, 4096);
        let mut rest = &memory[..];
        let lists = Lists::new(&mut rest, 1, 4096).expect("enough");
        let hints = lists.of(0);
        hints.set(100);
        hints.set(4000);
        memory[1 + 100 / 64].store(0, Ordering::Relaxed);
        assert_eq!(hints.first(), Some(4000));
        assert_eq!(memory[1 + 64].load(Ordering::Relaxed), 1 << (4000 / 64));
    }

    #[test]
    fn no_numbers_take_no_words_and_there_is_no_first() {
        let memory = memory(2, 0);
        let mut rest = &memory[..];
        let lists = Lists::new(&mut rest, 2, 0).expect("enough");
        assert!(rest.is_empty());
        let hints = lists.of(1);
        hints.set(0);
        hints.clear(0);
        assert_eq!((hints.first(), hints.may_have_any()), (None, false));
    }

    #[test]
    fn too_few_words_or_too_many_sets_are_refused() {
        let memory = memory(65, 100);
        for (sets, words) in [(0, 0), (1, 3), (64, 192), (65, 196)] {
            let refused = Lists::new(&mut &memory[..words], sets, 100);
            assert!(refused.is_none(), "{sets} sets in {words} words");
        }
        assert!(Lists::new(&mut &memory[..193], 64, 100).is_some());
        assert_eq!(words_for(usize::MAX, 2), None);
    }

    #[test]
    fn a_set_that_does_not_exist_is_empty_and_stays_so() {
        let memory = memory(2, 100);
        let mut rest = &memory[..];
        let lists = Lists::new(&mut rest, 2, 100).expect("enough");
        lists.of(2).set(7);
        assert_eq!(lists.of(2).first(), None);
        assert_eq!(lists.first_of(0..2), None);
        assert_eq!(lists.first_of(1..3), None);
    }
}
