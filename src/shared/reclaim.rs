//! What CPUs have claimed, and chunks: given back.
//!
//! A chunk that is found to be free as a whole is only listed ([`Front::full`]), so that
//! a free never waits. Whoever takes the lock next gives some of those to the treap;
//! and whoever must have memory, or makes it idle, all of them.

use super::cpu::Cpu;
use super::heap::{SharedHeap, Tier};
use super::word::CHUNK;
use crate::backing::Backing;
use crate::heap::Ledger;
use crate::page::PageCount;

/// Chunks that are returned whenever the lock is taken, at the most.
const RETURNS: u32 = 2;

impl<'m, B: Backing, C: Cpu> SharedHeap<'m, B, C> {
    /// Gives back the pages that a CPU has claimed, and the chunks it owns: it
    /// goes offline, or sleeps. If it allocates again all the same, it claims
    /// anew.
    pub fn offline(&self, cpu: usize) {
        if let Some(tier) = self.tier.get() {
            let places = (0..).map_while(|group| tier.front.place(cpu, group));
            places.for_each(|place| tier.front.drain(place));
            self.locked(|_| ());
        }
    }

    /// Makes idle what CPUs have claimed and the chunks that they own, as far as
    /// nobody uses them.
    pub fn gather(&self) {
        self.drain();
        if let Some(tier) = self.tier() {
            self.return_all(tier);
        }
    }

    /// Gives back what all CPUs have claimed.
    pub(super) fn drain(&self) {
        if let Some(tier) = self.tier.get() {
            tier.front
                .places()
                .for_each(|place| tier.front.drain(place));
        }
    }

    /// Gives the treap all chunks without a page in use; of those that are released in
    /// part, as many as so many calls of the backing are enough for.
    pub(super) fn reclaim_chunks(&self, calls: u32) -> bool {
        let Some(tier) = self.tier.get() else {
            return false;
        };
        self.drain();
        // Where it is found which of them are released in part.
        let any = self.return_all(tier);
        self.release_mixed(tier, calls) || any
    }

    /// Gives the treap all chunks that are listed as free as a whole. Says whether there
    /// was one.
    pub(super) fn return_all(&self, tier: &Tier<'_>) -> bool {
        let mut any = false;
        while tier.front.full().may_have_any() {
            any = true;
            self.locked(|_| ());
        }
        any
    }
}

/// Gives the treap some of the chunks that are listed as free, with the lock
/// held.
pub(super) fn return_some<'m>(tier: &Tier<'m>, books: &mut Ledger<'m>) {
    if !tier.front.full().may_have_any() {
        return;
    }
    for _ in 0..RETURNS {
        let Some(chunk) = tier.front.full().first() else {
            return;
        };
        tier.front.full().clear(chunk);
        if tier.front.take_resident(chunk) {
            tier.front.close(chunk);
            // It is one span in use, the front tier's.
            let _ = books.free_at(tier.address(chunk), PageCount::new(CHUNK));
        }
    }
}
