//! Where pages are found: from the fastest way to the last resort.
//!
//! One page: a hoard, then the chunk it owns, then a listed chunk, none of which
//! takes a lock; then a new chunk from the treap; then what the treap has left,
//! chunks of other groups, and last every hoard and every word. A run: a listed
//! block, a new chunk, the treap, and all of that again once every hoard is
//! drained. More than that: the treap, and again once all chunks without a page
//! in use are back in it.
//!
//! Invariant: a refusal comes last. With no other call in progress, whatever was
//! passed by on the way is looked at again before it.

use super::atomic::Ordering;
use super::cpu::Cpu;
use super::front::{Front, MAX_RUN, Place};
use super::heap::{ONE, SharedHeap, Tier, group, range_of};
use super::hoard::Hoard;
use super::word::CHUNK;
use crate::backing::Backing;
use crate::heap::{AllocError, Request, verbs};
use crate::page::{PageCount, PageRange};

/// Where a page or a run was found.
enum Found {
    /// In a chunk: its first page, and whether it may have to be committed.
    Claimed(u32, bool),
    /// In the treap, committed.
    Treaps(PageRange),
}

impl<'m, B: Backing, C: Cpu> SharedHeap<'m, B, C> {
    #[inline(never)]
    pub(super) fn alloc_otherwise(&self, request: &Request) -> Result<PageRange, AllocError> {
        if request.align.is_none() && request.within.is_none() {
            match request.pages.get() {
                1 => return self.alloc_page(request),
                2..=MAX_RUN => return self.alloc_run(request),
                _ => {}
            }
        }
        self.alloc_long(request)
    }

    fn alloc_page(&self, request: &Request) -> Result<PageRange, AllocError> {
        let tier = self.tier.get().ok_or(AllocError::NoRun)?;
        let place = tier.front.place(self.cpu.index(), group(request.class));
        let place = place.ok_or(AllocError::NoRun)?;
        let (page, released) = match Front::pop(place) {
            Some(popped) => popped,
            None => match self.alloc_page_slowly(tier, place)? {
                Found::Claimed(page, released) => (page, released),
                Found::Treaps(range) => return Ok(self.zeroed(request, range)),
            },
        };
        let range = range_of(page, ONE).ok_or(AllocError::NoRun)?;
        if released {
            self.commit(tier, range).map_err(AllocError::Refused)?;
        }
        Ok(self.zeroed(request, range))
    }

    /// One page from wherever there is one.
    #[cold]
    fn alloc_page_slowly(&self, tier: &Tier<'m>, place: Place<'m>) -> Result<Found, AllocError> {
        let front = &tier.front;
        loop {
            while front.refill(place) {
                if let Some((page, released)) = Front::pop(place) {
                    return Ok(Found::Claimed(page, released));
                }
            }
            if !self.open_chunk(tier, place) {
                break;
            }
        }
        // What is left of the treap is shorter than a chunk.
        let one = Request::pages(ONE);
        let treap = || verbs::alloc_without_growth(self, &self.backing, &one);
        if let Ok(span) = treap() {
            return Ok(Found::Treaps(span.range()));
        }
        let claimed = |page| Found::Claimed(page, true);
        if let Some(page) = front.claim_anywhere() {
            return Ok(claimed(page));
        }
        self.drain();
        if let Some(page) = front.claim_anywhere() {
            return Ok(claimed(page));
        }
        let found = verbs::alloc(self, &self.backing, &one);
        found.map(|span| Found::Treaps(span.range()))
    }

    /// Two pages to sixteen.
    fn alloc_run(&self, request: &Request) -> Result<PageRange, AllocError> {
        let tier = self.tier.get().ok_or(AllocError::NoRun)?;
        let group = group(request.class);
        let place = tier.front.place(self.cpu.index(), group);
        let place = place.ok_or(AllocError::NoRun)?;
        let count = request.pages.get();
        let found = match tier.front.take_run(count, group) {
            None if self.open_chunk(tier, place) => tier.front.take_run(count, group),
            found => found,
        };
        let page = match found {
            Some(page) => page,
            None => match self.alloc_run_slowly(tier, request)? {
                Found::Claimed(page, _) => page,
                Found::Treaps(range) => return Ok(self.zeroed(request, range)),
            },
        };
        let range = range_of(page, request.pages).ok_or(AllocError::NoRun)?;
        self.commit(tier, range).map_err(AllocError::Refused)?;
        Ok(self.zeroed(request, range))
    }

    #[cold]
    fn alloc_run_slowly(&self, tier: &Tier<'m>, request: &Request) -> Result<Found, AllocError> {
        let plain = Request::pages(request.pages);
        if let Ok(span) = verbs::alloc_without_growth(self, &self.backing, &plain) {
            return Ok(Found::Treaps(span.range()));
        }
        self.drain();
        if let Some(page) = tier.front.take_run_anywhere(request.pages.get()) {
            return Ok(Found::Claimed(page, true));
        }
        self.reclaim_chunks();
        let found = verbs::alloc(self, &self.backing, &plain);
        found.map(|span| Found::Treaps(span.range()))
    }

    /// What does not come out of blocks.
    fn alloc_long(&self, request: &Request) -> Result<PageRange, AllocError> {
        let first = verbs::alloc_without_growth(self, &self.backing, request);
        let span = match first {
            Ok(span) => span,
            Err(AllocError::NoRun) => {
                self.reclaim_chunks();
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
        let old = Hoard(place.hoard.load(Ordering::Acquire));
        match tier.front.claim_half(chunk) {
            Some(new) => tier.front.publish(place, old, new),
            None => tier.front.leave(chunk),
        }
        true
    }
}
