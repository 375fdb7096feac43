//! Budgets: no more than the budget goes, as much of it as can, and no huge
//! page is broken for it.

use spanheap::{Budget, PageRange, ReleaseEnd, SpanInfo, SpanState};

use crate::layout::{PAGE, PHYSICAL, Scene, Setup};

/// The whole units of `unit` pages in a range, as first and last but one page.
fn inside(range: PageRange, unit: u32) -> std::ops::Range<u32> {
    let start = range.start().number().next_multiple_of(unit);
    start..(range.end().number() / unit * unit).max(start)
}

/// What a heap could release: whole huge pages, and pages beside them.
fn releasable(scene: &Scene) -> (u32, u32) {
    let geometry = scene.window().geometry();
    let physical = geometry.physical_pages().get();
    let (mut in_huge, mut others) = (0, 0);
    for info in scene.spans() {
        if info.state == SpanState::Resident {
            let huge = geometry.huge_pages();
            let huge = huge.map_or(0, |huge| inside(info.range, huge.get()).len() as u32);
            in_huge += huge;
            others += inside(info.range, physical).len() as u32 - huge;
        }
    }
    (in_huge, others)
}

/// The whole huge pages inside single spans of one state, by their first page.
fn huge_pages(scene: &Scene, state: SpanState) -> Vec<u32> {
    let Some(huge) = scene.window().geometry().huge_pages() else {
        return Vec::new();
    };
    let of = |info: SpanInfo| inside(info.range, huge.get()).step_by(huge.get() as usize);
    let spans = scene.spans().into_iter();
    spans
        .filter(|info| info.state == state)
        .flat_map(of)
        .collect()
}

/// Layouts of huge pages of 8 pages: whole spans, fringes above and below,
/// several spans and regions.
const LAYOUTS: [&str; 8] = [
    "r16",
    "r40",
    "U3 r21",
    "r21 U3",
    "U3 r34 U3",
    "r8 U8 r8 U3 r5 s8 r8",
    "U1 r7 U1 r22 U9 r6 U2 r24",
    "r8 | r16 -8 U5 r3",
];

#[test]
fn of_any_budget_as_much_goes_as_breaks_no_huge_page_and_never_more() {
    for physical in PHYSICAL {
        for huge in [0, 8] {
            let setup = Setup {
                physical,
                huge,
                ..Setup::PLAIN
            };
            for before in LAYOUTS {
                let idle: u32 = before
                    .split(' ')
                    .filter_map(|word| word.strip_prefix('r'))
                    .filter_map(|len| len.parse::<u32>().ok())
                    .sum();
                for budget in 0..=idle + 1 {
                    setup.both(before, |mut scene| check_budget(&mut scene, budget));
                }
            }
        }
    }
}

/// Releases within a budget of so many pages, and checks what went.
#[track_caller]
fn check_budget(scene: &mut Scene, budget: u32) {
    let before = scene.layout();
    let unit = scene.window().geometry().physical_pages().get();
    let (in_huge, others) = releasable(scene);
    let whole = huge_pages(scene, SpanState::Resident);
    let released = scene.stats().released.get();

    let release = scene.release(Budget::bytes(u64::from(budget) * PAGE));
    let went = release.pages.get();
    assert!(went <= budget, "{went} of {budget} pages: {before}");
    assert_eq!(scene.stats().released.get(), released + went);

    let huge_went = match whole.len() as u32 {
        0 => 0,
        count => in_huge.min(budget / (in_huge / count) * (in_huge / count)),
    };
    let others_went = others.min((budget - huge_went) / unit * unit);
    assert_eq!(went, huge_went + others_went, "{budget} pages: {before}");

    let still = huge_pages(scene, SpanState::Resident);
    let now = huge_pages(scene, SpanState::Released);
    for page in whole {
        assert!(
            still.contains(&page) || now.contains(&page),
            "{budget} pages of {before} broke the huge page at {page}: {}",
            scene.layout()
        );
    }
    let expected = if went == in_huge + others {
        ReleaseEnd::Drained
    } else {
        ReleaseEnd::Budget
    };
    assert_eq!(release.end, expected, "{budget} pages: {before}");
}

