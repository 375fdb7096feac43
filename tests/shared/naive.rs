//! The naive account of a shared heap: a cell for each page, and every question
//! answered by looking at all of them.

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{Page, PageRange};

use super::common::{CHUNK, count};

/// What is known of the pages by looking at what was asked and answered.
pub(crate) struct Naive {
    /// Of each page in use, the number of what it was handed out with.
    owner: Vec<Option<u64>>,
    pub(crate) live: Vec<PageRange>,
    next: u64,
    pub(crate) region: PageRange,
}

impl Naive {
    pub(crate) fn new(region: PageRange) -> Self {
        Self {
            owner: vec![None; region.end().number() as usize],
            live: Vec::new(),
            next: 1,
            region,
        }
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.owner.iter().flatten().count() as u32
    }

    pub(crate) fn is_free(&self, page: u32) -> bool {
        self.region.contains(Page::new(page)) && self.owner[page as usize].is_none()
    }

    /// Whether `pages` in a row are free within one of these aligned pieces.
    fn has_run(&self, pages: u32, within: u32) -> bool {
        let end = self.region.end().number();
        (0..end).step_by(within as usize).any(|start| {
            let mut run = 0;
            (start..(start + within).min(end)).any(|page| {
                run = if self.is_free(page) { run + 1 } else { 0 };
                run >= pages
            })
        })
    }

    /// Whether `pages` in a row are free, all in chunks that are free as a whole.
    fn has_long_run(&self, pages: u32) -> bool {
        let end = self.region.end().number();
        let mut run = 0;
        (0..end / CHUNK).any(|chunk| {
            let whole = (chunk * CHUNK..(chunk + 1) * CHUNK).all(|page| self.is_free(page));
            run = if whole { run + CHUNK } else { 0 };
            run >= pages
        })
    }

    /// Whether `pages` pages are to be had, as far as a shared heap promises it.
    pub(crate) fn could(&self, pages: u32) -> bool {
        match pages {
            1 => self.has_run(1, CHUNK),
            2..=16 => self.has_run(pages, 64),
            _ => self.has_long_run(pages),
        }
    }

    pub(crate) fn hand_out(&mut self, range: PageRange) {
        for page in range.pages() {
            assert!(self.is_free(page.number()), "{range:?} is not free");
            self.owner[page.number() as usize] = Some(self.next);
        }
        self.next += 1;
        self.live.push(range);
    }

    pub(crate) fn take_back(&mut self, range: PageRange) {
        for page in range.pages() {
            self.owner[page.number() as usize] = None;
        }
    }
}

/// What an owner writes to its pages.
pub(crate) fn write(fake: &Fake, range: PageRange) {
    for page in range.pages() {
        fake.write(
            PageRange::new(page, count(1)).expect("a page"),
            0xA110_0000 + u64::from(page.number()),
        );
    }
}

/// Fails unless it is still there.
pub(crate) fn verify(fake: &Fake, range: PageRange) {
    for page in range.pages() {
        let expected = 0xA110_0000 + u64::from(page.number());
        assert_eq!(fake.read(page), Some(expected), "{page:?}");
    }
}
