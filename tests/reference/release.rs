//! Giving idle memory back: what, in which order, in how many calls.

use spanheap::{Budget, PageCount, Release, ReleaseEnd};

use crate::layout::{PAGE, PHYSICAL, Setup};

const fn released(pages: u32, calls: u32, end: ReleaseEnd) -> Release {
    Release {
        pages: PageCount::new(pages),
        calls,
        end,
    }
}

/// So many bytes that they are this many pages.
const fn budget(pages: u64) -> Budget {
    Budget::bytes(pages * PAGE)
}

#[test]
fn everything_idle_goes_and_goes_once() {
    for (before, pages, after, hooks) in [
        ("r8", 8, "s8", "unused 0..8"),
        ("U2 r3 U1 r2", 5, "U2 s3 U1 s2", "unused 6..8 2..5"),
        ("s4 r4 s4", 4, "s12", "unused 4..8"),
        ("r2 s2 r2", 4, "s6", "unused 4..6 0..2"),
        ("r2 | r2", 4, "s2 | s2", "unused 2..4 0..2"),
        ("r2 -2 r2 -2 U2", 4, "s2 -2 s2 -2 U2", "unused 4..6 0..2"),
        (
            "r1 -1 r1 -1 r1",
            3,
            "s1 -1 s1 -1 s1",
            "unused 4..5 2..3 0..1",
        ),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let release = scene.release_all();
            assert_eq!(release, released(pages, 1, ReleaseEnd::Drained));
            scene.is(after);
            scene.hooks(hooks);
            let again = scene.release_all();
            assert_eq!(again, released(0, 0, ReleaseEnd::Drained));
            scene.hooks("");
        });
    }
}

#[test]
fn nothing_idle_is_nothing_to_release() {
    for before in ["U8", "s8", "U4 s4", "U4 | s4"] {
        for budget in [
            Budget::ALL,
            budget(1),
            Budget::bytes(0),
            Budget::ALL.calls(0),
        ] {
            Setup::PLAIN.both(before, |mut scene| {
                let release = scene.release(budget);
                assert_eq!(release, released(0, 0, ReleaseEnd::Drained));
                scene.hooks("");
            });
        }
    }
}

#[test]
fn whole_huge_pages_go_first_then_the_highest_addresses() {
    // Spans with huge pages at 8 and 32; without at 0, 18 and 43.
    let before = "r4 U4 r8 U2 r6 U8 r10 U1 r5";
    Setup::HUGE.both(before, |mut scene| {
        let release = scene.release_all();
        assert_eq!(release, released(33, 1, ReleaseEnd::Drained));
        scene.hooks("unused 32..42 8..16 43..48 18..24 0..4");
    });
    // The same a bit at a time: the huge pages alone, then from the top, first
    // of all what is beside the huge page that went.
    Setup::HUGE.both(before, |mut scene| {
        for (pages, went, hooks) in [
            (8, 8, "unused 32..40"),
            (8, 8, "unused 8..16"),
            (6, 6, "unused 43..48 41..42"),
            (2, 2, "unused 40..41 23..24"),
            (100, 9, "unused 18..23 0..4"),
        ] {
            assert_eq!(scene.release(budget(pages)).pages.get(), went);
            scene.hooks(hooks);
        }
    });
}

#[test]
fn one_page_at_a_time_goes_from_the_top_until_nothing_is_left() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        setup.both("r8 U8 r16 -8 r8 | r8", |mut scene| {
            let unit = scene.window().geometry().physical_pages().get();
            let mut last = u32::MAX;
            let mut total = 0;
            loop {
                let release = scene.release(budget(u64::from(unit)));
                if release.pages == PageCount::ZERO {
                    assert_eq!(release, released(0, 0, ReleaseEnd::Drained));
                    break;
                }
                assert_eq!((release.pages.get(), release.calls), (unit, 1));
                let highest = scene.fake().take_log();
                let [spanheap::backing::fake::Call::Unused { ranges, .. }] = &highest[..] else {
                    panic!("{highest:?}");
                };
                let start = ranges[0].start().number();
                assert!(start < last, "from the top: {start}, then {last}");
                last = start;
                total += unit;
            }
            assert_eq!(total, 40);
            scene.is("s8 U8 s16 -8 s8 | s8");
        });
    }
}

#[test]
fn dropping_a_big_object_and_releasing_lowers_what_is_resident() {
    Setup::HUGE.both("s64", |mut scene| {
        let small = scene.take(3);
        let big = scene.take(48);
        assert_eq!(scene.stats().resident().get(), 51);
        scene.free(big).expect("it is in use");
        assert_eq!(scene.stats().resident().get(), 51, "freeing alone does not");
        assert_eq!(scene.release_all().pages.get(), 48);
        assert_eq!(scene.stats().resident().get(), 3);
        scene.free(small).expect("it is in use");
        let _ = scene.release_all();
        assert_eq!(scene.stats().resident().get(), 0);
    });
}

