//! Runs of two pages to sixteen, out of one block's word.
//!
//! Blocks are listed by the lengths of their runs, so that a request finds the
//! tightest one without a search. Lists are hints: a block is listed for a run
//! when that comes to be, by a free or by what an allocation left of a longer one,
//! and it is the next request of that length that finds a run gone. Where a run
//! ends is in a word of its own, in which the pages that continue a run are
//! marked: that is what a free by address is checked against. Those bits belong to
//! whoever holds the pages.

use super::atomic::Ordering;
use super::chunk::{bin_of, blocks, shortest_of};
use super::front::{Bits, Front};
use super::state::{RUNS, State};
use super::word::{BLOCK, BLOCKS, CHUNK, find_run, length_from, mask, run_around};
use crate::heap::FreeError;

impl Front<'_> {
    /// Takes a run of `count` pages, 2 to `MAX_RUN`, out of a listed block of
    /// `group`; returns its first page.
    pub(super) fn take_run(&self, count: u32, group: usize) -> Option<u32> {
        let mut tightest = bin_of(count)?;
        // A list that turns out to be empty is passed by the next time.
        while let Some(bin) = self.bin_from(group, tightest) {
            tightest = bin;
            let hints = self.runs(group, bin);
            let Some(block) = hints.first() else {
                continue;
            };
            let chunk = block / BLOCKS as u32;
            let is_ours = |state: State| state.is_front() && state.group() == group;
            if !is_ours(self.state(chunk)) {
                // None of its blocks belongs here.
                hints.clear_some(block - block % BLOCKS as u32, BLOCKS as u32);
                // The second look.
                if is_ours(self.state(chunk)) {
                    blocks(chunk).for_each(|block| self.relist(block));
                }
            } else if let Some((at, length)) = self.claim_run(block, count, |free| {
                let at = find_run(free, shortest_of(bin))?;
                (bin_of(length_from(free, at)) == Some(bin)).then_some(at)
            }) {
                self.list_run(block, group, length - count);
                return Some(block * BLOCK + at);
            } else {
                // The run is gone. What else the block has is listed, unless it was
                // since.
                hints.clear(block);
                self.relist(block);
            }
        }
        None
    }

    /// Claims `count` pages of a block from where `find` says on; returns from
    /// where on, and how long the run was.
    #[inline]
    pub(super) fn claim_run(
        &self,
        block: u32,
        count: u32,
        find: impl Fn(u64) -> Option<u32>,
    ) -> Option<(u32, u32)> {
        let word = self.word(Bits::Free, block)?;
        let mut free = word.load(Ordering::Relaxed);
        let at = loop {
            let at = find(free)?;
            let left = free & !mask(at, count);
            // Acquire: pairs with the Release of `free`. SeqCst: with the second
            // looks of `settle`.
            match word.compare_exchange(free, left, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break at,
                Err(now) => free = now,
            }
        };
        // Relaxed: read by whoever frees the run, to whom it is handed.
        if let Some(runs) = self.word(Bits::Runs, block) {
            runs.fetch_or(mask(at, count) & !mask(at, 1), Ordering::Relaxed);
        }
        if let Some(state) = self.states.get(block as usize / BLOCKS)
            && state.load(Ordering::Relaxed) & RUNS == 0
        {
            state.fetch_or(RUNS, Ordering::SeqCst);
        }
        Some((at, length_from(free, at)))
    }

    /// Returns whether the page before `page` and it, or it and the next, are of one run:
    /// a bit for each.
    #[inline]
    fn joined(&self, page: u32) -> u64 {
        let runs = self.word(Bits::Runs, page / BLOCK);
        // Relaxed: that of a page in use was written by whoever handed it out.
        runs.map_or(0, |runs| runs.load(Ordering::Relaxed) >> (page % BLOCK) & 3)
    }

    /// Returns whether `page` is a part of a run.
    #[inline]
    pub(super) fn is_of_run(&self, page: u32) -> bool {
        self.joined(page) != 0
    }

    /// Returns what is wrong with freeing `page` alone, if it is a part of a run.
    pub(super) fn not_single(&self, page: u32) -> Option<FreeError> {
        match self.joined(page) {
            0 => None,
            2 => Some(FreeError::WrongLength),
            _ => Some(FreeError::Interior),
        }
    }

    /// Frees a run of `count` pages, two or more. `None`: it is the treap's.
    pub(super) fn free_run(&self, page: u32, count: u32) -> Option<Result<(), FreeError>> {
        if !self.state(page / CHUNK).is_front() {
            return None;
        }
        Some(self.free_some(page, count, |runs, at| {
            let inside = mask(at, count) & !mask(at, 1);
            if runs >> at & 1 != 0 {
                Err(FreeError::Interior)
            } else if runs & inside != inside || continues(runs, at + count) {
                Err(FreeError::WrongLength)
            } else {
                Ok(())
            }
        }))
    }

    /// Frees a part of a run, or all of it. `None`: it is the treap's.
    pub(super) fn free_part(&self, page: u32, count: u32) -> Option<Result<(), FreeError>> {
        if !self.state(page / CHUNK).is_front() {
            return None;
        }
        Some(self.free_some(page, count, |runs, at| {
            let inside = mask(at, count) & !mask(at, 1);
            if runs & inside != inside {
                Err(FreeError::WrongLength)
            } else {
                Ok(())
            }
        }))
    }

    /// Frees pages of a block that are all in use, and of which `check`, given
    /// the bits of runs and the first page's place, says that they may be.
    fn free_some(
        &self,
        page: u32,
        count: u32,
        check: impl FnOnce(u64, u32) -> Result<(), FreeError>,
    ) -> Result<(), FreeError> {
        let (block, at) = (page / BLOCK, page % BLOCK);
        let (Some(word), Some(runs)) = (self.word(Bits::Free, block), self.word(Bits::Runs, block))
        else {
            return Err(FreeError::Outside);
        };
        let mut free = word.load(Ordering::Relaxed) | self.claimed_of(block);
        if free >> at & 1 != 0 {
            return Err(FreeError::NotInUse);
        }
        if count > BLOCK - at {
            return Err(FreeError::WrongLength);
        }
        let pages = mask(at, count);
        if free & pages != 0 {
            return Err(FreeError::WrongLength);
        }
        check(runs.load(Ordering::Relaxed), at)?;
        // Before the pages are free, and anybody's: they continue nothing any
        // more, and what is behind them begins a run of its own.
        let behind = if at + count < BLOCK {
            mask(at + count, 1)
        } else {
            0
        };
        runs.fetch_and(!(pages | behind), Ordering::Relaxed);
        free = word.load(Ordering::Relaxed);
        loop {
            if free & pages != 0 {
                return Err(FreeError::NotInUse);
            }
            // As `free_page`; it also releases the runs' bits.
            match word.compare_exchange_weak(
                free,
                free | pages,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => free = now,
            }
        }
        let after = self.state(block / BLOCKS as u32);
        if free == 0 {
            if !after.is_front() {
                return if self.stands(after, block, pages) {
                    Ok(())
                } else {
                    Err(FreeError::NotInUse)
                };
            }
            self.nonempty().set(block / BLOCKS as u32);
        }
        if after.owner().is_none() {
            self.list_freed(after, block, free | pages);
        }
        self.list_run(block, after.group(), run_around(free | pages, at).1);
        Ok(())
    }
}

/// Returns whether the page at `at` continues a run; none follows a block's last.
const fn continues(runs: u64, at: u32) -> bool {
    at < BLOCK && runs >> at & 1 != 0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::atomic::AtomicU64;
    use super::super::front::front_words;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_chunk_that_went_to_the_treap_is_unlisted_by_the_next_request() {
        let words = front_words(CHUNK, 1).expect("a size");
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let front = Front::new(&memory, CHUNK, 1).expect("enough words");
        let place = front.place(0, 0).expect("a CPU");
        let listed = |group: usize| front.bin_from(group, 0).is_some();
        front.open(0, place);
        front.leave(0);
        assert!(front.take_whole(0));
        front.close(0);
        assert!(listed(0), "nobody has looked yet");
        assert_eq!(front.take_run(2, 0), None);
        assert!(!listed(0));
        // As another group's, which its blocks are in no list of the first for.
        let other = front.place(0, 1).expect("a CPU");
        front.open(0, other);
        assert_eq!(front.take_run(2, 0), None);
        assert_eq!(front.take_run(2, 1), Some(0));
    }
}
