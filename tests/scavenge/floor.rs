//! What stays: the minimum, the headroom until the deadline, and whatever is no whole
//! huge page; and in which order the rest goes.

use spanheap::Policy;

use crate::common::{KINDS, MS, PAGE, POLICY, Rig, SECOND, Setup, count};

const HUGE: u64 = 16 * PAGE;

#[test]
fn the_minimum_stays_for_ever_and_lies_lowest() {
    for kind in KINDS {
        let setup = Setup::of(kind);
        for (minimum, kept) in [
            (0, 0),
            (1, 1),
            (setup.huge, 1),
            (setup.huge + 1, 2),
            (3 * setup.huge, 3),
        ] {
            let mut rig = Rig::new(setup, Policy { minimum, ..POLICY });
            rig.poll_until(60 * SECOND);
            assert_eq!(rig.idle(), kept, "{kind:?}, of {minimum}");
            assert!(kept == 0 || rig.is_backed(kept * 512 - 1));
        }
    }
}

#[test]
fn a_minimum_that_is_more_than_the_heap_keeps_it_all() {
    let policy = Policy {
        minimum: 1 << 40,
        ..POLICY
    };
    let mut rig = Rig::new(Setup::SMALL, policy);
    let polls = rig.poll_until(100 * SECOND);
    assert!(polls < 120, "{polls}");
    assert_eq!(rig.idle(), 32);
}

#[test]
fn a_minimum_that_is_lowered_after_weeks_goes() {
    let policy = Policy {
        minimum: u64::MAX,
        ..POLICY
    };
    let day = 24 * 3600 * SECOND;
    for days in [1, 20, 26, 48] {
        let mut rig = Rig::new(Setup::SMALL, policy);
        let _ = rig.poll();
        while rig.now < days * day {
            let _ = rig.poll();
            rig.now += day;
        }
        rig.scavenger.set_policy(POLICY);
        let end = rig.now + POLICY.deadline_ns + SECOND;
        rig.poll_until(end);
        assert_eq!(rig.idle(), 0, "after {days} days");
    }
}

#[test]
fn the_headroom_stays_until_the_deadline_and_no_longer() {
    for kind in KINDS {
        let setup = Setup::of(kind);
        let policy = Policy {
            headroom: 300,
            ..POLICY
        };
        let mut rig = Rig::new(setup, policy);
        // A peak of eight huge pages, and then half of that.
        let _ = rig.alloc(4 * 512).expect("memory");
        let used = rig.alloc(4 * 512).expect("memory");
        rig.poll_until(3 * SECOND);
        rig.free(used);
        let freed = rig.now;
        let headroom = 2;
        // The peak is known as of the last look, and forgotten a sixteenth early.
        rig.poll_until(freed + policy.deadline_ns * 15 / 16 - 2 * SECOND);
        assert_eq!(rig.idle(), headroom, "{kind:?}, at {} ms", rig.now / MS);
        rig.poll_until(freed + policy.deadline_ns + 2 * SECOND);
        assert_eq!(rig.idle(), 0, "{kind:?}");
    }
}

#[test]
fn the_minimum_and_the_headroom_are_the_same_memory() {
    let policy = Policy {
        headroom: 1000,
        minimum: 4 * HUGE,
        ..POLICY
    };
    let mut rig = Rig::new(Setup::SMALL, policy);
    let _ = rig.alloc(12 * 16).expect("memory");
    let used = rig.alloc(12 * 16).expect("memory");
    rig.poll_until(SECOND);
    rig.free(used);
    rig.poll_until(5 * SECOND);
    assert_eq!(rig.idle(), 6, "half of what is in use");
    rig.poll_until(15 * SECOND);
    assert_eq!(rig.idle(), 4);
}

#[test]
fn only_whole_huge_pages_go_and_the_highest_before_others() {
    for kind in KINDS {
        let setup = Setup::of(kind);
        let mut rig = Rig::new(
            setup,
            Policy {
                step: setup.huge,
                ..POLICY
            },
        );
        // In the second and the sixth a page is in use; the fourth is in use.
        let _ = rig.take(512 + 5, 1);
        let _ = rig.take(5 * 512, 1);
        let _ = rig.take(3 * 512, 512);
        let backed = |rig: &Rig, huge: u32| {
            let pages = huge * 512..(huge + 1) * 512;
            pages.filter(|&page| rig.is_backed(page)).count()
        };
        let mut gone = Vec::new();
        while rig.now < 15 * SECOND {
            let before: Vec<usize> = (0..8).map(|huge| backed(&rig, huge)).collect();
            let _ = rig.poll();
            gone.extend((0..8).filter(|&huge| backed(&rig, huge) != before[huge as usize]));
        }
        assert_eq!(gone, [7, 6, 4, 2, 0], "{kind:?}");
        let left: Vec<usize> = (0..8).map(|huge| backed(&rig, huge)).collect();
        assert_eq!(left, [0, 512, 0, 512, 0, 512, 0, 0], "{kind:?}");
    }
}

#[test]
fn what_is_idle_beside_huge_pages_is_no_reason_to_look_more_often() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    for huge in 0..32 {
        let _ = rig.take(huge * 16 + 7, 1);
    }
    let polls = rig.poll_until(100 * SECOND);
    assert!(polls < 110, "{polls}");
    assert_eq!(rig.stats().released, count(0));
}

#[test]
fn held_and_due_huge_pages_side_by_side_are_told_apart() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    rig.poll_until(400 * MS);
    // Every third becomes young.
    for huge in (0..32).step_by(3) {
        let taken = rig.take(huge * 16, 16);
        rig.free(taken);
    }
    let _ = rig.until_release();
    for huge in 0..32 {
        assert_eq!(rig.is_backed(huge * 16), huge % 3 == 0, "{huge}");
    }
    rig.poll_until(rig.now + SECOND);
    assert_eq!(rig.idle(), 0);
}
