//! Every wrong free: the right error, and nothing changed.

use spanheap::FreeError::{Interior, NotInUse, Outside, Unaligned, WrongLength, ZeroPages};
use spanheap::{Page, PageCount, PageRange};

use crate::common::{PAGE, count, heap, range};

fn part(of: PageRange, from: u32, pages: u32) -> PageRange {
    range(of.start().number() + from, pages)
}

#[test]
fn wrong_frees_are_told_apart_in_every_tier_and_change_nothing() {
    let (heap, _) = heap(PAGE, 512, 4096, 2);
    let page = heap.alloc(count(1)).expect("memory");
    let run = heap.alloc(count(7)).expect("memory");
    let behind = heap.alloc(count(5)).expect("memory");
    let long = heap.alloc(count(40)).expect("memory");
    let window = heap.window();
    let before = heap.stats();
    let claimed_next = part(page, 1, 1);
    let cases = [
        // A page that is free, and one that a CPU has claimed.
        (claimed_next, NotInUse),
        (part(page, 200, 1), NotInUse),
        // Runs.
        (part(run, 0, 1), WrongLength),
        (part(run, 0, 6), WrongLength),
        (part(run, 3, 1), Interior),
        (part(run, 3, 2), Interior),
        (part(run, 0, 16), WrongLength),
        (part(run, 0, 100), WrongLength),
        (part(run, 0, 12), WrongLength),
        (part(behind, 0, 4), WrongLength),
        // The treap's.
        (part(long, 0, 39), WrongLength),
        (part(long, 1, 1), Interior),
        (part(long, 5, 3), Interior),
        // Nobody's.
        (range(0, 1), Outside),
        (range(0, 9), Outside),
        (range(4620, 5), Outside),
    ];
    for (wrong, expected) in cases {
        assert_eq!(heap.free(wrong), Err(expected), "{wrong:?}");
        assert_eq!(heap.stats().in_use, before.in_use, "{wrong:?}");
        heap.check().expect("sound books");
    }
    let at = window.address_of(page.start());
    assert_eq!(heap.free_at(at + 1, count(1)), Err(Unaligned));
    assert_eq!(heap.free_at(at, PageCount::ZERO), Err(ZeroPages));
    assert_eq!(heap.free_at(PAGE, count(1)), Err(Outside));
    for right in [page, run, behind, long] {
        heap.free(right).expect("in use");
        assert_eq!(heap.free(right), Err(NotInUse));
    }
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
}

#[test]
fn a_heap_that_is_not_set_up_refuses_everything() {
    use spanheap::backing::fake::FakeBacking as Fake;
    use spanheap::{AllocError, Geometry, OneCpu, SharedHeap, Window};
    let window = Window::new(Geometry::SMALL_PAGES, 0, count(512)).expect("a window");
    let heap = SharedHeap::empty(Fake::new(window), OneCpu);
    for pages in [1, 5, 100] {
        assert_eq!(heap.alloc(count(pages)), Err(AllocError::NoRun));
    }
    assert_eq!(heap.alloc(PageCount::ZERO), Err(AllocError::ZeroPages));
    let page = PageRange::new(Page::new(1), count(1)).expect("a page");
    assert_eq!(heap.free(page), Err(Outside));
    heap.offline(0);
    heap.check().expect("empty books");
}
