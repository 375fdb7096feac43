//! The front tier's memory, and single pages: claimed, handed out, freed.
//!
//! Three words for each block: its free pages; those of them that are released;
//! and, written only for runs of two or more, which pages continue a run. They
//! are flat arrays by page number and never move. A block's word holds free
//! pages only, and is zero while its pages are the treap's: so a CPU that comes
//! late, with whatever it remembers, can only fail or take a page that is truly
//! free.
//!
//! A page's way: free in its word; claimed, in a CPU's hoard; handed out; free
//! in its word again. Half a block is claimed at a time.
//!
//! ```text
//!            claim (Acquire)          pop (Acquire)
//!   word ─────────────────► hoard ─────────────────► its owner
//!    ▲      publish (Release)                            │
//!    └───────────────────────────────────────────────────┘
//!                         free (Release)
//! ```
//!
//! Orderings: what the owner wrote is released by `free`, acquired by whoever
//! claims the page, released again with the hoard, and acquired by whoever pops
//! it. Where two words decide together (a chunk's words and its state), both
//! sides are sequentially consistent.
//!
//! Invariant: a free page of a chunk is in its word or in one hoard, never in
//! both, but for the moment between a claim and its publication, when it is in
//! neither.

use super::atomic::{AtomicU64, Ordering};
use super::hints::{Hints, words_for};
use super::hoard::{HALF, Hoard};
use super::state::State;
use super::word::{BLOCK, BLOCKS, CHUNK};
use crate::heap::FreeError;

/// Kinds of pages that do not share a chunk.
pub(super) const GROUPS: usize = 2;
/// The longest run that is handed out of a block.
pub(super) const MAX_RUN: u32 = 16;
/// Lists of blocks, by the length of their longest run of free pages.
pub(super) const BINS: usize = MAX_RUN as usize;
/// Words for a CPU's hoards: two cache lines, because neighbouring lines are
/// fetched together.
const STRIDE: usize = 16;

const _: () = assert!(GROUPS <= STRIDE);

