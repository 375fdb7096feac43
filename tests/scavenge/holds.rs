//! For how long a huge page is held: by what happened to it the last time.

use spanheap::{Policy, Residency};

use crate::common::{BREAK_EVEN, KINDS, MS, POLICY, Rig, SECOND, Setup, range};

/// Of a huge page of which nothing is known.
const UNKNOWN: u64 = BREAK_EVEN * 582 / 1000;

/// How late a look may come that is asked for in milliseconds.
const LATE: u64 = 2 * MS;

/// A heap with everything in use but for one huge page, which is in use too: the one
/// that is returned.
fn one_huge_page(setup: Setup) -> (Rig, spanheap::PageRange) {
    let mut rig = Rig::new(setup, POLICY);
    let huge = (setup.huge / setup.page) as u32;
    let _ = rig.take(0, setup.pages - huge);
    let last = rig.take(setup.pages - huge, huge);
    let _ = rig.poll();
    (rig, last)
}

/// Frees it right before the scavenger looks, and returns how long it is held.
#[track_caller]
fn held(rig: &mut Rig, huge: spanheap::PageRange) -> u64 {
    rig.free(huge);
    let freed = rig.now;
    let gone = rig.until_release();
    assert!(!rig.is_backed(huge.start().number()));
    gone - freed
}

/// Takes it back after it was idle for so long in all.
fn take_back(rig: &mut Rig, huge: spanheap::PageRange, freed: u64, away: u64) {
    while rig.now < freed + away {
        let next = rig.poll_early().0;
        rig.now = next.min(freed + away);
    }
    let _ = rig.poll_early();
    let _ = rig.take(huge.start().number(), huge.count().get());
    let _ = rig.poll();
}

#[test]
fn a_huge_page_of_which_nothing_is_known_is_held_for_a_part_of_break_even() {
    for kind in KINDS {
        let (mut rig, huge) = one_huge_page(Setup::of(kind));
        let held = held(&mut rig, huge);
        let expected = UNKNOWN * MS..=UNKNOWN * MS + LATE;
        assert!(expected.contains(&held), "{kind:?}: {} ms", held / MS);
    }
}

#[test]
fn one_that_was_taken_back_soon_is_held_until_it_breaks_even() {
    for kind in KINDS {
        let (mut rig, huge) = one_huge_page(Setup::of(kind));
        let freed = rig.now;
        let _ = held(&mut rig, huge);
        take_back(&mut rig, huge, freed, 800 * MS);
        let held = held(&mut rig, huge);
        let expected = BREAK_EVEN * MS..=BREAK_EVEN * MS + LATE;
        assert!(expected.contains(&held), "{kind:?}: {} ms", held / MS);
    }
}

#[test]
fn one_that_was_taken_back_late_is_not_waited_for_again() {
    for kind in KINDS {
        let (mut rig, huge) = one_huge_page(Setup::of(kind));
        let freed = rig.now;
        let _ = held(&mut rig, huge);
        take_back(&mut rig, huge, freed, 1_200 * MS);
        let held = held(&mut rig, huge);
        let expected = 50 * MS..=50 * MS + LATE;
        assert!(expected.contains(&held), "{kind:?}: {} ms", held / MS);
    }
}

#[test]
fn only_what_happened_last_counts() {
    let (mut rig, huge) = one_huge_page(Setup::SMALL);
    for (away, then) in [(1_500, 50), (700, 1_000), (5_000, 50), (1_050, 50)] {
        let freed = rig.now;
        let _ = held(&mut rig, huge);
        take_back(&mut rig, huge, freed, (away) * MS);
        let freed = rig.now;
        rig.free(huge);
        let gone = rig.until_release();
        let held = gone - freed;
        let expected = then * MS..=then * MS + LATE;
        assert!(expected.contains(&held), "{away}: {} ms", held / MS);
        take_back(&mut rig, huge, freed, 3_000 * MS);
    }
}

#[test]
fn what_is_used_on_and_off_faster_than_young_is_never_released() {
    for kind in KINDS {
        for (on, off) in [(1, 49), (49, 1), (20, 20), (500, 49), (7, 40)] {
            // As cheap as can be, and known to stay away for long.
            let policy = Policy {
                price_ns: u64::MAX,
                ..POLICY
            };
            let (mut rig, huge) = one_huge_page(Setup::of(kind));
            rig.scavenger.set_policy(policy);
            let calls = rig.stats().unused_calls;
            for _ in 0..100 {
                rig.free(huge);
                run(&mut rig, off * MS);
                let _ = rig.take(huge.start().number(), huge.count().get());
                run(&mut rig, on * MS);
            }
            assert_eq!(
                rig.stats().unused_calls,
                calls,
                "{kind:?}: on {on}, off {off}"
            );
        }
    }
}

