//! Chunks: opened, owned, left, listed, and taken whole to go back.
//!
//! Lists are hints and a chunk's state is the truth ([`State`]). A chunk that
//! nobody owns is listed for single pages once it has enough free ones, and for
//! its return once all are free. Whoever changes a state looks at the words
//! afterwards, and whoever changes a word at the state: so of two that change both
//! at the same time, one sees the other's change, and nothing is left unlisted for
//! good.

use super::atomic::Ordering;
use super::front::{BINS, Bits, Front, MAX_RUN, Place};
use super::state::{NOBODY, State};
use super::word::{BLOCK, BLOCKS, FULL, READY, has, longest_run};

/// Returns the bin of runs of this length, if that is of use to any request for a
/// run.
#[inline]
pub(super) const fn bin_of(length: u32) -> Option<usize> {
    let last = BINS - 1;
    if length < 2 {
        None
    } else if length < MAX_RUN {
        Some(length as usize - 2)
    } else if length < BLOCK {
        Some(last - 1)
    } else {
        // Those that are free as a whole are taken last.
        Some(last)
    }
}

/// Returns the shortest length of the runs of a bin.
#[inline]
pub(super) const fn shortest_of(bin: usize) -> u32 {
    if bin == BINS - 1 {
        BLOCK
    } else {
        bin as u32 + 2
    }
}

impl<'m> Front<'m> {
    /// Takes over a chunk that was the treap's, with all of its pages free; it is
    /// owned by `place`, which is to claim pages of it.
    pub(super) fn open(&self, chunk: u32, place: Place<'m>) {
        let Some(state) = self.states.get(chunk as usize) else {
            return;
        };
        // Before the words: whoever sees a free page sees whose it is.
        let before = State(state.load(Ordering::Relaxed));
        state.store(before.opened(place.group, place.id).0, Ordering::SeqCst);
        for word in self.words(Bits::Free, chunk) {
            // Release: the pages come with whatever the treap's lock ordered.
            word.store(FULL, Ordering::SeqCst);
        }
        self.nonempty().set(chunk);
        if let Some(bin) = bin_of(BLOCK) {
            let whole = self.runs(place.group, bin);
            whole.set_some(chunk * BLOCKS as u32, BLOCKS as u32);
        }
    }

    /// Gives up the ownership of a chunk with what is claimed of it, and lists it
    /// as its words say.
    pub(super) fn leave(&self, chunk: u32) {
        let Some(state) = self.states.get(chunk as usize) else {
            return;
        };
        let mut now = state.load(Ordering::Relaxed);
        while let Err(other) = state.compare_exchange_weak(
            now,
            State(now).left().0,
            Ordering::SeqCst,
            Ordering::Relaxed,
        ) {
            now = other;
        }
        self.abandon(chunk);
    }

    /// Gives back what is claimed of a chunk that was left, and lists it.
    pub(super) fn abandon(&self, chunk: u32) {
        self.unclaim(chunk);
        self.nonempty().set(chunk);
        self.settle(chunk);
        for block in blocks(chunk) {
            self.relist(block);
        }
    }

    /// Lists a chunk that nobody owns as its words say.
    pub(super) fn settle(&self, chunk: u32) {
        if self.is_whole(chunk) {
            self.full().set(chunk);
        }
        if self.is_worth(chunk) {
            self.list(chunk);
        }
    }

    /// Returns whether all pages of a chunk are free.
    fn is_whole(&self, chunk: u32) -> bool {
        let mut words = self.words(Bits::Free, chunk).iter();
        words.all(|word| word.load(Ordering::SeqCst) == FULL)
    }

    /// Returns whether a chunk has pages enough to be listed.
    fn is_worth(&self, chunk: u32) -> bool {
        let mut words = self.words(Bits::Free, chunk).iter();
        words.any(|word| has(word.load(Ordering::SeqCst), READY))
    }

