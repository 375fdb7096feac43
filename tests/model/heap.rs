//! The heaps under test, behind one trait: the same verbs, whoever owns them.

use spanheap::backing::fake::FakeBacking;
use spanheap::{
    AllocAtError, AllocError, Budget, FreeError, Inconsistency, LockedHeap, Metadata,
    MetadataError, PageCount, PageHeap, PageRange, RegionError, Release, Request, Residency,
    ResizeError, Rest, Span, SpanInfo, Stats, Window,
};

/// Every public verb of a heap over the fake.
pub(crate) trait Heap<'m>: Sized {
    /// Whether others may work on the heap while a hook runs.
    const SHARED: bool;

    fn make(window: Window, books: Metadata<'m>, fake: FakeBacking) -> Result<Self, MetadataError>;
    fn add_region(&mut self, range: PageRange, residency: Residency) -> Result<(), RegionError>;
    fn alloc(&mut self, request: Request) -> Result<Span, AllocError>;
    fn alloc_at(&mut self, address: u64, pages: PageCount) -> Result<Span, AllocAtError>;
    fn free(&mut self, span: Span) -> Result<(), FreeError>;
    fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError>;
    fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError>;
    fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError>;
    fn shrink(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError>;
    fn grow(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError>;
    fn release(&mut self, budget: Budget) -> Release;
    fn stats(&self) -> Stats;
    fn spans(&self) -> Vec<SpanInfo>;
    fn span_of(&self, address: u64) -> Option<SpanInfo>;
    fn check(&self) -> Result<(), Inconsistency>;
}

/// A kind of heap, over books of any lifetime.
pub(crate) trait Kind {
    type Heap<'m>: Heap<'m>;
}

/// [`PageHeap`]: one owner.
pub(crate) struct Owned;

impl Kind for Owned {
    type Heap<'m> = PageHeap<'m, FakeBacking>;
}

/// [`LockedHeap`]: any number of owners.
pub(crate) struct Locked;

impl Kind for Locked {
    type Heap<'m> = LockedHeap<'m, FakeBacking>;
}

impl<'m> Heap<'m> for PageHeap<'m, FakeBacking> {
    const SHARED: bool = false;

    fn make(window: Window, books: Metadata<'m>, fake: FakeBacking) -> Result<Self, MetadataError> {
        Self::new(window, books, fake)
    }
    fn add_region(&mut self, range: PageRange, residency: Residency) -> Result<(), RegionError> {
        // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
        unsafe { PageHeap::add_region(self, range, residency) }
    }
    fn alloc(&mut self, request: Request) -> Result<Span, AllocError> {
        PageHeap::alloc(self, request)
    }
    fn alloc_at(&mut self, address: u64, pages: PageCount) -> Result<Span, AllocAtError> {
        PageHeap::alloc_at(self, address, pages)
    }
    fn free(&mut self, span: Span) -> Result<(), FreeError> {
        PageHeap::free(self, span)
    }
    fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        PageHeap::free_at(self, address, pages)
    }
    fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        PageHeap::free_part(self, span, part)
    }
    fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        PageHeap::free_part_at(self, address, pages)
    }
    fn shrink(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        PageHeap::shrink(self, span, pages)
    }
    fn grow(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        PageHeap::grow(self, span, pages)
    }
    fn release(&mut self, budget: Budget) -> Release {
        PageHeap::release(self, budget)
    }
    fn stats(&self) -> Stats {
        PageHeap::stats(self)
    }
    fn spans(&self) -> Vec<SpanInfo> {
        PageHeap::spans(self).collect()
    }
    fn span_of(&self, address: u64) -> Option<SpanInfo> {
        PageHeap::span_of(self, address)
    }
    fn check(&self) -> Result<(), Inconsistency> {
        PageHeap::check(self)
    }
}

impl<'m> Heap<'m> for LockedHeap<'m, FakeBacking> {
    const SHARED: bool = true;

    fn make(window: Window, books: Metadata<'m>, fake: FakeBacking) -> Result<Self, MetadataError> {
        Self::new(window, books, fake)
    }
    fn add_region(&mut self, range: PageRange, residency: Residency) -> Result<(), RegionError> {
        // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
        unsafe { LockedHeap::add_region(self, range, residency) }
    }
    fn alloc(&mut self, request: Request) -> Result<Span, AllocError> {
        LockedHeap::alloc(self, request)
    }
    fn alloc_at(&mut self, address: u64, pages: PageCount) -> Result<Span, AllocAtError> {
        LockedHeap::alloc_at(self, address, pages)
    }
    fn free(&mut self, span: Span) -> Result<(), FreeError> {
        LockedHeap::free(self, span)
    }
    fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        LockedHeap::free_at(self, address, pages)
    }
    fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        LockedHeap::free_part(self, span, part)
    }
    fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        LockedHeap::free_part_at(self, address, pages)
    }
    fn shrink(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        LockedHeap::shrink(self, span, pages)
    }
    fn grow(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        LockedHeap::grow(self, span, pages)
    }
    fn release(&mut self, budget: Budget) -> Release {
        LockedHeap::release(self, budget)
    }
    fn stats(&self) -> Stats {
        LockedHeap::stats(self)
    }
    fn spans(&self) -> Vec<SpanInfo> {
        LockedHeap::spans(self).collect()
    }
    fn span_of(&self, address: u64) -> Option<SpanInfo> {
        LockedHeap::span_of(self, address)
    }
    fn check(&self) -> Result<(), Inconsistency> {
        LockedHeap::check(self)
    }
}
