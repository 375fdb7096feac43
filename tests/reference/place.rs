//! Where a request goes: first fit, alignments, windows, exact addresses.

use spanheap::{AllocError, Request, Residency, Span};

use crate::layout::{PAGE, Scene, Setup, pages, range};

/// Every alignment that is tried, in pages.
const ALIGNMENTS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 512];

/// So many pages, aligned to a number of pages.
fn aligned(count: u32, align: u32) -> Request {
    pages(count).aligned(u64::from(align) * PAGE)
}

/// Where a request went: its first page, or `None` if there is no run.
#[track_caller]
fn place(scene: &mut Scene, request: Request) -> Option<u32> {
    match scene.alloc(request) {
        Ok(span) => Some(span.range().start().number()),
        Err(AllocError::NoRun) => None,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_lowest_span_that_is_long_enough_serves() {
    for (before, count, expected) in [
        ("r2 U1 r1 U1 r8 U1 r7 U1 r4 U1 r5", 5, Some(5)),
        ("r2 U1 s1 U1 s8 U1 r7 U1 r4 U1 r5", 5, Some(5)),
        ("r2 U1 r1 U1 r8 U1 r7 U1 r4 U1 r5", 1, Some(0)),
        ("r2 U1 r1 U1 r8 U1 r7 U1 r4 U1 r5", 8, Some(5)),
        ("r2 U1 r1 U1 r8 U1 r7 U1 r4 U1 r5", 9, None),
        // A released span serves before a resident one that lies higher.
        ("U1 s2 U1 r8", 2, Some(1)),
        // Holes between regions are nobody's.
        ("r2 -10 r4", 3, Some(12)),
        ("r2 -10 r4", 5, None),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            assert_eq!(
                place(&mut scene, pages(count)),
                expected,
                "{count} of {before}"
            );
        });
    }
}

#[test]
fn an_aligned_request_takes_the_lowest_aligned_page() {
    for residency in ["r", "s"] {
        for align in ALIGNMENTS {
            for first in [0_u32, 1, 3, 64, 511] {
                let before = if first == 0 {
                    format!("{residency}1536")
                } else {
                    format!("U{first} {residency}{}", 1536 - first)
                };
                for count in [1, 5, align] {
                    Setup::PLAIN.both(&before, |mut scene| {
                        let expected = first.next_multiple_of(align);
                        let span = scene.alloc(aligned(count, align)).expect("there is room");
                        assert_eq!(span.range(), range(expected, expected + count));
                    });
                }
            }
        }
    }
}

#[test]
fn it_is_the_address_that_is_aligned_and_not_the_page_number() {
    let setup = Setup {
        origin: (1 << 30) + 3 * PAGE,
        ..Setup::PLAIN
    };
    for align in ALIGNMENTS {
        setup.both("r1536", |mut scene| {
            let span = scene.alloc(aligned(2, align)).expect("there is room");
            let address = scene.window().address_of(span.range().start());
            assert_eq!(address % (u64::from(align) * PAGE), 0);
            let expected = (3_u32.next_multiple_of(align)) - 3;
            assert_eq!(
                span.range().start().number(),
                expected,
                "aligned to {align}"
            );
        });
    }
}

#[test]
fn candidates_too_short_or_misaligned_are_passed_over() {
    for (before, count, align, expected) in [
        // None free; free at the start; free at the end.
        ("U1536", 1, 1, None),
        ("r8 U1528", 8, 512, Some(0)),
        ("r8 U1528", 9, 1, None),
        ("U1528 r8", 8, 8, Some(1528)),
        ("U1528 r8", 8, 16, None),
        ("U1528 r8", 1, 64, None),
        // Over a border of 64 pages.
        ("U60 r8 U60", 8, 4, Some(60)),
        ("U60 r8 U60", 4, 64, Some(64)),
        ("U60 r8 U60", 5, 64, None),
        ("U60 s8 U60", 4, 64, Some(64)),
        // Too short, then long enough.
        ("U1 r3 U1 r4 U1", 4, 1, Some(5)),
        ("U1 r3 U1 s4 U1", 4, 1, Some(5)),
        // Long enough but misaligned, then aligned.
        ("U1 r6 U1 r8", 4, 4, Some(8)),
        ("U1 r6 U1 r8", 4, 8, Some(8)),
        ("U1 r6 U1 r8", 3, 4, Some(4)),
        ("U1 r6 U9 r8 U8 r8", 8, 16, Some(16)),
        // The last aligned page is one too late.
        ("U1 r7 U1 r7", 8, 8, None),
        ("U1 r14 U1", 8, 8, None),
        ("U1 r15", 8, 8, Some(8)),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            assert_eq!(
                place(&mut scene, aligned(count, align)),
                expected,
                "{count} pages aligned to {align} in {before}"
            );
        });
    }
}

