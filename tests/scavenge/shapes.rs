//! Heaps of every shape: physical pages larger than pages, no huge pages, no records
//! of them, regions smaller than one, no regions, no books.

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{
    AllocError, LockedHeap, OneCpu, Policy, Pressure, Reclaim, Residency, Scavenger, SharedHeap,
};

use crate::common::{KINDS, Kind, PAGE, POLICY, Random, Rig, SECOND, Setup, count, range};

/// Pages of 4 KiB on physical ones of 16 KiB, 64 KiB and 2 MiB; and a physical page
/// smaller than a page.
const PHYSICAL: [u64; 5] = [PAGE, 4 * PAGE, 16 * PAGE, 512 * PAGE, PAGE / 4];

/// Runs of odd lengths in use, at odd places, others idle between them.
fn cut_up(setup: Setup, policy: Policy) -> Rig {
    let mut rig = Rig::new(setup, policy);
    let mut random = Random(setup.physical + setup.huge + 1);
    let mut all = Vec::new();
    while let Ok(range) = rig.alloc(1 + random.below(300)) {
        all.push(range);
    }
    for range in all {
        if random.below(3) > 0 {
            rig.free(range);
        }
    }
    rig.audit();
    rig
}

#[test]
fn on_physical_pages_of_any_size_whole_huge_pages_go_and_the_rest_costs_no_looks() {
    for physical in PHYSICAL {
        for kind in [Kind::Page, Kind::Locked] {
            let setup = Setup {
                physical,
                ..Setup::of(kind)
            };
            let mut rig = cut_up(setup, POLICY);
            let idle = rig.idle();
            rig.poll_until(12 * SECOND);
            assert_eq!(rig.idle(), 0);
            assert_eq!(rig.stats().released, count(idle * 512), "{physical}");
            let polls = rig.poll_until(rig.now + 50 * SECOND);
            assert_eq!(polls, 50, "{physical}");
        }
    }
}

#[test]
fn without_huge_pages_all_that_is_idle_goes_as_soon_as_it_can_be_paid_for() {
    for physical in PHYSICAL {
        let setup = Setup {
            physical,
            huge: 0,
            ..Setup::of(Kind::Page)
        };
        let mut rig = cut_up(setup, POLICY);
        let polls = rig.poll_until(50 * SECOND);
        assert!(polls < 80, "{physical}: {polls}");
        // What is left is no whole physical page.
        assert_eq!(rig.reclaim(u64::MAX).pages, count(0), "{physical}");
        assert_eq!(rig.sleep().pages, count(0));
    }
}

#[test]
fn every_demand_is_met_as_far_as_physical_pages_can() {
    for physical in PHYSICAL {
        for huge in [0, 512 * PAGE, 2048 * PAGE] {
            let setup = Setup {
                physical,
                huge,
                ..Setup::of(Kind::Page)
            };
            for bytes in [1, PAGE, 5 * PAGE, 700 * PAGE] {
                let mut rig = cut_up(setup, POLICY);
                let resident = rig.resident();
                let _ = rig.reclaim(bytes);
                let gone = resident - rig.resident();
                let _ = rig.reclaim(u64::MAX);
                let all = resident - rig.resident();
                assert!(
                    gone >= bytes.min(all),
                    "{physical}, {huge}: {gone} of {bytes}"
                );
            }
        }
    }
}

#[test]
fn without_records_nothing_is_too_young() {
    for kind in KINDS {
        let setup = Setup {
            ages: false,
            ..Setup::of(kind)
        };
        let mut rig = Rig::new(setup, POLICY);
        let _ = rig.poll();
        assert_eq!(rig.idle(), 0);
        let back = rig.alloc(3 * 512).expect("memory");
        rig.free(back);
        let _ = rig.poll();
        assert_eq!(rig.idle(), 0);
    }
}

#[test]
fn records_for_some_huge_pages_hold_those() {
    // The window is of 64 pages, and ends inside a huge page.
    let setup = Setup {
        pages: 16 * 4 + 5,
        ..Setup::SMALL
    };
    let mut rig = Rig::new(setup, POLICY);
    rig.poll_until(SECOND);
    assert_eq!(rig.idle(), 0);
    assert_eq!(rig.resident(), 5 * PAGE);
}

