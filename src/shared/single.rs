//! Single pages: claimed a block at a time, handed out, freed.
//!
//! A page's way: free in its block's word; claimed by a CPU, in another word of
//! the block; handed out; free in its word again. So an allocation changes one
//! word and a free the other, and neither waits for the other's atomic.
//!
//! ```text
//!            claim (Acquire)            pop (Acquire)
//!   word ─────────────────► claimed ─────────────────► its owner
//!    ▲            (Release)                                │
//!    └─────────────────────────────────────────────────────┘
//!                         free (Release)
//! ```
//!
//! Orderings: what the owner wrote is released by `free`, acquired by whoever
//! claims the page, released again with the claim, and acquired by whoever pops
//! it. Where two words decide together (a chunk's words and its state), both
//! sides are sequentially consistent.
//!
//! Invariant: a free page of a chunk is in its word or claimed, never both, but
//! for the moment in which it goes from one to the other, when it is in neither.
//! A chunk that nobody owns has no claimed pages, but for the moment in which
//! they are given back.

use super::atomic::Ordering;
use super::front::{Bits, Front, Place};
use super::state::State;
use super::word::{BLOCK, BLOCKS, CHUNK, READY, WORTH, has, has_byte, run_around};
use crate::heap::FreeError;

impl<'m> Front<'m> {
    /// Hands out a page that a CPU has claimed.
    #[inline(always)]
    pub(super) fn pop(&self, place: Place<'m>) -> Option<u32> {
        let block = place.current()?;
        let claimed = self.word(Bits::Claimed, block)?;
        let mut bits = claimed.load(Ordering::Relaxed);
        loop {
            if bits == 0 {
                return None;
            }
            // Acquire: pairs with the Release of the claim.
            match claimed.compare_exchange_weak(
                bits,
                bits & (bits - 1),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => bits = now,
            }
        }
        let page = block * BLOCK + bits.trailing_zeros();
        place.last.store(u64::from(page) + 1, Ordering::Relaxed);
        Some(page)
    }

