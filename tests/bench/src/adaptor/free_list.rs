//! `free-list`: a sorted array of free runs, the lowest that fits.
//!
//! It counts in bytes. To free, it looks through the whole array, and moves
//! what is behind the place.

use free_list::{FreeList as Runs, PAGE_SIZE, PageLayout, PageRange as Bytes};
use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Unable, name};

/// `free-list`; its books are from the system's malloc.
#[derive(Debug)]
pub struct FreeList;

impl Contender for FreeList {
    const ABOUT: About = About::peer(name::FREE_LIST, "free-list+lock");
    type Books = ();
    type Runs<'b> = List;

    fn books(_: &Ground) -> Result<(), Unable> {
        Ok(())
    }

    fn runs((): &mut (), ground: &Ground) -> Result<List, Unable> {
        let mut list = List(Runs::new());
        list.free(ground.range())
            .map_err(|why| Unable::SetUp(why.to_string()))?;
        Ok(list)
    }
}

/// The allocator; 16 runs without malloc, as in its documentation.
#[derive(Debug)]
pub struct List(Runs<16>);

impl List {
    #[inline]
    fn run(&mut self, pages: PageCount, align: usize) -> Result<PageRange, Denied> {
        let bytes = pages.get() as usize * PAGE_SIZE;
        let layout = PageLayout::from_size_align(bytes, align * PAGE_SIZE);
        let layout = layout.map_err(|_| Denied::Unsupported)?;
        let found = self.0.allocate(layout).map_err(|_| Denied::Exhausted)?;
        let start = Page::new((found.start() / PAGE_SIZE) as u32);
        PageRange::new(start, pages).ok_or(Denied::Exhausted)
    }
}

impl PageRuns for List {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, 1)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, align.get() as usize)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let start = block.start().number() as usize * PAGE_SIZE;
        let bytes = block.count().get() as usize * PAGE_SIZE;
        let range = Bytes::from_start_len(start, bytes).map_err(|_| Denied::Exhausted)?;
        // SAFETY: numbers of no memory; nobody touches anything.
        unsafe { self.0.deallocate(range) }.map_err(|_| Denied::Exhausted)
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = block.start().number() + part.start().number();
        let part = PageRange::new(Page::new(start), part.count()).ok_or(Denied::Exhausted)?;
        self.free(part)
    }
}
