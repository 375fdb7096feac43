//! What a replay drives: anything that hands out runs of pages.
//!
//! One small trait, [`PageRuns`], stands between a trace and an allocator, and
//! everything is generic over it: a pass over a trace compiles to direct calls.
//! What names a block is the allocator's own choice (a handle; a first page
//! and a length), and the caller keeps it, as a program would.
//!
//! The heaps of `spanheap` with handles take two adaptors, [`ByHandle`] and
//! [`ByAddress`], for the two ways to free; [`Heap`] is what they have in common.
//! `&SharedHeap` has no handles, and is one itself.

mod address;
mod buddy;
mod handle;
mod locked;
mod null;
mod page;
mod shared;

pub use address::ByAddress;
pub use buddy::Buddy;
pub use handle::ByHandle;
pub use null::Null;
pub use shared::class_of;

use std::fmt::Debug;

use spanheap::{
    AllocError, Budget, FreeError, Inconsistency, Page, PageCount, PageRange, Release, Span,
    SpanInfo, Stats, Window,
};
use thiserror::Error;

use crate::trace::Class;

/// Why an allocator did not do what a trace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// The heap handed out nothing.
    #[error("{0}")]
    Alloc(AllocError),
    /// The heap took nothing back.
    #[error("{0}")]
    Free(FreeError),
    /// The peer has no block that is large enough.
    #[error("no block is large enough")]
    Exhausted,
    /// The allocator has no verb for this.
    #[error("it has no verb for this")]
    Unsupported,
}

/// An allocator of runs of pages.
pub trait PageRuns {
    /// Names a block that was handed out.
    type Block: Copy + Debug;

    /// Says that what follows is asked for by another CPU. An allocator that does
    /// not tell CPUs apart does nothing.
    #[inline]
    fn run_on(&mut self, cpu: u32) {
        let _ = cpu;
    }

    /// Hands out a run of `pages` pages.
    ///
    /// # Errors
    ///
    /// If there is none.
    fn alloc(&mut self, pages: PageCount) -> Result<Self::Block, Denied>;

    /// Hands out a run of `pages` pages for what `class` says. An allocator that
    /// does not tell classes apart hands out any.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[inline]
    fn alloc_for(&mut self, pages: PageCount, class: Class) -> Result<Self::Block, Denied> {
        let _ = class;
        self.alloc(pages)
    }

    /// Hands out a run of `pages` pages, whose first page's number is a multiple
    /// of `align`, a power of two.
    ///
    /// # Errors
    ///
    /// If there is none, or the allocator does not align.
    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<Self::Block, Denied> {
        let _ = (pages, align);
        Err(Denied::Unsupported)
    }

    /// Returns a block's first page.
    fn start(&self, block: Self::Block) -> Page;

    /// Takes back a whole block, of which no part was freed.
    ///
    /// # Errors
    ///
    /// If the allocator says that it is not the caller's.
    fn free(&mut self, block: Self::Block) -> Result<(), Denied>;

    /// Takes back a part of a block, counted from the block's first page; as
    /// often as there are parts left.
    ///
    /// # Errors
    ///
    /// If the allocator says that it is not the caller's.
    fn free_part(&mut self, block: Self::Block, part: PageRange) -> Result<(), Denied>;
}

/// What the heaps of `spanheap` have in common.
pub trait Heap {
    /// See [`spanheap::PageHeap::alloc`].
    ///
    /// # Errors
    ///
    /// As there.
    fn alloc(&mut self, pages: PageCount) -> Result<Span, AllocError>;
    /// See [`spanheap::Request::aligned`].
    ///
    /// # Errors
    ///
    /// As for [`spanheap::PageHeap::alloc`].
    fn alloc_aligned(&mut self, pages: PageCount, bytes: u64) -> Result<Span, AllocError>;
    /// See [`spanheap::PageHeap::free`].
    ///
    /// # Errors
    ///
    /// As there.
    fn free(&mut self, span: Span) -> Result<(), FreeError>;
    /// See [`spanheap::PageHeap::free_part`]; what remains before the part, and
    /// behind it.
    ///
    /// # Errors
    ///
    /// As there.
    fn free_part(&mut self, span: Span, part: PageRange) -> Result<[Option<Span>; 2], FreeError>;
    /// See [`spanheap::PageHeap::free_at`].
    ///
    /// # Errors
    ///
    /// As there.
    fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError>;
    /// See [`spanheap::PageHeap::free_part_at`].
    ///
    /// # Errors
    ///
    /// As there.
    fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError>;
    /// See [`spanheap::PageHeap::tick`].
    fn tick(&mut self, now: u32, until: u32);
    /// See [`spanheap::PageHeap::catch_up`].
    fn catch_up(&mut self, now: u32);
    /// See [`spanheap::PageHeap::release`].
    fn release(&mut self, budget: Budget) -> Release;
    /// Returns the counters.
    fn stats(&self) -> Stats;
    /// Returns the window.
    fn window(&self) -> Window;
    /// Shows every span, in address order, and takes no memory for it.
    fn each_span(&self, see: &mut dyn FnMut(&SpanInfo));
    /// See [`spanheap::PageHeap::check`].
    ///
    /// # Errors
    ///
    /// As there.
    fn check(&self) -> Result<(), Inconsistency>;
}

/// An adaptor with one of our heaps behind it, which can be looked into.
pub trait OverHeap: PageRuns {
    /// The heap.
    type Heap: Heap;

    /// Returns the heap.
    fn heap(&self) -> &Self::Heap;

    /// Returns the heap, to release from it.
    fn heap_mut(&mut self) -> &mut Self::Heap;
}