#[test]
fn the_highest_pages_are_cut_off_a_span() {
    // before, budget in pages, after, hook calls; no huge pages.
    for (before, pages, after, hooks) in [
        ("r8", 1, "r7 s1", "unused 7..8"),
        ("r8", 3, "r5 s3", "unused 5..8"),
        ("r8", 7, "r1 s7", "unused 1..8"),
        ("r8", 8, "s8", "unused 0..8"),
        ("U2 r4 U2", 3, "U2 r1 s3 U2", "unused 3..6"),
        ("r4 U1 r2", 3, "r3 s1 U1 s2", "unused 5..7 3..4"),
        ("r4 s4", 1, "r3 s5", "unused 3..4"),
        ("s4 r4", 1, "s4 r3 s1", "unused 7..8"),
        ("r4 | r4", 5, "r3 s1 | s4", "unused 4..8 3..4"),
    ] {
        Setup::PLAIN.both(before, |mut scene| {
            let release = scene.release(Budget::bytes(pages * PAGE));
            assert_eq!(u64::from(release.pages.get()), pages);
            scene.is(after);
            scene.hooks(hooks);
        });
    }
}

#[test]
fn a_cut_keeps_to_huge_pages_while_there_are_any() {
    // before, budget in pages, after, hook calls; huge pages of 8.
    for (before, pages, after, hooks) in [
        // The highest huge pages, and not what lies above them.
        ("r20", 8, "r8 s8 r4", "unused 8..16"),
        ("r20", 16, "s16 r4", "unused 0..16"),
        ("r20", 12, "r8 s12", "unused 8..16 16..20"),
        ("U3 r21", 9, "U3 r4 s1 r8 s8", "unused 16..24 7..8"),
        ("U3 r21", 10, "U3 r3 s2 r8 s8", "unused 16..24 6..8"),
        // Less than a huge page: the fringes, and nothing if there are none.
        ("r20", 3, "r17 s3", "unused 17..20"),
        ("r20", 7, "r16 s4", "unused 16..20"),
        ("r16", 7, "r16", ""),
        ("U3 r13", 7, "U3 s5 r8", "unused 3..8"),
        ("U3 r15 U6", 6, "U3 r1 s4 r8 s2 U6", "unused 16..18 4..8"),
        // A huge page in a lower span before pages in a higher one.
        ("r8 U8 r7", 8, "s8 U8 r7", "unused 0..8"),
        ("r8 U8 r7", 9, "s8 U8 r6 s1", "unused 0..8 22..23"),
        ("r8 U8 r7", 7, "r8 U8 s7", "unused 16..23"),
    ] {
        Setup::HUGE.both(before, |mut scene| {
            let _ = scene.release(Budget::bytes(pages * PAGE));
            scene.is(after);
            scene.hooks(hooks);
        });
    }
}

#[test]
fn bytes_that_are_no_whole_physical_page_release_nothing() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        setup.both("r32", |mut scene| {
            let granule = PAGE.max(physical);
            for bytes in [0, 1, PAGE / 2, granule - 1] {
                let release = scene.release(Budget::bytes(bytes));
                assert_eq!((release.pages.get(), release.calls), (0, 0));
                assert_eq!(release.end, ReleaseEnd::Budget);
            }
            let release = scene.release(Budget::bytes(2 * granule - 1));
            assert_eq!(scene.stats().bytes(release.pages), granule, "one, not two");
        });
    }
}

#[test]
fn a_huge_page_as_large_as_a_physical_one_is_released_whole() {
    let setup = Setup {
        huge: 8,
        ..Setup::physical(8)
    };
    setup.both("U3 r29", |mut scene| {
        let _ = scene.release(Budget::bytes(15 * PAGE));
        scene.is("U3 r21 s8");
        let release = scene.release(Budget::bytes(16 * PAGE));
        assert_eq!(
            (release.pages.get(), release.end),
            (16, ReleaseEnd::Drained)
        );
        scene.is("U3 r5 s24");
    });
}

#[test]
fn a_budget_beyond_counting_is_everything() {
    for bytes in [1 << 44, u64::MAX - 1, u64::MAX] {
        Setup::HUGE.both("r8 U3 r5", |mut scene| {
            let release = scene.release(Budget::bytes(bytes));
            assert_eq!(
                (release.pages.get(), release.end),
                (13, ReleaseEnd::Drained)
            );
        });
    }
}
