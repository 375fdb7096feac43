//! The two commits that this heap starts from, as behaviour.
//!
//! The first one of Go's page heap (October 2018) commits memory only for the
//! pages that remain after a span is trimmed, and keeps the released count
//! exact meanwhile. The second (May 2019) splits a span in place, without
//! taking it out of the treap; here a one-sided merge is in place too.

mod layout;

use layout::{PHYSICAL, Setup};
use spanheap::Stats;

/// Layouts with one released span, which begins at this page and has so many:
/// alone; behind pages in use, before them, between them, so that its ends lie
/// inside physical pages of two and of eight pages.
const RELEASED_SPANS: [(&str, u32, u32); 4] = [
    ("s32", 0, 32),
    ("U5 s27", 5, 27),
    ("s29 U3", 0, 29),
    ("U5 s24 U3", 5, 24),
];

/// The whole units of `unit` pages in `start..end`, as the first and the last
/// but one page.
const fn inside(start: u32, end: u32, unit: u32) -> (u32, u32) {
    let (start, end) = (start.next_multiple_of(unit), end / unit * unit);
    if start < end {
        (start, end)
    } else {
        (end, end)
    }
}

#[test]
fn pages_out_of_a_longer_released_span_commit_exactly_themselves() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        for (before, start, len) in RELEASED_SPANS {
            for n in 1..len {
                setup.both(before, |mut scene| {
                    let stats = scene.stats();
                    let span = scene.take(n);
                    assert_eq!(span.range(), layout::range(start, start + n));
                    scene.hooks(&format!("used {start}..{}", start + n));
                    assert_eq!(scene.stats().used_calls, stats.used_calls + 1);
                    assert_eq!(scene.stats().unused_calls, stats.unused_calls);
                });
            }
        }
    }
}

#[test]
fn the_remainder_of_a_released_span_stays_released() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        for (before, start, len) in RELEASED_SPANS {
            for n in 1..len {
                setup.both(before, |mut scene| {
                    let unit = scene.window().geometry().physical_pages().get();
                    let _ = scene.take(n);
                    // What holds no whole physical page is backed by its
                    // neighbours, and could never be released.
                    let (from, to) = inside(start + n, start + len, unit);
                    let rest = if from < to { 's' } else { 'r' };
                    let old = format!("s{len}");
                    let new = format!("U{n} {rest}{}", len - n);
                    scene.is(&before.replace(&old, &new));
                });
            }
        }
    }
}

#[test]
fn released_falls_by_exactly_the_whole_physical_pages_touched() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        for (before, start, len) in RELEASED_SPANS {
            for n in 1..len {
                setup.both(before, |mut scene| {
                    let unit = scene.window().geometry().physical_pages().get();
                    let released = scene.stats().released.get();
                    let (from, to) = inside(start, start + len, unit);
                    assert_eq!(released, to - from, "as many as it holds whole");
                    let _ = scene.take(n);
                    let touched_to = (start + n).next_multiple_of(unit).clamp(from, to);
                    assert_eq!(
                        scene.stats().released.get(),
                        released - (touched_to - from),
                        "{n} pages of {before} with physical pages of {physical} bytes"
                    );
                });
            }
        }
    }
}

/// What is done to a heap whose treap is watched.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// So many pages are asked for.
    Take(u32),
    /// The span in use at this page is freed.
    Free(u32),
}

/// How many nodes an act may insert into the treap, and remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edits {
    inserts: u64,
    removals: u64,
}

const NONE: Edits = edits(0, 0);

const fn edits(inserts: u64, removals: u64) -> Edits {
    Edits { inserts, removals }
}

impl Edits {
    const fn between(before: &Stats, after: &Stats) -> Self {
        Self {
            inserts: after.treap_inserts - before.treap_inserts,
            removals: after.treap_removals - before.treap_removals,
        }
    }
}

/// Runs a table of: layout before, act, layout after, changes of the treap.
fn run(setup: Setup, table: &[(&str, Act, &str, Edits)]) {
    for &(before, act, after, expected) in table {
        setup.both(before, |mut scene| {
            let stats = scene.stats();
            match act {
                Act::Take(pages) => {
                    let _ = scene.take(pages);
                }
                Act::Free(page) => scene.free(scene.held(page)).expect("it is in use"),
            }
            scene.is(after);
            assert_eq!(
                Edits::between(&stats, &scene.stats()),
                expected,
                "{act:?} on {before}"
            );
        });
    }
}

