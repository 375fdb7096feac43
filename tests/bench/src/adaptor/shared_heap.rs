//! `SharedHeap`: a lock-free front for pages and short runs over the page heap,
//! shared by reference.

use std::sync::atomic::AtomicU64;

use spanheap::{
    AllocError, Class, Cpu, FreeError, Page, PageCount, PageRange, Request, Residency, SharedHeap,
    SharedMetadata, front_words,
};
use spanheap_hosted::Threads;
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::books::{Books, Nothing};
use spanheap_replay::trace;

use crate::held;

use super::{About, Contender, Ground, Shareable, Side, Unable, name, page_heap};

/// The threads of a contest, and the one that runs it.
const CPUS: usize = 4;

/// `SharedHeap`; a block is its first page and its length.
#[derive(Debug)]
pub struct Shared;

/// Threads as CPUs, which note how long they keep interrupts off: as long as the
/// heap's lock is held.
#[derive(Debug)]
pub(super) struct Cpus;

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
        Borrowed(&runs.0)
    }
}

/// A shared heap, with one owner for now.
#[derive(Debug)]
pub struct Owned<'b>(Heap<'b>);

/// A reference to a shared heap.
#[derive(Debug)]
struct Borrowed<'h, 'b>(&'h Heap<'b>);

const fn class_of(class: trace::Class) -> Class {
    match class {
        trace::Class::Movable => Class::Movable,
        trace::Class::Reclaimable => Class::Reclaimable,
        trace::Class::Unmovable | trace::Class::Other => Class::Unmovable,
    }
}

fn alloc(why: AllocError) -> Denied {
    Denied::Alloc(why)
}

fn free(why: FreeError) -> Denied {
    Denied::Free(why)
}

impl PageRuns for Borrowed<'_, '_> {
    type Block = PageRange;

    #[inline(always)]
    fn run_on(&mut self, cpu: u32) {
        Threads::act_as(cpu as usize);
    }

    #[inline(always)]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        self.0.alloc(pages).map_err(alloc)
    }

    #[inline(always)]
    fn alloc_for(&mut self, pages: PageCount, class: trace::Class) -> Result<PageRange, Denied> {
        let request = Request::pages(pages).class(class_of(class));
        self.0.alloc(request).map_err(alloc)
    }

    #[inline(always)]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        let bytes = self.0.window().geometry().bytes(align);
        let request = Request::pages(pages).aligned(bytes);
        self.0.alloc(request).map_err(alloc)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline(always)]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        self.0.free(block).map_err(free)
    }

    #[inline(always)]
    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = Page::new(block.start().number() + part.start().number());
        match PageRange::new(start, part.count()) {
            Some(part) => self.0.free_part(part).map_err(free),
            None => Err(Denied::Free(FreeError::Outside)),
        }
    }
}

impl PageRuns for Owned<'_> {
    type Block = PageRange;

    #[inline(always)]
    fn run_on(&mut self, cpu: u32) {
        Borrowed(&self.0).run_on(cpu);
    }

    #[inline(always)]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        Borrowed(&self.0).alloc(pages)
    }

    #[inline(always)]
    fn alloc_for(&mut self, pages: PageCount, class: trace::Class) -> Result<PageRange, Denied> {
        Borrowed(&self.0).alloc_for(pages, class)
    }

    #[inline(always)]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        Borrowed(&self.0).alloc_aligned(pages, align)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline(always)]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        Borrowed(&self.0).free(block)
    }

    #[inline(always)]
    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        Borrowed(&self.0).free_part(block, part)
    }
}
