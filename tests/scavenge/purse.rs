//! What it may cost: the purse, its debt, and that the overdue go nevertheless.

use spanheap::{Costs, Policy, Residency};

use crate::common::{BREAK_EVEN, MS, PAGE, POLICY, Rig, SECOND, Setup, range};

/// Huge pages of 2 MiB, so that each costs what the policy says.
const SETUP: Setup = Setup {
    huge: 512 * PAGE,
    pages: 8 * 512,
    ..Setup::SMALL
};

/// Nothing is earned: what there is at first is what it costs to drain the heap once
/// and to take all of it back.
const POOR: Policy = Policy { share: 0, ..POLICY };

#[test]
fn a_heap_may_be_drained_once_and_taken_back_once_before_there_is_debt() {
    let mut rig = Rig::new(SETUP, POOR);
    let drained = rig.until_release();
    assert!(drained < 600 * MS, "at {} ms", drained / MS);
    assert_eq!(rig.idle(), 0);
    let all = rig.alloc(8 * 512).expect("memory");
    let _ = rig.poll();
    // Nothing is left: what is idle now is held until the deadline.
    rig.free(all);
    let freed = rig.now;
    let gone = rig.until_release() - freed;
    assert!(gone >= POOR.deadline_ns, "after {} ms", gone / MS);
    assert!(gone <= POOR.deadline_ns + SECOND);
    assert_eq!(rig.idle(), 0, "what is overdue goes all at once, in debt");
}

#[test]
fn the_debt_is_for_what_was_taken_back_and_not_for_the_first_use() {
    // The same, but that the memory is new.
    let mut rig = Rig::new(
        Setup {
            residency: Residency::Released,
            ..SETUP
        },
        POOR,
    );
    let _ = rig.poll();
    let all = rig.alloc(8 * 512).expect("memory");
    let _ = rig.poll();
    rig.free(all);
    let freed = rig.now;
    let gone = rig.until_release() - freed;
    assert!(gone < 600 * MS, "after {} ms", gone / MS);
}

#[test]
fn what_is_taken_back_is_charged_for_when_it_is() {
    // To take back costs more than there ever is.
    let policy = Policy {
        costs: Costs {
            release_ns: 0,
            take_back_ns: 10_000,
        },
        ..POOR
    };
    let mut rig = Rig::new(SETUP, policy);
    let _ = rig.until_release();
    // Free of charge as long as nobody wants it back.
    for huge in [7u32, 3, 5] {
        let back = rig.take(huge * 512, 512);
        let _ = rig.poll();
        rig.free(back);
        let freed = rig.now;
        let gone = rig.until_release() - freed;
        assert!(gone < policy.deadline_ns, "after {} ms", gone / MS);
    }
}

#[test]
fn holds_get_longer_as_the_purse_empties() {
    let mut rig = Rig::new(SETUP, POOR);
    let _ = rig.until_release();
    let mut last = 0;
    let mut longest = 0;
    for round in 0..20 {
        // Taken back soon, and so held until it breaks even, which is ever later.
        let back = rig.take(7 * 512, 512);
        let _ = rig.poll_early();
        rig.free(back);
        let freed = rig.now;
        let held = rig.until_release() - freed;
        assert!(held >= last, "round {round}: {} ms", held / MS);
        assert!(held <= POOR.deadline_ns + SECOND);
        last = held.saturating_sub(SECOND);
        longest = longest.max(held);
    }
    assert!(longest >= POOR.deadline_ns, "{} ms", longest / MS);
}

#[test]
fn a_purse_that_is_half_full_holds_for_twice_as_long() {
    let mut rig = Rig::new(SETUP, POOR);
    let _ = rig.take(0, 4 * 512);
    let _ = rig.until_release();
    // Four went and came back: half of what there was is spent.
    let back = rig.take(4 * 512, 4 * 512);
    let _ = rig.poll_early();
    rig.free(back);
    let freed = rig.now;
    let held = rig.until_release() - freed;
    // Taken back at once: held until it breaks even.
    let expected = 2 * BREAK_EVEN * MS..=2 * BREAK_EVEN * MS + 60 * MS;
    assert!(expected.contains(&held), "{} ms", held / MS);
}

#[test]
fn the_purse_fills_again_by_its_share() {
    // Room for 80 µs; a millionth of the time: 1 µs a second.
    let policy = Policy {
        share: 1,
        deadline_ns: 10_000 * SECOND,
        ..POLICY
    };
    let mut rig = Rig::new(SETUP, policy);
    let _ = rig.until_release();
    let all = rig.alloc(8 * 512).expect("memory");
    let _ = rig.poll();
    rig.free(all);
    let freed = rig.now;
    // After t seconds there are t µs of 80: what is held for a second if the purse is
    // full, for 80 / t then, which t is the first to exceed at the root of 80. That
    // pays for all eight.
    let gone = rig.until_release() - freed;
    assert!(
        (8_900 * MS..10_000 * MS).contains(&gone),
        "{} ms",
        gone / MS
    );
    assert_eq!(rig.idle(), 0);
}

#[test]
fn no_more_goes_than_can_be_paid_for_and_the_rest_as_it_is_earned() {
    // Held for no time, at 1 µs for each that goes; 1 µs is earned in a second.
    let policy = Policy {
        share: 1,
        young_ns: 0,
        price_ns: u64::MAX,
        ..POLICY
    };
    let mut rig = Rig::new(SETUP, policy);
    let _ = rig.poll();
    // To take these back costs 72 of the 80, to release them 8.
    let all = rig.take(0, 8 * 512);
    let _ = rig.poll_early();
    let begun = rig.now;
    rig.free(all);
    let mut gone = 0;
    while rig.now < begun + policy.deadline_ns - 2 * SECOND {
        let polled = rig.now;
        gone += rig.poll() / SETUP.huge;
        let earned = (polled - begun) / SECOND + 1;
        assert!(gone <= earned, "{gone} after {} ms", (polled - begun) / MS);
    }
    assert!(gone >= 6, "{gone}");
}

#[test]
fn what_came_back_is_paid_for_once_and_what_is_new_then_not_at_all() {
    let mut rig = Rig::without_regions(SETUP, POOR);
    rig.add(range(0, 4 * 512), Residency::Resident);
    rig.add(range(4 * 512, 4 * 512), Residency::Released);
    let _ = rig.until_release();
    // Half of what there was is spent on these, and nothing on those.
    let back = rig.take(0, 4 * 512);
    let _ = rig.poll_early();
    let _ = rig.take(4 * 512, 4 * 512);
    let _ = rig.poll_early();
    rig.free(back);
    let freed = rig.now;
    let held = rig.until_release() - freed;
    let expected = 2 * BREAK_EVEN * MS..=2 * BREAK_EVEN * MS + 60 * MS;
    assert!(expected.contains(&held), "{} ms", held / MS);
}

#[test]
fn debt_is_paid_off_before_there_is_anything_to_spend() {
    // A microsecond is earned in a second, of 80 that it costs to go and come back.
    let policy = Policy { share: 1, ..POLICY };
    let mut rig = Rig::new(SETUP, policy);
    for round in 0..5 {
        let all = rig.alloc(8 * 512).expect("memory");
        let _ = rig.poll();
        rig.free(all);
        let freed = rig.now;
        let gone = rig.until_release() - freed;
        // Once all has come back once, there is nothing. Without debt, what is earned
        // meanwhile does after nine seconds.
        let overdue = gone >= policy.deadline_ns;
        assert_eq!(overdue, round > 1, "round {round}: {} ms", gone / MS);
    }
}
