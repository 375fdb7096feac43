//! Runs of two pages to sixteen, out of one block's word.
//!
//! Blocks are listed by their longest run, so that a request finds the tightest
//! one without a search; lists are hints, and a block that turns out to be
//! listed wrongly is listed anew. Where a run ends is in a word of its own, in
//! which the pages that continue a run are marked: that is what a free by
//! address is checked against. Those bits belong to whoever holds the pages.

use super::atomic::Ordering;
use super::chunk::bin_of;
use super::front::{BINS, Bits, Front};
use super::state::RUNS;
use super::word::{BLOCK, BLOCKS, CHUNK, find_run, longest_run, mask};
use crate::heap::FreeError;

impl Front<'_> {
    /// Takes a run of `count` pages, 2 to `MAX_RUN`, out of a listed block of
    /// `group`; returns its first page.
    pub(super) fn take_run(&self, count: u32, group: usize) -> Option<u32> {
        let bins = self.bins.get(group)?;
        let least = bin_of(count)?;
        for (bin, hints) in bins.iter().enumerate().take(BINS).skip(least) {
            while let Some(block) = hints.first() {
                let state = self.state(block / BLOCKS as u32);
                if state.is_front()
                    && state.group() == group
                    && let Some(page) = self.take_from(block, count, Some(bin))
                {
                    return Some(page);
                }
                // Listed wrongly, or another's now.
                hints.clear(block);
                self.relist(block);
            }
        }
        None
    }

    /// Takes a run wherever there is one, looking at every word.
    pub(super) fn take_run_anywhere(&self, count: u32) -> Option<u32> {
        (0..self.chunks() * BLOCKS as u32).find_map(|block| self.take_from(block, count, None))
    }

    /// Takes a run out of a block; only if the block's longest run is one of
    /// `bin`, if that is given.
    fn take_from(&self, block: u32, count: u32, bin: Option<usize>) -> Option<u32> {
        let word = self.word(Bits::Free, block)?;
        let mut free = word.load(Ordering::Relaxed);
        let (at, left) = loop {
            if bin.is_some() && bin_of(longest_run(free)) != bin {
                return None;
            }
            let at = find_run(free, count)?;
            let left = free & !mask(at, count);
            // Acquire: pairs with the Release of `free`. SeqCst: with the second
            // looks of `settle`.
            match word.compare_exchange(free, left, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break (at, left),
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
        let now = bin_of(longest_run(left));
        if now != bin
            && let Some(hints) = bin.and_then(|bin| self.bins_of(block)?.get(bin))
        {
            hints.clear(block);
            self.relist(block);
        }
        Some(block * BLOCK + at)
    }

    fn bins_of(&self, block: u32) -> Option<&[super::hints::Hints<'_>; BINS]> {
        self.bins.get(self.state(block / BLOCKS as u32).group())
    }

    /// Returns what is wrong with freeing `page` alone, if it is a part of a run.
    pub(super) fn not_single(&self, page: u32) -> Option<FreeError> {
        let runs = self.word(Bits::Runs, page / BLOCK)?.load(Ordering::Relaxed);
        let here = runs >> (page % BLOCK);
        if here & 1 != 0 {
            Some(FreeError::Interior)
        } else if here & 2 != 0 {
            Some(FreeError::WrongLength)
        } else {
            None
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
        let chunk = block / BLOCKS as u32;
        if free == 0 && !self.state(chunk).is_front() {
            word.fetch_and(!pages, Ordering::SeqCst);
            return Err(FreeError::NotInUse);
        }
        if self.state(chunk).owner().is_none() {
            self.settle(chunk);
        }
        self.relist(block);
        Ok(())
    }
}

/// Returns whether the page at `at` continues a run; none follows a block's last.
const fn continues(runs: u64, at: u32) -> bool {
    at < BLOCK && runs >> at & 1 != 0
}