#[test]
fn a_splitting_allocation_makes_no_treap_insert_and_no_removal() {
    use Act::Take;
    let table = [
        ("r8", Take(1), "U1 r7", NONE),
        ("r8", Take(7), "U7 r1", NONE),
        ("s8", Take(1), "U1 s7", NONE),
        ("s8", Take(7), "U7 s1", NONE),
        ("U1 r8 U1", Take(3), "U1 U3 r5 U1", NONE),
        ("U1 s8 U1", Take(3), "U1 U3 s5 U1", NONE),
        ("r2 U1 r4 U1 r8", Take(5), "r2 U1 r4 U1 U5 r3", NONE),
        ("r4 s4", Take(3), "U3 r1 s4", NONE),
        ("s4 r4", Take(3), "U3 s1 r4", NONE),
        ("s2 r4 s2", Take(3), "s2 U3 r1 s2", NONE),
        ("r2 s4 r2", Take(3), "r2 U3 s1 r2", NONE),
    ];
    for physical in [layout::PAGE / 2, layout::PAGE] {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        run(setup, &table);
    }
}

#[test]
fn a_split_inside_a_physical_page_is_in_place_too() {
    use Act::Take;
    let table = [
        ("r8", Take(3), "U3 r5", NONE),
        ("s8", Take(3), "U3 s5", NONE),
        ("U1 s7", Take(1), "U1 U1 s6", NONE),
        ("U1 s7", Take(2), "U1 U2 s5", NONE),
        ("s8 U1 r1", Take(5), "U5 s3 U1 r1", NONE),
        // But what remains holds no whole physical page: as a released span it
        // could never merge with a resident one beside it, so it becomes one.
        ("s8", Take(7), "U7 r1", edits(1, 1)),
        ("U1 s4 U3", Take(2), "U1 U2 r2 U3", edits(1, 1)),
    ];
    run(Setup::physical(2), &table);
}

#[test]
fn a_one_sided_merge_makes_no_treap_insert_and_no_removal() {
    use Act::Free;
    let table = [
        ("r2 U2", Free(2), "r4", NONE),
        ("U2 r2", Free(0), "r4", NONE),
        ("r2 U2 U2", Free(2), "r4 U2", NONE),
        ("U2 U2 r2", Free(2), "U2 r4", NONE),
        ("U2 r2 U2 U2", Free(4), "U2 r4 U2", NONE),
        // The other side is idle, but of the other residency.
        ("r2 U2 s2", Free(2), "r4 s2", NONE),
        ("s2 U2 r2", Free(2), "s2 r4", NONE),
        // The other side is idle, but of another region.
        ("r2 U2 | r4", Free(2), "r4 | r4", NONE),
        ("r4 | U2 r2", Free(4), "r4 | r4", NONE),
    ];
    for physical in [layout::PAGE / 2, layout::PAGE, 2 * layout::PAGE] {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        run(setup, &table);
    }
}

#[test]
fn only_an_exact_fit_and_a_two_sided_merge_remove_a_node() {
    use Act::{Free, Take};
    run(
        Setup::PLAIN,
        &[
            ("r4", Take(4), "U4", edits(0, 1)),
            ("s4", Take(4), "U4", edits(0, 1)),
            ("U1 r4 U1", Take(4), "U1 U4 U1", edits(0, 1)),
            ("r2 U2 r2", Free(2), "r6", edits(0, 1)),
            ("s2 r2 U2 r2 s2", Free(4), "s2 r6 s2", edits(0, 1)),
        ],
    );
}

#[test]
fn only_an_isolated_free_inserts_a_node() {
    use Act::Free;
    run(
        Setup::PLAIN,
        &[
            ("U4", Free(0), "r4", edits(1, 0)),
            ("U1 U2 U1", Free(1), "U1 r2 U1", edits(1, 0)),
            ("s2 U2 s2", Free(2), "s2 r2 s2", edits(1, 0)),
            ("r2 | U2 | r2", Free(2), "r2 | r2 | r2", edits(1, 0)),
        ],
    );
}
