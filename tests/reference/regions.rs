//! Regions: late, touching, from a boot memory map.

use spanheap::region::MemoryMap;
use spanheap::{AllocError, Residency};

use crate::layout::{PAGE, Setup, pages, range};

const SETUP: Setup = Setup {
    spare: 24,
    ..Setup::PLAIN
};

#[test]
fn regions_that_touch_never_merge() {
    for (before, after_free, after_release) in [
        ("U4 | U4", "r4 | r4", "s4 | s4"),
        ("U4 | r4", "r4 | r4", "s4 | s4"),
        ("r4 | U4 | r4", "r4 | r4 | r4", "s4 | s4 | s4"),
        ("s4 | U2 U2 | r4", "s4 | r4 | r4", "s4 | s4 | s4"),
    ] {
        SETUP.both(before, |mut scene| {
            for info in scene.spans() {
                if info.state == spanheap::SpanState::InUse {
                    let (start, count) = (info.range.start().number(), info.range.count().get());
                    scene.free_at(start, count).expect("it is in use");
                }
            }
            scene.is(after_free);
            assert_eq!(scene.alloc(pages(5)), Err(AllocError::NoRun));
            let _ = scene.release_all();
            scene.is(after_release);
            assert_eq!(scene.alloc(pages(5)), Err(AllocError::NoRun));
        });
    }
}

#[test]
fn the_border_of_a_region_outlives_what_happens_at_it() {
    SETUP.both("r8 | r8", |mut scene| {
        // The second region's first page is taken, freed, merged, cut, released
        // and joined; then it is still where the region begins.
        let first = scene.alloc_at(8, 1).expect("it is free");
        scene.free(first).expect("it is in use");
        scene.is("r8 | r8");
        let low = scene.alloc_at(8, 3).expect("they are free");
        let rest = scene.free_part(low, range(8, 9)).expect("a part");
        scene.is("r8 | r1 U2 r5");
        let _ = scene.release_all();
        let high = rest.high.expect("what remains");
        scene.free(high).expect("it is in use");
        scene.is("s8 | s1 r2 s5");
        let all = scene.alloc_at(8, 8).expect("they are free");
        scene.free(all).expect("it is in use");
        let last = scene.alloc_at(4, 4).expect("they are free");
        assert!(scene.grow(last, 5).is_err(), "not into another region");
        scene.free(last).expect("it is in use");
        scene.is("s4 r4 | r8");
    });
}

#[test]
fn a_late_region_serves_at_once_and_the_lowest_address_still_comes_first() {
    for residency in [Residency::Resident, Residency::Released] {
        SETUP.both("-8 U4 r4", |mut scene| {
            assert_eq!(scene.alloc(pages(5)), Err(AllocError::NoRun));
            scene
                .add_region(range(20, 28), residency)
                .expect("behind the others");
            assert_eq!(scene.take(5).range(), range(20, 25));
            scene
                .add_region(range(2, 8), residency)
                .expect("before the others");
            assert_eq!(scene.take(5).range(), range(2, 7));
            scene
                .add_region(range(16, 20), residency)
                .expect("between the others");
            assert_eq!(scene.take(1).range(), range(7, 8));
            assert_eq!(scene.alloc_at(16, 4).map(|span| span.count().get()), Ok(4));
        });
    }
}

#[test]
fn a_late_region_costs_one_slot_and_counts_as_what_it_is() {
    for (residency, released, after) in [
        (Residency::Resident, 0, "U4 | r8"),
        (Residency::Released, 8, "U4 | s8"),
    ] {
        SETUP.both("U4", |mut scene| {
            let before = scene.stats();
            scene
                .add_region(range(4, 12), residency)
                .expect("a good region");
            let stats = scene.stats();
            assert_eq!(stats.sys.get(), before.sys.get() + 8);
            assert_eq!(stats.idle.get(), before.idle.get() + 8);
            assert_eq!(stats.released.get(), released);
            assert_eq!(stats.spans, before.spans + 1);
            scene.is(after);
            scene.hooks("");
        });
    }
}

#[test]
fn regions_are_found_by_address_at_any_grain_of_the_map() {
    for grain in [1, 2, 16, 64] {
        let setup = Setup {
            grain,
            spare: 200,
            ..Setup::PLAIN
        };
        setup.both("U1 r1 U1", |mut scene| {
            scene
                .add_region(range(100, 190), Residency::Resident)
                .expect("a good region");
            scene
                .add_region(range(50, 60), Residency::Resident)
                .expect("a good region");
            let far = scene.alloc_at(150, 2).expect("they are free");
            let near = scene.alloc_at(55, 1).expect("it is free");
            scene.free_at(150, 2).expect("it is in use");
            scene.free_at(55, 1).expect("it is in use");
            assert!(scene.free(far).is_err() && scene.free(near).is_err());
            assert!(scene.free_at(70, 1).is_err());
            scene.is("U1 r1 U1 -47 r10 -40 r90");
        });
    }
}

#[test]
fn a_memory_map_becomes_the_regions_that_are_usable_and_not_reserved() {
    let at = |page: u64| SETUP.origin + page * PAGE;
    SETUP.both("-4 U2", |mut scene| {
        // In any order, overlapping, touching, unaligned, empty and inverted;
        // reserved ranges overlap what is managed already.
        let usable = [
            at(20)..at(26) + 5,
            at(2)..at(12),
            at(10) - 7..at(16),
            at(26) + 5..at(28),
            at(18)..at(18),
            std::ops::Range {
                start: at(30),
                end: at(1),
            },
            at(29)..at(1000),
        ];
        let reserved = [
            at(3) + 1..at(7) - 1,
            at(12) + 100..at(12) + 101,
            at(0)..at(2),
            at(28)..at(29),
        ];
        let map = MemoryMap::new(&usable, &reserved);
        let added = scene.add_memory(&map, Residency::Released);
        assert_eq!(added.map(|pages| pages.get()), Ok(18));
        scene.is("-2 s1 -1 U2 -1 s5 -1 s3 -4 s8 -1 s1");
        assert_eq!(scene.take(8).range(), range(20, 28));
    });
}

#[test]
fn a_memory_map_is_rounded_inward_to_physical_pages() {
    let setup = Setup {
        spare: 24,
        ..Setup::physical(8)
    };
    let at = |page: u64| setup.origin + page * PAGE;
    setup.both("U8", |mut scene| {
        let usable = [at(9)..at(20), at(20)..at(32)];
        let map = MemoryMap::new(&usable, &[]);
        let added = scene.add_memory(&map, Residency::Resident);
        assert_eq!(added.map(|pages| pages.get()), Ok(16));
        scene.is("U8 -8 r16");
        let _ = scene.release_all();
        scene.hooks("unused 16..32");
    });
}

#[test]
fn a_memory_map_without_memory_adds_nothing() {
    SETUP.both("U4", |mut scene| {
        let before = scene.snapshot();
        let map = MemoryMap::new(&[], &[]);
        let added = scene.add_memory(&map, Residency::Resident);
        assert_eq!(added.map(|pages| pages.get()), Ok(0));
        scene.is_as(&before);
    });
}
