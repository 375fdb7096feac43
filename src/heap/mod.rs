//! The page heap for one owner.
//!
//! [`PageHeap`] is the treap-era page heap of the Go runtime (1.13): address
//! order, first fit, in-place split, released and resident spans kept apart,
//! with exact counters. It differs where that one was wanting: a merge is in
//! place too; a run that is part released, part resident serves a request; a
//! commit can fail, and then nothing has changed; and no hook runs with the
//! books locked.
//!
//! The files beside this one, from the bottom up: `request`, `budget`, `error` (what is
//! asked for, and the answers), `ledger` (the books), `carve`
//! and `settle` (out of the free spans, and back), `place` (where a request
//! goes), `take`, `extend`, `give`, `region` and `release` (the verbs' halves),
//! `drive` (begin, hook, finish), `check`.

mod budget;
mod carve;
mod check;
mod drive;
mod error;
mod extend;
mod give;
mod held;
mod ledger;
mod place;
mod region;
mod release;
mod request;
mod settle;
mod stats;
mod take;

pub use budget::{Budget, Release, ReleaseEnd};
pub use check::Inconsistency;
pub(crate) use drive::{Books, LIMIT_CALLS};
pub use error::{AllocAtError, AllocError, FreeError, RegionError, ResizeError};
pub use give::Rest;
pub(crate) use ledger::Ledger;
pub(crate) use release::BATCH;
pub use request::{Class, Request};
pub use stats::Stats;

pub(crate) mod verbs {
    //! The verbs, over any way to the books.
    pub(crate) use super::drive::{alloc, alloc_at, alloc_without_growth, catch_up, grow, release};
}

use crate::backing::{Backing, Residency};
use crate::page::{Page, PageCount, PageRange, Window};
use crate::region::MemoryMap;
use crate::span::{Marks, Metadata, MetadataError, Span, SpanInfo, SpanState};

/// A page heap for one owner, over memory that `B` commits and releases.
///
/// The caller gives the memory for its books ([`Metadata`]), then regions of
/// pages ([`add_region`](Self::add_region)). Every verb is O(log spans), but
/// for searches with an alignment or a window and for requests that only a run
/// of both residencies can serve, which walk the candidates.
///
/// # Examples
///
/// See the crate's [quick start](crate#quick-start).
#[derive(Debug)]
pub struct PageHeap<'m, B> {
    books: Ledger<'m>,
    backing: B,
}

impl<'m, B: Backing> PageHeap<'m, B> {
    /// Makes a heap without regions, which can manage pages of `window`.
    ///
    /// # Errors
    ///
    /// If `metadata` has no slot, more slots than can be numbered, or less than
    /// one map entry for 64 pages of the window.
    pub fn new(window: Window, metadata: Metadata<'m>, backing: B) -> Result<Self, MetadataError> {
        let books = Ledger::new(window, metadata, backing.zeroes_released(), B::corrupted)?;
        Ok(Self { books, backing })
    }

    /// Seeds the generator of the treap's priorities. Whoever can time the heap
    /// and knows the seed can make its tree deep; the default is the same for
    /// every heap, so that runs can be repeated.
    pub fn seed(&mut self, seed: u64) {
        self.books.seed(seed);
    }

    /// Adds a region: pages of the window that are not managed yet. Takes a slot.
    ///
    /// # Errors
    ///
    /// If the region is not inside the window, overlaps pages that are managed,
    /// ends inside a physical page or holds the page at address 0, or if no
    /// slot is left.
    ///
    /// # Safety
    ///
    /// Nothing else uses these pages from now on, and the backing can commit
    /// and release them; [`Residency::Resident`] ones are backed now.
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_region(
        &mut self,
        range: PageRange,
        residency: Residency,
    ) -> Result<(), RegionError> {
        self.books.add_region(range, residency)
    }

    /// Adds every range of a boot memory map that lies in the window, and
    /// returns how many pages that is.
    ///
    /// # Errors
    ///
    /// As for [`add_region`](Self::add_region), if one of the ranges cannot be
    /// added; then none is.
    ///
    /// # Safety
    ///
    /// As for [`add_region`](Self::add_region), for each range.
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_memory(
        &mut self,
        map: &MemoryMap<'_>,
        residency: Residency,
    ) -> Result<PageCount, RegionError> {
        self.books.add_memory(map, residency)
    }

