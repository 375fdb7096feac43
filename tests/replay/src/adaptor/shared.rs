//! `SharedHeap`: a block is its first page and its length.

use spanheap::{Backing, Class, Cpu, FreeError, Page, PageCount, PageRange, Request, SharedHeap};

use super::{Denied, PageRuns};
use crate::trace;

/// Returns what a trace's class is to our heap.
#[must_use]
pub const fn class_of(class: trace::Class) -> Class {
    match class {
        trace::Class::Movable => Class::Movable,
        trace::Class::Reclaimable => Class::Reclaimable,
        trace::Class::Unmovable | trace::Class::Other => Class::Unmovable,
    }
}

/// A shared heap, by reference. In line, as the heap's own fast ways are: what is
/// known of a request decides which way it is.
impl<B: Backing, C: Cpu> PageRuns for &SharedHeap<'_, B, C> {
    type Block = PageRange;

    #[inline(always)]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        SharedHeap::alloc(self, pages).map_err(Denied::Alloc)
    }

    #[inline(always)]
    fn alloc_for(&mut self, pages: PageCount, class: trace::Class) -> Result<PageRange, Denied> {
        let request = Request::pages(pages).class(class_of(class));
        SharedHeap::alloc(self, request).map_err(Denied::Alloc)
    }

    #[inline(always)]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        let bytes = self.window().geometry().bytes(align);
        SharedHeap::alloc(self, Request::pages(pages).aligned(bytes)).map_err(Denied::Alloc)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline(always)]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        SharedHeap::free(self, block).map_err(Denied::Free)
    }

    #[inline(always)]
    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = block
            .start()
            .number()
            .checked_add(part.start().number())
            .and_then(|start| PageRange::new(Page::new(start), part.count()))
            .ok_or(Denied::Free(FreeError::Outside))?;
        SharedHeap::free_part(self, start).map_err(Denied::Free)
    }
}
