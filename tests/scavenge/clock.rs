//! Clocks that stand still, jump, go backwards or end; and callers who come late, or
//! all the time.

use spanheap::{Policy, Scavenger};

use crate::common::{KINDS, MS, POLICY, Rig, SECOND, Setup, range};

#[test]
fn a_heap_is_drained_whenever_the_clock_begins() {
    for start in [
        0,
        1,
        999_999,
        u64::from(u32::MAX) * MS - 5 * SECOND,
        u64::MAX / 2,
        u64::MAX - 30 * SECOND,
    ] {
        let mut rig = Rig::new(Setup::SMALL, POLICY);
        rig.now = start;
        rig.poll_until(start.saturating_add(11 * SECOND));
        assert_eq!(rig.idle(), 0, "from {start}");
    }
}

#[test]
fn at_the_end_of_time_and_while_it_stands_still_nothing_goes_and_nothing_breaks() {
    for now in [0, 12_345 * SECOND, u64::MAX - 1, u64::MAX] {
        let mut rig = Rig::new(Setup::SMALL, POLICY);
        rig.now = now;
        for _ in 0..100 {
            let _ = rig.poll_early();
        }
        assert_eq!(rig.idle(), 32);
        // The verbs that do not wait need no clock.
        let _ = rig.reclaim(POLICY.step);
        assert_eq!(rig.resident(), 0);
    }
}

#[test]
fn a_clock_that_goes_backwards_makes_nothing_older() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    rig.now = 1_000 * SECOND;
    for _ in 0..500 {
        let _ = rig.poll_early();
        rig.now -= SECOND;
    }
    assert_eq!(rig.idle(), 32);
    // And time passes again from there on.
    let begun = rig.now;
    let gone = rig.until_release() - begun;
    assert!((500 * MS..SECOND).contains(&gone), "{} ms", gone / MS);
}

#[test]
fn a_clock_that_swings_counts_the_way_forwards() {
    let mut rig = Rig::new(Setup::SMALL, Policy { share: 0, ..POLICY });
    rig.scavenger.set_policy(Policy {
        price_ns: 0,
        ..POLICY
    });
    rig.now = 1_000 * SECOND;
    let mut swings = 0;
    while rig.idle() > 0 {
        let _ = rig.poll_early();
        rig.now += SECOND;
        let _ = rig.poll_early();
        rig.now -= SECOND;
        swings += 1;
        assert!(swings < 20);
    }
    assert!(swings >= 10, "{swings}");
}

#[test]
fn a_jump_of_years_makes_what_was_idle_overdue_and_what_was_in_use_not() {
    let year = 365 * 24 * 3600 * SECOND;
    for kind in KINDS {
        for jump in [11 * SECOND, year, 200 * year] {
            let mut rig = Rig::new(Setup::of(kind), POLICY);
            let used = rig.take(0, 2 * 512);
            let _ = rig.poll();
            rig.now += jump;
            // Freed in the last moment.
            rig.free(used);
            let _ = rig.poll();
            assert_eq!(rig.idle(), 2, "{kind:?}");
            assert!(rig.is_backed(0));
            let jumped = rig.now;
            let gone = rig.until_release() - jumped;
            assert!((500 * MS..SECOND).contains(&gone), "{} ms", gone / MS);
        }
    }
}

#[test]
fn a_caller_who_comes_too_rarely_releases_nothing_that_is_in_use_now_and_then() {
    for kind in KINDS {
        for period in [60 * MS, 700 * MS, 5 * SECOND, 60 * SECOND] {
            let mut rig = Rig::new(Setup::of(kind), POLICY);
            for _ in 0..50 {
                // All of it, just before each look.
                let used = rig.take(0, 8 * 512);
                rig.free(used);
                let _ = rig.poll_early();
                rig.now += period;
            }
            assert_eq!(rig.idle(), 8, "{kind:?}, every {} ms", period / MS);
        }
    }
}

#[test]
fn a_caller_who_comes_rarely_still_drains_the_heap_by_the_deadline_and_two_looks() {
    for period in [60 * MS, 700 * MS, 5 * SECOND, 60 * SECOND] {
        let mut rig = Rig::new(Setup::SMALL, Policy { share: 0, ..POLICY });
        let used = rig.take(0, 256);
        let _ = rig.poll_early();
        rig.now += period;
        rig.free(used);
        let freed = rig.now;
        while rig.idle() > 0 {
            let _ = rig.poll_early();
            rig.now += period;
            assert!(rig.now <= freed + POLICY.deadline_ns + 3 * period);
        }
    }
}

#[test]
fn a_caller_who_calls_all_the_time_holds_nothing_for_longer() {
    for kind in KINDS {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        let used = rig.take(0, 8 * 512);
        // A quiet heap: the next look is a second away. But it is looked at anyway.
        rig.poll_until(10 * SECOND);
        let begun = rig.now;
        while rig.now < begun + 3 * SECOND {
            let (next, _) = rig.poll_early();
            assert!(next <= rig.now + SECOND);
            rig.now += 37 * MS;
        }
        rig.free(used);
        let freed = rig.now;
        while rig.idle() > 0 {
            let _ = rig.poll_early();
            rig.now += 37 * MS;
            assert!(rig.now < freed + 2 * SECOND, "{kind:?}");
        }
    }
}

#[test]
fn a_second_scavenger_takes_over_from_the_first() {
    for uptime in [3 * SECOND, 3600 * SECOND, 30 * 24 * 3600 * SECOND] {
        let mut rig = Rig::new(Setup::SMALL, POLICY);
        let used = rig.take(0, 512);
        let _ = rig.poll();
        while rig.now < uptime {
            rig.now += uptime / 5;
            let _ = rig.poll();
        }
        rig.free(used);
        rig.scavenger = Scavenger::new(POLICY);
        let begun = rig.now;
        rig.poll_until(begun + POLICY.deadline_ns + 4 * SECOND);
        assert_eq!(rig.idle(), 0, "after {} s", uptime / SECOND);
    }
}

#[test]
fn what_another_verb_did_meanwhile_is_no_look() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let used = rig.take(0, 512);
    let _ = rig.poll();
    // The clock is late, and a verb other than `poll` is the first to say so.
    rig.now += 20 * SECOND;
    rig.free(used);
    let _ = rig.reclaim(0);
    rig.now += MS;
    let _ = rig.poll();
    assert_eq!(rig.idle(), 32);
    assert!(rig.is_backed(range(0, 1).start().number()));
}

#[test]
fn a_call_before_the_appointment_changes_nothing_about_it() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let _ = rig.take(0, 512);
    rig.poll_until(5 * SECOND);
    let (appointment, _) = rig.poll_early();
    assert_eq!(appointment - rig.now, SECOND);
    for _ in 0..20 {
        rig.now += 49 * MS;
        assert_eq!(rig.poll_early().0, appointment);
    }
    rig.now = appointment;
    assert_eq!(rig.poll_early().0, appointment + SECOND);
}
