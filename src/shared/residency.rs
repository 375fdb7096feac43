//! What is backed of a chunk, and giving idle memory back.
//!
//! Chunks come from the treap committed. Whole free ones go back there and are
//! released like all that is idle. Pages inside of chunks that are in part in
//! use are released only when asked for: claimed like an allocation, so that
//! nobody else has them meanwhile, then marked, then given back (`marks`). A page's
//! mark belongs to whoever holds the page, and is cleared once it is committed.
//!
//! A chunk that is free as a whole, but released in part, is released to its end
//! and goes back as one released span: nothing is committed only to be counted.

use super::atomic::Ordering;
use super::cpu::Cpu;
use super::front::Bits;
use super::heap::{SharedHeap, Tier};
use super::word::{BLOCK, BLOCKS, CHUNK, mask};
use crate::backing::Backing;
use crate::heap::{BATCH, Budget, Release, ReleaseEnd, verbs};
use crate::page::{PageCount, PageRange};

impl<B: Backing, C: Cpu> SharedHeap<'_, B, C> {
    /// Gives idle memory back: whole huge pages first, from the top down; see
    /// [`PageHeap::release`](crate::PageHeap::release). Free pages of chunks that
    /// are in part in use stay, and so do those that CPUs have claimed.
    pub fn release(&self, budget: Budget) -> Release {
        if let Some(tier) = self.tier() {
            self.return_all(tier);
            self.release_mixed(tier, u32::MAX);
        }
        verbs::release(self, &self.backing, budget)
    }

    /// Gives back all idle memory, but for free pages of chunks that are in part
    /// in use.
    pub fn release_all(&self) -> Release {
        self.gather();
        self.release(Budget::ALL)
    }

    /// Gives back free pages inside of chunks that are in part in use, at most
    /// `budget`, from the top down. It breaks huge pages: for when the host must
    /// have memory.
    pub fn release_inside(&self, budget: Budget) -> Release {
        let mut release = Release {
            pages: PageCount::ZERO,
            calls: 0,
            end: ReleaseEnd::Drained,
        };
        let Some(tier) = self.tier() else {
            return release;
        };
        let shift = tier.window.geometry().page_bytes().trailing_zeros();
        let mut left = u32::try_from(budget.bytes >> shift).unwrap_or(u32::MAX);
        let physical = tier.window.geometry().physical_pages().get();
        if physical > BLOCK {
            return release;
        }
        for block in (0..tier.front.chunks() * BLOCKS as u32).rev() {
            while let Some(pages) = tier.front.claim_resident(block, physical, left) {
                let count = pages.count().get();
                let over = count > left || release.calls == budget.calls;
                let done = if over {
                    0
                } else {
                    release.calls += 1;
                    self.backing.sys_unused(&[pages]).min(1)
                };
                if done == 1 {
                    tier.front.note_released(pages);
                    left -= count;
                    release.pages = PageCount::new(release.pages.get() + count);
                }
                tier.front.give_run_back(pages);
                if over || done == 0 {
                    release.end = if over {
                        ReleaseEnd::Budget
                    } else {
                        ReleaseEnd::Refused
                    };
                    return release;
                }
            }
        }
        release
    }

    /// Releases the rest of chunks that are free as a whole and released in part,
    /// and gives them to the treap, in so many calls of the backing. What those are not
    /// enough for stays, with less left for the next time. Says whether there was one.
    pub(super) fn release_mixed(&self, tier: &Tier<'_>, mut calls: u32) -> bool {
        let mut any = false;
        while calls > 0
            && let Some(chunk) = tier.front.mixed().first()
        {
            tier.front.mixed().clear(chunk);
            if !tier.front.take_whole(chunk) {
                continue;
            }
            if !self.release_rest(tier, chunk, &mut calls) {
                tier.front.reopen(chunk);
                return any;
            }
            tier.front.forget_released(chunk);
            any = true;
            self.locked(|ledger| {
                tier.front.close(chunk);
                // It is one span in use, the front tier's.
                let _ = ledger.free_released_at(tier.address(chunk), PageCount::new(CHUNK));
            });
        }
        any
    }

    /// Releases what is backed of a chunk that was taken whole. Says no if the backing
    /// refuses, or the calls are not enough.
    fn release_rest(&self, tier: &Tier<'_>, chunk: u32, calls: &mut u32) -> bool {
        let mut rest = tier.front.resident_of(chunk).into_iter().flatten();
        while let Some(first) = rest.next() {
            if *calls == 0 {
                return false;
            }
            *calls -= 1;
            let mut batch = [first; BATCH];
            let mut count = 1;
            for (pages, next) in batch.iter_mut().skip(1).zip(&mut rest) {
                *pages = next;
                count += 1;
            }
            let ranges = batch.get(..count).unwrap_or(&[]);
            let done = self.backing.sys_unused(ranges).min(count);
            for &pages in ranges.iter().take(done) {
                tier.front.note_released(pages);
            }
            if done < count {
                return false;
            }
        }
        true
    }
}

impl Tier<'_> {
    /// Notes that these pages, of one block, are backed now, and whatever shares
    /// a physical page with them.
    pub(super) fn note_committed(&self, range: PageRange) {
        let geometry = self.window.geometry();
        let start = geometry.physical_down(range.start().number());
        let end = geometry.physical_up(range.end().number());
        if let Some(word) = self.front.word(Bits::Released, start / BLOCK) {
            let count = (end - start).clamp(1, BLOCK);
            word.fetch_and(!mask(start % BLOCK, count), Ordering::SeqCst);
        }
    }
}
