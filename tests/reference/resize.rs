//! Shrinking and growing in place.

use spanheap::backing::fake::FAULT_CODE;
use spanheap::{Refused, ResizeError};

use crate::layout::{Setup, range};

#[test]
fn shrinking_frees_the_end_and_the_start_stays() {
    for (before, page, to, after) in [
        ("U8", 0, 3, "U3 r5"),
        ("U8", 0, 7, "U7 r1"),
        ("U8", 0, 1, "U1 r7"),
        ("U2 U4 U2", 2, 1, "U2 U1 r3 U2"),
        ("U4 r4", 0, 2, "U2 r6"),
        ("U4 s4", 0, 2, "U2 r2 s4"),
        ("r4 U4 r4", 4, 3, "r4 U3 r5"),
        ("U4 | r4", 0, 2, "U2 r2 | r4"),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let span = scene.shrink(scene.held(page), to).expect("it is longer");
            assert_eq!(span.range(), range(page, page + to));
            scene.is(after);
            scene.hooks("");
            for page in span.range().pages() {
                assert_eq!(scene.read(page.number()), Some(u64::from(page.number())));
            }
            scene.free(span).expect("the new handle is good");
        });
    }
}

#[test]
fn shrinking_realigns_the_border_to_a_released_neighbour() {
    for (before, to, after) in [
        ("U3 s5", 2, "U2 r2 s4"),
        ("U3 s5", 1, "U1 r3 s4"),
        ("U4 s4", 3, "U3 r1 s4"),
    ] {
        Setup::physical(2).both(before, |mut scene| {
            let _ = scene.shrink(scene.held(0), to).expect("it is longer");
            scene.is(after);
        });
    }
}

#[test]
fn growing_takes_the_free_pages_behind() {
    for (before, page, to, after, hooks) in [
        ("U4 r4", 0, 6, "U6 r2", ""),
        ("U4 r4", 0, 8, "U8", ""),
        ("U4 s4", 0, 6, "U6 s2", "used 4..6"),
        ("U4 s4", 0, 8, "U8", "used 4..8"),
        ("U4 r2 s2", 0, 5, "U5 r1 s2", ""),
        ("U4 r2 s2", 0, 7, "U7 s1", "used 6..7"),
        ("U4 s2 r2", 0, 7, "U7 r1", "used 4..6"),
        ("U4 s2 r2 s2", 0, 10, "U10", "used 4..6; used 8..10"),
        ("r2 U2 r4 U2", 2, 6, "r2 U6 U2", ""),
        ("U4 r4 | r4", 0, 8, "U8 | r4", ""),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let old = scene.held(page);
            let span = scene.grow(old, to).expect("there is room");
            assert_eq!(span.range(), range(page, page + to));
            scene.is(after);
            scene.hooks(hooks);
            for page in old.range().pages() {
                assert_eq!(scene.read(page.number()), Some(u64::from(page.number())));
            }
            scene.free(span).expect("the new handle is good");
        });
    }
}

#[test]
fn a_resize_to_the_same_length_changes_nothing_and_the_handle_stays_good() {
    for before in ["U4", "U4 r4", "U4 s4", "U4 U4"] {
        Setup::PLAIN.both(before, |mut scene| {
            let (span, snapshot) = (scene.held(0), scene.snapshot());
            assert_eq!(scene.shrink(span, 4), Ok(span));
            assert_eq!(scene.grow(span, 4), Ok(span));
            scene.is_as(&snapshot);
            scene.free(span).expect("the old handle is good");
        });
    }
}

#[test]
fn a_span_that_grows_in_steps_is_one_span() {
    Setup::PLAIN.both("U1 r3 s4", |mut scene| {
        let mut span = scene.held(0);
        for to in 2..=8 {
            span = scene.grow(span, to).expect("there is room");
            assert_eq!(span.count().get(), to);
        }
        scene.hooks("used 4..5; used 5..6; used 6..7; used 7..8");
        for to in (1..8).rev() {
            span = scene.shrink(span, to).expect("it is longer");
        }
        scene.is("U1 r7");
        scene.free_at(0, 1).expect("it is found by its address");
        scene.is("r8");
    });
}

#[test]
fn growing_inside_a_physical_page_that_is_backed_commits_and_counts_nothing_else() {
    // Physical pages of 8 pages; pages 4 to 7 are backed for the span.
    for (to, after, hooks, released) in [
        (6, "U6 s26", "used 4..6", 24),
        (8, "U8 s24", "used 4..8", 24),
        (9, "U9 s23", "used 4..9", 16),
        (16, "U16 s16", "used 4..16", 16),
        (25, "U25 r7", "used 4..25", 0),
    ] {
        Setup::physical(8).both("U4 s28", |mut scene| {
            let _ = scene.grow(scene.held(0), to).expect("there is room");
            scene.is(after);
            scene.hooks(hooks);
            assert_eq!(scene.stats().released.get(), released);
        });
    }
}

#[test]
fn growth_refused_in_the_middle_leaves_the_span_and_its_handle_as_they_were() {
    // before, to, after a refusal of the first, second commit.
    let table: [(&str, u32, &[&str]); 4] = [
        ("U4 s4", 6, &["U4 s4"]),
        ("U4 s4", 8, &["U4 s4"]),
        ("U2 s2 r2 s2", 8, &["U2 s2 r2 s2", "U2 r4 s2"]),
        ("U2 r2 s2 U2", 6, &["U2 r2 s2 U2"]),
    ];
    let refused = Err(ResizeError::Refused(Refused { code: FAULT_CODE }));
    for setup in [Setup::PLAIN, Setup::physical(2)] {
        for (before, to, afters) in table {
            for (nth, after) in (0..).zip(afters) {
                setup.both(before, |mut scene| {
                    let span = scene.held(0);
                    scene.fake().fail_nth(nth, 0);
                    assert_eq!(scene.grow(span, to), refused);
                    scene.is(after);
                    for page in span.range().pages() {
                        assert_eq!(scene.read(page.number()), Some(u64::from(page.number())));
                    }
                    let grown = scene.grow(span, to).expect("the backing recovered");
                    assert_eq!(grown.range(), range(0, to));
                });
            }
        }
    }
}

#[test]
fn a_part_freed_in_the_middle_leaves_two_handles() {
    Setup::PLAIN.both("U8", |mut scene| {
        let rest = scene.free_part(scene.held(0), range(3, 5)).expect("a part");
        let (low, high) = (rest.low.expect("below"), rest.high.expect("above"));
        assert_eq!((low.range(), high.range()), (range(0, 3), range(5, 8)));
        scene.is("U3 r2 U3");
        let low = scene.grow(low, 5).expect("the part is free");
        scene.is("U5 U3");
        scene.free(high).expect("it is in use");
        scene.free(low).expect("it is in use");
        scene.is("r8");
    });
}

#[test]
fn a_part_freed_at_either_end_leaves_the_other() {
    Setup::PLAIN.both("r2 U8 s2", |mut scene| {
        let rest = scene.free_part(scene.held(2), range(2, 4)).expect("a part");
        assert_eq!(rest.low, None);
        let high = rest.high.expect("what remains");
        assert_eq!(high.range(), range(4, 10));
        scene.is("r4 U6 s2");
        let rest = scene.free_part(high, range(8, 10)).expect("a part");
        assert_eq!(
            (rest.low.map(|low| low.range()), rest.high),
            (Some(range(4, 8)), None)
        );
        scene.is("r4 U4 r2 s2");
    });
}
