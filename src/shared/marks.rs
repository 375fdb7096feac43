//! What is marked of a chunk as not backed, and who may look at a mark.
//!
//! A mark belongs to whoever holds its page. Before that it can be looked at, too,
//! but is only a hint, which a second look confirms once the page is held.

use super::atomic::Ordering;
use super::front::{Bits, Front};
use super::state::RELEASED;
use super::word::{BLOCK, BLOCKS, CHUNK, find_run, mask};
use crate::page::{Page, PageCount, PageRange};

impl Front<'_> {
    /// Claims a run of free, resident pages of a block, whole physical pages: no more
    /// than `most`, but one.
    pub(super) fn claim_resident(&self, block: u32, physical: u32, most: u32) -> Option<PageRange> {
        let word = self.word(Bits::Free, block)?;
        let released = self.word(Bits::Released, block)?;
        let mut free = word.load(Ordering::Relaxed);
        loop {
            let whole = whole_units(free & !released.load(Ordering::Relaxed), physical);
            let at = find_run(whole, physical)?;
            let most = most.max(physical) & !(physical - 1);
            let count = (whole >> at).trailing_ones().min(most);
            let left = free & !mask(at, count);
            // As the claim of an allocation.
            match word.compare_exchange(free, left, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    let range =
                        PageRange::new(Page::new(block * BLOCK + at), PageCount::new(count))?;
                    // Somebody may have claimed, released and given them back after the
                    // first look at their marks: the word is the same then. The marks of
                    // pages that are claimed stay.
                    if released.load(Ordering::Relaxed) & mask(at, count) == 0 {
                        return Some(range);
                    }
                    self.give_run_back(range);
                    free = word.load(Ordering::Relaxed);
                }
                Err(now) => free = now,
            }
        }
    }

    /// Takes a chunk whose pages are all free and backed out of the front tier, as
    /// [`take_whole`](Self::take_whole) does. One that is released in part is listed
    /// as such.
    pub(super) fn take_resident(&self, chunk: u32) -> bool {
        if self.has_released(chunk) {
            self.mixed().set(chunk);
            return false;
        }
        if !self.take_whole(chunk) {
            return false;
        }
        // Some may have been released before it was taken, and after the first look.
        // Put back, it is listed as free again, for another one.
        let is_resident = !self.has_released(chunk);
        if !is_resident {
            self.reopen(chunk);
        }
        is_resident
    }

    /// Gives claimed pages of one block back.
    pub(super) fn give_run_back(&self, range: PageRange) {
        let (start, count) = (range.start().number(), range.count().get());
        if let Some(word) = self.word(Bits::Free, start / BLOCK) {
            // Release: the pages' marks go with them.
            word.fetch_or(mask(start % BLOCK, count.min(BLOCK)), Ordering::SeqCst);
        }
        let chunk = start / CHUNK;
        self.nonempty().set(chunk);
        if self.state(chunk).owner().is_none() {
            self.settle(chunk);
        }
        self.relist(start / BLOCK);
    }

    /// Marks pages of one block, which the caller has claimed, as not backed.
    pub(super) fn note_released(&self, range: PageRange) {
        let (start, count) = (range.start().number(), range.count().get());
        if let Some(state) = self.states.get((start / CHUNK) as usize) {
            // Before the pages are given back: whoever is handed one sees it.
            state.fetch_or(RELEASED, Ordering::SeqCst);
        }
        if let Some(word) = self.word(Bits::Released, start / BLOCK) {
            word.fetch_or(mask(start % BLOCK, count.min(BLOCK)), Ordering::SeqCst);
        }
    }

    /// Returns the backed pages of a chunk that was taken whole: a few runs of
    /// each block.
    pub(super) fn resident_of(
        &self,
        chunk: u32,
    ) -> impl IntoIterator<Item = impl Iterator<Item = PageRange>> {
        let first = chunk * BLOCKS as u32;
        (first..first + BLOCKS as u32).map(move |block| {
            let released = self.word(Bits::Released, block);
            let mut left = released.map_or(0, |word| !word.load(Ordering::Relaxed));
            core::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let at = left.trailing_zeros();
                let count = (left >> at).trailing_ones();
                left &= !mask(at, count);
                PageRange::new(Page::new(block * BLOCK + at), PageCount::new(count))
            })
        })
    }

    /// Clears the marks of a chunk that was taken whole.
    pub(super) fn forget_released(&self, chunk: u32) {
        for word in self.words(Bits::Released, chunk) {
            word.store(0, Ordering::SeqCst);
        }
    }
}

/// Keeps the bits of those units of `unit` bits, a power of two, that are all
/// set.
const fn whole_units(word: u64, unit: u32) -> u64 {
    let (mut whole, mut width) = (word, 1);
    while width < unit {
        // A pair is whole if both of its parts are; its lower part says so.
        whole &= whole >> width;
        width *= 2;
    }
    // Only at multiples of the unit, and then spread over it.
    let mut places = 0;
    let mut at = 0;
    while at < BLOCK {
        places |= 1 << at;
        at += unit;
    }
    let mut spread = whole & places;
    let mut width = 1;
    while width < unit {
        spread |= spread << width;
        width *= 2;
    }
    spread
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::vec::Vec;

    use super::super::atomic::AtomicU64;
    use super::super::front::front_words;
    use super::*;

    #[test]
    fn a_chunk_whose_last_page_is_freed_while_others_are_released_is_listed_after() {
        let words = front_words(2 * CHUNK, 1).expect("a size");
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let front = Front::new(&memory, 2 * CHUNK, 1).expect("enough words");
        let place = front.place(0, 0).expect("a CPU");
        front.open(1, place);
        assert!(front.own(1, place));
        let page = front.pop(place).expect("a page");
        front.drain(place);
        let last = 2 * BLOCKS as u32 - 1;
        let released = front.claim_resident(last, 1, 4).expect("all are free");
        assert_eq!(front.free_page(page), Some(Ok(())));
        assert_eq!(front.full().first(), None, "four of its pages are claimed");
        front.note_released(released);
        // As if all others were in use, and somebody had looked.
        front.nonempty().clear(1);
        front.give_run_back(released);
        assert!(front.nonempty().contains(1));
        assert_eq!(front.full().first(), Some(1));
        assert!(!front.take_resident(1), "it is released in part");
        assert_eq!(front.mixed().first(), Some(1));
    }

    #[test]
    fn whole_units_are_aligned_and_all_set() {
        assert_eq!(whole_units(0b1011, 1), 0b1011);
        assert_eq!(whole_units(0b1111_0110, 2), 0b1111_0000);
        assert_eq!(whole_units(0b1111_1110, 4), 0b1111_0000);
        assert_eq!(whole_units(u64::MAX, 64), u64::MAX);
        assert_eq!(whole_units(u64::MAX << 1, 64), 0);
    }
}
