//! The pool exhausted: a clear error, nothing lost, and every whole free and
//! every whole release still works.

use spanheap::{AllocAtError, AllocError, Budget, FreeError, ReleaseEnd, ResizeError};

use crate::layout::{PAGE, Scene, Setup, pages, range};

/// As many slots as the layout has spans, and so many more.
fn with_slots(layout: &str, more: u32) -> Setup {
    let spans = layout
        .split(' ')
        .filter(|word| !word.starts_with(['-', '|']))
        .count();
    Setup {
        slots: Some(spans as u32 + more),
        ..Setup::PLAIN
    }
}

/// Frees everything in use, in an order that merges late, and releases it all.
#[track_caller]
fn everything_can_go(scene: &mut Scene) {
    let pages = scene.stats().sys;
    let in_use = |info: &spanheap::SpanInfo| info.state == spanheap::SpanState::InUse;
    let spans: Vec<_> = scene.spans().into_iter().filter(in_use).collect();
    for turn in [0, 1] {
        for info in spans.iter().skip(turn).step_by(2) {
            scene
                .free_at(info.range.start().number(), info.range.count().get())
                .expect("a whole free never needs a slot");
        }
    }
    assert_eq!(scene.stats().in_use.get(), 0);
    let release = scene.release_all();
    assert_eq!(release.end, ReleaseEnd::Drained, "whole spans need no slot");
    assert_eq!(scene.stats().released, pages);
}

#[test]
fn with_no_slot_left_every_cut_is_refused_and_every_whole_free_works() {
    let layout = "U2 r4 U3 s4 U3 r2 s2";
    with_slots(layout, 0).both(layout, |mut scene| {
        let before = scene.snapshot();
        assert_eq!(scene.alloc(pages(1)), Err(AllocError::NoSlot));
        assert_eq!(scene.alloc_at(10, 2), Err(AllocAtError::NoSlot));
        assert_eq!(
            scene.alloc(pages(2).aligned(2 * PAGE)),
            Err(AllocError::NoSlot)
        );
        let span = scene.held(6);
        assert_eq!(scene.shrink(span, 1), Err(ResizeError::NoSlot));
        assert_eq!(scene.grow(scene.held(0), 3), Err(ResizeError::NoSlot));
        for part in [range(6, 7), range(7, 8), range(8, 9)] {
            assert_eq!(scene.free_part(span, part), Err(FreeError::NoSlot));
        }
        assert_eq!(scene.free_part_at(7, 1), Err(FreeError::NoSlot));
        let release = scene.release(Budget::bytes(PAGE));
        assert_eq!((release.pages.get(), release.end), (0, ReleaseEnd::NoSlot));
        scene.is_as(&before);
        everything_can_go(&mut scene);
    });
}

#[test]
fn with_no_slot_left_whole_spans_are_still_handed_out_and_resized() {
    let layout = "U2 r4 U3 s4 U3 r2 s2";
    with_slots(layout, 0).both(layout, |mut scene| {
        let _ = scene.alloc_at(2, 4).expect("an exact fit");
        let _ = scene.alloc(pages(4)).expect("an exact fit");
        let span = scene.grow(scene.held(13), 7).expect("all that is behind");
        assert_eq!(span.range(), range(13, 20));
        scene.is("U2 U4 U3 U4 U7");
        // Growing over two spans gave two slots back.
        assert_eq!(scene.stats().slots - scene.stats().spans, 2);
        let _ = scene.free_part(span, range(15, 16)).expect("two slots");
        everything_can_go(&mut scene);
    });
}

#[test]
fn a_partial_free_needs_one_slot_at_an_end_and_two_in_the_middle() {
    for more in 0..=2 {
        for (part, needed) in [
            (range(1, 9), 0),
            (range(1, 3), 1),
            (range(6, 9), 1),
            (range(4, 5), 2),
        ] {
            let layout = "U1 U8 U1";
            with_slots(layout, more).both(layout, |mut scene| {
                let before = scene.snapshot();
                let freed = scene.free_part(scene.held(1), part);
                if more < needed {
                    assert_eq!(freed, Err(FreeError::NoSlot));
                    scene.is_as(&before);
                } else {
                    assert!(freed.is_ok());
                }
                everything_can_go(&mut scene);
            });
        }
    }
}

#[test]
fn a_partial_free_that_merges_needs_its_slots_all_the_same() {
    // What is freed joins its neighbour in the end, but slots are taken before
    // anything changes.
    let layout = "r2 U4 r2";
    for (part, needed) in [(range(2, 3), 1), (range(5, 6), 1), (range(3, 4), 2)] {
        for more in 0..=2 {
            with_slots(layout, more).both(layout, |mut scene| {
                let freed = scene.free_part(scene.held(2), part);
                assert_eq!(freed.is_ok(), more >= needed);
                everything_can_go(&mut scene);
            });
        }
    }
}

