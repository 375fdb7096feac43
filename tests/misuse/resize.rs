//! `shrink` and `grow`: lengths and handles that are not good.

use spanheap::{ResizeError, Span};

use crate::layout::{Kind, Scene, Setup};
use crate::{REFUSED, SETUP, refused, refused_by_the_backing};

#[track_caller]
fn shrink_refused(scene: &mut Scene, span: Span, pages: u32, expected: ResizeError) {
    refused(scene, |scene| scene.shrink(span, pages), Err(expected));
}

#[track_caller]
fn grow_refused(scene: &mut Scene, span: Span, pages: u32, expected: ResizeError) {
    refused(scene, |scene| scene.grow(span, pages), Err(expected));
}

#[test]
fn a_stale_handle_resizes_nothing() {
    SETUP.both("U4 r4", |mut scene| {
        let old = scene.held(0);
        let span = scene.shrink(old, 2).expect("it is longer");
        for pages in [0, 1, 2, 3, 4, 8] {
            shrink_refused(&mut scene, old, pages, ResizeError::Stale);
            grow_refused(&mut scene, old, pages, ResizeError::Stale);
        }
        scene.free(span).expect("it is in use");
        shrink_refused(&mut scene, span, 1, ResizeError::Stale);
        grow_refused(&mut scene, span, 3, ResizeError::Stale);
    });
}

#[test]
fn a_handle_of_another_heap_resizes_nothing() {
    SETUP.both("U4 r4", |mut scene| {
        for kind in [Kind::Owned, Kind::Locked] {
            let other = SETUP.scene(kind, "U4 r4").held(0);
            for pages in [0, 1, 4, 8] {
                shrink_refused(&mut scene, other, pages, ResizeError::ForeignHeap);
                grow_refused(&mut scene, other, pages, ResizeError::ForeignHeap);
            }
        }
    });
}

#[test]
fn no_span_is_resized_to_nothing() {
    SETUP.both("U4 r4", |mut scene| {
        let span = scene.held(0);
        shrink_refused(&mut scene, span, 0, ResizeError::ZeroPages);
        grow_refused(&mut scene, span, 0, ResizeError::ZeroPages);
    });
}

#[test]
fn shrinking_to_more_and_growing_to_less_are_refused() {
    SETUP.both("U4 r4", |mut scene| {
        let span = scene.held(0);
        for pages in [5, 8, 9, u32::MAX] {
            shrink_refused(&mut scene, span, pages, ResizeError::WrongDirection);
        }
        for pages in [1, 2, 3] {
            grow_refused(&mut scene, span, pages, ResizeError::WrongDirection);
        }
    });
}

#[test]
fn growing_over_what_is_not_free_or_not_there_is_refused() {
    // before, the first page of the span, the length that is too much.
    let table = [
        ("U4 U4", 0, 5),
        ("U4 r2 U2", 0, 7),
        ("U4 r2 s2 U2", 0, 9),
        // The end of the region, of the window, of what can be counted.
        ("U4 r2 s2", 0, 9),
        ("r4 U4", 4, 5),
        ("U4 -2 r4", 0, 5),
        ("U4 r4", 0, u32::MAX),
        ("r1 U4 r4", 1, u32::MAX),
        // Another region, though it touches.
        ("U4 | r4", 0, 5),
        ("U4 r2 | r4", 0, 7),
    ];
    for (before, page, pages) in table {
        SETUP.both(before, |mut scene| {
            let span = scene.held(page);
            grow_refused(&mut scene, span, pages, ResizeError::NoRoom);
        });
    }
}

#[test]
fn without_a_slot_for_what_remains_a_resize_is_refused() {
    for slots in [2, 3] {
        let setup = Setup {
            slots: Some(slots),
            ..Setup::PLAIN
        };
        for before in ["U4 r4", "U4 s4"] {
            setup.both(before, |mut scene| {
                let span = scene.held(0);
                if slots == 2 {
                    shrink_refused(&mut scene, span, 2, ResizeError::NoSlot);
                    grow_refused(&mut scene, span, 6, ResizeError::NoSlot);
                    // Neither its own length nor all of the neighbour needs one.
                    let span = scene.shrink(span, 4).expect("as long as it is");
                    let _ = scene.grow(span, 8).expect("nothing remains");
                } else {
                    let span = scene.shrink(span, 2).expect("a slot is left");
                    let _ = scene.grow(span, 4).expect("no more than there was");
                }
            });
        }
    }
}

#[test]
fn growing_over_pages_that_the_backing_refuses_changes_nothing() {
    for (before, pages) in [("U4 s4", 5), ("U4 s4", 8), ("U4 r2 s2", 7), ("U4 r2 s2", 8)] {
        SETUP.both(before, |mut scene| {
            let span = scene.held(0);
            refused_by_the_backing(
                &mut scene,
                |scene| scene.grow(span, pages),
                Err(ResizeError::Refused(REFUSED)),
            );
            assert_eq!(scene.read(3), Some(3), "what it holds is untouched");
            let _ = scene.grow(span, pages).expect("the backing recovered");
        });
    }
}
