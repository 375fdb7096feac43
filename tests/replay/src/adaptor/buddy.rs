//! The peer: `buddy_system_allocator`'s `FrameAllocator`.
//!
//! It rounds a block up to a power of two and takes it back only as it was
//! handed out, with one exception: a block is two halves, and it takes each of
//! them as readily as both. So whoever frees a part of a block splits it in
//! halves until each lies inside of the part or beside it, frees the ones
//! inside, and remembers the others. What the rounding added is freed when
//! the block is split for the first time.
//!
//! Invariant: the pieces cover exactly what remains of the blocks of which a
//! part was freed; each is a power of two long and aligned to its length.

use std::collections::BTreeMap;
use std::fmt;

use buddy_system_allocator::FrameAllocator;
use spanheap::{Page, PageCount, PageRange};

use super::{Denied, PageRuns};

/// One more than the largest order: blocks of up to 2³¹ pages, as many as
/// the window can have.
const ORDERS: usize = 32;

/// The buddy over one range of pages.
pub struct Buddy {
    frames: FrameAllocator<ORDERS>,
    /// What remains of blocks of which a part was freed, by first page.
    pieces: BTreeMap<u32, u32>,
}

impl fmt::Debug for Buddy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buddy")
            .field("pieces", &self.pieces)
            .finish_non_exhaustive()
    }
}

impl Buddy {
    /// A buddy that manages `range`.
    #[must_use]
    pub fn new(range: PageRange) -> Self {
        let mut frames = FrameAllocator::new();
        frames.add_frame(
            range.start().number() as usize,
            range.end().number() as usize,
        );
        Self {
            frames,
            pieces: BTreeMap::new(),
        }
    }

    /// Frees what `freed` covers of a piece that it overlaps, and remembers the
    /// rest.
    fn carve(&mut self, start: u32, size: u32, freed: PageRange) {
        let (from, to) = (freed.start().number(), freed.end().number());
        let end = start + size;
        if from <= start && end <= to {
            self.frames.dealloc(start as usize, size as usize);
        } else if end <= from || to <= start {
            self.pieces.insert(start, size);
        } else {
            self.carve(start, size / 2, freed);
            self.carve(start + size / 2, size / 2, freed);
        }
    }
}

impl PageRuns for Buddy {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        match self.frames.alloc(pages.get() as usize) {
            Some(start) => PageRange::new(Page::new(start as u32), pages).ok_or(Denied::Exhausted),
            None => Err(Denied::Exhausted),
        }
    }

    /// A block is aligned to its own length, which serves any smaller alignment.
    /// A larger one would need blocks that do not know their length.
    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        if align > pages {
            return Err(Denied::Unsupported);
        }
        self.alloc(pages)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let start = block.start().number() as usize;
        self.frames.dealloc(start, block.count().get() as usize);
        Ok(())
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let first = block.start().number() + part.start().number();
        let part = PageRange::new(Page::new(first), part.count()).ok_or(Denied::Exhausted)?;
        let before = |piece: (&u32, &u32)| (*piece.0, *piece.1);
        let covering = self.pieces.range(..=first).next_back().map(before);
        if covering.is_none_or(|(start, size)| start + size <= first) {
            // The block is whole. All of it becomes pieces, but for the tail
            // that nobody asked for.
            let start = block.start().number();
            let size = block.count().get().next_power_of_two();
            match PageRange::between(block.end(), Page::new(start + size)) {
                Some(tail) => self.carve(start, size, tail),
                None => {
                    self.pieces.insert(start, size);
                }
            }
        }
        while let Some((start, size)) = self
            .pieces
            .range(..part.end().number())
            .next_back()
            .map(before)
            .filter(|(start, size)| start + size > first)
        {
            self.pieces.remove(&start);
            self.carve(start, size, part);
            // What lay behind the part is a piece again: go on before it.
            if start <= first {
                break;
            }
        }
        Ok(())
    }
}