    /// Claims pages for a CPU: of the chunk it owns, or of another that it comes
    /// to own. Says no if there is none; yes also if somebody else was quicker.
    pub(super) fn refill(&self, place: Place<'m>) -> bool {
        if let Some(block) = place.current() {
            let chunk = block / BLOCKS as u32;
            if let Some(next) = self.claim_block(chunk, place) {
                if next != block {
                    // It fails if the place was drained, or moved on, meanwhile.
                    let _ = place.block.compare_exchange(
                        u64::from(block) + 1,
                        u64::from(next) + 1,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                // The second look: whoever takes the chunk away gives its claims
                // back afterwards, and so sees this one, or is seen here.
                if self.state(chunk).owner() != Some(place.id) {
                    self.abandon(chunk);
                }
                return true;
            }
        }
        while let Some(chunk) = self.claim_ready(place.group, place.id) {
            if self.own(chunk, place) {
                return true;
            }
            self.leave(chunk);
        }
        false
    }

    /// Claims pages of a chunk that was just made a CPU's, and leaves the chunk
    /// which that owned before. Says no, and changes nothing, if there is no page.
    pub(super) fn own(&self, chunk: u32, place: Place<'m>) -> bool {
        let Some(block) = self.claim_block(chunk, place) else {
            return false;
        };
        // By a swap, so that every chunk is left by whoever displaces it.
        let old = place.block.swap(u64::from(block) + 1, Ordering::AcqRel);
        if let Some(old) = old.checked_sub(1) {
            self.leave(old as u32 / BLOCKS as u32);
        }
        true
    }

    /// Claims all free pages of a block of a chunk, the next that is worth it; returns
    /// the block.
    ///
    /// The next and not the first, so that what is freed has time to gather. A chunk is
    /// a huge page: it is all the same to that which of its blocks are in use.
    fn claim_block(&self, chunk: u32, place: Place<'m>) -> Option<u32> {
        let words = self.words(Bits::Free, chunk);
        let claims = self.words(Bits::Claimed, chunk);
        let next = place.current().map_or(0, |block| block as usize + 1);
        let mut round = (next..next + BLOCKS).map(|at| at % BLOCKS);
        let found = round.find(|&at| {
            let (Some(word), Some(claimed)) = (words.get(at), claims.get(at)) else {
                return false;
            };
            // Claimed by somebody who took this place's turn, and was interrupted.
            if claimed.load(Ordering::Relaxed) != 0 {
                return true;
            }
            if !has(word.load(Ordering::Relaxed), WORTH) {
                return false;
            }
            // Acquire: pairs with the Release of `free`. SeqCst: with the second
            // looks of `settle`.
            let bits = word.swap(0, Ordering::SeqCst);
            // Release: whoever pops a page, on another CPU perhaps, sees what was
            // acquired here. SeqCst: with the second look of `refill`.
            bits != 0 && {
                claimed.fetch_or(bits, Ordering::SeqCst);
                true
            }
        })?;
        // What was handed out last may be among them.
        place.last.store(0, Ordering::Relaxed);
        Some(chunk * BLOCKS as u32 + found as u32)
    }

    /// Gives back what a CPU has claimed, and the chunk it owns.
    pub(super) fn drain(&self, place: Place<'m>) {
        let block = place.block.swap(0, Ordering::AcqRel);
        if let Some(block) = block.checked_sub(1) {
            self.leave(block as u32 / BLOCKS as u32);
        }
    }

    /// Gives the claimed pages of a chunk back to their words.
    pub(super) fn unclaim(&self, chunk: u32) {
        let words = self.words(Bits::Free, chunk).iter();
        for (word, claimed) in words.zip(self.words(Bits::Claimed, chunk)) {
            // SeqCst: with the second look of `refill`.
            if claimed.load(Ordering::SeqCst) != 0 {
                let bits = claimed.swap(0, Ordering::SeqCst);
                // Release: as `free`.
                word.fetch_or(bits, Ordering::SeqCst);
            }
        }
    }

    /// Frees one page of a chunk, if nothing is in the way; says no, and changes
    /// nothing, if something is: it is not in use, or a part of a run, or the
    /// treap's, or its block was changed by another CPU at the same time. `cpu` is
    /// asked which CPU this is.
    #[inline(always)]
    pub(super) fn free_plain(&self, page: u32, cpu: impl FnOnce() -> usize) -> bool {
        let block = page / BLOCK;
        let (Some(state), Some(word), Some(claimed)) = (
            self.states.get((page / CHUNK) as usize),
            self.word(Bits::Free, block),
            self.word(Bits::Claimed, block),
        ) else {
            return false;
        };
        let before = State(state.load(Ordering::Relaxed));
        if !before.is_front() || before.has_runs() && self.is_of_run(page) {
            return false;
        }
        let bit = 1 << (page % BLOCK);
        // To read a word that was swapped just now is to wait for the swap: so
        // not of the page that this CPU handed out a moment ago.
        if let Some(owner) = before.owner()
            && !self.was_last(owner, cpu(), page)
            && claimed.load(Ordering::Relaxed) & bit != 0
        {
            return false;
        }
        let free = word.load(Ordering::Relaxed);
        if free & bit != 0 {
            return false;
        }
        // As `free_page`.
        let freed = word.compare_exchange(free, free | bit, Ordering::SeqCst, Ordering::Relaxed);
        if freed.is_err() {
            return false;
        }
        let after = State(state.load(Ordering::SeqCst));
        let free = free | bit;
        // Nothing is to be listed: that there is a free page is known; and somebody owns
        // the chunk, or it is listed, and no byte is free that was not, or the block has too
        // few free pages for either list.
        (free != bit || self.nonempty().contains(page / CHUNK))
            && (after.owner().is_some()
                || after.is_listed() && !has_byte(free, page % BLOCK)
                || after.is_front() && !has(free, READY))
            || self.freed(after, page, free)
    }

    /// What follows a free of `page` that left `free` in its block's word, if there was
    /// none, or nobody owns the chunk, which is in state `after`. Says no, and takes the
    /// free back, if the page was free before.
    #[inline(never)]
    fn freed(&self, after: State, page: u32, free: u64) -> bool {
        let (block, bit) = (page / BLOCK, 1 << (page % BLOCK));
        if free == bit {
            if !after.is_front() {
                return self.stands(after, block, bit);
            }
            self.nonempty().set(page / CHUNK);
        }
        if after.owner().is_none() {
            self.list_freed(after, block, free);
            // Not for every free: what singles leave is seldom a run, and then it
            // grows to a byte.
            if has_byte(free, page % BLOCK) {
                self.list_run(block, after.group(), run_around(free, page % BLOCK).1);
            }
        }
        true
    }

    /// Returns whether a free of `pages` of a block stands after which the chunk is
    /// found to be the treap's, in state `after`. Takes it back if not.
    ///
    /// Either they were the last in use, and went there with the chunk: then they are
    /// no longer in the word. Or the chunk had gone before, and they were free.
    pub(super) fn stands(&self, after: State, block: u32, pages: u64) -> bool {
        let Some(word) = self.word(Bits::Free, block) else {
            return false;
        };
        let taken = word.compare_exchange(pages, 0, Ordering::SeqCst, Ordering::Relaxed);
        if taken.is_err() {
            return true;
        }
        if self.state(block / BLOCKS as u32) == after {
            return false;
        }
        // The chunk went, came back, and these are free in it once more.
        word.fetch_or(pages, Ordering::SeqCst);
        self.nonempty().set(block / BLOCKS as u32);
        true
    }

    /// Frees one page. `None`: it is the treap's.
    ///
    /// A second free of a page that is free is an error, unless it races with the claim
    /// of that page by another CPU, or with what gives a claimed page back. Then it may be
    /// taken for a right one, as a second free of a page that was handed out again is.
    #[inline]
    pub(super) fn free_page(&self, page: u32) -> Option<Result<(), FreeError>> {
        let state = self.state(page / CHUNK);
        if !state.is_front() {
            return None;
        }
        let word = self.word(Bits::Free, page / BLOCK)?;
        let bit = 1 << (page % BLOCK);
        if state.has_runs()
            && let Some(wrong) = self.not_single(page)
        {
            return Some(Err(wrong));
        }
        if self.claimed_of(page / BLOCK) & bit != 0 {
            return Some(Err(FreeError::NotInUse));
        }
        let mut free = word.load(Ordering::Relaxed);
        loop {
            if free & bit != 0 {
                return Some(Err(FreeError::NotInUse));
            }
            // Release: pairs with the Acquire of the claim. SeqCst: the state is
            // read again after this, and the words by whoever changes the state.
            match word.compare_exchange_weak(free, free | bit, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => free = now,
            }
        }
        let after = self.state(page / CHUNK);
        Some(if self.freed(after, page, free | bit) {
            Ok(())
        } else {
            Err(FreeError::NotInUse)
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::atomic::AtomicU64;
    use super::super::front::front_words;
    use super::super::word::FULL;
    use super::*;
    use std::vec::Vec;

    fn memory() -> Vec<AtomicU64> {
        let words = front_words(CHUNK, 1).expect("a size");
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    /// A front tier of one chunk, which its one CPU owns.
    fn owned(memory: &[AtomicU64]) -> (Front<'_>, Place<'_>) {
        let front = Front::new(memory, CHUNK, 1).expect("enough words");
        let place = front.place(0, 0).expect("a CPU");
        front.open(0, place);
        (front, place)
    }

    #[test]
    fn each_cpu_has_places_of_its_own_and_those_beyond_the_last_share_them() {
        let words = front_words(CHUNK, 4).expect("a size");
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let front = Front::new(&memory, CHUNK, 4).expect("enough words");
        let mut ids: Vec<_> = front.places().map(|place| place.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((all, ids.len()), (8, 8));
        let id = |cpu, group| front.place(cpu, group).expect("a place").id;
        assert_eq!([id(4, 0), id(7, 1)], [id(0, 0), id(3, 1)]);
    }

    /// What a free does, one step after the other, with a chunk's return between.
    #[test]
    fn a_free_that_the_return_of_its_chunk_overtakes_stands() {
        let memory = memory();
        let (front, _) = owned(&memory);
        front.leave(0);
        let word = front.word(Bits::Free, 0).expect("a block");
        let (page, bit) = (2, 1 << 2);
        // In use: all of the first block. One of them is freed, and the rest, and the
        // chunk goes, before the one who freed it first looks at the state.
        word.store(bit, Ordering::SeqCst);
        word.fetch_or(FULL & !bit, Ordering::SeqCst);
        assert!(front.take_whole(0));
        front.close(0);
        let after = front.state(0);
        assert!(front.freed(after, page, bit), "it was in use");
        assert_eq!(word.load(Ordering::SeqCst), 0);
        // The same of a page that was free: its bit is still there.
        word.store(bit, Ordering::SeqCst);
        assert!(!front.freed(after, page, bit), "it was free");
        assert_eq!(word.load(Ordering::SeqCst), 0);
        // And if the chunk came back meanwhile, the bit is the new chunk's.
        word.store(bit, Ordering::SeqCst);
        assert!(front.stands(State::TREAP, 0, bit));
        assert_eq!(word.load(Ordering::SeqCst), bit);
    }

    #[test]
    fn a_page_that_was_handed_out_last_is_not_freed_once_it_is_claimed_again() {
        let memory = memory();
        let (front, place) = owned(&memory);
        assert!(front.own(0, place));
        let page = front.pop(place).expect("a page");
        assert!(front.free_plain(page, || 0));
        assert!(!front.free_plain(page, || 0), "it is free");
        // All of its block, this page too, once it is that block's turn again.
        for _ in 0..BLOCKS {
            front.unclaim(0);
            assert!(front.refill(place));
        }
        assert_eq!(front.claimed_of(page / BLOCK), FULL);
        assert!(!front.free_plain(page, || 0), "it is claimed");
        assert_eq!(front.free_page(page), Some(Err(FreeError::NotInUse)));
    }
}
