//! `free` and `free_part`: handles that are not good.

use spanheap::{FreeError, Span};

use crate::layout::{Kind, Scene, Setup, range};
use crate::{MIXED, SETUP, refused};

/// Frees by this handle in both ways; each must be refused.
#[track_caller]
fn refused_both_ways(scene: &mut Scene, span: Span, expected: FreeError) {
    refused(scene, |scene| scene.free(span), Err(expected));
    refused(
        scene,
        |scene| scene.free_part(span, span.range()).map(|_| ()),
        Err(expected),
    );
}

#[test]
fn a_handle_freed_twice_is_refused() {
    SETUP.both(MIXED, |mut scene| {
        let span = scene.held(0);
        scene.free(span).expect("it is in use");
        refused_both_ways(&mut scene, span, FreeError::Stale);
    });
}

#[test]
fn a_handle_freed_twice_is_refused_though_the_pages_were_handed_out_again() {
    SETUP.both(MIXED, |mut scene| {
        let old = scene.held(0);
        scene.free(old).expect("it is in use");
        let new = scene.alloc_at(0, 2).expect("it is free");
        assert_eq!((old.range(), old == new), (new.range(), false));
        refused_both_ways(&mut scene, old, FreeError::Stale);
        scene.free(new).expect("it is in use");
        refused_both_ways(&mut scene, new, FreeError::Stale);
        refused_both_ways(&mut scene, old, FreeError::Stale);
    });
}

#[test]
fn a_handle_from_before_a_resize_or_a_partial_free_is_refused() {
    type Change = fn(&mut Scene, Span);
    let changes: [Change; 6] = [
        |scene, span| assert!(scene.shrink(span, 3).is_ok()),
        |scene, span| assert!(scene.grow(span, 6).is_ok()),
        |scene, span| assert!(scene.free_part(span, range(0, 1)).is_ok()),
        |scene, span| assert!(scene.free_part(span, range(3, 4)).is_ok()),
        |scene, span| assert!(scene.free_part(span, range(1, 2)).is_ok()),
        |scene, _| assert!(scene.free_part_at(3, 1).is_ok()),
    ];
    for change in changes {
        SETUP.both("U4 r4", |mut scene| {
            let span = scene.held(0);
            change(&mut scene, span);
            refused_both_ways(&mut scene, span, FreeError::Stale);
        });
    }
}

#[test]
fn a_handle_to_what_a_merge_has_swallowed_is_refused() {
    SETUP.both("U2 U2 U2", |mut scene| {
        let spans = [scene.held(0), scene.held(2), scene.held(4)];
        for span in spans {
            scene.free(span).expect("it is in use");
        }
        scene.is("r6");
        let _ = scene.take(6);
        for span in spans {
            refused_both_ways(&mut scene, span, FreeError::Stale);
        }
    });
}

#[test]
fn a_handle_of_another_heap_is_refused() {
    SETUP.both(MIXED, |mut scene| {
        for kind in [Kind::Owned, Kind::Locked] {
            let twin = SETUP.scene(kind, MIXED);
            refused_both_ways(&mut scene, twin.held(0), FreeError::ForeignHeap);
            // One whose slots this heap does not have.
            let larger = Setup::PLAIN.scene(kind, &"U1 ".repeat(64));
            refused_both_ways(&mut scene, larger.held(63), FreeError::ForeignHeap);
        }
        scene.free(scene.held(0)).expect("its own handle is good");
    });
}

#[test]
fn a_part_that_is_not_all_inside_the_span_is_refused() {
    SETUP.both("r2 U4 U2 s2", |mut scene| {
        for (start, end) in [
            (1, 3),
            (1, 2),
            (0, 10),
            (5, 7),
            (6, 7),
            (6, 8),
            (2, 7),
            (1, 6),
            (8, 9),
            (u32::MAX - 1, u32::MAX),
        ] {
            let span = scene.held(2);
            refused(
                &mut scene,
                |scene| scene.free_part(span, range(start, end)).map(|_| ()),
                Err(FreeError::Outside),
            );
        }
    });
}

#[test]
fn without_slots_for_what_remains_a_partial_free_is_refused() {
    // slots, the part of pages 1 to 6, slots that are missing.
    let table = [(2, 1, 3, 1), (2, 3, 7, 1), (2, 3, 4, 2), (3, 3, 4, 1)];
    for (slots, start, end, missing) in table {
        for more in 0..=missing {
            let setup = Setup {
                slots: Some(slots + more),
                ..Setup::PLAIN
            };
            setup.both("U1 U6", |mut scene| {
                let (span, part) = (scene.held(1), range(start, end));
                if more < missing {
                    let no_slot = Err(FreeError::NoSlot);
                    refused(
                        &mut scene,
                        |scene| scene.free_part(span, part).map(|_| ()),
                        no_slot,
                    );
                    refused(
                        &mut scene,
                        |scene| scene.free_part_at(start, end - start),
                        no_slot,
                    );
                    // All of it never needs one.
                    scene.free(span).expect("it is still in use");
                } else {
                    let _ = scene.free_part(span, part).expect("slots enough");
                }
            });
        }
    }
}
