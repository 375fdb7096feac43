//! The plain reference: a first fit over a `BTreeMap` of free runs.
//!
//! What anybody would write first. Its choice of pages is what the others'
//! refusals and free huge pages are held against.

use std::collections::BTreeMap;

use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Unable, name};

/// The reference; its books are from the system's malloc.
#[derive(Debug)]
pub struct FirstFit;

impl Contender for FirstFit {
    const ABOUT: About = About::peer(name::FIRST_FIT, "btree+lock");
    type Books = ();
    type Runs<'b> = Free;

    fn books(_: &Ground) -> Result<(), Unable> {
        Ok(())
    }

    fn runs((): &mut (), ground: &Ground) -> Result<Free, Unable> {
        Ok(Free::new(ground.range()))
    }
}

/// The free runs, by first page; never two that touch.
#[derive(Debug)]
pub struct Free {
    runs: BTreeMap<u32, u32>,
}

impl Free {
    /// All of `range` is free.
    #[must_use]
    pub fn new(range: PageRange) -> Self {
        Self {
            runs: BTreeMap::from([(range.start().number(), range.count().get())]),
        }
    }

    #[inline]
    fn run(&mut self, pages: PageCount, align: u32) -> Result<PageRange, Denied> {
        let wanted = pages.get();
        let mut runs = self.runs.iter();
        let found = runs.find_map(|(&start, &len)| {
            let at = start.checked_next_multiple_of(align)?;
            let used = (at - start).checked_add(wanted)?;
            (used <= len).then_some((start, len, at))
        });
        let (start, len, at) = found.ok_or(Denied::Exhausted)?;
        let (before, behind) = (at - start, start + len - at - wanted);
        match before {
            0 => self.runs.remove(&start),
            _ => self.runs.insert(start, before),
        };
        if behind > 0 {
            self.runs.insert(at + wanted, behind);
        }
        PageRange::new(Page::new(at), pages).ok_or(Denied::Exhausted)
    }
}

impl PageRuns for Free {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, 1)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, align.get())
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let (start, end) = (block.start().number(), block.end().number());
        let behind = self.runs.remove(&end).unwrap_or(0);
        let len = end - start + behind;
        match self.runs.range_mut(..start).next_back() {
            Some((&before, size)) if before + *size == start => *size += len,
            _ => {
                self.runs.insert(start, len);
            }
        }
        Ok(())
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = block.start().number() + part.start().number();
        let part = PageRange::new(Page::new(start), part.count()).ok_or(Denied::Exhausted)?;
        self.free(part)
    }
}