    fn list(&self, chunk: u32) {
        let Some(state) = self.states.get(chunk as usize) else {
            return;
        };
        let mut now = state.load(Ordering::Relaxed);
        while let Some(listed) = State(now).listed() {
            match state.compare_exchange_weak(now, listed.0, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    self.ready(listed.group()).set(chunk);
                    return;
                }
                Err(other) => now = other,
            }
        }
    }

    /// Claims the lowest chunk that is listed for pages of `group`.
    pub(super) fn claim_ready(&self, group: usize, owner: u32) -> Option<u32> {
        let ready = self.ready(group);
        loop {
            let chunk = ready.first()?;
            let state = self.states.get(chunk as usize)?;
            let now = State(state.load(Ordering::SeqCst));
            let claimed = now.claimed(owner).filter(|_| now.is_ready(group));
            let won = claimed.is_some_and(|claimed| {
                state
                    .compare_exchange(now.0, claimed.0, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            });
            ready.clear(chunk);
            if won {
                return Some(chunk);
            }
            // Stale, or another's now; or changed in between, and still ready.
            if self.state(chunk).is_ready(group) {
                ready.set(chunk);
            }
        }
    }

    /// Lists a chunk of nobody's, in `state`, after a free that left `word` in one
    /// of its blocks.
    pub(super) fn list_freed(&self, state: State, block: u32, word: u64) {
        let chunk = block / BLOCKS as u32;
        if word == FULL {
            self.settle(chunk);
        } else if !state.is_listed() && has(word, READY) {
            self.list(chunk);
        }
    }

    /// Lists a block of `group` for a run of this length, if any request is for one.
    #[inline]
    pub(super) fn list_run(&self, block: u32, group: usize, length: u32) {
        if let Some(bin) = bin_of(length) {
            self.runs(group, bin).set(block);
        }
    }

    /// Lists a block for its longest run.
    pub(super) fn relist(&self, block: u32) {
        let state = self.state(block / BLOCKS as u32);
        let Some(word) = self.word(Bits::Free, block).filter(|_| state.is_front()) else {
            return;
        };
        let free = word.load(Ordering::SeqCst);
        // Most have none, and those are known at once.
        if free & (free >> 1) != 0 {
            self.list_run(block, state.group(), longest_run(free));
        }
    }

    /// Takes a chunk whose pages are all free out of the front tier: its words
    /// are zero then, and its state is `NOBODY`'s, until [`close`](Self::close)
    /// or [`reopen`](Self::reopen). Says no, and changes nothing, if a page is in
    /// use or claimed, or a CPU owns the chunk.
    pub(super) fn take_whole(&self, chunk: u32) -> bool {
        let words = self.words(Bits::Free, chunk);
        let Some(state) = self.states.get(chunk as usize) else {
            return false;
        };
        loop {
            if !self.is_whole(chunk) {
                return false;
            }
            let now = State(state.load(Ordering::SeqCst));
            let Some(claimed) = now.claimed(NOBODY) else {
                return false;
            };
            if state
                .compare_exchange(now.0, claimed.0, Ordering::SeqCst, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            let taken = words.iter().take_while(|word| {
                // Acquire: pairs with the Release of each `free`.
                word.compare_exchange(FULL, 0, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            });
            let taken = taken.count();
            if taken == BLOCKS {
                return true;
            }
            for word in words.iter().take(taken) {
                word.fetch_or(FULL, Ordering::SeqCst);
            }
            // A free that filled the chunk meanwhile saw words that were taken,
            // and left it to this look.
            self.leave(chunk);
        }
    }

    /// Makes a chunk that was taken whole the treap's.
    pub(super) fn close(&self, chunk: u32) {
        if let Some(state) = self.states.get(chunk as usize) {
            // Relaxed: since it was taken whole, nobody else changes it.
            let before = State(state.load(Ordering::Relaxed));
            state.store(before.closed().0, Ordering::SeqCst);
        }
        // A second free of one of its pages may have met a word that was taken, and
        // gone by. Whoever comes from now on sees that the chunk is the treap's.
        for word in self.words(Bits::Free, chunk) {
            if word.load(Ordering::SeqCst) != 0 {
                word.store(0, Ordering::SeqCst);
            }
        }
    }

    /// Puts a chunk that was taken whole back into the front tier.
    pub(super) fn reopen(&self, chunk: u32) {
        for word in self.words(Bits::Free, chunk) {
            word.fetch_or(FULL, Ordering::SeqCst);
        }
        self.leave(chunk);
    }

    /// Returns whether some page of a chunk is not backed.
    pub(super) fn has_released(&self, chunk: u32) -> bool {
        let mut words = self.words(Bits::Released, chunk).iter();
        words.any(|word| word.load(Ordering::Relaxed) != 0)
    }
}

/// Returns the blocks of a chunk.
pub(super) fn blocks(chunk: u32) -> impl Iterator<Item = u32> {
    let first = chunk * BLOCKS as u32;
    first..first + BLOCKS as u32
}
