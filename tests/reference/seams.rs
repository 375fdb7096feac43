//! Runs that are part released, part resident: Go cannot use them, this heap
//! can.

use spanheap::backing::fake::FAULT_CODE;
use spanheap::{AllocAtError, AllocError, Refused, Request};

use crate::layout::{PAGE, Setup, pages, range};

const REFUSED: Refused = Refused { code: FAULT_CODE };

/// Runs a table of: layout before, request, layout after, hook calls.
fn run(setup: Setup, table: &[(&str, Request, &str, &str)]) {
    for (before, request, after, hooks) in table {
        setup.both(before, |mut scene| {
            let _ = scene.alloc(request.clone()).expect("there is a run");
            scene.is(after);
            scene.hooks(hooks);
        });
    }
}

#[test]
fn when_no_single_span_is_long_enough_adjacent_ones_are_joined() {
    run(
        Setup::PLAIN,
        &[
            ("r3 s4 U1", pages(7), "U7 U1", "used 3..7"),
            ("s3 r4 U1", pages(7), "U7 U1", "used 0..3"),
            ("r3 s4 U1", pages(5), "U5 s2 U1", "used 3..5"),
            ("s3 r4 U1", pages(5), "U5 r2 U1", "used 0..3"),
            ("s2 r2 s2 r2", pages(8), "U8", "used 0..2; used 4..6"),
            ("s2 r2 s2 r2", pages(5), "U5 s1 r2", "used 0..2; used 4..5"),
            ("r2 s2 r2 s2", pages(7), "U7 s1", "used 2..4; used 6..7"),
            (
                "U1 r1 s1 r1 s1 r1 U1",
                pages(5),
                "U1 U5 U1",
                "used 2..3; used 4..5",
            ),
        ],
    );
}

#[test]
fn a_single_span_is_preferred_to_a_lower_run_over_a_seam() {
    run(
        Setup::PLAIN,
        &[
            ("r2 s2 U1 r3", pages(3), "r2 s2 U1 U3", ""),
            ("r2 s2 U1 s3", pages(3), "r2 s2 U1 U3", "used 5..8"),
            ("r2 s2 U1 s2 r3", pages(3), "r2 s2 U1 s2 U3", ""),
            ("r2 s3 U1", pages(3), "r2 U3 U1", "used 2..5"),
        ],
    );
}

#[test]
fn the_lowest_run_over_seams_that_is_long_enough_serves() {
    run(
        Setup::PLAIN,
        &[
            (
                "r2 s2 U1 r2 s3 U1 s4 r4",
                pages(5),
                "r2 s2 U1 U5 U1 s4 r4",
                "used 7..10",
            ),
            (
                "r2 s2 U1 r2 s3 U1 s4 r4",
                pages(6),
                "r2 s2 U1 r2 s3 U1 U6 r2",
                "used 11..15",
            ),
        ],
    );
}

#[test]
fn an_alignment_and_a_window_are_met_over_seams() {
    let at = |page: u64| Setup::PLAIN.origin + page * PAGE;
    let four = |count| pages(count).aligned(4 * PAGE);
    run(
        Setup::PLAIN,
        &[
            ("U2 r4 s2 r4 U4", four(8), "U2 r2 U8 U4", "used 6..8"),
            (
                "U2 s4 r2 s4 U4",
                four(8),
                "U2 s2 U8 U4",
                "used 4..6; used 8..12",
            ),
            // The first span of the run ends before the aligned page.
            ("U1 s2 r2 s3 U4", four(4), "U1 s2 r1 U4 U4", "used 5..8"),
            ("U1 r2 s2 r3 U4", four(4), "U1 r2 s1 U4 U4", "used 4..5"),
            (
                "r3 s3",
                pages(4).within(at(1)..at(5)),
                "r1 U4 s1",
                "used 3..5",
            ),
            (
                "s3 r3",
                pages(4).within(at(1)..at(5)),
                "s1 U4 r1",
                "used 1..3",
            ),
            ("s3 r3", pages(4).within(at(2)..at(9)), "s2 U4", "used 2..3"),
        ],
    );
}

#[test]
fn exact_pages_lie_over_any_number_of_seams() {
    for (before, page, count, after, hooks) in [
        ("r3 s3 r3", 2, 5, "r2 U5 r2", "used 3..6"),
        ("s3 r3 s3", 2, 5, "s2 U5 s2", "used 2..3; used 6..7"),
        ("s3 r3 s3", 0, 9, "U9", "used 0..3; used 6..9"),
        ("s3 r3 s3", 3, 3, "s3 U3 s3", ""),
        ("s3 r3 s3", 2, 1, "s2 U1 r3 s3", "used 2..3"),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let span = scene.alloc_at(page, count).expect("they are free");
            assert_eq!(span.range(), range(page, page + count));
            scene.is(after);
            scene.hooks(hooks);
        });
    }
}

