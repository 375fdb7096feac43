//! Zeroed requests: zeroes where it must, does not where it need not, and the
//! pages read as zero.

use spanheap::backing::fake::Reuse;
use spanheap::{AllocError, Residency, SpanState};

use crate::layout::{Kind, PAGE, PHYSICAL, Scene, Setup, pages, range};

const ZEROES: Setup = Setup {
    reuse: Reuse::Zeroes,
    spare: 16,
    ..Setup::PLAIN
};

const SCRIBBLES: Setup = Setup {
    reuse: Reuse::Scribbles,
    ..ZEROES
};

#[test]
fn memory_that_may_hold_anything_is_zeroed_exactly_as_far_as_it_is_asked_for() {
    // before, pages, hook calls over a backing that zeroes, and one that does
    // not.
    for (before, count, zeroes, scribbles) in [
        ("r8", 3, "zero 0..3", "zero 0..3"),
        ("s8", 3, "used 0..3", "used 0..3; zero 0..3"),
        ("U1 s8", 8, "used 1..9", "used 1..9; zero 1..9"),
        ("r3 s4", 7, "used 3..7; zero 0..7", "used 3..7; zero 0..7"),
        ("s4 r3", 7, "used 0..4; zero 0..7", "used 0..4; zero 0..7"),
        ("s4 r3", 3, "used 0..3", "used 0..3; zero 0..3"),
    ] {
        for (setup, hooks) in [(ZEROES, zeroes), (SCRIBBLES, scribbles)] {
            setup.both(before, |mut scene| {
                let span = scene.alloc(pages(count).zeroed()).expect("there is room");
                scene.hooks(hooks);
                for page in span.range().pages() {
                    assert_eq!(scene.read(page.number()), Some(0), "{before}");
                }
            });
        }
    }
}

#[test]
fn nothing_is_zeroed_that_was_not_asked_to_be() {
    for setup in [ZEROES, SCRIBBLES] {
        setup.both("r3 s4 U1 r4", |mut scene| {
            for count in [4, 3, 4] {
                let _ = scene.take(count);
            }
            assert_eq!(scene.stats().zero_calls, 0);
        });
    }
}

#[test]
fn a_new_region_is_clean_only_if_it_is_released_and_the_backing_zeroes() {
    for (setup, residency, hooks) in [
        (ZEROES, Residency::Released, "used 4..6"),
        (ZEROES, Residency::Resident, "zero 4..6"),
        (SCRIBBLES, Residency::Released, "used 4..6; zero 4..6"),
        (SCRIBBLES, Residency::Resident, "zero 4..6"),
    ] {
        setup.both("U4", |mut scene| {
            scene
                .add_region(range(4, 8), residency)
                .expect("a good region");
            let _ = scene.alloc(pages(2).zeroed()).expect("there is room");
            scene.hooks(hooks);
        });
    }
}

#[test]
fn what_rejoins_a_clean_span_is_not_soiled_by_what_was_taken_with_it() {
    let physical = Setup {
        physical: 4 * PAGE,
        ..ZEROES
    };
    // From the middle of a physical page, over a seam, on either side.
    for (before, from, at, zeroed) in [
        ("s8 r8", 6, 0, "used 0..4"),
        ("r8 s8", 5, 12, "used 12..16"),
    ] {
        physical.both(before, |mut scene| {
            let _ = scene.alloc_at(from, 5).expect("all of it is free");
            let _ = scene.fake().take_log();
            let low = scene.address(at);
            let request = pages(4).zeroed().within(low..low + 4 * PAGE);
            let _ = scene.alloc(request).expect("it is free");
            scene.hooks(zeroed);
        });
    }
}

#[test]
fn whoever_had_pages_leaves_them_to_be_zeroed_until_they_are_released() {
    for (setup, clean) in [(ZEROES, true), (SCRIBBLES, false)] {
        setup.both("s8", |mut scene| {
            let zeroed = || pages(4).zeroed();
            let first = scene.alloc(zeroed()).expect("there is room");
            scene.fake().write(first.range(), 77);
            scene.free(first).expect("it is in use");
            let _ = scene.fake().take_log();

            // Used, freed, used again: zeroed, even if nobody wrote to it.
            for _ in 0..2 {
                let again = scene.alloc(zeroed()).expect("there is room");
                scene.hooks("zero 0..4");
                scene.free(again).expect("it is in use");
            }
            let _ = scene.release_all();
            let _ = scene.alloc(zeroed()).expect("there is room");
            scene.hooks(if clean {
                "unused 0..4; used 0..4"
            } else {
                "unused 0..4; used 0..4; zero 0..4"
            });
        });
    }
}

