//! `offset-allocator`: bins of free runs by size, two levels of bits.
//!
//! It names a block by a value of its own, which a user must keep: it cannot
//! free by address. It does not align, and takes back whole blocks only. Its
//! nodes are all made at once, one for each span that the work can make.

use std::fmt;

use offset_allocator::{Allocation, Allocator};
use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Unable, fits, name};

/// `offset-allocator`; its books are from the system's malloc.
#[derive(Debug)]
pub struct Offset;

/// A node, and its entry in the list of free ones.
const NODE_BYTES: u64 = 40;

impl Contender for Offset {
    const ABOUT: About = About {
        aligns: false,
        parts: false,
        ..About::peer(name::OFFSET, "offset+lock")
    };
    type Books = ();
    type Runs<'b> = Bins;

    fn books(ground: &Ground) -> Result<(), Unable> {
        fits(u64::from(ground.spans()) * NODE_BYTES)
    }

    fn runs((): &mut (), ground: &Ground) -> Result<Bins, Unable> {
        // It keeps two nodes in hand.
        let nodes = ground.spans() + 4;
        Ok(Bins(Allocator::with_max_allocs(ground.pages(), nodes)))
    }
}

/// The allocator.
pub struct Bins(Allocator);

impl fmt::Debug for Bins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bins").field(&self.0).finish()
    }
}

/// What it names a block by.
#[derive(Clone, Copy)]
pub struct Token(Allocation);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.0.offset).finish()
    }
}

impl PageRuns for Bins {
    type Block = Token;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<Token, Denied> {
        let found = self.0.allocate(pages.get());
        found.map(Token).ok_or(Denied::Exhausted)
    }

    fn start(&self, block: Token) -> Page {
        Page::new(block.0.offset)
    }

    #[inline]
    fn free(&mut self, block: Token) -> Result<(), Denied> {
        self.0.free(block.0);
        Ok(())
    }

    fn free_part(&mut self, _: Token, _: PageRange) -> Result<(), Denied> {
        Err(Denied::Unsupported)
    }
}