#[test]
fn a_release_that_cuts_needs_a_slot_for_each_side() {
    let setup = |more| Setup {
        huge: 8,
        ..with_slots("r40", more)
    };
    // A huge page from the middle takes two slots, one from the end takes one,
    // all of it none.
    for (before, pages, needed) in [
        ("U4 r22 U6", 8, 2),
        ("U4 r12 U4", 8, 1),
        ("r12 U4", 8, 1),
        ("U4 r20 U4", 4, 1),
        ("U4 r20 U4", 20, 0),
        ("U8 r8", 8, 0),
    ] {
        for more in 0..=2 {
            let setup = Setup {
                slots: with_slots(before, more).slots,
                ..setup(0)
            };
            setup.both(before, |mut scene| {
                let snapshot = scene.snapshot();
                let release = scene.release(Budget::bytes(pages * PAGE));
                if more < needed {
                    assert_eq!(release.end, ReleaseEnd::NoSlot, "{before}");
                    assert_eq!((release.pages.get(), release.calls), (0, 0));
                    scene.is_as(&snapshot);
                } else {
                    assert_eq!(u64::from(release.pages.get()), pages, "{before}");
                }
                everything_can_go(&mut scene);
            });
        }
    }
}

#[test]
fn a_take_that_detaches_needs_all_its_slots_before_anything_changes() {
    // before, page, pages, slots for an owned heap. A locked one keeps one more
    // for what another CPU may take: what lies in a physical page beside the
    // request, on either side.
    for (before, page, pages, needed, kept) in [
        ("s32", 0, 8, 1, 0),
        ("s32", 0, 3, 1, 1),
        ("s32", 8, 8, 2, 0),
        ("s32", 11, 2, 2, 2),
        ("s32", 3, 29, 1, 0),
        ("s32", 4, 24, 2, 0),
        ("s8 r8 s16", 4, 16, 2, 1),
    ] {
        for more in 0..=5 {
            let setup = Setup {
                physical: 8 * PAGE,
                ..with_slots(before, more)
            };
            setup.both(before, |mut scene| {
                let snapshot = scene.snapshot();
                let shared = scene.kind() == crate::layout::Kind::Locked;
                let needed = needed + if shared { kept } else { 0 };
                match scene.alloc_at(page, pages) {
                    Ok(_) => assert!(more >= needed, "{before} with {more} slots"),
                    Err(error) => {
                        assert_eq!(error, AllocAtError::NoSlot);
                        assert!(more < needed, "{before} with {more} slots");
                        scene.is_as(&snapshot);
                        scene.hooks("");
                    }
                }
            });
        }
    }
}

#[test]
fn the_slots_of_a_take_that_is_refused_come_back() {
    // With exactly as many slots as the take needs, it succeeds after any
    // number of refusals; no more slots, no less.
    let setup = Setup {
        physical: 8 * PAGE,
        ..with_slots("s24", 4)
    };
    setup.both("s24", |mut scene| {
        let before = scene.snapshot();
        for _ in 0..10 {
            scene.fake().fail_nth(0, 0);
            let refused = scene.alloc_at(11, 2);
            assert!(matches!(refused, Err(AllocAtError::Refused(_))));
            scene.is_as_but_for_history(&before);
        }
        let _ = scene.alloc_at(11, 2).expect("slots enough");
        scene.is("s11 U2 s11");
        everything_can_go(&mut scene);
    });
}

#[test]
fn slots_come_back_as_spans_merge() {
    let setup = Setup {
        slots: Some(4),
        ..Setup::PLAIN
    };
    setup.both("r16", |mut scene| {
        for _ in 0..3 {
            let spans = [scene.take(1), scene.take(1), scene.take(1)];
            assert_eq!(scene.alloc(pages(1)), Err(AllocError::NoSlot));
            for span in [spans[0], spans[2], spans[1]] {
                scene.free(span).expect("it is in use");
            }
            scene.is("r16");
        }
        assert_eq!(scene.stats().spans_peak, 4);
    });
}

#[test]
fn with_a_slot_for_every_page_there_is_always_one() {
    for layout in ["r24", "s24", "r8 s8 r8"] {
        Setup::PLAIN.both(layout, |mut scene| {
            for _ in 0..24 {
                let _ = scene.take(1);
            }
            // Every other page, in either residency.
            for page in (0..24).step_by(2) {
                scene.free_at(page, 1).expect("it is in use");
            }
            let _ = scene.release(Budget::bytes(6 * PAGE));
            assert_eq!(scene.stats().spans, 24);
            everything_can_go(&mut scene);
        });
    }
}