#[test]
fn whole_aligned_huge_pages_are_found_among_spans_that_hold_none() {
    // Huge pages of 8 pages; whole ones begin at 8, 24, 32 and 48.
    let before = "U1 r6 U1 r12 U2 r1 U1 s16 U2 r14";
    Setup::HUGE.both(before, |mut scene| {
        for expected in [Some(8), Some(24), Some(32), Some(48), None] {
            assert_eq!(place(&mut scene, aligned(8, 8)), expected);
        }
        scene.is("U1 r6 U1 U8 r4 U2 r1 U1 U8 U8 U2 r6 U8");
    });
    Setup::HUGE.both(before, |mut scene| {
        assert_eq!(place(&mut scene, aligned(16, 8)), Some(24));
        assert_eq!(place(&mut scene, aligned(9, 8)), Some(8));
    });
    let setup = Setup {
        huge: 512,
        ..Setup::PLAIN
    };
    setup.both("U1 r1000 U23 s1024 U1 r1023", |mut scene| {
        for expected in [Some(1024), Some(1536), Some(2560), None] {
            assert_eq!(place(&mut scene, aligned(512, 512)), expected);
        }
    });
}

#[test]
fn a_window_is_kept_to_the_byte() {
    // An address: pages from the origin, and bytes beside them.
    type At = (i64, i64);
    // before, pages, from, to, first page.
    let table: [(&str, u32, At, At, Option<u32>); 18] = [
        ("r16", 1, (0, 0), (16, 0), Some(0)),
        ("r16", 4, (3, 0), (7, 0), Some(3)),
        ("r16", 4, (3, 1), (7, 0), None),
        ("r16", 4, (3, 0), (7, -1), None),
        ("r16", 4, (3, 1), (8, 0), Some(4)),
        ("r16", 4, (2, 1), (7, 4095), Some(3)),
        ("r16", 16, (0, 0), (16, 0), Some(0)),
        ("r16", 16, (0, 1), (16, 0), None),
        ("r16", 1, (-100, 0), (1, 0), Some(0)),
        ("r16", 1, (15, 0), (1 << 30, 0), Some(15)),
        // The span reaches out of the window, or none in it is long enough.
        ("U4 r8 U4", 2, (0, 0), (6, 0), Some(4)),
        ("U4 r8 U4", 2, (10, 0), (16, 0), Some(10)),
        ("U4 r8 U4", 3, (10, 0), (16, 0), None),
        ("U4 s8 U4", 3, (2, 0), (7, 0), Some(4)),
        ("r4 U4 r4", 4, (1, 0), (16, 0), Some(8)),
        ("r4 U4 r4", 4, (0, 0), (12, 0), Some(0)),
        ("r4 U4 r4", 4, (0, 0), (3, 0), None),
        ("r4 U4 r4", 1, (4, 0), (8, 0), None),
    ];
    for (before, count, from, to, expected) in table {
        Setup::PLAIN.both(before, |mut scene| {
            let at = |(page, bytes): At| {
                Setup::PLAIN
                    .origin
                    .saturating_add_signed(page * PAGE as i64 + bytes)
            };
            let request = pages(count).within(at(from)..at(to));
            assert_eq!(
                place(&mut scene, request),
                expected,
                "{count} pages from {from:?} to {to:?} in {before}"
            );
        });
    }
}

#[test]
fn a_window_and_an_alignment_are_met_together() {
    let at = |page: u64| Setup::PLAIN.origin + page * PAGE;
    for (count, align, from, to, expected) in [
        (4, 8, 1, 40, Some(8)),
        (4, 8, 9, 40, Some(16)),
        (4, 8, 9, 20, Some(16)),
        (4, 8, 9, 19, None),
        (8, 8, 9, 23, None),
        (8, 8, 9, 24, Some(16)),
        (1, 32, 1, 32, None),
        (1, 32, 1, 33, Some(32)),
    ] {
        Setup::PLAIN.both("r64", |mut scene| {
            let request = aligned(count, align).within(at(from)..at(to));
            assert_eq!(place(&mut scene, request), expected);
        });
    }
}

#[test]
fn memory_below_a_limit_is_left_to_those_who_ask_for_it() {
    // What a device needs: the window is the first half, and it is found there
    // as long as there is any.
    Setup::PLAIN.both("r32", |mut scene| {
        let half = Setup::PLAIN.origin..Setup::PLAIN.origin + 16 * PAGE;
        for expected in [Some(0), Some(5), Some(10), None] {
            assert_eq!(place(&mut scene, pages(5).within(half.clone())), expected);
        }
        assert_eq!(place(&mut scene, pages(5)), Some(15));
    });
}

#[test]
fn exact_pages_are_cut_from_wherever_they_lie() {
    for (before, page, count, after) in [
        ("r8", 0, 8, "U8"),
        ("r8", 0, 3, "U3 r5"),
        ("r8", 5, 3, "r5 U3"),
        ("r8", 3, 2, "r3 U2 r3"),
        ("s8", 3, 2, "s3 U2 s3"),
        ("s8", 0, 3, "U3 s5"),
        ("s8", 5, 3, "s5 U3"),
        ("U2 r4 U2", 3, 1, "U2 r1 U1 r2 U2"),
        ("-4 r4 -4 s4", 13, 2, "-4 r4 -4 s1 U2 s1"),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let span = scene.alloc_at(page, count).expect("they are free");
            assert_eq!(span.range(), range(page, page + count));
            scene.is(after);
        });
    }
}