    /// Hands out pages: as many as asked, or as a [`Request`] says.
    ///
    /// The lowest free run that serves is taken: a single span, resident or
    /// released, before a run over the border of two. Released pages are
    /// committed first, and only those that are handed out.
    ///
    /// # Errors
    ///
    /// [`NoRun`](AllocError::NoRun) only if no free run has the length, the
    /// alignment and the window asked for, and the backing grew by none.
    #[inline]
    pub fn alloc(&mut self, request: impl Into<Request>) -> Result<Span, AllocError> {
        drive::alloc(&mut self.books, &self.backing, &request.into())
    }

    /// Hands out exactly the `pages` pages from `address` on.
    ///
    /// # Errors
    ///
    /// If some of them are not managed, belong to two regions or are in use.
    pub fn alloc_at(&mut self, address: u64, pages: PageCount) -> Result<Span, AllocAtError> {
        drive::alloc_at(&mut self.books, &self.backing, address, pages)
    }

    /// Frees a span. Never needs a slot, and calls no hook.
    ///
    /// # Errors
    ///
    /// If the span was freed or resized since the handle was made, or another
    /// heap made it.
    #[inline]
    pub fn free(&mut self, span: Span) -> Result<(), FreeError> {
        self.books.free_handle(span)
    }

    /// Frees the span of exactly `pages` pages at `address`.
    ///
    /// Whoever frees an address twice after the pages were handed out again
    /// frees another's pages, and nobody can see it; a handle can tell.
    ///
    /// # Errors
    ///
    /// If no span in use begins there, or it has another length.
    pub fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.books.free_at(address, pages)
    }

    /// Frees `part` of a span: its start, its end, its middle or all of it.
    /// Returns handles to what remains; `span` is stale.
    ///
    /// # Errors
    ///
    /// If `part` is not all inside the span, or no slot is left for what
    /// remains: one at an end, two for the middle.
    pub fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        self.books.free_part(span, part)
    }

    /// Frees `pages` pages at `address`, which are a part or all of one span.
    /// A handle to that span is stale.
    ///
    /// # Errors
    ///
    /// If they are not all of one span in use, or no slot is left.
    pub fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.books.free_part_at(address, pages)
    }

    /// Frees what a span has beyond its first `pages` pages. Returns the
    /// handle to what remains; `span` is stale, unless it had that length.
    ///
    /// # Errors
    ///
    /// If `pages` is none or more than the span has, or no slot is left.
    pub fn shrink(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        self.books.shrink(span, pages)
    }

    /// Grows a span in place to `pages` pages, over the free ones behind it.
    /// Returns the handle to it; `span` is stale, unless it had that length.
    ///
    /// # Errors
    ///
    /// If `pages` is less than the span has, the pages behind it are not free,
    /// no slot is left or the backing refuses.
    pub fn grow(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        drive::grow(&mut self.books, &self.backing, span, pages)
    }

    /// Gives idle memory back to the backing, within a budget.
    ///
    /// Whole huge pages go first, and the highest addresses before others. No
    /// more than the budget goes, and no huge page is broken; what is released
    /// already is not released again.
    pub fn release(&mut self, budget: Budget) -> Release {
        drive::release(&mut self.books, &self.backing, budget)
    }

    /// Sets the clock by which huge pages age, in milliseconds: to `now`, and it will
    /// be set again at `until`. What becomes free meanwhile is taken to be free since
    /// then, and what is taken back, to have been away until now. For a
    /// [`Scavenger`](crate::Scavenger) to call.
    pub fn tick(&mut self, now: u32, until: u32) {
        self.books.tick(now, until);
    }

    /// Sets the same clock to `ms`, which is later than the last [`tick`](Self::tick)
    /// said: what became free since that is taken to be free since now. For a
    /// [`Scavenger`](crate::Scavenger) to call.
    pub fn catch_up(&mut self, ms: u32) {
        drive::catch_up(&mut self.books, ms);
    }

    /// Sets the most bytes that may be resident; `u64::MAX`, as at first: no limit.
    ///
    /// A request that would commit more first releases idle memory elsewhere, whole
    /// huge pages first: no more than it needs, rounded up to a huge page, in at most
    /// two calls of the backing. If that is not enough it fails
    /// ([`AllocError::Limit`]), and nothing has changed but for what was released.
    /// What is resident already stays so: see
    /// [`Scavenger::set_limit`](crate::Scavenger::set_limit).
    pub fn set_limit(&mut self, bytes: u64) {
        self.books.set_limit(bytes);
    }

    /// Gives all idle memory back to the backing.
    pub fn release_all(&mut self) -> Release {
        self.release(Budget::ALL)
    }

    /// Returns the heap's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.books.stats()
    }

    /// Returns all spans, in address order.
    pub fn spans(&self) -> impl Iterator<Item = SpanInfo> {
        let mut at = self.books.pool.first();
        core::iter::from_fn(move || {
            let id = at?;
            at = self.books.pool.at(id).next;
            self.books.info(id)
        })
    }

    /// Returns the span that holds the byte at `address`, if it is managed.
    #[must_use]
    pub fn span_of(&self, address: u64) -> Option<SpanInfo> {
        self.books.span_of(address)
    }

    /// Checks every invariant of the books, and recounts every counter.
    ///
    /// Walks all spans and the whole page map.
    ///
    /// # Errors
    ///
    /// The first rule that does not hold: a defect of this crate, or memory
    /// overwritten by something else.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.books.check()
    }

    /// Returns the backing.
    #[must_use]
    pub const fn backing(&self) -> &B {
        &self.backing
    }

    /// Returns the window.
    #[must_use]
    pub fn window(&self) -> &Window {
        self.books.window()
    }
}

