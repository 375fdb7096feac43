//! Physical pages larger than a page: where released and resident pages meet.
//!
//! Go shipped a whole release that never realigned; nothing noticed. It leaves
//! a remainder shorter than a physical page unmerged beside a resident one;
//! here there is no such exception.

use spanheap::{AllocAtError, ReleaseEnd, SpanState};

use crate::layout::{Scene, Setup};

/// Frees the span in use at a page of each layout; what becomes of it.
fn free_in(setup: Setup, table: &[(&str, u32, &str)]) {
    for &(before, page, after) in table {
        setup.both(before, |mut scene| {
            let released = scene.stats().released;
            scene.free(scene.held(page)).expect("it is in use");
            scene.is(after);
            assert_eq!(
                scene.stats().released,
                released,
                "what is freed releases nothing, and takes nothing back: {before}"
            );
        });
    }
}

#[test]
fn the_border_moves_to_a_physical_page_toward_the_released_span() {
    free_in(
        Setup::physical(2),
        &[
            ("s3 U2 U3", 3, "s2 r3 U3"),
            ("U3 U2 s3", 3, "U3 r3 s2"),
            ("s3 U2 s3", 3, "s2 r4 s2"),
            ("s3 U1 U4", 3, "s2 r2 U4"),
            // At a border of physical pages it stays.
            ("s4 U2 s2", 4, "s4 r2 s2"),
            ("s2 U1 U5", 2, "s2 r1 U5"),
        ],
    );
    free_in(
        Setup::physical(8),
        &[
            ("s11 U2 s11", 11, "s8 r8 s8"),
            ("s15 U1 s16", 15, "s8 r8 s16"),
            ("s16 U1 s15", 16, "s16 r8 s8"),
            ("U7 s10 U7", 0, "r8 s9 U7"),
            ("U7 s10 U7", 17, "U7 s9 r8"),
            ("U1 s14 U1", 0, "r1 s14 U1"),
        ][..5],
    );
}

#[test]
fn a_freed_span_merges_on_one_side_and_realigns_on_the_other() {
    free_in(
        Setup::physical(2),
        &[
            ("r3 U2 s3", 3, "r6 s2"),
            ("s3 U2 r3", 3, "s2 r6"),
            ("U1 r2 U2 s3", 3, "U1 r5 s2"),
        ],
    );
    free_in(
        Setup::physical(8),
        &[
            ("r9 U2 s13", 9, "r16 s8"),
            ("s13 U2 r9", 13, "s8 r16"),
            ("s13 U2 r1 U8", 13, "s8 r8 U8"),
        ],
    );
}

#[test]
fn physical_pages_put_together_by_frees_can_be_released() {
    Setup::physical(8).both("s11 U2 s11", |mut scene| {
        assert_eq!(scene.stats().released.get(), 16);
        assert_eq!(scene.release_all().calls, 0, "nothing is whole");
        scene.free(scene.held(11)).expect("it is in use");
        assert_eq!(scene.release_all().pages.get(), 8);
        scene.hooks("unused 8..16");
        scene.is("s24");
    });
    Setup::physical(8).both("U1 U2 U4 U1", |mut scene| {
        for (page, went) in [(0, 0), (3, 0), (7, 0), (1, 8)] {
            scene.free(scene.held(page)).expect("it is in use");
            assert_eq!(scene.release_all().pages.get(), went);
        }
        scene.hooks("unused 0..8");
        scene.is("s8");
    });
}

#[test]
fn what_holds_no_whole_physical_page_is_never_released() {
    for before in ["r7 U1", "U1 r7", "U1 r14 U1", "U4 r8 U4", "r7 U9"] {
        Setup::physical(8).both(before, |mut scene| {
            let release = scene.release_all();
            assert_eq!((release.calls, release.end), (0, ReleaseEnd::Drained));
            scene.is(before);
            scene.hooks("");
        });
    }
}

