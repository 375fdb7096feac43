//! `SharedHeap`: a lock-free front for pages and short runs over the page heap,
//! shared by reference.

use std::sync::atomic::AtomicU64;

use spanheap::{
    Cpu, Page, PageCount, PageRange, Residency, SharedHeap, SharedMetadata, front_words,
};
use spanheap_hosted::Threads;
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::books::{Books, Nothing};
use spanheap_replay::trace;

use crate::held;

use super::{About, Contender, Ground, Holds, Shareable, Side, Unable, name, page_heap};

/// The threads of a contest, and the one that runs it.
const CPUS: usize = 4;

/// `SharedHeap`; a block is its first page and its length.
#[derive(Debug)]
pub struct Shared;

/// Threads as CPUs, which mark where they keep interrupts off: as long as the
/// heap's lock is held.
#[derive(Debug)]
pub(crate) struct Cpus;

impl Cpu for Cpus {
    #[inline(always)]
    fn index(&self) -> usize {
        Threads.index()
    }

    fn without_interrupts<R>(&self, critical: impl FnOnce() -> R) -> R {
        held::during(critical)
    }
}

type Heap<'b> = SharedHeap<'b, Nothing, Cpus>;

impl Contender for Shared {
    const ABOUT: About = About {
        side: Side::Ours,
        shared: true,
        holds: Holds::Within,
        ..About::peer(name::SHARED_HEAP, "")
    };
    type Books = (Books, Vec<AtomicU64>);
    type Runs<'b> = Owned<'b>;

    fn books(ground: &Ground) -> Result<Self::Books, Unable> {
        let books = page_heap::books(ground)?;
        let words = front_words(&ground.window(), CPUS).ok_or(Unable::TooLarge)?;
        Ok((books, (0..words).map(|_| AtomicU64::new(0)).collect()))
    }

    fn runs<'b>(books: &'b mut Self::Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable> {
        let set_up = |why: &dyn ToString| Unable::SetUp(why.to_string());
        let metadata = SharedMetadata::new(books.0.lend_new(), &books.1, CPUS);
        let heap = SharedHeap::new(ground.window(), metadata, Nothing, Cpus);
        let heap = heap.map_err(|why| set_up(&why))?;
        // SAFETY: numbers of no memory; nobody touches anything.
        unsafe { heap.add_region(ground.range(), Residency::Resident) }
            .map_err(|why| set_up(&why))?;
        Ok(Owned(heap))
    }
}

impl Shareable for Shared {
    fn handle<'b>(runs: &Self::Runs<'b>, _: u32) -> impl PageRuns<Block = PageRange> + Send {
        &runs.0
    }
}

/// A shared heap, with one owner for now, who may act as several CPUs.
#[derive(Debug)]
pub struct Owned<'b>(Heap<'b>);

impl PageRuns for Owned<'_> {
    type Block = PageRange;

    #[inline(always)]
    fn run_on(&mut self, cpu: u32) {
        Threads::act_as(cpu as usize);
    }

    #[inline(always)]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        PageRuns::alloc(&mut &self.0, pages)
    }

    #[inline(always)]
    fn alloc_for(&mut self, pages: PageCount, class: trace::Class) -> Result<PageRange, Denied> {
        (&self.0).alloc_for(pages, class)
    }

    #[inline(always)]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        (&self.0).alloc_aligned(pages, align)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline(always)]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        PageRuns::free(&mut &self.0, block)
    }

    #[inline(always)]
    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        PageRuns::free_part(&mut &self.0, block, part)
    }
}