/// Lets time pass, and polls when that is asked for.
fn run(rig: &mut Rig, for_ns: u64) {
    let end = rig.now + for_ns;
    let mut next = rig.now;
    while next < end {
        rig.now = next;
        next = rig.poll_early().0;
    }
    rig.now = end;
}

#[test]
fn handing_out_and_freeing_one_page_makes_its_huge_page_young_again() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let _ = rig.take(0, 16);
    while rig.now < 5 * SECOND {
        let page = rig.alloc(1).expect("memory");
        assert_eq!(page.start().number(), 16, "the lowest");
        rig.free(page);
        let next = rig.poll_early().0;
        rig.now = next.min(rig.now + 40 * MS);
    }
    assert!(rig.is_backed(16));
    assert_eq!(rig.idle(), 1, "all others went");
}

#[test]
fn a_region_that_is_added_late_is_held_like_any_other() {
    for residency in [Residency::Resident, Residency::Released] {
        for uptime in [3 * SECOND, 40 * 24 * 3600 * SECOND] {
            let mut rig = Rig::without_regions(Setup::SMALL, POLICY);
            rig.add(range(0, 16), Residency::Resident);
            let _ = rig.take(0, 16);
            while rig.now < uptime {
                let _ = rig.poll_early();
                rig.now += uptime / 10;
            }
            let _ = rig.poll();
            rig.add(range(16, 16), residency);
            if residency == Residency::Released {
                let taken = rig.take(16, 16);
                rig.free(taken);
            }
            let added = rig.now;
            let held = rig.until_release() - added;
            let expected = UNKNOWN * MS..=UNKNOWN * MS + LATE;
            assert!(expected.contains(&held), "{} ms", held / MS);
        }
    }
}

#[test]
fn one_that_was_taken_back_between_two_looks_is_not_thought_to_have_been_away_for_longer() {
    let (mut rig, huge) = one_huge_page(Setup::SMALL);
    let freed = rig.now;
    let _ = held(&mut rig, huge);
    // The looks are further and further apart: the next comes after it breaks even.
    while rig.now < freed + 900 * MS {
        let _ = rig.poll();
    }
    let _ = rig.poll_early();
    let _ = rig.take(huge.start().number(), huge.count().get());
    let (next, _) = rig.poll_early();
    assert!(next > rig.now);
    let _ = rig.poll();
    let held = held(&mut rig, huge);
    let expected = BREAK_EVEN * MS..=BREAK_EVEN * MS + LATE;
    assert!(expected.contains(&held), "{} ms", held / MS);
}

#[test]
fn each_goes_when_its_own_time_has_come() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let used: Vec<_> = (0..4).map(|at| rig.take(at * 128, 128)).collect();
    let _ = rig.poll();
    let mut freed = Vec::new();
    for range in used {
        rig.free(range);
        // What becomes free now is stamped with the time of the next look.
        freed.push(rig.now);
        run(&mut rig, 120 * MS);
        let _ = rig.poll();
    }
    for freed in freed {
        let held = rig.until_release() - freed;
        let expected = UNKNOWN * MS..=UNKNOWN * MS + 60 * MS;
        assert!(expected.contains(&held), "{} ms", held / MS);
    }
}

#[test]
fn however_many_are_held_above_what_is_due_below_goes() {
    // A span of more huge pages than are looked at in one step.
    for kind in [crate::common::Kind::Page, crate::common::Kind::Locked] {
        let setup = Setup {
            kind,
            huge: crate::common::PAGE,
            pages: 14_000,
            ..Setup::SMALL
        };
        let mut rig = Rig::new(setup, POLICY);
        rig.poll_until(500 * MS);
        let used = rig.take(4_000, 10_000);
        rig.free(used);
        let gone = rig.until_release();
        assert!(gone < 600 * MS);
        assert_eq!(rig.idle(), 10_000, "{kind:?}");
        assert!(!rig.is_backed(3_999) && rig.is_backed(4_000));
    }
}

#[test]
fn of_two_that_are_held_the_first_to_come_due_says_when_to_look() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let _ = rig.take(0, 480);
    let unknown = rig.take(480, 16);
    let known = rig.take(496, 16);
    let _ = rig.poll();
    let _ = held(&mut rig, known);
    let _ = rig.take(496, 16);
    let _ = rig.poll();
    // This one until it breaks even, the one below it for a part of that.
    rig.free(known);
    let held = held(&mut rig, unknown);
    let expected = UNKNOWN * MS..=UNKNOWN * MS + LATE;
    assert!(expected.contains(&held), "{} ms", held / MS);
    assert!(rig.is_backed(496));
}