#[test]
fn a_release_is_of_whole_physical_pages_and_leaves_the_neighbours_alone() {
    for (before, after, hooks) in [
        ("r15 U1", "s15 U1", "unused 0..8"),
        ("U1 r15", "U1 s15", "unused 8..16"),
        ("U4 r24 U4", "U4 s24 U4", "unused 8..24"),
        ("U7 r10 U7", "U7 s10 U7", "unused 8..16"),
        // A resident neighbour keeps what it shares with a released one.
        ("U4 r12 s8", "U4 s20", "unused 8..16"),
        ("r1 U7 r16", "r1 U7 s16", "unused 8..24"),
    ] {
        Setup::physical(8).both(before, |mut scene| {
            let _ = scene.release_all();
            scene.is(after);
            scene.hooks(hooks);
            contents_survive(&scene);
        });
    }
}

/// Every page in use holds its own number, as the layout wrote it.
#[track_caller]
fn contents_survive(scene: &Scene) {
    for info in scene.spans() {
        if info.state == SpanState::InUse {
            for page in info.range.pages() {
                let number = page.number();
                assert_eq!(scene.read(number), Some(u64::from(number)));
            }
        }
    }
}

#[test]
fn a_commit_inside_a_physical_page_keeps_what_the_neighbours_hold() {
    Setup::physical(8).both("U3 s29", |mut scene| {
        let _ = scene.take(2);
        scene.hooks("used 3..5");
        for page in 0..3 {
            assert_eq!(scene.read(page), Some(u64::from(page)));
        }
        assert_eq!(scene.stats().released.get(), 24, "page 0 to 7 was backed");
        scene.is("U3 U2 s27");
    });
}

#[test]
fn a_remainder_without_a_whole_physical_page_is_resident_and_merges() {
    // Physical pages of 8: before, pages, after.
    for (before, pages, after) in [
        ("s8 r8", 3, "U3 r13"),
        ("s8 r8 U8", 1, "U1 r15 U8"),
        ("U5 s11 r8", 4, "U5 U4 r15"),
        ("U5 s11 r8", 3, "U5 U3 s8 r8"),
        ("s16 r8", 9, "U9 r15"),
        ("s16 r8", 8, "U8 s8 r8"),
        ("s8 U8", 7, "U7 r1 U8"),
        // On the border of another region there is nothing to merge with.
        ("s8 | r8", 3, "U3 r5 | r8"),
    ] {
        Setup::physical(8).both(before, |mut scene| {
            let _ = scene.take(pages);
            scene.is(after);
        });
    }
}

#[test]
fn no_cut_anywhere_leaves_free_neighbours_of_one_residency() {
    // Every range of a heap of three physical pages, in every residency of
    // those; taken, freed, taken again. The audit looks for such neighbours
    // and for borders inside physical pages.
    for unit in [2, 8] {
        let setup = Setup::physical(unit);
        let total = 3 * unit;
        for states in 0..8 {
            let letter = |at: u32| if states >> at & 1 == 0 { 'r' } else { 's' };
            // Neighbours of one state are one span.
            let mut before = String::new();
            let mut run = 0;
            for at in 0..3 {
                run += unit;
                if at == 2 || letter(at) != letter(at + 1) {
                    before += &format!("{}{run} ", letter(at));
                    run = 0;
                }
            }
            for start in 0..total {
                for end in start + 1..=total {
                    setup.both(&before, |mut scene| {
                        let pages = end - start;
                        let span = scene.alloc_at(start, pages).expect("all of it is free");
                        scene.free(span).expect("it is in use");
                        let all = scene.take(total);
                        scene.free(all).expect("it is in use");
                        scene.is(&format!("r{total}"));
                        assert_eq!(scene.release_all().pages.get(), total);
                    });
                }
            }
        }
    }
}

