//! Whether an allocator does what it says: every page has one owner.
//!
//! A run of the work that is not timed, with every block noted in a bitmap of
//! the pages in use. A block that overlaps another, lies outside of the range
//! or is not aligned as asked is a fault. The same map says how many huge
//! pages are wholly free, for all allocators by the same rule: what rounding
//! adds to a block is in use, and whatever no block covers is free.
//!
//! Invariant: a page's bit is set from the return of the call that handed the
//! page out until just before the call that frees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::trace::Class;

use crate::adaptor::{About, Ground};

/// What an allocator did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Some of these pages belong to another block.
    Overlap {
        /// The block's first page.
        start: u32,
        /// How many pages it has.
        pages: u32,
    },
    /// Some of these pages are not the allocator's.
    Outside {
        /// The block's first page.
        start: u32,
        /// How many pages it has.
        pages: u32,
    },
    /// The block does not begin at a multiple of what was asked.
    Misaligned {
        /// The block's first page.
        start: u32,
        /// What was asked.
        align: u32,
    },
    /// The harness frees what is free: its own defect.
    FreeIsFree {
        /// The first page.
        start: u32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { start, pages } => {
                write!(f, "{pages} pages at {start} overlap another block")
            }
            Self::Outside { start, pages } => {
                write!(f, "{pages} pages at {start} are not all in the range")
            }
            Self::Misaligned { start, align } => {
                write!(f, "page {start} is not a multiple of {align}")
            }
            Self::FreeIsFree { start } => write!(f, "the pages at {start} were free already"),
        }
    }
}

/// The pages in use. Threads share it: every word is counted by itself, and
/// what orders two owners of a page is the allocator.
#[derive(Debug)]
pub struct Claims {
    pages: u32,
    huge: u32,
    used: Vec<AtomicU64>,
    /// Pages in use, by huge page; the one that is cut off is not counted.
    in_huge: Vec<AtomicU32>,
    free_huge: AtomicU32,
    taken: AtomicU64,
    asked: AtomicU64,
    blocks: AtomicU64,
    faults: AtomicU64,
    first: Mutex<Option<Fault>>,
}

/// No order is needed beyond each word's own.
const ALONE: Ordering = Ordering::Relaxed;

impl Claims {
    /// Nothing of `ground` is in use.
    #[must_use]
    pub fn new(ground: &Ground) -> Self {
        let (pages, huge) = (ground.pages(), ground.huge_pages());
        let whole = pages / huge;
        Self {
            pages,
            huge,
            used: (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            in_huge: (0..whole).map(|_| AtomicU32::new(0)).collect(),
            free_huge: AtomicU32::new(whole),
            taken: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            first: Mutex::new(None),
        }
    }

    /// Returns how many huge pages are wholly free.
    #[must_use]
    pub fn free_huge(&self) -> u32 {
        self.free_huge.load(ALONE)
    }

    /// Returns how many pages are taken, what rounding adds included.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(ALONE)
    }

    /// Returns how many of these were asked for.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(ALONE)
    }

    /// Returns how many blocks were handed out.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks.load(ALONE)
    }

    /// Returns how many faults there were, and the first.
    #[must_use]
    pub fn faults(&self) -> (u64, Option<Fault>) {
        let first = self.first.lock().map_or(None, |first| *first);
        (self.faults.load(ALONE), first)
    }

    fn fault(&self, fault: Fault) {
        self.faults.fetch_add(1, ALONE);
        if let Ok(mut first) = self.first.lock() {
            first.get_or_insert(fault);
        }
    }

    /// Notes that a block was handed out; whether all of it lies in the range.
    fn claim(&self, start: u32, asked: u32, taken: u32) -> bool {
        self.blocks.fetch_add(1, ALONE);
        let inside = start
            .checked_add(taken)
            .is_some_and(|end| end <= self.pages);
        if !inside {
            self.fault(Fault::Outside {
                start,
                pages: taken,
            });
            return false;
        }
        let mut overlaps = false;
        each_word(start, taken, |word, mask| {
            overlaps |= self.used[word].fetch_or(mask, ALONE) & mask != 0;
        });
        if overlaps {
            self.fault(Fault::Overlap {
                start,
                pages: taken,
            });
        }
        self.each_huge(start, taken, |huge, pages| {
            if self.in_huge[huge].fetch_add(pages, ALONE) == 0 {
                self.free_huge.fetch_sub(1, ALONE);
            }
        });
        self.taken.fetch_add(u64::from(taken), ALONE);
        self.asked.fetch_add(u64::from(asked), ALONE);
        true
    }

    /// Notes that pages are about to be freed.
    fn unclaim(&self, start: u32, asked: u32, taken: u32) {
        let mut free = false;
        each_word(start, taken, |word, mask| {
            free |= self.used[word].fetch_and(!mask, ALONE) & mask != mask;
        });
        if free {
            self.fault(Fault::FreeIsFree { start });
        }
        self.each_huge(start, taken, |huge, pages| {
            if self.in_huge[huge].fetch_sub(pages, ALONE) == pages {
                self.free_huge.fetch_add(1, ALONE);
            }
        });
        self.taken.fetch_sub(u64::from(taken), ALONE);
        self.asked.fetch_sub(u64::from(asked), ALONE);
    }

    fn each_huge(&self, start: u32, pages: u32, mut see: impl FnMut(usize, u32)) {
        let (mut at, end) = (start, start + pages);
        while at < end {
            let huge = at / self.huge;
            let until = end.min((huge + 1) * self.huge);
            if (huge as usize) < self.in_huge.len() {
                see(huge as usize, until - at);
            }
            at = until;
        }
    }
}

