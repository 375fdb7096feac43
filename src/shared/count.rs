//! What a shared heap counts, and what must be so.
//!
//! The page heap counts exactly, under its lock; to it a chunk is one span in
//! use. How many of a chunk's pages are free, nobody counts while pages come and
//! go: a counter would be what every CPU waits for. So it is counted when asked
//! for, word by word.

use super::atomic::Ordering;
use super::cpu::Cpu;
use super::front::{Bits, Front};
use super::heap::SharedHeap;
use super::word::{BLOCK, BLOCKS, CHUNK};
use crate::backing::Backing;
use crate::heap::{Inconsistency, Stats};
use crate::page::{Page, PageCount};
use crate::span::SpanState;

impl<B: Backing, C: Cpu> SharedHeap<'_, B, C> {
    /// Returns the heap's counters.
    ///
    /// Exact if no other call is in progress; otherwise wrong by no more than the
    /// pages that are on their way meanwhile. Reads a word for every 64 pages of
    /// the chunks in use: microseconds for each GiB.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.locked(|ledger| ledger.stats());
        let Some(tier) = self.tier() else {
            return stats;
        };
        let (free, released) = tier.front.idle();
        let moved = free.min(stats.in_use.get());
        stats.in_use = PageCount::new(stats.in_use.get() - moved);
        stats.idle = PageCount::new(stats.idle.get() + moved);
        let released = stats.released.get().saturating_add(released);
        stats.released = PageCount::new(released.min(stats.idle.get()));
        stats
    }

    /// Returns the counters of the page heap underneath, to which a chunk is in use as
    /// a whole. Takes the same time for any size.
    #[must_use]
    pub fn treap_stats(&self) -> Stats {
        self.locked(|ledger| ledger.stats())
    }

    /// Checks every invariant of the books and of the front tier. Only while no
    /// other call is in progress does an error mean something.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, and where.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.locked(|ledger| ledger.check())?;
        let Some(tier) = self.tier() else {
            return Ok(());
        };
        let front = &tier.front;
        for chunk in 0..front.chunks() {
            let page = Page::new(chunk * CHUNK);
            let is_span = self.locked(|ledger| {
                ledger.span_of(tier.address(chunk)).is_some_and(|info| {
                    info.state == SpanState::InUse
                        && info.range.start() == page
                        && info.range.count().get() == CHUNK
                })
            });
            let rule = if front.state(chunk).is_front() {
                if is_span {
                    front.broken_rule(chunk)
                } else {
                    Some("a chunk of the front tier is one span in use")
                }
            } else if front.is_touched(chunk) {
                Some("a chunk of the treap has no bits set")
            } else {
                None
            };
            if let Some(rule) = rule {
                return Err(Inconsistency { rule, page });
            }
        }
        for place in front.places() {
            let Some(block) = place.current() else {
                continue;
            };
            let chunk = block / BLOCKS as u32;
            if front.state(chunk).owner() != Some(place.id) {
                return Err(Inconsistency {
                    rule: "a CPU takes pages from a chunk that it owns",
                    page: Page::new(chunk * CHUNK),
                });
            }
        }
        Ok(())
    }
}

impl Front<'_> {
    /// Returns how many pages of chunks are free, and how many of those are not
    /// backed.
    fn idle(&self) -> (u32, u32) {
        let ones = |bits, chunk| -> u32 {
            let words = self.words(bits, chunk).iter();
            words
                .map(|word| word.load(Ordering::Relaxed).count_ones())
                .sum()
        };
        let (mut free, mut released) = (0, 0);
        for chunk in 0..self.chunks() {
            if self.state(chunk).is_front() {
                free += ones(Bits::Free, chunk) + ones(Bits::Claimed, chunk);
                released += ones(Bits::Released, chunk);
            }
        }
        (free, released)
    }

    /// Returns a rule that a chunk of the front tier breaks.
    fn broken_rule(&self, chunk: u32) -> Option<&'static str> {
        let first = chunk * BLOCKS as u32;
        (first..first + BLOCKS as u32).find_map(|block| {
            let load = |bits| {
                let word = self.word(bits, block);
                word.map_or(0, |word| word.load(Ordering::SeqCst))
            };
            let (word, claimed) = (load(Bits::Free), load(Bits::Claimed));
            if word & claimed != 0 {
                Some("a page is free in its word or claimed, not both")
            } else if claimed != 0 && self.state(chunk).owner().is_none() {
                Some("nothing of a chunk that nobody owns is claimed")
            } else if word != 0 && !self.nonempty().contains(chunk) {
                Some("a chunk with a free page is found by who needs the last one")
            } else if load(Bits::Runs) & (word | claimed) != 0 {
                Some("no free page continues a run")
            } else if load(Bits::Runs) & 1 != 0 {
                Some("a block's first page continues no run")
            } else if load(Bits::Released) & !(word | claimed) != 0 {
                Some("every page in use is backed")
            } else {
                None
            }
        })
    }

    fn is_touched(&self, chunk: u32) -> bool {
        [Bits::Free, Bits::Runs, Bits::Claimed, Bits::Released]
            .into_iter()
            .flat_map(|bits| self.words(bits, chunk))
            .any(|word| word.load(Ordering::SeqCst) != 0)
    }
}

const _: () = assert!(BLOCK * BLOCKS as u32 == CHUNK);

#[cfg(all(test, not(loom)))]
mod tests;
