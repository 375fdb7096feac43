//! Every rule broken once, in a heap that is in order: [`Ledger::check`] must name it,
//! and where.

use std::vec;

use super::super::PageHeap;
use super::*;
use crate::backing::Residency;
use crate::backing::fake::FakeBacking;
use crate::page::{Geometry, PageCount, PageRange, Window};
use crate::span::{MapEntry, Metadata, Slot};

const PAGE: u64 = 4096;

/// What is wrong after this was done to a heap of 128 pages, with physical pages of 2,
/// huge pages of 8 and a map entry for 4:
///
/// | pages | |
/// |---|---|
/// | 0–8 | free, resident, a huge page |
/// | 8–12 | in use |
/// | 12–16 | free, resident |
/// | 16–18 | in use |
/// | 18–32 | free, resident |
/// | | a gap |
/// | 64–72 | free, released |
/// | 72–80 | in use |
/// | 80–88 | free, resident |
/// | 88–128 | free, released |
fn wrong(damage: impl FnOnce(&mut Ledger<'_>)) -> Option<(&'static str, u32)> {
    let geometry = Geometry::new(PAGE, 2 * PAGE, 8 * PAGE).expect("sizes that go together");
    let window = Window::new(geometry, 1 << 30, PageCount::new(128)).expect("a window");
    let fake = FakeBacking::new(window);
    let (mut slots, mut map) = (vec![Slot::VACANT; 32], vec![MapEntry::EMPTY; 32]);
    let books = Metadata::new(&mut slots, &mut map);
    let mut heap = PageHeap::new(window, books, fake.clone()).expect("enough memory");
    for (start, pages, residency) in [(0, 32, Residency::Resident), (64, 64, Residency::Released)] {
        let range = PageRange::new(Page::new(start), PageCount::new(pages)).expect("pages");
        fake.add(range, residency);
        heap.books.add_region(range, residency).expect("a region");
    }
    let mut last = None;
    for (start, pages) in [(8, 4), (16, 2), (72, 8), (80, 8)] {
        let address = window.address_of(Page::new(start));
        let taken = heap.alloc_at(address, PageCount::new(pages));
        last = Some(taken.expect("they are free"));
    }
    heap.free(last.expect("one was taken"))
        .expect("it is in use");
    assert_eq!(heap.check(), Ok(()));

    damage(&mut heap.books);
    heap.check().err().map(|why| (why.rule, why.page.number()))
}

/// What is wrong after this was done to the span at `start`.
fn wrong_at(start: u32, damage: impl FnOnce(&mut Slot)) -> Option<(&'static str, u32)> {
    wrong(|ledger| {
        let id = at(ledger, start);
        damage(ledger.pool.at_mut(id));
    })
}

fn at(ledger: &Ledger<'_>, start: u32) -> SlotId {
    let id = ledger.holding(start).expect("a span");
    assert_eq!(ledger.pool.at(id).start, start);
    id
}

#[test]
fn a_heap_in_order_breaks_no_rule() {
    assert_eq!(wrong(|_| {}), None);
}

#[test]
fn a_span_is_in_the_list_and_in_the_window() {
    let rule = "a span links back to the one before it";
    assert_eq!(wrong_at(12, |slot| slot.prev = None), Some((rule, 12)));
    let rule = "a span has pages, and they lie in the window";
    assert_eq!(wrong_at(12, |slot| slot.len = 0), Some((rule, 12)));
    assert_eq!(wrong_at(88, |slot| slot.len = 41), Some((rule, 88)));
    let rule = "spans ascend and do not overlap";
    assert_eq!(wrong_at(16, |slot| slot.start = 15), Some((rule, 15)));
    let rule = "only the first span of a region has a gap before it";
    let late = wrong_at(8, |slot| (slot.start, slot.len) = (9, 3));
    assert_eq!(late, Some((rule, 9)));
}

#[test]
fn a_span_has_one_state() {
    let rule = "a span has one state";
    let none = wrong_at(8, |slot| slot.marks.remove(Marks::IN_USE));
    assert_eq!(none, Some((rule, 8)));
    let two = wrong_at(8, |slot| slot.marks.insert(Marks::DETACHED));
    assert_eq!(two, Some((rule, 8)));
}

#[test]
fn only_free_spans_are_released_and_they_hold_a_physical_page() {
    let released = wrong_at(8, |slot| slot.marks.insert(Marks::RELEASED));
    assert_eq!(released, Some(("a span in use is resident", 8)));
    let rule = "a released span holds a whole physical page";
    assert_eq!(wrong_at(88, |slot| slot.len = 1), Some((rule, 88)));
}

#[test]
fn free_neighbours_differ_and_meet_on_a_physical_page() {
    let rule = "free neighbours differ in residency";
    let alike = wrong_at(88, |slot| slot.marks.remove(Marks::RELEASED));
    assert_eq!(alike, Some((rule, 88)));
    let rule = "released and resident neighbours meet on a physical page";
    let inside = wrong(|ledger| {
        let (low, high) = (at(ledger, 80), at(ledger, 88));
        ledger.pool.at_mut(low).len = 9;
        let high = ledger.pool.at_mut(high);
        (high.start, high.len) = (89, 39);
    });
    assert_eq!(inside, Some((rule, 89)));
}

#[test]
fn a_span_is_marked_as_what_it_is() {
    let rule = "a free span is marked as what it is";
    let seam = wrong_at(0, |slot| slot.kinds.insert(Kinds::SEAM));
    assert_eq!(seam, Some((rule, 0)));
    let no_seam = wrong_at(80, |slot| slot.kinds.remove(Kinds::SEAM));
    assert_eq!(no_seam, Some((rule, 80)));
    let no_huge = wrong_at(18, |slot| slot.kinds = Kinds::RESIDENT);
    assert_eq!(no_huge, Some((rule, 18)));
    let rule = "a span that is not free has no kind";
    assert_eq!(
        wrong_at(8, |slot| slot.kinds = Kinds::DUST),
        Some((rule, 8))
    );
}

#[test]
fn the_map_names_what_starts_where_it_starts() {
    let forgotten = wrong(|ledger| {
        let id = at(ledger, 8);
        ledger.map.end(&ledger.pool, id);
    });
    assert_eq!(
        forgotten,
        Some(("the map names the first span of each grain", 8))
    );
    let invented = wrong(|ledger| {
        let id = at(ledger, 8);
        ledger.pool.at_mut(id).start = 40;
        ledger.map.begin(&ledger.pool, id);
        ledger.pool.at_mut(id).start = 8;
    });
    assert_eq!(
        invented,
        Some(("the map names no span where none starts", 0))
    );
}

#[test]
fn the_counters_are_exact() {
    let sys = wrong(|ledger| ledger.sys += 1);
    assert_eq!(sys, Some(("sys counts the managed pages", 0)));
    let in_use = wrong(|ledger| ledger.in_use -= 1);
    assert_eq!(in_use, Some(("in_use counts the pages in use", 0)));
    let rule = "released and huge pages are counted exactly";
    for count in [
        |tally: &mut Tally| tally.released += 2,
        |tally: &mut Tally| tally.huge_resident -= 1,
        |tally: &mut Tally| tally.huge_released += 1,
    ] {
        assert_eq!(wrong(|ledger| count(&mut ledger.tally)), Some((rule, 0)));
    }
}

#[test]
fn every_slot_is_in_the_list_and_every_free_span_in_the_treap() {
    let slot = wrong(|ledger| {
        let _ = ledger.pool.take(40, 44);
    });
    assert_eq!(slot, Some(("every slot that is taken is in the list", 0)));
    let lost = wrong(|ledger| {
        let id = at(ledger, 18);
        ledger.treap.erase(&mut ledger.pool, id);
    });
    assert_eq!(lost, Some(("the treap holds every free span", 0)));
    let rule = "the treap is ordered, balanced by priority and summarised";
    let stale = wrong(|ledger| {
        for start in [0, 12, 18, 64, 80, 88] {
            let id = at(ledger, start);
            ledger.pool.at_mut(id).priority = start;
        }
    });
    assert_eq!(stale.map(|(rule, _)| rule), Some(rule));
}
