//! What a scavenger drives: any heap.

use crate::backing::Backing;
use crate::heap::{Budget, PageHeap, Release, ReleaseEnd, Stats};
use crate::locked::LockedHeap;
use crate::page::PageCount;
use crate::shared::{Cpu, SharedHeap};

/// A heap whose idle memory can be given back. A heap with a lock is one by
/// reference.
pub trait Reclaim {
    /// Returns the heap's counters. A heap with tiers may count what its upper ones
    /// hold as in use: this is called often, and must take the same time for any
    /// size.
    fn treap_stats(&self) -> Stats;

    /// Sets the clock by which huge pages age, in milliseconds: to `now`, and it will
    /// be set again at `until`.
    fn tick(&mut self, now: u32, until: u32);

    /// Sets the same clock to `ms`, which is later than the last [`tick`](Self::tick)
    /// said: what became free since that is taken to be free since now.
    fn catch_up(&mut self, ms: u32);

    /// Gives idle memory back.
    fn release(&mut self, budget: Budget) -> Release;

    /// Makes idle what CPUs hold for themselves, as far as nobody uses it.
    fn gather(&mut self) {}

    /// Gives back free pages inside of huge pages that are in part in use, which
    /// [`release`](Self::release) does not.
    fn release_inside(&mut self, budget: Budget) -> Release {
        let _ = budget;
        Release {
            pages: PageCount::ZERO,
            calls: 0,
            end: ReleaseEnd::Drained,
        }
    }

    /// Sets the most bytes that may be resident.
    fn set_limit(&mut self, bytes: u64);
}

impl<B: Backing> Reclaim for PageHeap<'_, B> {
    fn treap_stats(&self) -> Stats {
        PageHeap::stats(self)
    }

    fn tick(&mut self, now: u32, until: u32) {
        PageHeap::tick(self, now, until);
    }

    fn catch_up(&mut self, ms: u32) {
        PageHeap::catch_up(self, ms);
    }

    fn release(&mut self, budget: Budget) -> Release {
        PageHeap::release(self, budget)
    }

    fn set_limit(&mut self, bytes: u64) {
        PageHeap::set_limit(self, bytes);
    }
}

impl<B: Backing> Reclaim for &LockedHeap<'_, B> {
    fn treap_stats(&self) -> Stats {
        LockedHeap::stats(self)
    }

    fn tick(&mut self, now: u32, until: u32) {
        LockedHeap::tick(self, now, until);
    }

    fn catch_up(&mut self, ms: u32) {
        LockedHeap::catch_up(self, ms);
    }

    fn release(&mut self, budget: Budget) -> Release {
        LockedHeap::release(self, budget)
    }

    fn set_limit(&mut self, bytes: u64) {
        LockedHeap::set_limit(self, bytes);
    }
}

impl<B: Backing, C: Cpu> Reclaim for &SharedHeap<'_, B, C> {
    /// The page heap's counters: a chunk counts as in use, whatever of it is free.
    fn treap_stats(&self) -> Stats {
        SharedHeap::treap_stats(self)
    }

    fn tick(&mut self, now: u32, until: u32) {
        SharedHeap::tick(self, now, until);
    }

    fn catch_up(&mut self, ms: u32) {
        SharedHeap::catch_up(self, ms);
    }

    fn release(&mut self, budget: Budget) -> Release {
        SharedHeap::release(self, budget)
    }

    fn gather(&mut self) {
        SharedHeap::gather(self);
    }

    fn release_inside(&mut self, budget: Budget) -> Release {
        SharedHeap::release_inside(self, budget)
    }

    fn set_limit(&mut self, bytes: u64) {
        SharedHeap::set_limit(self, bytes);
    }
}
