//! The rounds: in each, every contender does all works once.
//!
//! Whatever slows the machine down for a while meets them all, and the ratios
//! are made within a round.

use serde::Serialize;
use spanheap::{Geometry, LockedHeap, PageCount, PageHeap, Residency};
use spanheap_replay::adaptor::{Buddy, ByAddress, ByHandle, Null, PageRuns};
use spanheap_replay::books::{Books, Nothing, window};

use crate::work::{Work, all};

/// Who does the works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    /// No allocator: the harness itself.
    Null,
    /// `PageHeap`, freed by handle.
    PageHeap,
    /// `PageHeap`, freed by address.
    PageHeapByAddress,
    /// `LockedHeap`, freed by handle.
    LockedHeap,
    /// `buddy_system_allocator`'s `FrameAllocator`.
    Buddy,
}

impl Contender {
    /// All contenders, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Null,
        Self::PageHeap,
        Self::PageHeapByAddress,
        Self::LockedHeap,
        Self::Buddy,
    ];

    /// Returns what stands over its column of the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::PageHeap => "PageHeap",
            Self::PageHeapByAddress => "by address",
            Self::LockedHeap => "LockedHeap",
            Self::Buddy => "buddy",
        }
    }
}

/// One round: nanoseconds by contender and work, in the order of both `ALL`s.
pub type Round = [[f64; Work::ALL.len()]; Contender::ALL.len()];

/// Runs `rounds` rounds over a range of `pages` pages, after one that warms up.
///
/// # Errors
///
/// What went wrong, in words: the range is too large for books, or an
/// allocator refused.
pub fn run(pages: PageCount, rounds: u32) -> Result<Vec<Round>, String> {
    let window = window(Geometry::SMALL_PAGES, pages).ok_or("the range is too large")?;
    // Every other page may be in use: a slot for each page is always enough.
    let mut books = Books::new(&window, pages.get(), 1).ok_or("the range is too large")?;
    let mut results = Vec::new();
    for _ in 0..=rounds {
        let mut round = Round::default();
        for (contender, times) in Contender::ALL.into_iter().zip(&mut round) {
            *times = lap(contender, pages, &mut books)?;
        }
        results.push(round);
    }
    results.remove(0);
    Ok(results)
}

fn lap(contender: Contender, pages: PageCount, books: &mut Books) -> Result<[f64; 4], String> {
    let window = window(Geometry::SMALL_PAGES, pages).ok_or("the range is too large")?;
    let range = spanheap::PageRange::new(spanheap::Page::new(0), pages).ok_or("no pages")?;
    let page_heap = |books| -> Result<_, String> {
        let mut heap = PageHeap::new(window, books, Nothing).map_err(|why| why.to_string())?;
        // SAFETY: numbers of no memory; nobody touches anything.
        unsafe { heap.add_region(range, Residency::Resident) }.map_err(|why| why.to_string())?;
        Ok(heap)
    };
    match contender {
        Contender::Null => works(Null::default(), pages),
        Contender::PageHeap => works(ByHandle::new(page_heap(books.lend())?), pages),
        Contender::PageHeapByAddress => works(ByAddress::new(page_heap(books.lend())?), pages),
        Contender::LockedHeap => {
            let heap = LockedHeap::new(window, books.lend(), Nothing);
            let heap = heap.map_err(|why| why.to_string())?;
            // SAFETY: numbers of no memory; nobody touches anything.
            unsafe { heap.add_region(range, Residency::Resident) }
                .map_err(|why| why.to_string())?;
            works(ByHandle::new(heap), pages)
        }
        Contender::Buddy => works(Buddy::new(range), pages),
    }
}

fn works<A: PageRuns>(mut runs: A, pages: PageCount) -> Result<[f64; 4], String> {
    all(&mut runs, pages.get()).map_err(|why| why.to_string())
}
