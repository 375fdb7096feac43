//! The idle pages that are in the balloon: a bit for each physical page.
//!
//! Needed only where the device takes no reports, and idle pages are given back
//! by inflating: `sys_used` must then deflate exactly those. Bits and not
//! ranges, because their memory is known in advance, and nothing is ever full:
//! one bit for 4 KiB is 32 KiB of them for each GiB.
//!
//! Invariant: `count` is the number of bits that are set.

use core::num::NonZeroU32;

use spanheap::{Page, PageCount, PageRange};

/// A set of physical pages.
#[derive(Debug)]
pub(crate) struct Inflated<'m> {
    words: &'m mut [u64],
    /// Pages in a physical page.
    unit: NonZeroU32,
    count: u32,
}

impl<'m> Inflated<'m> {
    /// Makes an empty set, over physical pages of `unit` pages each.
    pub(crate) fn new(words: &'m mut [u64], unit: PageCount) -> Self {
        words.fill(0);
        Self {
            words,
            unit: NonZeroU32::new(unit.get()).unwrap_or(NonZeroU32::MIN),
            count: 0,
        }
    }

    /// Returns how many pages are in the set.
    pub(crate) const fn pages(&self) -> u64 {
        self.count as u64 * self.unit.get() as u64
    }

    /// Returns whether the set has room for these pages.
    pub(crate) fn has_room(&self, range: PageRange) -> bool {
        u64::from(self.units(range).1) <= self.words.len() as u64 * 64
    }

    /// Adds whole physical pages.
    pub(crate) fn insert(&mut self, range: PageRange) {
        self.set(range, true);
    }

    /// Removes whole physical pages.
    pub(crate) fn remove(&mut self, range: PageRange) {
        self.set(range, false);
    }

    /// Returns the first run of pages in the set, among the physical pages that
    /// hold a page of `range`.
    pub(crate) fn first_run(&self, range: PageRange) -> Option<PageRange> {
        let (from, to) = self.units(range);
        let start = (from..to).find(|&unit| self.has(unit))?;
        let end = (start..to).find(|&unit| !self.has(unit)).unwrap_or(to);
        let page = |unit: u32| Page::new(unit.saturating_mul(self.unit.get()));
        PageRange::between(page(start), page(end))
    }

    fn set(&mut self, range: PageRange, value: bool) {
        let (from, to) = self.units(range);
        for unit in from..to {
            if let Some(word) = self.words.get_mut(unit as usize / 64) {
                let bit = 1 << (unit % 64);
                let was = *word & bit != 0;
                if value && !was {
                    *word |= bit;
                    self.count += 1;
                } else if !value && was {
                    *word &= !bit;
                    self.count -= 1;
                }
            }
        }
    }

    fn has(&self, unit: u32) -> bool {
        let word = self.words.get(unit as usize / 64);
        word.is_some_and(|word| word & 1 << (unit % 64) != 0)
    }

    /// Returns the physical pages that hold a page of `range`.
    fn units(&self, range: PageRange) -> (u32, u32) {
        (
            range.start().number() / self.unit,
            range.end().number().div_ceil(self.unit.get()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u32, end: u32) -> PageRange {
        PageRange::between(Page::new(start), Page::new(end)).expect("pages")
    }

    #[test]
    fn a_run_ends_at_the_first_gap_and_at_the_edge_of_what_was_asked() {
        let mut words = [!0; 4];
        let mut set = Inflated::new(&mut words, PageCount::new(1));
        set.insert(range(60, 70));
        set.insert(range(72, 80));
        assert_eq!(set.pages(), 18);
        assert_eq!(set.first_run(range(0, 256)), Some(range(60, 70)));
        assert_eq!(set.first_run(range(65, 68)), Some(range(65, 68)));
        assert_eq!(set.first_run(range(70, 72)), None);
        set.remove(range(60, 70));
        assert_eq!(set.first_run(range(0, 256)), Some(range(72, 80)));
        set.remove(range(0, 256));
        assert_eq!((set.pages(), set.first_run(range(0, 256))), (0, None));
    }

    #[test]
    fn a_range_inside_a_physical_page_means_all_of_it() {
        let mut words = [0; 1];
        let mut set = Inflated::new(&mut words, PageCount::new(16));
        set.insert(range(32, 64));
        assert_eq!(set.pages(), 32);
        assert_eq!(set.first_run(range(33, 34)), Some(range(32, 48)));
        assert!(set.has_room(range(0, 64 * 16)));
        assert!(!set.has_room(range(0, 64 * 16 + 1)));
    }
}
