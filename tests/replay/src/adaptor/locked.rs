//! `LockedHeap`: the same behind one spin lock; whole, or shared by reference.

use spanheap::{
    AllocError, Backing, Budget, FreeError, Inconsistency, LockedHeap, PageCount, PageRange,
    Release, Request, Span, SpanInfo, Stats, Window,
};

use super::Heap;

macro_rules! heap {
    ($heap:ty) => {
        impl<B: Backing> Heap for $heap {
            fn alloc(&mut self, pages: PageCount) -> Result<Span, AllocError> {
                LockedHeap::alloc(self, pages)
            }

            fn alloc_aligned(&mut self, pages: PageCount, bytes: u64) -> Result<Span, AllocError> {
                LockedHeap::alloc(self, Request::pages(pages).aligned(bytes))
            }

            fn free(&mut self, span: Span) -> Result<(), FreeError> {
                LockedHeap::free(self, span)
            }

            fn free_part(
                &mut self,
                span: Span,
                part: PageRange,
            ) -> Result<[Option<Span>; 2], FreeError> {
                LockedHeap::free_part(self, span, part).map(|rest| [rest.low, rest.high])
            }

            fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
                LockedHeap::free_at(self, address, pages)
            }

            fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
                LockedHeap::free_part_at(self, address, pages)
            }

            fn tick(&mut self, now: u32, until: u32) {
                LockedHeap::tick(self, now, until);
            }

            fn catch_up(&mut self, now: u32) {
                LockedHeap::catch_up(self, now);
            }

            fn release(&mut self, budget: Budget) -> Release {
                LockedHeap::release(self, budget)
            }

            fn stats(&self) -> Stats {
                LockedHeap::stats(self)
            }

            fn window(&self) -> Window {
                LockedHeap::window(self)
            }

            fn each_span(&self, see: &mut dyn FnMut(&SpanInfo)) {
                self.spans().for_each(|span| see(&span));
            }

            fn check(&self) -> Result<(), Inconsistency> {
                LockedHeap::check(self)
            }
        }
    };
}

heap!(LockedHeap<'_, B>);
heap!(&LockedHeap<'_, B>);
