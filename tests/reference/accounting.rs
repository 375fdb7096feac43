//! The counters: what each verb does to them. That they are exact at every
//! step is the audit's part.

use spanheap::Stats;

use crate::layout::{Scene, Setup, pages, range};

/// `sys`, `in_use`, `idle`, `released`, `resident`.
fn pages_of(stats: &Stats) -> [u32; 5] {
    [
        stats.sys.get(),
        stats.in_use.get(),
        stats.idle.get(),
        stats.released.get(),
        stats.resident().get(),
    ]
}

#[test]
fn each_verb_moves_pages_between_the_counters_and_nothing_else() {
    Setup::PLAIN.both("r8 s8", |mut scene| {
        let now = |scene: &Scene| pages_of(&scene.stats());
        assert_eq!(now(&scene), [16, 0, 16, 8, 8]);
        let a = scene.take(6);
        assert_eq!(now(&scene), [16, 6, 10, 8, 8], "resident pages are used");
        let b = scene.take(6);
        assert_eq!(now(&scene), [16, 12, 4, 2, 14], "released ones come back");
        let b = scene.shrink(b, 4).expect("it is longer");
        assert_eq!(now(&scene), [16, 10, 6, 2, 14], "freed pages stay resident");
        let a = scene.grow(a, 8).expect("two pages are free");
        assert_eq!(now(&scene), [16, 12, 4, 2, 14]);
        scene.free(b).expect("it is in use");
        assert_eq!(now(&scene), [16, 8, 8, 2, 14]);
        assert_eq!(scene.release_all().pages.get(), 6);
        assert_eq!(
            now(&scene),
            [16, 8, 8, 8, 8],
            "only a release lowers resident"
        );
        let rest = scene.free_part(a, range(2, 4)).expect("a part");
        assert_eq!(now(&scene), [16, 6, 10, 8, 8]);
        for span in [rest.low, rest.high].into_iter().flatten() {
            scene.free(span).expect("it is in use");
        }
        assert_eq!(now(&scene), [16, 0, 16, 8, 8]);
        scene.is("r8 s8");
    });
}

#[test]
fn huge_pages_are_counted_while_huge_blocks_come_and_go() {
    Setup::HUGE.both("r64", |mut scene| {
        let huge = |scene: &Scene| (scene.stats().huge_resident, scene.stats().huge_released);
        for round in 0..3 {
            assert_eq!(huge(&scene), if round == 0 { (8, 0) } else { (0, 8) });
            let blocks: Vec<_> = (0..8).map(|_| scene.take(8)).collect();
            assert_eq!(huge(&scene), (0, 0));
            for (freed, &block) in (1..).zip(blocks.iter().rev()) {
                scene.free(block).expect("it is in use");
                assert_eq!(huge(&scene), (freed, 0));
            }
            let _ = scene.release_all();
            assert_eq!(huge(&scene), (0, 8));
        }
    });
}

#[test]
fn a_huge_page_counts_only_where_one_span_holds_all_of_it() {
    // before, huge pages idle and resident, idle and released.
    for (before, resident, released) in [
        ("r8", 1, 0),
        ("s8", 0, 1),
        ("r7 U1", 0, 0),
        ("U1 r15", 1, 0),
        ("U1 r14 U1", 0, 0),
        ("U1 r23", 2, 0),
        ("r4 s4", 0, 0),
        ("s12 r12", 1, 1),
        ("r8 s8 r8", 2, 1),
        ("r4 | r4", 0, 0),
        ("-4 r12", 1, 0),
    ] {
        Setup::HUGE.both(before, |scene| {
            let stats = scene.stats();
            assert_eq!(
                (stats.huge_resident, stats.huge_released),
                (resident, released),
                "in {before}"
            );
        });
    }
}

#[test]
fn released_counts_whole_physical_pages_only() {
    // Physical pages of 8 pages: before, what is counted.
    for (before, released) in [
        ("s8", 8),
        ("s15 U1", 8),
        ("U1 s15", 8),
        ("U7 s10 U7", 8),
        ("s16 U8", 16),
        ("U4 s24 U4", 16),
    ] {
        Setup::physical(8).both(before, |scene| {
            assert_eq!(scene.stats().released.get(), released, "in {before}");
        });
    }
}

#[test]
fn the_peak_of_the_slots_is_the_most_spans_there_ever_were() {
    Setup::PLAIN.both("r8", |mut scene| {
        assert_eq!((scene.stats().spans, scene.stats().spans_peak), (1, 1));
        let taken: Vec<_> = (0..8).map(|_| scene.take(1)).collect();
        assert_eq!((scene.stats().spans, scene.stats().spans_peak), (8, 8));
        for span in taken {
            scene.free(span).expect("it is in use");
        }
        assert_eq!((scene.stats().spans, scene.stats().spans_peak), (1, 8));
        assert_eq!(scene.stats().slots, 8);
    });
}

#[test]
fn hook_calls_are_counted_as_the_backing_sees_them() {
    Setup::PLAIN.both("r4 U1 s4", |mut scene| {
        let before = scene.stats();
        let _ = scene.alloc(pages(4).zeroed()).expect("there is room");
        let _ = scene.alloc(pages(3).zeroed()).expect("there is room");
        scene.free(scene.held(4)).expect("it is in use");
        let _ = scene.release_all();
        let after = scene.stats();
        scene.hooks("zero 0..4; used 5..8; zero 5..8; unused 4..5");
        assert_eq!(after.used_calls, before.used_calls + 1);
        assert_eq!(after.unused_calls, before.unused_calls + 1);
        assert_eq!(after.zero_calls, before.zero_calls + 2);
    });
}
