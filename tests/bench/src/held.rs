//! Where a lock is held, for whoever counts instructions from outside.
//!
//! A clock would take longer to read than a lock is held, and would say how the
//! machine fared meanwhile. So one function stands around each part that a lock
//! covers, and callgrind counts each call of it by itself. It takes part only in
//! a run that is counted: nothing is timed with it.

use std::cell::Cell;

use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

std::thread_local! {
    static MARKS: Cell<bool> = const { Cell::new(false) };
}

/// Does what a lock covers, marked if this thread was asked to.
pub fn during<R>(critical: impl FnOnce() -> R) -> R {
    if MARKS.get() {
        marked(critical)
    } else {
        critical()
    }
}

/// Asks this thread to mark it from now on.
pub fn mark() {
    MARKS.set(true);
}

/// Asks this thread to mark it no longer.
pub(crate) fn unmark() {
    MARKS.set(false);
}

/// Where a lock is held: callgrind is told this function's name.
#[inline(never)]
pub(crate) fn marked<R>(critical: impl FnOnce() -> R) -> R {
    critical()
}

/// The name of that function, as callgrind is told it: without what it is called
/// with, so that it stands for all of them.
pub const MARKED: &str = "spanheap_bench::held::marked";

/// An allocator whose every operation is one hold of its lock; each is marked.
#[derive(Debug)]
pub(crate) struct Throughout<R>(pub(crate) R);

impl<R: PageRuns> PageRuns for Throughout<R> {
    type Block = R::Block;

    fn alloc(&mut self, pages: PageCount) -> Result<R::Block, Denied> {
        marked(|| self.0.alloc(pages))
    }

    fn start(&self, block: R::Block) -> Page {
        self.0.start(block)
    }

    fn free(&mut self, block: R::Block) -> Result<(), Denied> {
        marked(|| self.0.free(block))
    }

    fn free_part(&mut self, block: R::Block, part: PageRange) -> Result<(), Denied> {
        marked(|| self.0.free_part(block, part))
    }
}
