//! Where pages are found: from the fastest way to the last resort.
//!
//! One page: what the CPU has claimed, then the chunk it owns, then a listed
//! chunk, none of which takes a lock; then a new chunk from the treap; then what
//! the treap has left, and every word; and last every word again once all claims
//! are given back. A run: a listed block, a new chunk, the treap, and all of that
//! again once all claims are given back. More than that: the treap, and again once
//! all chunks without a page in use are back in it.
//!
//! Invariant: a refusal comes last. With no other call in progress, whatever was
//! passed by on the way is looked at again before it.

use super::cpu::Cpu;
use super::front::{MAX_RUN, Place};
use super::heap::{ONE, SharedHeap, Tier, group, range_of};
use super::word::CHUNK;
use crate::backing::Backing;
use crate::heap::{AllocError, Class, LIMIT_CALLS, Request, verbs};
use crate::page::{PageCount, PageRange};

/// Where a page or a run was found.
enum Found {
    /// In a chunk: its first page, which may have to be committed.
    Claimed(u32),
    /// In the treap, committed.
    Treaps(PageRange),
}

impl<'m, B: Backing, C: Cpu> SharedHeap<'m, B, C> {
    /// One page that this CPU had not at hand, or that is to be committed.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_one(
        &self,
        class: Class,
        popped: Option<PageRange>,
    ) -> Result<PageRange, AllocError> {
        let tier = self.tier.get().ok_or(AllocError::NoRun)?;
        let range = match popped {
            Some(range) => range,
            None => {
                let place = tier.front.place(self.cpu.index(), group(class));
                match self.alloc_page_slowly(tier, place.ok_or(AllocError::NoRun)?)? {
                    Found::Claimed(page) => range_of(page, ONE).ok_or(AllocError::NoRun)?,
                    Found::Treaps(range) => return Ok(range),
                }
            }
        };
        self.commit(tier, range)?;
        Ok(range)
    }

    #[inline(never)]
    pub(super) fn alloc_otherwise(&self, request: &Request) -> Result<PageRange, AllocError> {
        if request.align.is_none() && request.within.is_none() {
            match request.pages.get() {
                1 => {
                    let range = self.alloc_one(request.class, None)?;
                    return Ok(self.zeroed(request, range));
                }
                2..=MAX_RUN => return self.alloc_run(request),
                _ => {}
            }
        }
        self.alloc_long(request)
    }

    /// One page from wherever there is one.
    fn alloc_page_slowly(&self, tier: &Tier<'m>, place: Place<'m>) -> Result<Found, AllocError> {
        let front = &tier.front;
        loop {
            // First what is claimed: whoever asks for zeroes comes here at once.
            loop {
                if let Some(page) = front.pop(place) {
                    return Ok(Found::Claimed(page));
                }
                if !front.refill(place) {
                    break;
                }
            }
            if !self.open_chunk(tier, place) {
                break;
            }
        }
        // What is left of the treap is shorter than a chunk.
        let one = Request::pages(ONE);
        if let Ok(span) = verbs::alloc_without_growth(self, &self.backing, &one) {
            return Ok(Found::Treaps(span.range()));
        }
        if let Some(page) = front.claim_anywhere() {
            return Ok(Found::Claimed(page));
        }
        self.drain();
        if let Some(page) = front.claim_anywhere() {
            return Ok(Found::Claimed(page));
        }
        let found = verbs::alloc(self, &self.backing, &one);
        found.map(|span| Found::Treaps(span.range()))
    }

    /// Two pages to sixteen.
    fn alloc_run(&self, request: &Request) -> Result<PageRange, AllocError> {
        let tier = self.tier.get().ok_or(AllocError::NoRun)?;
        let group = group(request.class);
        let count = request.pages.get();
        let mut found = tier.front.take_run(count, group);
        if found.is_none() {
            let place = tier.front.place(self.cpu.index(), group);
            if self.open_chunk(tier, place.ok_or(AllocError::NoRun)?) {
                found = tier.front.take_run(count, group);
            }
        }
        let page = match found {
            Some(page) => page,
            None => match self.alloc_run_slowly(tier, request)? {
                Found::Claimed(page) => page,
                Found::Treaps(range) => return Ok(self.zeroed(request, range)),
            },
        };
        let range = range_of(page, request.pages).ok_or(AllocError::NoRun)?;
        self.commit(tier, range)?;
        Ok(self.zeroed(request, range))
    }

    #[cold]
    fn alloc_run_slowly(&self, tier: &Tier<'m>, request: &Request) -> Result<Found, AllocError> {
        let plain = Request::pages(request.pages);
        let calls = match verbs::alloc_without_growth(self, &self.backing, &plain) {
            Ok(span) => return Ok(Found::Treaps(span.range())),
            // A chunk without a page in use has a run, and the next look finds it.
            Err(AllocError::Limit) => 0,
            Err(_) => u32::MAX,
        };
        self.drain();
        if let Some(page) = tier.front.take_run_anywhere(request.pages.get()) {
            return Ok(Found::Claimed(page));
        }
        self.reclaim_chunks(calls);
        let found = verbs::alloc(self, &self.backing, &plain);
        found.map(|span| Found::Treaps(span.range()))
    }

    /// What does not come out of blocks.
    fn alloc_long(&self, request: &Request) -> Result<PageRange, AllocError> {
        let first = verbs::alloc_without_growth(self, &self.backing, request);
        let span = match first {
            Ok(span) => span,
            // What is idle in chunks may also make room.
            Err(why @ (AllocError::NoRun | AllocError::Limit)) => {
                let calls = match why {
                    AllocError::Limit => LIMIT_CALLS,
                    _ => u32::MAX,
                };
                self.reclaim_chunks(calls);
                verbs::alloc(self, &self.backing, request)?
            }
            Err(why) => return Err(why),
        };
        Ok(self.zeroed(request, span.range()))
    }

    /// Takes a chunk from the treap for the CPU of `place`. Says no if there is
    /// none.
    fn open_chunk(&self, tier: &Tier<'m>, place: Place<'m>) -> bool {
        let bytes = u64::from(CHUNK) * tier.window.geometry().page_bytes();
        let whole = Request::pages(PageCount::new(CHUNK)).aligned(bytes);
        let Ok(span) = verbs::alloc_without_growth(self, &self.backing, &whole) else {
            return false;
        };
        let start = span.range().start().number();
        let chunk = start / CHUNK;
        if !start.is_multiple_of(CHUNK) || chunk >= tier.front.chunks() {
            // Aligned by address, and not by number; or at the window's end.
            let _ = self.locked(|ledger| ledger.free_handle(span));
            return false;
        }
        tier.front.open(chunk, place);
        if !tier.front.own(chunk, place) {
            tier.front.leave(chunk);
        }
        true
    }
}
