//! A heap whose blocks are freed by address and length.
//!
//! A block is what a kernel remembers of one: where it begins and how long it
//! is. Eight bytes, as for the peer.

use spanheap::{FreeError, Page, PageCount, PageRange, Window};

use super::{Denied, Heap, OverHeap, PageRuns};

/// A heap whose blocks are freed by address and length.
#[derive(Debug)]
pub struct ByAddress<H> {
    heap: H,
    window: Window,
}

impl<H: Heap> ByAddress<H> {
    /// Drives `heap`.
    #[must_use]
    pub fn new(heap: H) -> Self {
        let window = heap.window();
        Self { heap, window }
    }
}

impl<H: Heap> PageRuns for ByAddress<H> {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        match self.heap.alloc(pages) {
            Ok(span) => Ok(span.range()),
            Err(error) => Err(Denied::Alloc(error)),
        }
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        let bytes = self.window.geometry().bytes(align);
        match self.heap.alloc_aligned(pages, bytes) {
            Ok(span) => Ok(span.range()),
            Err(error) => Err(Denied::Alloc(error)),
        }
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let address = self.window.address_of(block.start());
        self.heap
            .free_at(address, block.count())
            .map_err(Denied::Free)
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = block
            .start()
            .number()
            .checked_add(part.start().number())
            .ok_or(Denied::Free(FreeError::Outside))?;
        let address = self.window.address_of(Page::new(start));
        self.heap
            .free_part_at(address, part.count())
            .map_err(Denied::Free)
    }
}

impl<H: Heap> OverHeap for ByAddress<H> {
    type Heap = H;

    fn heap(&self) -> &H {
        &self.heap
    }

    fn heap_mut(&mut self) -> &mut H {
        &mut self.heap
    }
}