/// Shows the words that these pages' bits are in, and which bits.
fn each_word(start: u32, pages: u32, mut see: impl FnMut(usize, u64)) {
    let (mut at, end) = (start, start + pages);
    while at < end {
        let until = end.min((at / 64 + 1) * 64);
        let bits = u64::MAX >> (64 - (until - at));
        see(at as usize / 64, bits << (at % 64));
        at = until;
    }
}

/// A block, and what is noted of it.
#[derive(Clone, Copy, Debug)]
pub struct Noted<B> {
    block: B,
    start: u32,
    asked: u32,
    /// All of it lies in the range: what does not is not noted further.
    inside: bool,
}

/// An allocator under check.
#[derive(Debug)]
pub struct Checked<'c, R> {
    runs: R,
    claims: &'c Claims,
    about: About,
    /// How many pages remain of blocks of which a part was freed.
    parted: BTreeMap<u32, u32>,
}

impl<'c, R: PageRuns> Checked<'c, R> {
    /// Checks `runs`, whose blocks are noted in `claims`.
    #[must_use]
    pub const fn new(runs: R, claims: &'c Claims, about: About) -> Self {
        Self {
            runs,
            claims,
            about,
            parted: BTreeMap::new(),
        }
    }

    fn note(&self, block: R::Block, pages: PageCount, align: u32) -> Noted<R::Block> {
        let (start, asked) = (self.runs.start(block).number(), pages.get());
        if !start.is_multiple_of(align) {
            self.claims.fault(Fault::Misaligned { start, align });
        }
        Noted {
            block,
            start,
            asked,
            inside: self.claims.claim(start, asked, self.about.takes(pages)),
        }
    }
}

impl<R: PageRuns> PageRuns for Checked<'_, R> {
    type Block = Noted<R::Block>;

    fn run_on(&mut self, cpu: u32) {
        self.runs.run_on(cpu);
    }

    fn alloc(&mut self, pages: PageCount) -> Result<Self::Block, Denied> {
        let block = self.runs.alloc(pages)?;
        Ok(self.note(block, pages, 1))
    }

    fn alloc_for(&mut self, pages: PageCount, class: Class) -> Result<Self::Block, Denied> {
        let block = self.runs.alloc_for(pages, class)?;
        Ok(self.note(block, pages, 1))
    }

    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<Self::Block, Denied> {
        let block = self.runs.alloc_aligned(pages, align)?;
        Ok(self.note(block, pages, align.get()))
    }

    fn start(&self, block: Self::Block) -> Page {
        Page::new(block.start)
    }

    fn free(&mut self, block: Self::Block) -> Result<(), Denied> {
        if block.inside {
            let taken = self.about.takes(PageCount::new(block.asked));
            self.claims.unclaim(block.start, block.asked, taken);
        }
        self.runs.free(block.block)
    }

    fn free_part(&mut self, block: Self::Block, part: PageRange) -> Result<(), Denied> {
        if block.inside {
            let count = part.count().get();
            let left = match self.parted.remove(&block.start) {
                Some(left) => left,
                None => {
                    // The first part takes what rounding added with it.
                    let taken = self.about.takes(PageCount::new(block.asked));
                    let tail = block.start + block.asked;
                    self.claims.unclaim(tail, 0, taken - block.asked);
                    block.asked
                }
            };
            if left > count {
                self.parted.insert(block.start, left - count);
            }
            let start = block.start + part.start().number();
            self.claims.unclaim(start, count, count);
        }
        self.runs.free_part(block.block, part)
    }
}