#[test]
fn regions_smaller_than_a_huge_page_stay_and_are_asked_for_in_vain_no_more_than_once_a_second() {
    for kind in KINDS {
        let mut rig = Rig::without_regions(Setup::of(kind), POLICY);
        for huge in 0..8 {
            rig.add(range(huge * 512 + 1, 510), Residency::Resident);
        }
        let polls = rig.poll_until(50 * SECOND);
        assert!(polls < 60, "{kind:?}: {polls}");
        assert_eq!(rig.stats().released, count(0));
        assert_eq!(rig.pressure(Pressure::Moderate).pages, count(0));
        // A demand breaks what it must.
        assert_eq!(rig.reclaim(3 * PAGE).pages, count(3));
        assert_eq!(rig.sleep().pages, count(8 * 510 - 3));
    }
}

#[test]
fn regions_that_touch_inside_a_huge_page_make_no_whole_one() {
    let mut rig = Rig::without_regions(Setup::SMALL, POLICY);
    rig.add(range(0, 24), Residency::Resident);
    rig.add(range(24, 24), Residency::Resident);
    rig.poll_until(20 * SECOND);
    assert_eq!(rig.stats().released, count(32));
    assert!(rig.is_backed(16) && rig.is_backed(31));
}

#[test]
fn a_heap_without_regions_is_looked_at_once_a_second() {
    for kind in KINDS {
        let mut rig = Rig::without_regions(Setup::of(kind), POLICY);
        assert!(rig.poll_until(50 * SECOND) < 60);
        every_demand(&mut rig.heap, rig.now);
        rig.audit();
        // And one that it is given then is drained.
        rig.add(range(512, 1024), Residency::Resident);
        rig.poll_until(rig.now + 12 * SECOND);
        assert_eq!(rig.stats().released, count(1024));
    }
}

/// All verbs but `poll`.
fn every_demand(heap: &mut impl Reclaim, now: u64) {
    let mut scavenger = Scavenger::new(POLICY);
    let none = count(0);
    assert_eq!(scavenger.idle(heap, now).pages, none);
    for level in [Pressure::Moderate, Pressure::Severe] {
        assert_eq!(scavenger.pressure(heap, now, level).pages, none);
    }
    for bytes in [0, 1, u64::MAX] {
        assert_eq!(scavenger.reclaim(heap, now, bytes).pages, none);
        assert_eq!(scavenger.set_limit(heap, now, bytes).pages, none);
    }
}

#[test]
fn a_heap_that_is_not_set_up_answers_everything_with_nothing() {
    fn poll(mut heap: impl Reclaim) {
        let mut scavenger = Scavenger::new(POLICY);
        let (mut now, mut polls) = (0, 0);
        while now < 50 * SECOND {
            now = scavenger.poll(&mut heap, now);
            polls += 1;
        }
        assert!(polls < 60);
        every_demand(&mut heap, now);
    }
    let window = Rig::without_regions(Setup::SMALL, POLICY).window;
    let locked = LockedHeap::empty(Fake::new(window));
    poll(&locked);
    assert_eq!(locked.alloc(count(1)), Err(AllocError::NoRun));
    let shared = SharedHeap::empty(Fake::new(window), OneCpu);
    poll(&shared);
    assert_eq!(shared.alloc(count(1)), Err(AllocError::NoRun));
}

#[test]
fn without_a_slot_to_cut_with_nothing_goes_and_nobody_asks_for_ever() {
    // One slot is left, and to cut a huge page out of the middle takes two.
    let setup = Setup {
        pages: 40,
        slots: 2,
        ..Setup::SMALL
    };
    let mut rig = Rig::without_regions(setup, POLICY);
    rig.add(range(8, 31), Residency::Resident);
    let _ = rig.take(8, 1);
    let polls = rig.poll_until(50 * SECOND);
    assert!(polls < 60, "{polls}");
    assert_eq!(rig.stats().released, count(0));
    // What is asked for as a whole needs no slot.
    assert_eq!(rig.sleep().pages, count(30));
}
