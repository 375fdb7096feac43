//! No allocator at all: what the harness itself costs.
//!
//! Every call is answered, so that a pass keeps its table of blocks and takes
//! its branches as with any other.

use std::hint::black_box;

use spanheap::{Page, PageCount, PageRange};

use super::{Denied, PageRuns};

/// Answers every call and keeps nothing.
#[derive(Debug, Default)]
pub struct Null {
    next: u32,
}

impl PageRuns for Null {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        self.next = self.next.wrapping_add(1) & 0xff_ffff;
        PageRange::new(Page::new(self.next), pages).ok_or(Denied::Exhausted)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, _: PageCount) -> Result<PageRange, Denied> {
        self.alloc(pages)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        black_box(block);
        Ok(())
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        black_box((block, part));
        Ok(())
    }
}
