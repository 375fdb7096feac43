//! Every verb of a heap that was never set up, or has no region.

use spanheap::backing::fake::FakeBacking;
use spanheap::{
    AllocAtError, AllocError, Budget, FreeError, LockedHeap, PageCount, RegionError, ReleaseEnd,
    Residency, ResizeError,
};

use crate::layout::{Kind, PAGE, Setup, count, pages, range};
use crate::refused;

const SETUP: Setup = Setup {
    spare: 8,
    ..Setup::PLAIN
};

#[test]
fn a_heap_that_was_never_set_up_refuses_everything() {
    let fake = FakeBacking::new(SETUP.window(8));
    let heap = LockedHeap::empty(fake.clone());
    let before = heap.stats();
    let other = SETUP.scene(Kind::Owned, "U4").held(0);

    assert_eq!(heap.alloc(pages(1)), Err(AllocError::NoRun));
    assert_eq!(heap.alloc(pages(0)), Err(AllocError::ZeroPages));
    assert_eq!(heap.alloc_at(0, count(1)), Err(AllocAtError::Outside));
    assert_eq!(heap.free(other), Err(FreeError::ForeignHeap));
    assert_eq!(heap.free_at(0, count(1)), Err(FreeError::Outside));
    assert_eq!(
        heap.free_part(other, range(0, 1)),
        Err(FreeError::ForeignHeap)
    );
    assert_eq!(heap.free_part_at(0, count(1)), Err(FreeError::Outside));
    assert_eq!(heap.shrink(other, count(1)), Err(ResizeError::ForeignHeap));
    assert_eq!(heap.grow(other, count(5)), Err(ResizeError::ForeignHeap));
    // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
    let added = unsafe { heap.add_region(range(0, 8), Residency::Resident) };
    assert_eq!(added, Err(RegionError::OutsideWindow));
    let release = heap.release_all();
    assert_eq!((release.pages, release.calls), (PageCount::ZERO, 0));
    assert_eq!(release.end, ReleaseEnd::Drained);
    assert_eq!((heap.span_of(0), heap.spans().count()), (None, 0));
    assert_eq!((heap.check(), heap.stats()), (Ok(()), before));
    assert!(fake.take_log().is_empty(), "not even the backing is asked");
}

#[test]
fn a_limit_that_was_set_before_the_heap_was_set_up_stays() {
    let window = SETUP.window(8);
    let fake = FakeBacking::new(window);
    let heap = LockedHeap::empty(fake.clone());
    heap.set_limit(5 * PAGE);
    heap.init(window, SETUP.books(&window))
        .expect("memory for its books");
    fake.add(range(0, 8), Residency::Released);
    // SAFETY: as above.
    unsafe { heap.add_region(range(0, 8), Residency::Released) }.expect("a region");
    assert_eq!(heap.alloc(pages(6)), Err(AllocError::Limit));
    assert!(heap.alloc(pages(5)).is_ok());
}

#[test]
fn a_heap_without_a_region_refuses_everything() {
    SETUP.both("", |mut scene| {
        let at = scene.address(0);
        refused(
            &mut scene,
            |scene| scene.alloc(pages(1)),
            Err(AllocError::NoRun),
        );
        refused(
            &mut scene,
            |scene| scene.alloc_at(0, 1),
            Err(AllocAtError::Outside),
        );
        refused(
            &mut scene,
            |scene| scene.free_at(0, 1),
            Err(FreeError::Outside),
        );
        refused(
            &mut scene,
            |scene| scene.free_part_at(0, 1),
            Err(FreeError::Outside),
        );
        refused(&mut scene, |scene| scene.span_of(at), None);
        let release = scene.release(Budget::ALL);
        assert_eq!((release.calls, release.end), (0, ReleaseEnd::Drained));
    });
}
