//! The verification itself: allocators that are wrong in one way each, and the
//! pass that must notice.

use crate::common;
use std::collections::VecDeque;

use spanheap::{Backing, Page, PageCount, PageHeap, PageRange, Residency};
use spanheap_hosted::{HostedBacking, rss::process_rss_bytes};
use spanheap_replay::When;
use spanheap_replay::adaptor::{ByHandle, Denied, OverHeap, PageRuns};
use spanheap_replay::books::{Books, geometry};
use spanheap_replay::live::{Live, Memory};
use spanheap_replay::pass::{self, Ground, Outcome};
use spanheap_replay::trace::read;

/// What is wrong with an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Nothing.
    Nothing,
    /// A block begins a page later than it should: its last page is another's.
    Shifted,
    /// The last page of a block was never taken, and is handed out again.
    Short,
    /// The memory of a live block is given back.
    GivenBack,
    /// A block is handed out twice.
    Twice,
    /// A block lies outside of the memory.
    Outside,
    /// A freed block is kept.
    Kept,
}

/// A heap with one defect, shown once in fifty calls.
struct Faulty<'m> {
    runs: ByHandle<PageHeap<'m, HostedBacking>>,
    wrong: Wrong,
    calls: u32,
    last: VecDeque<Page>,
}

type Block = (
    <ByHandle<PageHeap<'static, HostedBacking>> as PageRuns>::Block,
    Page,
);

impl PageRuns for Faulty<'_> {
    type Block = Block;

    fn alloc(&mut self, pages: PageCount) -> Result<Block, Denied> {
        self.calls += 1;
        let now = self.calls.is_multiple_of(50);
        let pages = match self.wrong {
            Wrong::Short if now && pages.get() > 1 => PageCount::new(pages.get() - 1),
            _ => pages,
        };
        let block = self.runs.alloc(pages)?;
        let range = block.range();
        let start = match self.wrong {
            Wrong::Shifted if now => Page::new(range.start().number() + 1),
            Wrong::Twice if now => self.last.front().copied().unwrap_or(range.start()),
            Wrong::Outside if now => Page::new(u32::MAX - 100),
            _ => range.start(),
        };
        if self.wrong == Wrong::GivenBack && now {
            let victim = PageRange::new(self.last[0], PageCount::new(1)).unwrap();
            assert_eq!(self.runs.heap().backing().sys_unused(&[victim]), 1);
        }
        // A block that was handed out a few calls ago, most likely alive.
        self.last.push_back(range.start());
        if self.last.len() > 3 {
            self.last.pop_front();
        }
        Ok((block, start))
    }

    fn start(&self, block: Block) -> Page {
        block.1
    }

    fn free(&mut self, block: Block) -> Result<(), Denied> {
        self.calls += 1;
        if self.wrong == Wrong::Kept && self.calls.is_multiple_of(50) {
            return Ok(());
        }
        self.runs.free(block.0)
    }

    fn free_part(&mut self, block: Block, part: PageRange) -> Result<(), Denied> {
        self.runs.free_part(block.0, part)
    }
}

impl<'m> OverHeap for Faulty<'m> {
    type Heap = PageHeap<'m, HostedBacking>;

    fn heap(&self) -> &Self::Heap {
        self.runs.heap()
    }

    fn heap_mut(&mut self) -> &mut Self::Heap {
        self.runs.heap_mut()
    }
}

fn outcome(wrong: Wrong) -> Outcome {
    let mut trace = common::Writer::new(4096);
    let mut numbers = common::Numbers(42);
    let mut live = VecDeque::new();
    for step in 0..4000 {
        if live.len() < 200 || numbers.below(2) == 0 {
            live.push_back(trace.alloc(1 + numbers.below(8)));
        } else {
            let index = numbers.below(live.len() as u64) as usize;
            live.swap(0, index);
            trace.free(live.pop_front().unwrap());
        }
        if step % 100 == 0 {
            trace.tick(1);
        }
    }
    let trace = read(&trace.gzip()[..]).unwrap();
    let geometry = geometry(4096, 4096).unwrap();
    let pages = PageCount::new(1 << 16);
    let backing = HostedBacking::reserve(geometry, pages).unwrap();
    // Readable and writable everywhere, so that a wrong page is seen by its
    // stamp and not by a fault.
    backing.commit(backing.range()).unwrap();
    let (window, range) = (backing.window(), backing.range());
    let base = backing.pointer(range).unwrap().as_ptr().cast();
    // SAFETY: the reservation's pages, which the heap below owns and which
    // outlives this value; nobody keeps references into it.
    let memory = unsafe { Memory::new(base, pages, geometry) };
    let live = Live::new(memory, trace.seats);
    let mut books = Books::new(&window, 1 << 14, 1).unwrap();
    let mut heap = PageHeap::new(window, books.lend(), backing).unwrap();
    // SAFETY: the whole reservation, added once; nobody else uses it.
    unsafe { heap.add_region(range, Residency::Released) }.unwrap();
    let mut faulty = Faulty {
        runs: ByHandle::new(heap),
        wrong,
        calls: 0,
        last: VecDeque::new(),
    };
    let mut ground = Ground {
        rss: &mut process_rss_bytes,
        progress: &mut |_| {},
        when: When::After(1),
        layouts: None,
    };
    pass::run(&trace, &mut faulty, live, &mut ground).unwrap()
}

#[test]
fn a_right_allocator_passes() {
    let outcome = outcome(Wrong::Nothing);
    assert_eq!(outcome.verify_errors, 0);
    assert_eq!(outcome.count_errors, 0);
    assert_eq!((outcome.refused, outcome.refused_frees), (0, 0));
    assert_eq!(outcome.check, Ok(()));
    assert!(outcome.given_back_pages > 0);
}

#[test]
fn a_block_that_overlaps_its_neighbour_is_noticed() {
    assert!(outcome(Wrong::Shifted).verify_errors > 0);
}

#[test]
fn a_block_that_is_a_page_short_is_noticed() {
    assert!(outcome(Wrong::Short).verify_errors > 0);
}

#[test]
fn a_live_page_whose_memory_was_given_back_is_noticed() {
    assert!(outcome(Wrong::GivenBack).verify_errors > 0);
}

#[test]
fn a_block_that_was_handed_out_twice_is_noticed() {
    assert!(outcome(Wrong::Twice).verify_errors > 0);
}

#[test]
fn a_block_outside_of_the_memory_is_noticed_and_not_touched() {
    assert!(outcome(Wrong::Outside).verify_errors > 0);
}

#[test]
fn a_block_that_is_not_taken_back_is_noticed_by_the_count() {
    let outcome = outcome(Wrong::Kept);
    assert_eq!(outcome.verify_errors, 0);
    assert!(outcome.count_errors > 0);
}
