//! Live blocks, with a stamp on every page of theirs.
//!
//! When a block is handed out, each of its pages is stamped with the block's
//! number and the page's place in the block; when the page is freed, or alive
//! at the end, the stamp must still be there. So a page that was handed out
//! twice, or whose memory was given back or zeroed under its owner, is found.
//!
//! A stamp fills a page as far as memory is real: one word at the start of
//! every physical page, and another, its complement, at the end. None is zero,
//! which is what lost memory reads as.
//!
//! Invariant: an entry of the table is there exactly while its block lives.

use std::marker::PhantomData;

use spanheap::{Geometry, Page, PageCount, PageRange};

use crate::trace::{Remains, Seat};

/// The memory that page numbers stand for.
#[derive(Debug)]
pub struct Memory<'m> {
    base: *mut u8,
    pages: u32,
    page_bytes: usize,
    /// From one stamp to the next: a physical page, or a page if that is less.
    step: usize,
    memory: PhantomData<&'m mut [u8]>,
}

// SAFETY: it is a mapping of the process, not of a thread; whoever has the value
// is alone in writing through it.
unsafe impl Send for Memory<'_> {}

impl Memory<'_> {
    /// Takes the memory from `base` on, `pages` pages of it, for as long as
    /// this value lives.
    ///
    /// # Safety
    ///
    /// The pages, of 16 bytes or more, are one mapping, aligned to a page, in
    /// which nobody keeps references; a page that an allocator over it handed
    /// out can be read and written. (Any other may fault, which ends the
    /// program: the allocator was wrong then.)
    #[must_use]
    pub const unsafe fn new(base: *mut u8, pages: PageCount, geometry: Geometry) -> Self {
        let page_bytes = geometry.page_bytes() as usize;
        let physical = geometry.physical_bytes() as usize;
        Self {
            base,
            pages: pages.get(),
            page_bytes,
            step: if physical < page_bytes {
                physical
            } else {
                page_bytes
            },
            memory: PhantomData,
        }
    }

    /// Returns where a page's stamps go, and what each is; `None` if there is
    /// no such page.
    fn stamps(&self, page: u32, stamp: u64) -> Option<impl Iterator<Item = (*mut u64, u64)>> {
        if page >= self.pages {
            return None;
        }
        let at = self.base.wrapping_add(page as usize * self.page_bytes);
        let end = self.page_bytes - size_of::<u64>();
        Some(
            (0..self.page_bytes)
                .step_by(self.step)
                .map(move |offset| (at.wrapping_add(offset).cast(), stamp))
                .chain([(at.wrapping_add(end).cast(), !stamp)]),
        )
    }

    fn write(&mut self, page: u32, stamp: u64) -> bool {
        let Some(stamps) = self.stamps(page, stamp) else {
            return false;
        };
        for (at, word) in stamps {
            // SAFETY: `at` lies in a page of this memory, which the maker of
            // this value promised to be writable if it was handed out; it is
            // aligned, because pages and steps are multiples of 8.
            unsafe { at.write_volatile(word) }
        }
        true
    }

    fn holds(&self, page: u32, stamp: u64) -> bool {
        self.stamps(page, stamp).is_some_and(|mut stamps| {
            stamps.all(|(at, word)| {
                // SAFETY: as in `write`; any bytes are a valid `u64`.
                let found = unsafe { at.read_volatile() };
                found == word
            })
        })
    }
}

/// A block that lives.
#[derive(Clone, Copy, Debug)]
struct Placed {
    start: u32,
    pages: PageCount,
    /// How many blocks were allocated before it.
    number: u32,
    /// A part was freed: [`Remains`] knows what is left.
    parted: bool,
}

impl Placed {
    /// The stamp of a page. The top bit is set, which no block's number reaches,
    /// so that no stamp is zero, and none another's complement.
    const fn stamp(&self, index: u32) -> u64 {
        1 << 63 | (self.number as u64) << 32 | index as u64
    }
}

/// The live blocks of a replay, stamped.
#[derive(Debug)]
pub struct Live<'m> {
    memory: Memory<'m>,
    table: Vec<Option<Placed>>,
    remains: Remains,
    blocks: u32,
    pages: u64,
    stamped: u64,
    errors: u64,
}

impl<'m> Live<'m> {
    /// No blocks, in a table of `seats` seats.
    #[must_use]
    pub fn new(memory: Memory<'m>, seats: u32) -> Self {
        Self {
            memory,
            table: crate::resident::table(None, seats as usize),
            remains: Remains::new(),
            blocks: 0,
            pages: 0,
            stamped: 0,
            errors: 0,
        }
    }

    /// Stamps a block that was handed out.
    pub fn placed(&mut self, seat: Seat, start: Page, pages: PageCount) {
        let block = Placed {
            start: start.number(),
            pages,
            number: self.blocks,
            parted: false,
        };
        self.blocks = self.blocks.wrapping_add(1);
        for index in 0..pages.get() {
            let page = block.start.wrapping_add(index);
            if !self.memory.write(page, block.stamp(index)) {
                self.errors += 1;
            }
        }
        self.stamped += u64::from(pages.get());
        self.pages += u64::from(pages.get());
        self.table[seat.index()] = Some(block);
    }

    /// Verifies a block before it is freed.
    pub fn freed(&mut self, seat: Seat) {
        let Some(block) = self.table[seat.index()].take() else {
            return;
        };
        if let Some(whole) = PageRange::new(Page::new(0), block.pages) {
            self.verify(block, whole);
            self.pages -= u64::from(block.pages.get());
        }
    }

    /// Verifies a part of a block before it is freed.
    pub fn freed_part(&mut self, seat: Seat, part: PageRange) {
        let Some(mut block) = self.table[seat.index()] else {
            return;
        };
        if !block.parted {
            self.remains.begin(seat, block.pages);
            block.parted = true;
        }
        if self.remains.take(seat, part).is_err() {
            self.errors += 1;
            return;
        }
        self.verify(block, part);
        self.pages -= u64::from(part.count().get());
        self.table[seat.index()] = Some(block).filter(|_| !self.remains.is_gone(seat));
    }

    /// Verifies every block that still lives.
    pub fn verify_all(&mut self) {
        for index in 0..self.table.len() {
            let Some(block) = self.table[index] else {
                continue;
            };
            if block.parted {
                let parts: Vec<_> = self.remains.of(Seat::new(index as u32)).collect();
                for part in parts {
                    self.verify(block, part);
                }
            } else if let Some(whole) = PageRange::new(Page::new(0), block.pages) {
                self.verify(block, whole);
            }
        }
    }

    fn verify(&mut self, block: Placed, part: PageRange) {
        for index in part.start().number()..part.end().number() {
            let page = block.start.wrapping_add(index);
            if !self.memory.holds(page, block.stamp(index)) {
                self.errors += 1;
            }
        }
    }

    /// Returns how many pages live.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// Returns how many pages were stamped so far.
    #[must_use]
    pub const fn stamped(&self) -> u64 {
        self.stamped
    }

    /// Returns how many pages did not hold what their owner had written.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors
    }
}