#[test]
fn allocations_of_any_size_follow_each_other() {
    let sizes = [1, 2, 5, 64, 65, 509, 512, 1024, 3589];
    let total: u32 = sizes.iter().sum();
    for residency in ["r", "s"] {
        Setup::PLAIN.both(&format!("{residency}{total}"), |mut scene| {
            let mut next = 0;
            for count in sizes {
                let released = scene.stats().released.get();
                assert_eq!(place(&mut scene, pages(count)), Some(next));
                next += count;
                let came_back = if residency == "s" { count } else { 0 };
                assert_eq!(released - scene.stats().released.get(), came_back);
            }
            assert_eq!(place(&mut scene, pages(1)), None);
        });
    }
}

#[test]
fn each_allocation_takes_as_many_released_pages_as_it_covers() {
    // before, pages, and how many of them were released.
    for (before, count, released) in [
        ("r4 s4", 3, 0),
        ("r4 s4", 4, 0),
        ("r4 s4", 5, 1),
        ("r4 s4", 8, 4),
        ("s4 r4", 3, 3),
        ("s4 r4", 6, 4),
        ("U1 s2 r2 s2 U1", 6, 4),
        ("U1 s2 r2 s2 U1", 5, 3),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let before_it = scene.stats().released.get();
            let _ = scene.take(count);
            assert_eq!(
                before_it - scene.stats().released.get(),
                released,
                "{before}"
            );
        });
    }
}

#[test]
fn one_size_exhausts_the_heap_page_by_page() {
    for size in [1, 2, 3, 4, 5, 8, 16, 64, 1024, 1025, 2048, 2049] {
        for residency in [Residency::Resident, Residency::Released] {
            // All of it but one page too few for another.
            let total = 8 * size + size - 1;
            let setup = Setup {
                spare: total,
                ..Setup::PLAIN
            };
            setup.both("", |mut scene| {
                scene
                    .add_region(range(0, total), residency)
                    .expect("a good region");
                for turn in 0..8 {
                    assert_eq!(place(&mut scene, pages(size)), Some(turn * size));
                }
                assert_eq!(place(&mut scene, pages(size)), None);
                let used = format!("U{size} ").repeat(8);
                match (size, residency) {
                    (1, _) => scene.is(&used),
                    (_, Residency::Resident) => scene.is(&format!("{used} r{}", size - 1)),
                    (_, Residency::Released) => scene.is(&format!("{used} s{}", size - 1)),
                }
            });
        }
    }
}

#[test]
fn however_and_in_whatever_order_they_are_freed_all_pages_become_one_run() {
    type Free = fn(&mut Scene, Span);
    let ways: [Free; 4] = [
        |scene, span| scene.free(span).expect("it is in use"),
        |scene, span| {
            let (start, count) = (span.range().start().number(), span.count().get());
            scene.free_at(start, count).expect("it is in use");
        },
        |scene, span| {
            let rest = scene.free_part(span, span.range()).expect("it is in use");
            assert_eq!((rest.low, rest.high), (None, None));
        },
        |scene, span| {
            // From the middle outward, a page at a time.
            let range = span.range();
            let middle = (range.start().number() + range.end().number()) / 2;
            for page in range.pages().filter(|page| page.number() >= middle) {
                scene.free_part_at(page.number(), 1).expect("it is in use");
            }
            for page in range.pages().filter(|page| page.number() < middle).rev() {
                scene.free_part_at(page.number(), 1).expect("it is in use");
            }
        },
    ];
    // By the rank of each span: forward, backward, every other one first.
    let orders: [fn(usize) -> usize; 3] = [|at| at, |at| 100 - at, |at| at % 2 * 100 + at];
    for grain in [1, 4, 64] {
        for free in ways {
            for order in orders {
                let setup = Setup {
                    grain,
                    ..Setup::PLAIN
                };
                setup.both("r64", |mut scene| {
                    let sizes = [1, 2, 5, 8, 13, 3, 1, 20, 11];
                    let mut spans: Vec<_> = sizes.map(|size| scene.take(size)).into();
                    let ranked: Vec<_> = spans.iter().copied().enumerate().collect();
                    spans.sort_by_key(|span| {
                        let at = ranked.iter().find(|(_, other)| other == span);
                        order(at.map_or(0, |(at, _)| *at))
                    });
                    for span in spans {
                        free(&mut scene, span);
                    }
                    scene.is("r64");
                });
            }
        }
    }
}

#[test]
fn all_pages_taken_and_freed_three_times_begin_at_the_same_page() {
    for before in ["r64", "s64", "r20 s44", "-6 s64"] {
        for release in [false, true] {
            Setup::physical(2).both(before, |mut scene| {
                for _ in 0..3 {
                    let all = scene.take(64);
                    let first = if before.starts_with('-') { 6 } else { 0 };
                    assert_eq!(all.range(), range(first, first + 64));
                    scene.free(all).expect("it is in use");
                    if release {
                        assert_eq!(scene.release_all().pages.get(), 64);
                    }
                }
            });
        }
    }
}
