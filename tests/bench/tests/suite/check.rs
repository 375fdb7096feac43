//! The check finds what an allocator does wrong, and nothing else.

use spanheap::{Page, PageCount, PageRange};
use spanheap_bench::adaptor::{About, Ground};
use spanheap_bench::check::{Checked, Claims, Fault};
use spanheap_replay::adaptor::{Denied, PageRuns};

use crate::common::PAGES;

/// Hands out what it is told to, however wrong.
struct Scripted {
    starts: Vec<u32>,
}

impl PageRuns for Scripted {
    type Block = PageRange;

    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        let start = self.starts.pop().ok_or(Denied::Exhausted)?;
        PageRange::new(Page::new(start), pages).ok_or(Denied::Exhausted)
    }

    fn alloc_aligned(&mut self, pages: PageCount, _: PageCount) -> Result<PageRange, Denied> {
        self.alloc(pages)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    fn free(&mut self, _: PageRange) -> Result<(), Denied> {
        Ok(())
    }

    fn free_part(&mut self, _: PageRange, _: PageRange) -> Result<(), Denied> {
        Ok(())
    }
}

fn claims() -> Claims {
    Claims::new(&Ground::new(PAGES, 4096, PAGES).expect("a small range"))
}

fn scripted<'c>(claims: &'c Claims, rounds: bool, starts: &[u32]) -> Checked<'c, Scripted> {
    let about = About {
        rounds,
        ..About::peer("scripted", "scripted+lock")
    };
    let starts = starts.iter().rev().copied().collect();
    Checked::new(Scripted { starts }, claims, about)
}

const fn pages(count: u32) -> PageCount {
    PageCount::new(count)
}

#[test]
fn blocks_that_keep_apart_are_no_fault() {
    let claims = claims();
    let mut runs = scripted(&claims, false, &[0, 64, 3, 0]);
    let first = runs.alloc(pages(3)).expect("a block");
    runs.alloc(pages(64)).expect("a block");
    runs.alloc(pages(61)).expect("a block");
    runs.free(first).expect("freed");
    runs.alloc(pages(3)).expect("the same pages");
    assert_eq!(claims.faults(), (0, None));
    assert_eq!((claims.taken(), claims.blocks()), (128, 4));
}

#[test]
fn a_page_with_two_owners_is_found() {
    for (first, second) in [((0, 1), (0, 1)), ((60, 8), (67, 2)), ((70, 1), (0, 512))] {
        let claims = claims();
        let mut runs = scripted(&claims, false, &[first.0, second.0]);
        runs.alloc(pages(first.1)).expect("a block");
        assert_eq!(claims.faults(), (0, None));
        runs.alloc(pages(second.1)).expect("a block");
        let fault = Fault::Overlap {
            start: second.0,
            pages: second.1,
        };
        assert_eq!(claims.faults(), (1, Some(fault)));
    }
}

#[test]
fn what_rounding_adds_to_a_block_is_taken_too() {
    let claims = claims();
    let mut runs = scripted(&claims, true, &[0, 7]);
    runs.alloc(pages(5)).expect("a block");
    assert_eq!((claims.asked(), claims.taken()), (5, 8));
    runs.alloc(pages(1)).expect("a block");
    assert_eq!(claims.faults().0, 1);
}

#[test]
fn pages_outside_of_the_range_are_found() {
    let claims = claims();
    let mut runs = scripted(&claims, false, &[PAGES - 1, u32::MAX - 1]);
    let block = runs.alloc(pages(2)).expect("a block");
    runs.free(block).expect("freed");
    runs.alloc(pages(1)).expect("a block");
    let fault = Fault::Outside {
        start: PAGES - 1,
        pages: 2,
    };
    assert_eq!(claims.faults(), (2, Some(fault)));
    assert_eq!(claims.taken(), 0);
}

#[test]
fn a_block_that_is_not_aligned_as_asked_is_found() {
    let claims = claims();
    let mut runs = scripted(&claims, false, &[512, 1025]);
    runs.alloc_aligned(pages(1), pages(512)).expect("a block");
    assert_eq!(claims.faults(), (0, None));
    runs.alloc_aligned(pages(1), pages(512)).expect("a block");
    let fault = Fault::Misaligned {
        start: 1025,
        align: 512,
    };
    assert_eq!(claims.faults(), (1, Some(fault)));
}

#[test]
fn a_block_that_is_freed_in_parts_is_free_when_all_of_them_are() {
    let claims = claims();
    let mut runs = scripted(&claims, true, &[1024, 1024]);
    let block = runs.alloc(pages(6)).expect("a block");
    let part = |start, count| PageRange::new(Page::new(start), pages(count)).expect("pages");
    runs.free_part(block, part(2, 2)).expect("freed");
    assert_eq!((claims.asked(), claims.taken()), (4, 4));
    runs.free_part(block, part(0, 2)).expect("freed");
    runs.free_part(block, part(4, 2)).expect("freed");
    assert_eq!((claims.asked(), claims.taken()), (0, 0));
    // Its record is gone: the pages are as good as new.
    let block = runs.alloc(pages(6)).expect("a block");
    runs.free_part(block, part(0, 1)).expect("freed");
    assert_eq!((claims.asked(), claims.taken()), (5, 5));
    assert_eq!(claims.faults(), (0, None));
}

#[test]
fn a_huge_page_is_free_while_none_of_its_pages_is_taken() {
    let claims = claims();
    let mut runs = scripted(&claims, false, &[511, 512, 8191]);
    assert_eq!(claims.free_huge(), 16);
    let over_two = runs.alloc(pages(2));
    assert!(over_two.is_ok());
    assert_eq!(claims.free_huge(), 14);
    // Overlaps, but that is not what is looked at.
    let again = runs.alloc(pages(1)).expect("a block");
    runs.free(again).expect("freed");
    assert_eq!(claims.free_huge(), 14);
    runs.free(over_two.expect("a block")).expect("freed");
    assert_eq!(claims.free_huge(), 16);
    runs.alloc(pages(1)).expect("a block");
    assert_eq!(claims.free_huge(), 15);
}

#[test]
fn a_huge_page_that_the_range_cuts_off_is_not_counted() {
    let ground = Ground::new(3 * 512 + 100, 4096, 64).expect("a small range");
    let claims = Claims::new(&ground);
    assert_eq!(claims.free_huge(), 3);
    let mut runs = scripted(&claims, false, &[3 * 512 + 50]);
    runs.alloc(pages(50)).expect("a block");
    assert_eq!((claims.free_huge(), claims.faults()), (3, (0, None)));
    // Larger pages, fewer to a huge one.
    let ground = Ground::new(1024, 8192, 64).expect("a small range");
    assert_eq!(Claims::new(&ground).free_huge(), 4);
}