#[test]
fn no_run_crosses_pages_in_use_or_two_regions() {
    for before in ["r3 U1 s3", "r3 | s3", "r3 -1 s3", "r3 s1 | r3 s1"] {
        Setup::PLAIN.both(before, |mut scene| {
            let longest = if before.contains("s1") { 5 } else { 4 };
            assert_eq!(scene.alloc(pages(longest)), Err(AllocError::NoRun));
            scene.is(before);
        });
    }
}

#[test]
fn what_was_committed_before_a_refusal_is_resident_and_nothing_is_handed_out() {
    // Physical pages of one page and of two: before, pages, after a refusal of
    // the first, second, … commit.
    let table: [(&str, u32, &[&str]); 4] = [
        (
            "s2 r2 s2 r2 s2",
            10,
            &["s2 r2 s2 r2 s2", "r4 s2 r2 s2", "r8 s2"],
        ),
        ("r2 s2 r2 s2", 8, &["r2 s2 r2 s2", "r6 s2"]),
        ("s4 r4 s4", 10, &["s4 r4 s4", "r8 s4"]),
        ("U2 s2 r2 s4 U2", 6, &["U2 s2 r2 s4 U2", "U2 r4 s4 U2"]),
    ];
    for setup in [Setup::PLAIN, Setup::physical(2)] {
        for (before, count, afters) in table {
            for (nth, after) in (0..).zip(afters) {
                setup.both(before, |mut scene| {
                    let released = scene.stats().released.get();
                    scene.fake().fail_nth(nth, 0);
                    assert_eq!(
                        scene.alloc(pages(count)),
                        Err(AllocError::Refused(REFUSED)),
                        "commit {nth} of {before}"
                    );
                    scene.is(after);
                    assert_eq!(
                        scene.stats().in_use.get(),
                        if before.starts_with('U') { 4 } else { 0 }
                    );
                    assert_eq!(
                        released - scene.stats().released.get(),
                        nth * first_piece(before)
                    );
                    // The backing recovered: what is resident is not committed
                    // again, and the rest is.
                    let _ = scene.fake().take_log();
                    let _ = scene.take(count);
                    let committed = scene.fake().take_log().len();
                    assert_eq!(committed, afters.len() - nth as usize);
                });
            }
        }
    }
}

/// The length of the first released span of a layout, which is that of all but
/// its last.
fn first_piece(layout: &str) -> u32 {
    let word = layout.split(' ').find(|word| word.starts_with('s'));
    word.and_then(|word| word[1..].parse().ok()).unwrap_or(0)
}

#[test]
fn exact_pages_refused_in_the_middle_leave_what_was_committed_resident() {
    for (nth, after) in [(0, "s4 r2 s4 r2"), (1, "s2 r4 s4 r2")] {
        Setup::PLAIN.both("s4 r2 s4 r2", |mut scene| {
            scene.fake().fail_nth(nth, 0);
            assert_eq!(
                scene.alloc_at(2, 6),
                Err(AllocAtError::Refused(REFUSED)),
                "commit {nth}"
            );
            scene.is(after);
            let span = scene.alloc_at(2, 6).expect("the backing recovered");
            assert_eq!(span.range(), range(2, 8));
            scene.is("s2 U6 s2 r2");
        });
    }
}

#[test]
fn commits_go_in_address_order_and_stop_at_the_first_refusal() {
    Setup::PLAIN.both("s1 r1 s1 r1 s1 r1 s1", |mut scene| {
        scene.fake().fail_nth(2, 0);
        assert!(scene.alloc(pages(7)).is_err());
        scene.hooks("used 0..1; used 2..3; used 4..5 refused");
        scene.is("r4 s1 r1 s1");
    });
}

#[test]
fn a_piece_inside_physical_pages_is_committed_as_asked_and_counted_as_touched() {
    // Physical pages of 8 pages.
    Setup::physical(8).both("s16 r8 s16", |mut scene| {
        scene.fake().fail_nth(1, 0);
        let refused = Err(AllocAtError::Refused(REFUSED));
        assert_eq!(scene.alloc_at(4, 24), refused);
        scene.hooks("used 4..16; used 24..28 refused");
        scene.is("r24 s16");
        assert_eq!(scene.stats().released.get(), 16);
        let _ = scene.alloc_at(4, 24).expect("the backing recovered");
        scene.is("r4 U24 s12");
        scene.hooks("used 24..28");
        assert_eq!(scene.stats().released.get(), 8);
    });
}