#[test]
fn what_is_resident_follows_what_is_live_though_no_hole_serves() {
    // Two blocks that are kept and two that are condemned, interleaved; then
    // one that fits into none of the holes.
    let setup = Setup {
        huge: 64,
        ..Setup::PLAIN
    };
    setup.both("s512", |mut scene| {
        let mut condemned = Vec::new();
        for _ in 0..2 {
            let _ = scene.take(2);
            condemned.push(scene.take(126));
        }
        for span in condemned {
            scene.free(span).expect("it is in use");
        }
        scene.is("U2 r126 U2 r126 s256");
        let _ = scene.fake().take_log();
        let _ = scene.take(256);
        // A single span serves, though a lower run over the seam would.
        scene.is("U2 r126 U2 r126 U256");
        let _ = scene.release_all();
        scene.hooks("used 256..512; unused 130..256 2..128");
        assert_eq!(scene.stats().resident(), scene.stats().in_use);
    });
}

#[test]
fn ranges_go_to_the_backing_thirty_two_at_a_time() {
    // 70 idle pages, each between pages in use.
    let before = "r1 U1 ".repeat(70);
    Setup::PLAIN.both(&before, |mut scene| {
        assert_eq!(scene.release_all(), released(70, 3, ReleaseEnd::Drained));
        let lengths: Vec<_> = scene.fake().take_log().iter().map(batch).collect();
        assert_eq!(lengths, [32, 32, 6]);
    });
}

/// How many ranges a call has, all of which must be done.
fn batch(call: &spanheap::backing::fake::Call) -> usize {
    match call {
        spanheap::backing::fake::Call::Unused { ranges, done } if *done == ranges.len() => *done,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_budget_of_calls_bounds_the_calls() {
    let before = "r1 U1 ".repeat(70);
    for (calls, pages, end) in [
        (0, 0, ReleaseEnd::Budget),
        (1, 32, ReleaseEnd::Budget),
        (2, 64, ReleaseEnd::Budget),
        (3, 70, ReleaseEnd::Drained),
        (4, 70, ReleaseEnd::Drained),
    ] {
        Setup::PLAIN.both(&before, |mut scene| {
            let release = scene.release(Budget::ALL.calls(calls));
            assert_eq!(release, released(pages, calls.min(3), end));
        });
    }
    // Both limits at once: the tighter one counts.
    for (pages, calls, went, end) in [
        (40, 1, 32, ReleaseEnd::Budget),
        (20, 2, 20, ReleaseEnd::Budget),
        (64, 2, 64, ReleaseEnd::Budget),
        (70, 3, 70, ReleaseEnd::Drained),
    ] {
        Setup::PLAIN.both(&before, |mut scene| {
            let release = scene.release(budget(pages).calls(calls));
            assert_eq!((release.pages.get(), release.end), (went, end));
        });
    }
}

#[test]
fn a_batch_refused_in_the_middle_is_done_as_far_as_the_backing_says() {
    let before = "r1 U1 r2 U1 r3 U1 r4 U1";
    for (done, pages, after) in [
        (0, 0, "r1 U1 r2 U1 r3 U1 r4 U1"),
        (1, 4, "r1 U1 r2 U1 r3 U1 s4 U1"),
        (2, 7, "r1 U1 r2 U1 s3 U1 s4 U1"),
        (3, 9, "r1 U1 s2 U1 s3 U1 s4 U1"),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            scene.fake().fail_nth(0, done);
            assert_eq!(scene.release_all(), released(pages, 1, ReleaseEnd::Refused));
            scene.is(after);
            // The backing recovered: the rest goes, and only the rest.
            assert_eq!(scene.release_all().pages.get(), 10 - pages);
            scene.is("s1 U1 s2 U1 s3 U1 s4 U1");
        });
    }
}

#[test]
fn a_later_batch_that_is_refused_leaves_the_earlier_ones_released() {
    let before = "r1 U1 ".repeat(70);
    Setup::PLAIN.both(&before, |mut scene| {
        scene.fake().fail_nth(1, 5);
        assert_eq!(scene.release_all(), released(37, 2, ReleaseEnd::Refused));
        assert_eq!(scene.stats().released.get(), 37);
        assert_eq!(scene.release_all().pages.get(), 33);
    });
}

#[test]
fn parts_of_one_span_that_are_refused_are_one_span_again() {
    // The budget cuts three huge pages out of five, then the fringe of another
    // span; the backing takes none of it, or only the first range.
    let before = "r40 U8 r4";
    for (done, after) in [(0, "r40 U8 r4"), (1, "r16 s24 U8 r4")] {
        Setup::HUGE.both(before, |mut scene| {
            scene.fake().fail_nth(0, done);
            let release = scene.release(budget(26));
            assert_eq!(release.end, ReleaseEnd::Refused);
            scene.is(after);
        });
    }
}

#[test]
fn released_pages_come_back_when_they_are_asked_for_and_go_again() {
    Setup::PLAIN.both("r8", |mut scene| {
        for _ in 0..3 {
            let _ = scene.release_all();
            scene.is("s8");
            let span = scene.take(5);
            scene.is("U5 s3");
            scene.free(span).expect("it is in use");
            scene.is("r5 s3");
        }
        scene.hooks("unused 0..8; used 0..5; unused 0..5; used 0..5; unused 0..5; used 0..5");
    });
}
