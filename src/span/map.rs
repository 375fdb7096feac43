//! From a page to the span that holds it.
//!
//! One entry for a grain of 1 to 64 pages names the first record that *starts*
//! there; the list leads to the others. An entry of a grain in which none
//! starts is empty, and a look-up inside a long span walks back. Only frees by
//! address and questions read the map; coalescing does not.
//!
//! Invariant: an entry names the record with the lowest start in its grain, or
//! is empty if there is none.

use core::fmt;

use crate::span::pool::Pool;
use crate::span::slot::{Link, SlotId};
use crate::span::storage::{MAX_GRAIN, MapEntry};

/// The map of one heap's window.
pub(crate) struct PageMap<'m> {
    entries: &'m mut [MapEntry],
    /// An entry stands for `1 << shift` pages.
    shift: u32,
}

impl fmt::Debug for PageMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the entries: there may be millions.
        f.debug_struct("PageMap")
            .field("entries", &self.entries.len())
            .field("grain", &self.grain())
            .finish()
    }
}

impl<'m> PageMap<'m> {
    /// Makes the map of a window of `pages` pages, as fine as `entries`, which
    /// are empty, allow; `None` if even the coarsest grain needs more.
    pub(crate) fn new(entries: &'m mut [MapEntry], pages: u32) -> Option<Self> {
        let mut shift = 0;
        while (pages.div_ceil(1 << shift) as usize) > entries.len() {
            shift += 1;
            if 1 << shift > MAX_GRAIN {
                return None;
            }
        }
        Some(Self { entries, shift })
    }

    /// A map of nothing.
    pub(crate) const fn empty(entries: &'m mut [MapEntry]) -> Self {
        Self { entries, shift: 0 }
    }

    /// Notes that `id`, which is in the list, starts where it starts.
    #[inline]
    pub(crate) fn begin(&mut self, pool: &Pool<'_>, id: SlotId) {
        let slot = pool.at(id);
        let grain = slot.start >> self.shift;
        let is_first = self.shift == 0
            || match slot.prev {
                Some(prev) => pool.at(prev).start >> self.shift != grain,
                None => true,
            };
        if is_first {
            self.set(grain, Some(id));
        }
    }

    /// Forgets that `id`, which is still in the list, starts where it starts.
    #[inline]
    pub(crate) fn end(&mut self, pool: &Pool<'_>, id: SlotId) {
        let slot = pool.at(id);
        let grain = slot.start >> self.shift;
        if self.get(grain) == Some(id) {
            let heir = if self.shift == 0 {
                None
            } else {
                slot.next
                    .filter(|&next| pool.at(next).start >> self.shift == grain)
            };
            self.set(grain, heir);
        }
    }

    /// Notes that what starts at `start` is no longer `old`, but `new`.
    #[inline]
    pub(crate) fn replace(&mut self, start: u32, old: SlotId, new: SlotId) {
        let grain = start >> self.shift;
        if self.get(grain) == Some(old) {
            self.set(grain, Some(new));
        }
    }

    /// Returns the last span that starts at or before `page`; it need not
    /// reach as far. Walks back over the grains in which none starts.
    pub(crate) fn floor(&self, pool: &Pool<'_>, page: u32) -> Link {
        let mut grain = page >> self.shift;
        let first = loop {
            if let Some(id) = self.get(grain) {
                break id;
            }
            grain = grain.checked_sub(1)?;
        };
        if pool.at(first).start > page {
            return pool.at(first).prev;
        }
        let mut at = first;
        while let Some(next) = pool.at(at).next
            && pool.at(next).start <= page
        {
            at = next;
        }
        Some(at)
    }

    /// Returns what the map says starts first in `page`'s grain.
    pub(crate) fn entry_of(&self, page: u32) -> Link {
        self.get(page >> self.shift)
    }

    /// Returns how many entries name a span.
    pub(crate) fn named(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.0.is_some())
            .count()
    }

    /// Returns how many pages an entry stands for.
    pub(crate) const fn grain(&self) -> u32 {
        1 << self.shift
    }

    #[inline]
    fn get(&self, grain: u32) -> Link {
        self.entries.get(grain as usize).and_then(|entry| entry.0)
    }

    #[inline]
    fn set(&mut self, grain: u32, link: Link) {
        if let Some(entry) = self.entries.get_mut(grain as usize) {
            entry.0 = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::Corruption;
    use crate::span::Slot;
    use std::vec;
    use std::vec::Vec;

    fn corrupted(what: Corruption) -> ! {
        panic!("{what:?}")
    }

    /// The spans that start at `starts` and end where the next begins.
    fn chain(pool: &mut Pool<'_>, map: &mut PageMap<'_>, starts: &[u32]) -> Vec<SlotId> {
        let mut prev = None;
        let mut ids = Vec::new();
        for (at, &start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).copied().unwrap_or(64);
            let id = pool.take(start, end).expect("a slot is left");
            pool.link_after(id, prev);
            map.begin(pool, id);
            prev = Some(id);
            ids.push(id);
        }
        ids
    }

    #[test]
    fn every_grain_finds_the_span_that_holds_a_page() {
        let starts = [0, 1, 2, 7, 8, 31, 32, 33, 40];
        for entries in [64, 32, 16, 8, 4, 2, 1] {
            let mut slots = vec![Slot::VACANT; 16];
            let mut memory = vec![MapEntry::EMPTY; entries];
            let mut pool = Pool::new(&mut slots, corrupted);
            let mut map = PageMap::new(&mut memory, 64).expect("at most 64 pages a grain");
            assert_eq!(map.grain() as usize, 64 / entries);
            let ids = chain(&mut pool, &mut map, &starts);
            for page in 0..64 {
                let at = starts.partition_point(|&start| start <= page) - 1;
                assert_eq!(map.floor(&pool, page), Some(ids[at]), "page {page}");
            }
        }
    }

    #[test]
    fn a_span_that_goes_leaves_its_grain_to_the_next_one_there() {
        let mut slots = vec![Slot::VACANT; 4];
        let mut memory = vec![MapEntry::EMPTY; 2];
        let mut pool = Pool::new(&mut slots, corrupted);
        let mut map = PageMap::new(&mut memory, 16).expect("8 pages a grain");
        let ids = chain(&mut pool, &mut map, &[1, 3, 9]);
        assert_eq!((map.entry_of(7), map.named()), (Some(ids[0]), 2));
        map.end(&pool, ids[0]);
        pool.unlink(ids[0]);
        assert_eq!(map.entry_of(7), Some(ids[1]));
        assert_eq!(map.floor(&pool, 2), None, "nothing starts below");
        map.end(&pool, ids[1]);
        pool.unlink(ids[1]);
        assert_eq!((map.entry_of(7), map.named()), (None, 1));
    }

    #[test]
    fn a_map_coarser_than_64_pages_is_refused() {
        let mut memory = vec![MapEntry::EMPTY; 2];
        assert!(PageMap::new(&mut memory, 128).is_some());
        assert!(PageMap::new(&mut memory, 129).is_none());
    }
}