impl Ledger<'_> {
    /// Returns the counters.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            geometry: self.window.geometry(),
            sys: PageCount::new(self.sys),
            in_use: PageCount::new(self.in_use),
            idle: PageCount::new(self.idle()),
            released: PageCount::new(self.tally.released),
            huge_resident: self.tally.huge_resident,
            huge_released: self.tally.huge_released,
            spans: self.pool.taken(),
            spans_peak: self.pool.peak(),
            slots: self.pool.slots(),
            used_calls: self.calls.used,
            used_pages: self.calls.used_pages,
            unused_calls: self.calls.unused,
            zero_calls: self.calls.zero,
            treap_inserts: self.treap.inserts(),
            treap_removals: self.treap.removals(),
        }
    }

    /// Returns what an onlooker may know of a span.
    pub(crate) fn info(&self, id: crate::span::SlotId) -> Option<SpanInfo> {
        let slot = self.pool.at(id);
        let state = if slot.marks.contains(Marks::IN_USE) {
            SpanState::InUse
        } else if slot.marks.contains(Marks::DETACHED) {
            SpanState::Detached
        } else if slot.is_released() {
            SpanState::Released
        } else {
            SpanState::Resident
        };
        Some(SpanInfo {
            range: PageRange::between(Page::new(slot.start), Page::new(slot.end()))?,
            state,
            needs_zero: slot.marks.contains(Marks::NEEDS_ZERO),
        })
    }

    /// Returns the span that holds the byte at `address`.
    pub(crate) fn span_of(&self, address: u64) -> Option<SpanInfo> {
        let page_bytes = self.window.geometry().page_bytes();
        let page = self.window.page_at(address & !(page_bytes - 1)).ok()?;
        self.info(self.holding(page.number())?)
    }

    /// Returns the span that holds `page`. A free one is found by the treap, however
    /// long it is: the map would be walked back to where it starts.
    fn holding(&self, page: u32) -> Option<crate::span::SlotId> {
        let holds = |&id: &crate::span::SlotId| self.pool.at(id).end() > page;
        let free = self.treap.floor(&self.pool, page).filter(holds);
        free.or_else(|| self.map.floor(&self.pool, page).filter(holds))
    }

    /// Returns the lowest span that ends behind `page`.
    pub(crate) fn span_from(&self, page: Page) -> Option<SpanInfo> {
        let id = match self.map.floor(&self.pool, page.number()) {
            Some(id) if self.pool.at(id).end() > page.number() => Some(id),
            Some(id) => self.pool.at(id).next,
            None => self.pool.first(),
        };
        self.info(id?)
    }
}
