//! Every rule of the front tier broken once: [`SharedHeap::check`] must name it, and
//! where.

use std::vec;
use std::vec::Vec;

use super::super::atomic::AtomicU64;
use super::super::cpu::OneCpu;
use super::super::heap::Tier;
use super::super::metadata::{SharedMetadata, front_words};
use super::*;
use crate::backing::Residency;
use crate::backing::fake::FakeBacking;
use crate::page::{Geometry, PageRange, Window};
use crate::span::{MapEntry, Metadata, Slot};

type Heap<'m> = SharedHeap<'m, FakeBacking, OneCpu>;

const ONE: PageCount = PageCount::new(1);

/// What is wrong after this was done to a heap of two chunks, of which page 0 is in use
/// and the rest of the first block claimed.
fn wrong(damage: impl FnOnce(&Heap<'_>, &Tier<'_>)) -> Option<(&'static str, u32)> {
    let pages = PageCount::new(2 * CHUNK);
    let window = Window::new(Geometry::SMALL_PAGES, 1 << 30, pages).expect("a window");
    let fake = FakeBacking::new(window);
    let (mut slots, mut map) = (vec![Slot::VACANT; 64], vec![MapEntry::EMPTY; 64]);
    let words = front_words(&window, 1).expect("a size");
    let front: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let books = SharedMetadata::new(Metadata::new(&mut slots, &mut map), &front, 1);
    let heap = SharedHeap::new(window, books, fake.clone(), OneCpu).expect("enough memory");
    let all = PageRange::new(Page::new(0), pages).expect("pages");
    fake.add(all, Residency::Resident);
    heap.locked(|ledger| ledger.add_region(all, Residency::Resident))
        .expect("a region");
    let page = heap.alloc(ONE).expect("a page").start();
    assert_eq!((page.number(), heap.check()), (0, Ok(())));

    damage(&heap, heap.tier().expect("it is set up"));
    heap.check().err().map(|why| (why.rule, why.page.number()))
}

/// Sets bits of the first block.
fn set(tier: &Tier<'_>, bits: Bits, mask: u64) {
    set_in(tier, bits, 0, mask);
}

fn set_in(tier: &Tier<'_>, bits: Bits, block: u32, mask: u64) {
    let word = tier.front.word(bits, block).expect("a block");
    word.fetch_or(mask, Ordering::SeqCst);
}

#[test]
fn a_heap_in_order_breaks_no_rule() {
    assert_eq!(wrong(|_, _| {}), None);
    assert_eq!(wrong(|heap, _| heap.gather()), None);
}

#[test]
fn a_free_page_is_in_one_word_and_a_page_in_use_is_backed() {
    let twice = wrong(|_, tier| set(tier, Bits::Free, 0b10));
    assert_eq!(
        twice,
        Some(("a page is free in its word or claimed, not both", 0))
    );
    let lost = wrong(|_, tier| set(tier, Bits::Released, 1));
    assert_eq!(lost, Some(("every page in use is backed", 0)));
    assert_eq!(
        wrong(|_, tier| set(tier, Bits::Released, 0b10)),
        None,
        "it is free"
    );
    let left = wrong(|heap, tier| {
        heap.gather();
        set(tier, Bits::Claimed, 1);
    });
    assert_eq!(
        left,
        Some(("nothing of a chunk that nobody owns is claimed", 0))
    );
}

#[test]
fn a_chunk_with_a_free_page_is_found() {
    let hidden = wrong(|_, tier| tier.front.nonempty().clear(0));
    let rule = "a chunk with a free page is found by who needs the last one";
    assert_eq!(hidden, Some((rule, 0)));
}

#[test]
fn a_run_goes_on_in_pages_in_use_and_not_from_block_to_block() {
    let free = wrong(|_, tier| set(tier, Bits::Runs, 0b10));
    assert_eq!(free, Some(("no free page continues a run", 0)));
    let first = wrong(|_, tier| set(tier, Bits::Runs, 1));
    assert_eq!(first, Some(("a block's first page continues no run", 0)));
}

#[test]
fn a_chunk_is_one_span_and_what_is_no_chunk_has_no_bits() {
    let parted = wrong(|heap, tier| {
        let start = tier.window.address_of(Page::new(0));
        let gone = heap.locked(|ledger| ledger.free_part_at(start, ONE));
        gone.expect("it is in use");
    });
    assert_eq!(
        parted,
        Some(("a chunk of the front tier is one span in use", 0))
    );
    let rule = "a chunk of the treap has no bits set";
    for bits in [Bits::Free, Bits::Runs, Bits::Claimed, Bits::Released] {
        let touched = wrong(|_, tier| set_in(tier, bits, BLOCKS as u32, 1 << 63));
        assert_eq!(touched, Some((rule, CHUNK)));
    }
}

#[test]
fn a_cpu_takes_pages_from_what_it_owns() {
    let other = wrong(|_, tier| {
        let place = tier.front.place(0, 0).expect("a CPU");
        place.block.store(BLOCKS as u64 + 1, Ordering::SeqCst);
    });
    assert_eq!(
        other,
        Some(("a CPU takes pages from a chunk that it owns", CHUNK))
    );
}
