//! A heap whose blocks are freed by handle.
//!
//! A block is the handle that came with it. Once a part was freed, the handle
//! is stale and new ones stand for what remains; a program would keep these
//! where it kept the first, and so does this, by page number.

use std::collections::BTreeMap;

use spanheap::{FreeError, Geometry, Page, PageCount, PageRange, Span};

use super::{Denied, Heap, OverHeap, PageRuns};

/// A heap whose blocks are freed by handle.
#[derive(Debug)]
pub struct ByHandle<H> {
    heap: H,
    geometry: Geometry,
    /// What remains of blocks of which a part was freed, by first page.
    rest: BTreeMap<u32, Span>,
}

impl<H: Heap> ByHandle<H> {
    /// Drives `heap`.
    #[must_use]
    pub fn new(heap: H) -> Self {
        let geometry = heap.window().geometry();
        Self {
            heap,
            geometry,
            rest: BTreeMap::new(),
        }
    }
}

impl<H: Heap> PageRuns for ByHandle<H> {
    type Block = Span;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<Span, Denied> {
        self.heap.alloc(pages).map_err(Denied::Alloc)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<Span, Denied> {
        let bytes = self.geometry.bytes(align);
        let span = self.heap.alloc_aligned(pages, bytes);
        span.map_err(Denied::Alloc)
    }

    fn start(&self, block: Span) -> Page {
        block.range().start()
    }

    #[inline]
    fn free(&mut self, block: Span) -> Result<(), Denied> {
        self.heap.free(block).map_err(Denied::Free)
    }

    fn free_part(&mut self, block: Span, part: PageRange) -> Result<(), Denied> {
        let first = block.range().start().number();
        let part = first
            .checked_add(part.start().number())
            .and_then(|start| PageRange::new(Page::new(start), part.count()))
            .ok_or(Denied::Free(FreeError::Outside))?;
        let piece = self
            .rest
            .range(..=part.start().number())
            .next_back()
            .map(|(_, span)| *span)
            .filter(|span| span.range().covers(part));
        let span = piece.unwrap_or(block);
        let rest = self.heap.free_part(span, part).map_err(Denied::Free)?;
        self.rest.remove(&span.range().start().number());
        for span in rest.into_iter().flatten() {
            self.rest.insert(span.range().start().number(), span);
        }
        Ok(())
    }
}

impl<H: Heap> OverHeap for ByHandle<H> {
    type Heap = H;

    fn heap(&self) -> &H {
        &self.heap
    }

    fn heap_mut(&mut self) -> &mut H {
        &mut self.heap
    }
}