#[test]
fn a_merge_is_as_clean_as_the_less_clean_of_its_parts() {
    // Released by the backing, and released with a dirty end: physical pages
    // of 2 pages, page 3 is backed for its neighbour when 0 to 3 is released.
    let setup = Setup {
        physical: 2 * crate::layout::PAGE,
        ..ZEROES
    };
    setup.both("U3 U1 s4", |mut scene| {
        assert!(clean(&scene, 4));
        scene.free(scene.held(0)).expect("it is in use");
        let _ = scene.release_all();
        scene.is("s3 U1 s4");
        assert!(!clean(&scene, 0), "page 2 keeps what it held");
        assert_eq!(scene.read(2), Some(2));
        scene.free(scene.held(3)).expect("it is in use");
        scene.is("s2 r2 s4");
        let _ = scene.release_all();
        scene.is("s8");
        // Go would know no better: one flag for a span. Nothing is lost by it.
        assert!(!clean(&scene, 0));
        let span = scene.alloc(pages(8).zeroed()).expect("there is room");
        for page in span.range().pages() {
            assert_eq!(scene.read(page.number()), Some(0));
        }
    });
}

/// Whether the idle span at a page is known to read as zero.
fn clean(scene: &Scene, page: u32) -> bool {
    let info = scene.span_of(scene.address(page)).expect("it is managed");
    assert_ne!(info.state, SpanState::InUse);
    !info.needs_zero
}

#[test]
fn only_a_release_with_both_ends_on_physical_pages_cleans() {
    for (before, expected) in [
        ("r16", true),
        ("U8 r8 U8", true),
        ("r15 U1", false),
        ("U1 r15", false),
        ("U1 r22 U1", false),
    ] {
        let setup = Setup {
            physical: 8 * crate::layout::PAGE,
            ..ZEROES
        };
        setup.both(before, |mut scene| {
            let _ = scene.release_all();
            let released = scene
                .spans()
                .into_iter()
                .find(|info| info.state == SpanState::Released)
                .expect("something was released");
            assert_eq!(!released.needs_zero, expected, "{before}");
        });
    }
}

#[test]
fn a_zeroed_request_that_the_backing_refuses_zeroes_nothing() {
    SCRIBBLES.both("r3 s4", |mut scene| {
        scene.fake().fail_nth(0, 0);
        let refused = scene.alloc(pages(7).zeroed());
        assert!(matches!(refused, Err(AllocError::Refused(_))));
        scene.hooks("used 3..7 refused");
        assert_eq!(scene.stats().zero_calls, 0);
    });
}

#[test]
fn zeroing_one_span_leaves_its_neighbours_contents() {
    for reuse in [Reuse::Zeroes, Reuse::Scribbles] {
        let setup = Setup {
            reuse,
            ..Setup::physical(8)
        };
        setup.both("U3 s18 U3", |mut scene| {
            let span = scene.alloc(pages(18).zeroed()).expect("there is room");
            assert_eq!(span.range(), range(3, 21));
            for page in (0..3).chain(21..24) {
                assert_eq!(scene.read(page), Some(u64::from(page)));
            }
        });
    }
}

#[test]
fn zeroed_pages_read_as_zero_whatever_was_there() {
    // Every page is written to whenever it is handed out; layouts, sizes and
    // releases as they come out of a small generator.
    for reuse in [Reuse::Zeroes, Reuse::Scribbles] {
        for physical in PHYSICAL {
            let setup = Setup {
                reuse,
                physical,
                ..Setup::PLAIN
            };
            for kind in [Kind::Owned, Kind::Locked] {
                let mut scene = setup.scene(kind, "U5 r27 s32");
                let mut live = vec![scene.held(0)];
                let mut random = 1_u32;
                let mut roll = |sides: u32| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 16) % sides
                };
                for _ in 0..300 {
                    match roll(4) {
                        0 if !live.is_empty() => {
                            let at = roll(live.len() as u32) as usize;
                            scene.free(live.swap_remove(at)).expect("it is in use");
                        }
                        1 => {
                            let bytes = u64::from(roll(24)) * crate::layout::PAGE;
                            let _ = scene.release(spanheap::Budget::bytes(bytes));
                        }
                        _ => {
                            let Ok(span) = scene.alloc(pages(1 + roll(12)).zeroed()) else {
                                continue;
                            };
                            for page in span.range().pages() {
                                assert_eq!(scene.read(page.number()), Some(0));
                            }
                            scene.fake().write(span.range(), 0xDEAD);
                            live.push(span);
                        }
                    }
                }
            }
        }
    }
}