/// The front tier of one heap.
#[derive(Debug)]
pub(super) struct Front<'m> {
    /// Free pages.
    pub(super) words: &'m [[AtomicU64; BLOCKS]],
    /// Pages that continue a run.
    pub(super) runs: &'m [[AtomicU64; BLOCKS]],
    /// Pages that are not backed. A page's bit belongs to whoever holds the page.
    pub(super) released: &'m [[AtomicU64; BLOCKS]],
    pub(super) states: &'m [AtomicU64],
    pub(super) hoards: &'m [[AtomicU64; STRIDE]],
    /// Chunks for a CPU to own, by group.
    pub(super) ready: [Hints<'m>; GROUPS],
    /// Chunks all of whose pages are free, to be returned.
    pub(super) full: Hints<'m>,
    /// Those of them that are released in part.
    pub(super) mixed: Hints<'m>,
    /// Blocks by group and longest run.
    pub(super) bins: [[Hints<'m>; BINS]; GROUPS],
}

/// Returns how many words the front tier takes for `pages` pages and `cpus`
/// CPUs; `None` if the number overflows.
pub(super) const fn front_words(pages: u32, cpus: usize) -> Option<usize> {
    let chunks = pages / CHUNK;
    let per_chunk = 3 * BLOCKS + 1;
    let hints =
        words_for(chunks) * (GROUPS + 2) + words_for(chunks * BLOCKS as u32) * (GROUPS * BINS);
    let Some(hoards) = cpus.checked_mul(STRIDE) else {
        return None;
    };
    let Some(words) = (chunks as usize).checked_mul(per_chunk) else {
        return None;
    };
    let Some(words) = words.checked_add(hints) else {
        return None;
    };
    words.checked_add(hoards)
}

/// A place for a hoard, and the number that names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'m> {
    pub(super) id: u32,
    pub(super) group: usize,
    pub(super) hoard: &'m AtomicU64,
}

impl<'m> Front<'m> {
    /// Lays a front tier for `pages` pages over words that are all zero; `None`
    /// if they are too few, or there is no CPU.
    pub(super) fn new(mut memory: &'m [AtomicU64], pages: u32, cpus: usize) -> Option<Self> {
        let chunks = pages / CHUNK;
        let mut take = |count: usize| {
            let (taken, rest) = memory.split_at_checked(count)?;
            memory = rest;
            Some(taken)
        };
        if cpus == 0 {
            return None;
        }
        let blocks = chunks as usize * BLOCKS;
        let hoards = take(cpus.checked_mul(STRIDE)?)?.as_chunks().0;
        let words = take(blocks)?.as_chunks().0;
        let runs = take(blocks)?.as_chunks().0;
        let released = take(blocks)?.as_chunks().0;
        let states = take(chunks as usize)?;
        let mut none: &'m [AtomicU64] = &[];
        let empty = Hints::new(&mut none, 0)?;
        let mut front = Self {
            words,
            runs,
            released,
            states,
            hoards,
            ready: [empty; GROUPS],
            full: Hints::new(&mut memory, chunks)?,
            mixed: Hints::new(&mut memory, chunks)?,
            bins: [[empty; BINS]; GROUPS],
        };
        for ready in &mut front.ready {
            *ready = Hints::new(&mut memory, chunks)?;
        }
        for bin in front.bins.as_flattened_mut() {
            *bin = Hints::new(&mut memory, chunks * BLOCKS as u32)?;
        }
        Some(front)
    }

    /// Returns how many chunks there can be.
    pub(super) const fn chunks(&self) -> u32 {
        self.states.len() as u32
    }

    /// Returns the place of a CPU's hoard of pages of `group`.
    #[inline]
    pub(super) fn place(&self, cpu: usize, group: usize) -> Option<Place<'m>> {
        let cpus = self.hoards.len();
        let cpu = if cpu < cpus { cpu } else { cpu % cpus.max(1) };
        Some(Place {
            id: (cpu * GROUPS + group) as u32,
            group,
            hoard: self.hoards.get(cpu)?.get(group)?,
        })
    }

    /// Returns all places.
    pub(super) fn places(&self) -> impl Iterator<Item = Place<'m>> {
        let all = (0..self.hoards.len()).flat_map(|cpu| (0..GROUPS).map(move |group| (cpu, group)));
        all.filter_map(|(cpu, group)| self.place(cpu, group))
    }

    #[inline]
    pub(super) fn state(&self, chunk: u32) -> State {
        let state = self.states.get(chunk as usize);
        // SeqCst: read after a change of a word, where whoever changes the state
        // looks at the words afterwards.
        state.map_or(State::TREAP, |state| State(state.load(Ordering::SeqCst)))
    }

    #[inline]
    pub(super) fn word(&self, block: u32) -> Option<&'m AtomicU64> {
        of(self.words, block)
    }

    /// Hands out a page of a hoard; says whether it may have to be committed.
    #[inline]
    pub(super) fn pop(place: Place<'_>) -> Option<(u32, bool)> {
        let mut hoard = Hoard(place.hoard.load(Ordering::Relaxed));
        loop {
            let (page, rest) = hoard.pop()?;
            // Acquire: pairs with the Release that published the hoard, by
            // another CPU perhaps. Release: keeps the hoard published for the
            // pages that are left.
            match place.hoard.compare_exchange_weak(
                hoard.0,
                rest.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some((page, hoard.may_be_released())),
                Err(now) => hoard = Hoard(now),
            }
        }
    }

    /// Hands out a page of a hoard, if none of its pages need be committed.
    #[inline]
    pub(super) fn pop_backed(place: Place<'_>) -> Option<u32> {
        let hoard = Hoard(place.hoard.load(Ordering::Relaxed));
        let (page, rest) = hoard.pop().filter(|_| !hoard.may_be_released())?;
        // As `pop`. Whoever was quicker is met again on the slower way.
        let swapped =
            place
                .hoard
                .compare_exchange(hoard.0, rest.0, Ordering::AcqRel, Ordering::Relaxed);
        swapped.is_ok().then_some(page)
    }

    /// Fills a hoard from the chunk it owns, or from another that it claims.
    /// Says no if there is none; yes also if somebody else was quicker.
    pub(super) fn refill(&self, place: Place<'m>) -> bool {
        let old = Hoard(place.hoard.load(Ordering::Acquire));
        if old.bits() != 0 {
            return true;
        }
        if let Some(chunk) = old.chunk()
            && let Some(new) = self.claim_half(chunk)
        {
            self.publish(place, old, new);
            return true;
        }
        while let Some(chunk) = self.claim_ready(place.group, place.id) {
            match self.claim_half(chunk) {
                Some(new) => {
                    self.publish(place, old, new);
                    return true;
                }
                None => self.leave(chunk),
            }
        }
        false
    }

    /// Puts a claim into a hoard that was `old`, or gives it back if it is not
    /// that any more.
    pub(super) fn publish(&self, place: Place<'m>, old: Hoard, new: Hoard) {
        // Release: whoever pops a page, on another CPU perhaps, sees what was
        // acquired with the claim.
        let swapped =
            place
                .hoard
                .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed);
        let abandoned = match swapped {
            Ok(_) => old.chunk(),
            Err(_) => {
                self.give_back(new);
                new.chunk()
            }
        };
        if let Some(chunk) = abandoned
            && old.chunk() != new.chunk()
        {
            self.leave(chunk);
        }
    }

    /// Claims the free pages of half a block of a chunk: the first half that has
    /// any.
    pub(super) fn claim_half(&self, chunk: u32) -> Option<Hoard> {
        let words = self.words.get(chunk as usize)?;
        for (number, word) in words.iter().enumerate() {
            let mut free = word.load(Ordering::Relaxed);
            while free != 0 {
                let upper = u32::from(free as u32 == 0);
                let claim = free & (u64::from(u32::MAX) << (HALF * upper));
                // Acquire: pairs with the Release of `free`. SeqCst: with the
                // second looks of `settle`.
                match word.compare_exchange(
                    free,
                    free & !claim,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        let half = (chunk * BLOCKS as u32 + number as u32) * 2 + upper;
                        let released = of(self.released, half / 2)
                            .is_some_and(|bits| bits.load(Ordering::Relaxed) & claim != 0);
                        let bits = (claim >> (HALF * upper)) as u32;
                        return Some(Hoard::new(half, bits, released));
                    }
                    Err(now) => free = now,
                }
            }
        }
        None
    }

    /// Gives claimed pages back to their word. Their chunk is settled by whoever
    /// leaves it.
    pub(super) fn give_back(&self, hoard: Hoard) {
        if hoard.bits() != 0
            && let Some(word) = self.word(hoard.half() / 2)
        {
            // Release: as `free`.
            word.fetch_or(hoard.in_block(), Ordering::SeqCst);
        }
    }

    /// Frees one page of a chunk out of which no runs were handed, if nothing is
    /// in the way; says no, and changes nothing, if something is: it is not in
    /// use, or the treap's, or was changed by another CPU at the same time.
    #[inline]
    pub(super) fn free_plain(&self, page: u32) -> bool {
        let (Some(state), Some(word)) = (
            self.states.get((page / CHUNK) as usize),
            self.word(page / BLOCK),
        ) else {
            return false;
        };
        let before = State(state.load(Ordering::Relaxed));
        if !before.is_plain() {
            return false;
        }
        if let Some(owner) = before.owner()
            && self.hoard_of(owner).holds(page)
        {
            return false;
        }
        let bit = 1 << (page % BLOCK);
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
        if after.owner().is_some() {
            return true;
        }
        // Its chunk went back to the treap meanwhile if it was free before.
        if free == 0 && !after.is_front() {
            word.fetch_and(!bit, Ordering::SeqCst);
            return false;
        }
        self.freed_of_nobody(after, page / BLOCK, free | bit, bit);
        true
    }

    /// Frees one page. `None`: it is the treap's.
    ///
    /// A second free of a page that is free is an error, unless it races with
    /// the claim of that page by another CPU.
    #[inline]
    pub(super) fn free_page(&self, page: u32) -> Option<Result<(), FreeError>> {
        let state = self.state(page / CHUNK);
        if !state.is_front() {
            return None;
        }
        let word = self.word(page / BLOCK)?;
        let bit = 1 << (page % BLOCK);
        if state.has_runs()
            && let Some(wrong) = self.not_single(page)
        {
            return Some(Err(wrong));
        }
        if let Some(owner) = state.owner()
            && self.is_hoarded(owner, page)
        {
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
        if free == 0 && !self.state(page / CHUNK).is_front() {
            // Its chunk went back to the treap meanwhile: it was free before.
            word.fetch_and(!bit, Ordering::SeqCst);
            return Some(Err(FreeError::NotInUse));
        }
        self.freed(page / BLOCK, free | bit, bit);
        Some(Ok(()))
    }

    /// Returns whether a page lies in a hoard.
    #[inline]
    fn is_hoarded(&self, owner: u32, page: u32) -> bool {
        self.hoard_of(owner).holds(page)
    }

    /// Returns the hoard of an owner, as it is now.
    pub(super) fn hoard_of(&self, owner: u32) -> Hoard {
        let (cpu, group) = (owner as usize / GROUPS, owner as usize % GROUPS);
        let hoard = self.hoards.get(cpu).and_then(|cpu| cpu.get(group));
        hoard.map_or(Hoard::EMPTY, |hoard| Hoard(hoard.load(Ordering::Relaxed)))
    }
}

/// Returns a block's word of one of the arrays.
#[inline]
pub(super) fn of(array: &[[AtomicU64; BLOCKS]], block: u32) -> Option<&AtomicU64> {
    array.as_flattened().get(block as usize)
}
