//! `PageHeap`, for one owner.

use spanheap::{
    AllocError, Backing, Budget, FreeError, Inconsistency, PageCount, PageHeap, PageRange, Release,
    Request, Span, SpanInfo, Stats, Window,
};

use super::Heap;

impl<B: Backing> Heap for PageHeap<'_, B> {
    fn alloc(&mut self, pages: PageCount) -> Result<Span, AllocError> {
        PageHeap::alloc(self, pages)
    }

    fn alloc_aligned(&mut self, pages: PageCount, bytes: u64) -> Result<Span, AllocError> {
        PageHeap::alloc(self, Request::pages(pages).aligned(bytes))
    }

    fn free(&mut self, span: Span) -> Result<(), FreeError> {
        PageHeap::free(self, span)
    }

    fn free_part(&mut self, span: Span, part: PageRange) -> Result<[Option<Span>; 2], FreeError> {
        PageHeap::free_part(self, span, part).map(|rest| [rest.low, rest.high])
    }

    fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        PageHeap::free_at(self, address, pages)
    }

    fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        PageHeap::free_part_at(self, address, pages)
    }

    fn tick(&mut self, now: u32, until: u32) {
        PageHeap::tick(self, now, until);
    }

    fn catch_up(&mut self, now: u32) {
        PageHeap::catch_up(self, now);
    }

    fn release(&mut self, budget: Budget) -> Release {
        PageHeap::release(self, budget)
    }

    fn stats(&self) -> Stats {
        PageHeap::stats(self)
    }

    fn window(&self) -> Window {
        *PageHeap::window(self)
    }

    fn each_span(&self, see: &mut dyn FnMut(&SpanInfo)) {
        self.spans().for_each(|span| see(&span));
    }

    fn check(&self) -> Result<(), Inconsistency> {
        PageHeap::check(self)
    }
}
