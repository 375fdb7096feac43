//! The verbs of all three heaps, by one name each, so that one worker drives them.
//!
//! Each of them is one call of the heap, and counted as one operation.

use spanheap::{
    AllocAtError, AllocError, Budget, Class, FreeError, Inconsistency, LockedHeap, PageCount,
    PageHeap, PageRange, Reclaim, Request, Residency, ResizeError, SharedHeap, Span, Stats,
};

use crate::backing::CheckedBacking;
use crate::random::Random;
use crate::setup::{Claimed, PAGE};

pub(crate) trait Verbs: Reclaim + Send {
    /// What was handed out.
    type Block: Copy + Send;
    /// Whether blocks are handles, by which a second free is known.
    const HANDLES: bool;

    fn range(block: Self::Block) -> PageRange;

    /// Gives it a region, which is resident.
    fn add(&mut self, region: PageRange);

    fn alloc(&mut self, request: Request) -> Result<Self::Block, AllocError>;
    fn alloc_at(&mut self, at: u64, pages: PageCount) -> Result<Self::Block, AllocAtError>;
    fn free(&mut self, block: Self::Block) -> Result<(), FreeError>;
    fn free_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError>;
    fn free_part_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError>;
    /// Frees a part, and returns what remains below and above it.
    fn free_part(&mut self, block: Self::Block, part: PageRange) -> Rest<Self::Block>;
    fn shrink(&mut self, block: Self::Block, pages: PageCount) -> Result<Self::Block, ResizeError>;
    /// Of handles only.
    fn grow(&mut self, block: Self::Block, pages: PageCount) -> Result<Self::Block, ResizeError>;
    /// One of the verbs that only this heap has, or that change nothing.
    fn other(&mut self, random: &mut Random, at: u64) -> Option<Self::Block>;

    /// The counters, exact while nobody else calls.
    fn exact(&self) -> Stats;
    fn check(&self) -> Result<(), Inconsistency>;
}

pub(crate) type Rest<B> = Result<[Option<B>; 2], FreeError>;

macro_rules! by_handle {
    ($heap:ty, $verbs:ident) => {
        impl Verbs for $heap {
            type Block = Span;
            const HANDLES: bool = true;

            fn range(block: Span) -> PageRange {
                block.range()
            }
            fn add(&mut self, region: PageRange) {
                // SAFETY: the backing has no memory to lose.
                unsafe { $verbs::add_region(self, region, Residency::Resident) }.expect("a region");
            }
            fn alloc(&mut self, request: Request) -> Result<Span, AllocError> {
                $verbs::alloc(self, request)
            }
            fn alloc_at(&mut self, at: u64, pages: PageCount) -> Result<Span, AllocAtError> {
                $verbs::alloc_at(self, at, pages)
            }
            fn free(&mut self, block: Span) -> Result<(), FreeError> {
                $verbs::free(self, block)
            }
            fn free_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError> {
                $verbs::free_at(self, at, pages)
            }
            fn free_part_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError> {
                $verbs::free_part_at(self, at, pages)
            }
            fn free_part(&mut self, block: Span, part: PageRange) -> Rest<Span> {
                $verbs::free_part(self, block, part).map(|rest| [rest.low, rest.high])
            }
            fn shrink(&mut self, block: Span, pages: PageCount) -> Result<Span, ResizeError> {
                $verbs::shrink(self, block, pages)
            }
            fn grow(&mut self, block: Span, pages: PageCount) -> Result<Span, ResizeError> {
                $verbs::grow(self, block, pages)
            }
            fn other(&mut self, random: &mut Random, at: u64) -> Option<Span> {
                if random.one_in(2) {
                    let _ = $verbs::span_of(self, at);
                } else {
                    let stats = $verbs::stats(self);
                    assert_eq!(stats.in_use.get() + stats.idle.get(), stats.sys.get());
                }
                None
            }
            fn exact(&self) -> Stats {
                $verbs::stats(self)
            }
            fn check(&self) -> Result<(), Inconsistency> {
                $verbs::check(self)
            }
        }
    };
}

by_handle!(PageHeap<'_, &CheckedBacking>, PageHeap);
by_handle!(&LockedHeap<'_, &CheckedBacking>, LockedHeap);

impl Verbs for &SharedHeap<'_, &CheckedBacking, Claimed> {
    type Block = PageRange;
    const HANDLES: bool = false;

    fn range(block: PageRange) -> PageRange {
        block
    }
    fn add(&mut self, region: PageRange) {
        // SAFETY: the backing has no memory to lose.
        unsafe { SharedHeap::add_region(self, region, Residency::Resident) }.expect("a region");
    }
    fn alloc(&mut self, request: Request) -> Result<PageRange, AllocError> {
        SharedHeap::alloc(self, request)
    }
    fn alloc_at(&mut self, at: u64, pages: PageCount) -> Result<PageRange, AllocAtError> {
        SharedHeap::alloc_at(self, at, pages)
    }
    fn free(&mut self, block: PageRange) -> Result<(), FreeError> {
        SharedHeap::free(self, block)
    }
    fn free_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError> {
        SharedHeap::free_at(self, at, pages)
    }
    fn free_part_at(&mut self, at: u64, pages: PageCount) -> Result<(), FreeError> {
        SharedHeap::free_part_at(self, at, pages)
    }
    fn free_part(&mut self, block: PageRange, part: PageRange) -> Rest<PageRange> {
        SharedHeap::free_part(self, part)?;
        let low = PageRange::between(block.start(), part.start());
        Ok([low, PageRange::between(part.end(), block.end())])
    }
    fn shrink(&mut self, block: PageRange, pages: PageCount) -> Result<PageRange, ResizeError> {
        let kept = PageRange::new(block.start(), pages).expect("a part of it");
        let Some(tail) = PageRange::between(kept.end(), block.end()) else {
            // To as long as it is: none of it is freed.
            let at = self.window().address_of(block.start());
            let freed = SharedHeap::free_part_at(self, at, PageCount::ZERO);
            assert_eq!(freed, Err(FreeError::ZeroPages));
            return Ok(kept);
        };
        match SharedHeap::free_part(self, tail) {
            Ok(()) => Ok(kept),
            Err(FreeError::NoSlot) => Err(ResizeError::NoSlot),
            Err(other) => panic!("{other}: {tail:?} of {block:?}"),
        }
    }
    fn grow(&mut self, block: PageRange, _: PageCount) -> Result<PageRange, ResizeError> {
        unreachable!("{block:?} is no handle")
    }
    fn other(&mut self, random: &mut Random, _: u64) -> Option<PageRange> {
        match random.below(16) {
            0..=7 => {
                let class = [Class::Movable, Class::Unmovable][random.below(2) as usize];
                return SharedHeap::try_alloc(self, class).ok();
            }
            8..=11 => SharedHeap::offline(self, random.below(Claimed::ANSWERS) as usize),
            12 => {
                let budget = Budget::bytes(u64::from(random.below(128)) * PAGE);
                let done = SharedHeap::release_inside(self, budget);
                assert!(done.pages.get() < 128);
            }
            13 => SharedHeap::gather(self),
            _ => {
                // Of no one moment.
                let stats = SharedHeap::stats(self);
                assert_eq!(stats.in_use.get() + stats.idle.get(), stats.sys.get());
            }
        }
        None
    }
    fn exact(&self) -> Stats {
        SharedHeap::stats(self)
    }
    fn check(&self) -> Result<(), Inconsistency> {
        SharedHeap::check(self)
    }
}
