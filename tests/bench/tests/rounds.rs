//! The harness: every contender does all works, and leaves nothing behind.

use spanheap::{Geometry, Page, PageCount, PageHeap, PageRange, Residency};
use spanheap_bench::contest::{Contender, run};
use spanheap_bench::table::Table;
use spanheap_bench::work::{Work, all};
use spanheap_replay::adaptor::{ByHandle, OverHeap};
use spanheap_replay::books::{Books, Nothing, window};

#[test]
fn every_contender_does_every_work() {
    let rounds = run(PageCount::new(4096), 2).expect("a small range");
    let table = Table::new(4096, &rounds);
    assert_eq!(table.cells.len(), Work::ALL.len() * Contender::ALL.len());
    assert!(table.cells.iter().all(|cell| cell.ns.is_finite()));
}

#[test]
fn the_works_free_all_that_they_allocate() {
    let pages = PageCount::new(4096);
    let window = window(Geometry::SMALL_PAGES, pages).expect("a small range");
    let mut books = Books::new(&window, 4096, 1).expect("a small range");
    let mut heap = PageHeap::new(window, books.lend(), Nothing).expect("books that are enough");
    let range = PageRange::new(Page::new(0), pages).expect("pages");
    // SAFETY: numbers of no memory; nobody touches anything.
    unsafe { heap.add_region(range, Residency::Resident) }.expect("a region in the window");
    let mut runs = ByHandle::new(heap);
    all(&mut runs, pages.get()).expect("a quarter of the range");
    assert_eq!(runs.heap().stats().in_use, PageCount::ZERO);
    assert_eq!(runs.heap().check(), Ok(()));
}
