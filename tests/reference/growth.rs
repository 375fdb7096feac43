//! Growth: when nothing fits, the backing is asked for another region.

use spanheap::backing::fake::FakeBacking;
use spanheap::{AllocError, Growth, PageHeap, RegionError, Residency};

use crate::layout::{PAGE, Scene, Setup, pages, range};

/// A window with room for eight more pages behind a layout of eight.
const SETUP: Setup = Setup {
    spare: 24,
    ..Setup::PLAIN
};

/// Gives the fake a region to grow by.
fn offer(scene: &Scene, start: u32, end: u32, residency: Residency) {
    scene.fake().offer(Growth {
        range: range(start, end),
        residency,
    });
}

#[test]
fn the_backing_is_asked_once_and_the_request_is_served() {
    SETUP.both("U4 r4", |mut scene| {
        offer(&scene, 8, 16, Residency::Resident);
        offer(&scene, 16, 24, Residency::Resident);
        let span = scene.take(5);
        assert_eq!(span.range(), range(8, 13));
        scene.is("U4 r4 | U5 r3");
        scene.hooks("grow 5 by 8..16");
        assert_eq!(scene.stats().sys.get(), 16);
    });
}

#[test]
fn a_released_region_is_committed_as_far_as_it_is_handed_out() {
    SETUP.both("U8", |mut scene| {
        offer(&scene, 8, 16, Residency::Released);
        let _ = scene.take(5);
        scene.is("U8 | U5 s3");
        scene.hooks("grow 5 by 8..16; used 8..13");
    });
}

#[test]
fn a_backing_that_does_not_grow_is_asked_each_time() {
    SETUP.both("U4 r4", |mut scene| {
        for _ in 0..2 {
            assert_eq!(scene.alloc(pages(5)), Err(AllocError::NoRun));
            scene.hooks("grow 5 by none");
            scene.is("U4 r4");
        }
        // Whatever was refused, what fits is served.
        let _ = scene.take(4);
        scene.hooks("");
    });
}

#[test]
fn a_region_that_does_not_serve_is_kept_and_the_request_is_refused() {
    let at = |page: u64| SETUP.origin + page * PAGE;
    for request in [
        pages(9),
        pages(5).within(at(0)..at(8)),
        pages(5).aligned(32 * PAGE),
    ] {
        SETUP.both("U4 r4", |mut scene| {
            offer(&scene, 8, 16, Residency::Resident);
            offer(&scene, 16, 32, Residency::Resident);
            assert_eq!(scene.alloc(request.clone()), Err(AllocError::NoRun));
            // Asked once: the second region is still the backing's.
            assert_eq!(scene.fake().take_log().len(), 1);
            scene.is("U4 r4 | r8");
        });
    }
}

#[test]
fn a_region_that_touches_the_heap_is_not_merged_with_it() {
    SETUP.both("U4 r4", |mut scene| {
        offer(&scene, 8, 12, Residency::Resident);
        // Four free pages and four more, side by side: still no run of six.
        assert_eq!(scene.alloc(pages(6)), Err(AllocError::NoRun));
        scene.is("U4 r4 | r4");
        scene.free(scene.held(0)).expect("it is in use");
        scene.is("r8 | r4");
        let _ = scene.release_all();
        scene.is("s8 | s4");
    });
}

#[test]
fn only_a_request_for_pages_anywhere_asks_for_growth() {
    SETUP.both("U4 r4", |mut scene| {
        offer(&scene, 8, 16, Residency::Resident);
        assert!(scene.alloc_at(6, 4).is_err());
        assert!(scene.grow(scene.held(0), 9).is_err());
        assert!(scene.alloc(pages(0)).is_err());
        scene.hooks("");
        scene.is("U4 r4");
    });
}

#[test]
fn a_commit_refused_in_the_new_region_leaves_the_region() {
    SETUP.both("U8", |mut scene| {
        offer(&scene, 8, 16, Residency::Released);
        scene.fake().fail_nth(1, 0);
        assert!(matches!(scene.alloc(pages(5)), Err(AllocError::Refused(_))));
        scene.hooks("grow 5 by 8..16; used 8..13 refused");
        scene.is("U8 | s8");
        let _ = scene.take(5);
        scene.hooks("used 8..13");
    });
}

#[test]
fn growth_that_is_occupied_is_an_error_and_nothing_is_handed_out_of_it() {
    SETUP.both("U8 -8 U4 r4", |mut scene| {
        // Five bad hints, then a good one.
        for start in [0, 4, 12, 16, 20] {
            offer(&scene, start, start + 8, Residency::Resident);
        }
        offer(&scene, 8, 16, Residency::Resident);
        for _ in 0..5 {
            assert_eq!(
                scene.alloc(pages(5)),
                Err(AllocError::BadGrowth(RegionError::Overlap))
            );
            scene.is("U8 -8 U4 r4");
        }
        assert_eq!(scene.take(5).range(), range(8, 13));
        scene.is("U8 | U5 r3 | U4 r4");
    });
}

#[test]
fn pages_in_use_are_counted_after_growing_in_small_steps() {
    let setup = Setup {
        spare: 64,
        ..Setup::physical(2)
    };
    for residency in [Residency::Resident, Residency::Released] {
        setup.both("r2", |mut scene| {
            for step in 0..32 {
                offer(&scene, 2 + 2 * step, 4 + 2 * step, residency);
            }
            // Odd sizes, so that some of each region stays idle.
            let mut in_use = 0;
            for count in [1, 2, 1, 1, 2, 2, 1, 2, 1, 2] {
                let _ = scene.take(count);
                in_use += count;
                assert_eq!(scene.stats().in_use.get(), in_use);
                assert!(scene.stats().idle.get() <= 2);
            }
        });
    }
}

#[test]
fn a_hundred_thousand_short_lived_allocations_do_not_grow_the_heap() {
    let window = SETUP.window(64);
    let fake = FakeBacking::new(window);
    let mut heap = PageHeap::new(window, SETUP.books(&window), fake.clone()).expect("good books");
    fake.add(range(0, 32), Residency::Released);
    // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
    unsafe { heap.add_region(range(0, 32), Residency::Released) }.expect("a good region");
    fake.offer(Growth {
        range: range(32, 64),
        residency: Residency::Released,
    });
    // At most four at a time, of at most five pages each.
    let mut live = std::collections::VecDeque::new();
    for turn in 0..100_000_u32 {
        if live.len() == 4 {
            let span = live.pop_front().expect("there are four");
            heap.free(span).expect("it is in use");
        }
        live.push_back(heap.alloc(pages(1 + turn % 5)).expect("there is room"));
    }
    heap.check().expect("the books are right");
    let stats = heap.stats();
    assert_eq!(stats.sys.get(), 32, "the backing was not asked");
    assert!(stats.resident().get() <= 24, "{stats}");
    assert!(stats.spans_peak <= 10, "{stats}");
}