#[test]
fn a_cut_inside_physical_pages_commits_what_was_asked_and_counts_what_it_touched() {
    // Physical pages of 8: before, page, pages, hook, after, released.
    for (before, page, pages, hook, after, released) in [
        ("s32", 11, 2, "used 11..13", "s11 U2 s19", 24),
        ("s32", 8, 8, "used 8..16", "s8 U8 s16", 24),
        ("s32", 15, 2, "used 15..17", "s15 U2 s15", 16),
        // Less than a physical page would remain below, above, on both sides.
        ("s32", 7, 2, "used 7..9", "r7 U2 s23", 16),
        ("s32", 1, 7, "used 1..8", "r1 U7 s24", 24),
        ("s32", 23, 2, "used 23..25", "s23 U2 r7", 16),
        ("s32", 24, 7, "used 24..31", "s24 U7 r1", 24),
        ("s32", 1, 30, "used 1..31", "r1 U30 r1", 0),
        // The same beside an end that lies inside a physical page itself.
        ("U5 s27", 9, 2, "used 9..11", "U5 r4 U2 s21", 16),
        ("U5 s27", 8, 2, "used 8..10", "U5 r3 U2 s22", 16),
        ("U5 s27", 6, 1, "used 6..7", "U5 r1 U1 s25", 24),
        ("U5 s27", 16, 2, "used 16..18", "U5 s11 U2 s14", 16),
        ("s27 U5", 22, 2, "used 22..24", "s22 U2 r3 U5", 16),
        ("s27 U5", 24, 1, "used 24..25", "s24 U1 r2 U5", 24),
        ("s27 U5", 12, 2, "used 12..14", "s12 U2 s13 U5", 16),
        ("U5 s11 U16", 9, 2, "used 9..11", "U5 r4 U2 r5 U16", 0),
    ] {
        Setup::physical(8).both(before, |mut scene| {
            let all = scene.stats().released;
            let span = scene.alloc_at(page, pages).expect("all of it is free");
            scene.hooks(hook);
            scene.is(after);
            assert_eq!(scene.stats().released.get(), released);
            scene.free(span).expect("it is in use");
            let _ = scene.release_all();
            assert_eq!(scene.stats().released, all, "all that is whole");
            contents_survive(&scene);
        });
    }
}

#[test]
fn a_refused_cut_inside_physical_pages_leaves_everything_as_it_was() {
    for before in [
        "s32",
        "U3 s29",
        "s29 U3",
        "r8 s24",
        "s8 r8 s16",
        "U3 s13 r8 s8",
    ] {
        for page in 8..20 {
            for pages in 1..=12 {
                Setup::physical(8).both(before, |mut scene| {
                    let snapshot = scene.snapshot();
                    scene.fake().fail_nth(0, 0);
                    match scene.alloc_at(page, pages) {
                        Err(AllocAtError::Refused(_)) => scene.is_as_but_for_history(&snapshot),
                        // Of resident pages alone, or of some in use.
                        Ok(_) | Err(AllocAtError::InUse) => {
                            assert!(!scene.fake().has_failed());
                        }
                        Err(other) => panic!("{other}"),
                    }
                });
            }
        }
    }
}

#[test]
fn a_release_that_cuts_cuts_on_physical_pages() {
    use spanheap::Budget;
    // Physical pages of 2 pages, budgets in pages.
    for (before, pages, after, hooks) in [
        ("r8", 3, "r6 s2", "unused 6..8"),
        ("r7 U1", 2, "r4 s3 U1", "unused 4..6"),
        ("r7 U1", 4, "r2 s5 U1", "unused 2..6"),
        ("U1 r7", 6, "U1 s7", "unused 2..8"),
        ("U1 r7", 5, "U1 r3 s4", "unused 4..8"),
        ("U1 r6 U1", 4, "U1 s6 U1", "unused 2..6"),
        ("U1 r6 U1", 2, "U1 r3 s3 U1", "unused 4..6"),
        ("U1 r2 U1", 2, "U1 r2 U1", ""),
    ] {
        Setup::physical(2).both(before, |mut scene| {
            let _ = scene.release(Budget::bytes(pages * crate::layout::PAGE));
            scene.is(after);
            scene.hooks(hooks);
            contents_survive(&scene);
        });
    }
}
