//! Huge pages that are idle as a whole and resident in part: what is there of them
//! goes, by the same rules.

use spanheap::{Budget, Geometry, Hold, PageCount, Reclaim, ReleaseEnd, Residency};

use crate::common::{KINDS, Kind, MS, POLICY, Rig, SECOND, Setup};

/// A huge page of these, in pages.
const HUGE: u32 = 512;

fn released(kind: Kind) -> Rig {
    Rig::new(
        Setup {
            residency: Residency::Released,
            ..Setup::of(kind)
        },
        POLICY,
    )
}

#[test]
fn what_was_committed_in_a_huge_page_and_freed_goes_without_another_call() {
    for kind in KINDS {
        let mut rig = released(kind);
        // Pieces with gaps between; one lies across a border of huge pages.
        let pieces = [(0, 3), (100, 20), (HUGE - 8, 16), (3 * HUGE - 20, 20)];
        let pieces = pieces.map(|(start, pages)| rig.take(start, pages));
        let _ = rig.poll();
        pieces.into_iter().for_each(|piece| rig.free(piece));
        assert_eq!(rig.stats().resident().get(), 59, "{kind:?}");
        assert_eq!(rig.idle(), 0, "no whole huge page is resident");
        rig.poll_until(rig.now + SECOND);
        assert_eq!(rig.resident(), 0, "{kind:?}");
    }
}

#[test]
fn what_is_beside_a_page_in_use_stays_in_its_huge_page() {
    for kind in KINDS {
        let mut rig = released(kind);
        let used = rig.take(HUGE, 1);
        let [beside, below] = [rig.take(HUGE + 10, 30), rig.take(HUGE - 30, 30)];
        let _ = rig.poll();
        rig.free(beside);
        rig.free(below);
        rig.poll_until(rig.now + 2 * POLICY.deadline_ns);
        assert_eq!(rig.stats().resident().get(), 31, "{kind:?}");
        assert!(rig.is_backed(HUGE + 10) && !rig.is_backed(HUGE - 1));
        rig.free(used);
        rig.poll_until(rig.now + SECOND);
        assert_eq!(rig.resident(), 0, "{kind:?}");
    }
}

#[test]
fn pieces_that_come_and_go_are_young() {
    for kind in KINDS {
        let mut rig = released(kind);
        let _ = rig.poll();
        for _ in 0..200 {
            let piece = rig.take(40, 20);
            rig.now += 10 * MS;
            rig.free(piece);
            let _ = rig.poll_early();
            assert!(rig.is_backed(40), "{kind:?}, at {} ms", rig.now / MS);
            rig.now += 10 * MS;
        }
    }
}

#[test]
fn a_region_that_ends_inside_of_a_huge_page_is_no_reason_to_release_it() {
    let mut rig = Rig::without_regions(Setup::of(Kind::Page), POLICY);
    rig.add(crate::common::range(0, HUGE + 100), Residency::Released);
    rig.add(
        crate::common::range(HUGE + 100, 2 * HUGE),
        Residency::Released,
    );
    let piece = rig.take(HUGE + 50, 30);
    rig.free(piece);
    rig.poll_until(rig.now + 2 * POLICY.deadline_ns);
    assert_eq!(rig.stats().resident().get(), 30, "of two regions");
}

#[test]
fn a_budget_for_leftovers_is_kept_and_whole_ones_are_not_touched() {
    let mut rig = released(Kind::Page);
    let whole = rig.take(4 * HUGE, HUGE);
    let pieces = [(0, 8), (2 * HUGE, 8)].map(|(start, pages)| rig.take(start, pages));
    rig.free(whole);
    pieces.into_iter().for_each(|piece| rig.free(piece));
    let any = Hold::fixed(0, 0);
    let mut release = |budget: Budget| {
        let done = rig.heap.release(budget.held(any).leftovers());
        rig.audit();
        (done.pages, done.end)
    };
    let page = Geometry::SMALL_PAGES.page_bytes();
    let nothing = PageCount::ZERO;
    assert_eq!(
        release(Budget::bytes(7 * page)),
        (nothing, ReleaseEnd::Budget)
    );
    let eight = PageCount::new(8);
    assert_eq!(
        release(Budget::bytes(15 * page)),
        (eight, ReleaseEnd::Budget)
    );
    assert_eq!(release(Budget::ALL), (eight, ReleaseEnd::Drained));
    assert_eq!(release(Budget::ALL), (nothing, ReleaseEnd::Drained));
    assert_eq!(rig.idle(), 1);
}

#[test]
fn a_leftover_of_larger_physical_pages_is_released_as_far_as_they_are_whole() {
    let mut rig = Rig::new(
        Setup {
            physical: 4 * 4096,
            residency: Residency::Released,
            ..Setup::of(Kind::Page)
        },
        POLICY,
    );
    for start in [0, 1, 5, 33, HUGE - 1] {
        let piece = rig.take(start, 3);
        rig.free(piece);
        rig.poll_until(rig.now + 2 * SECOND);
        assert_eq!(rig.resident(), 0, "from page {start}");
    }
}
