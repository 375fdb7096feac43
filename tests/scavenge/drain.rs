//! An idle heap shrinks, by polls alone, although nobody allocates.

use spanheap::{Policy, Reclaim};

use crate::common::{KINDS, Kind, MS, PAGE, POLICY, Rig, SECOND, Setup, range};

const PRESETS: [Policy; 4] = [Policy::EAGER, Policy::BALANCED, Policy::KEEP, POLICY];

#[test]
fn an_idle_heap_is_drained_by_the_deadline_in_a_bounded_number_of_polls() {
    for kind in KINDS {
        for policy in PRESETS {
            let mut rig = Rig::new(Setup::of(kind), policy);
            let mut polls = 0;
            while rig.idle() > 0 {
                assert!(rig.now <= policy.deadline_ns + SECOND, "{kind:?}");
                let _ = rig.poll();
                polls += 1;
            }
            assert_eq!(rig.resident(), 0);
            // Once a second, and what it takes to get there by doubling.
            let most = policy.deadline_ns / SECOND + 20;
            assert!(polls <= most, "{kind:?}: {polls} polls of {policy:?}");
        }
    }
}

#[test]
fn what_becomes_idle_in_a_quiet_heap_is_gone_a_second_after_the_deadline() {
    for kind in KINDS {
        // Nothing is there to pay with.
        let policy = Policy { share: 0, ..POLICY };
        let mut rig = Rig::new(Setup::of(kind), policy);
        let used = rig.alloc(6 * 512).expect("memory");
        rig.poll_until(policy.deadline_ns * 2);
        let freed = rig.now;
        // The worst moment: the next look is a second away.
        let _ = rig.poll();
        assert_eq!(rig.now - freed, SECOND);
        rig.free(used);
        rig.poll_until(freed + policy.deadline_ns + SECOND);
        let _ = rig.poll();
        assert_eq!(rig.resident(), 0, "{kind:?}");
    }
}

#[test]
fn a_drained_heap_is_looked_at_once_a_second() {
    for kind in KINDS {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        rig.poll_until(20 * SECOND);
        let polls = rig.poll_until(rig.now + 100 * SECOND);
        assert_eq!(polls, 100);
        assert_eq!(rig.fake.take_log(), []);
    }
}

#[test]
fn a_heap_that_is_in_use_is_looked_at_no_more_often_than_young_says() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let _ = rig.alloc(512).expect("memory");
    rig.poll_until(2 * SECOND);
    let mut polls = 0;
    let end = rig.now + 10 * SECOND;
    let mut held = Vec::new();
    let all = rig.now;
    rig.free(range(0, 512));
    while rig.now < end {
        // In use and not, between every two looks.
        match held.pop() {
            Some(range) => rig.free(range),
            None => held.push(rig.alloc(512).expect("memory")),
        }
        let _ = rig.poll();
        polls += 1;
    }
    assert!(polls <= (rig.now - all) / (50 * MS) + 1, "{polls}");
    assert_eq!(rig.stats().unused_calls, 0, "it was never idle for long");
}

#[test]
fn a_drain_in_steps_takes_a_poll_for_each_a_millisecond_apart() {
    let huge = 16 * PAGE;
    for (step, calls, each) in [(huge, 8, 1), (3 * huge, 8, 3), (4 * huge - 1, 1, 3)] {
        let policy = Policy {
            step,
            calls,
            ..POLICY
        };
        let mut rig = Rig::new(Setup::SMALL, policy);
        let first = rig.until_release();
        let polls = 32u64.div_ceil(each);
        for _ in 1..polls {
            assert!(rig.idle() > 0);
            assert!(rig.poll() <= each * huge);
        }
        assert_eq!(rig.idle(), 0);
        assert_eq!(
            rig.now - first,
            polls * MS + 49 * MS,
            "and the last looks again"
        );
    }
}

#[test]
fn a_fragmented_heap_goes_in_no_more_calls_than_the_policy_says() {
    for calls in [1, 2, 8] {
        let policy = Policy {
            calls,
            young_ns: 0,
            deadline_ns: 0,
            ..POLICY
        };
        let setup = Setup {
            pages: 200 * 16,
            slots: 3200,
            ..Setup::SMALL
        };
        let mut rig = Rig::new(setup, policy);
        for huge in 0..100 {
            let _ = rig.take(huge * 32, 1);
        }
        // 32 ranges a call; `poll` counts the calls.
        let mut polls = 1;
        while rig.poll() > 0 && rig.idle() > 0 {
            polls += 1;
        }
        assert_eq!((rig.idle(), polls), (0, 100u32.div_ceil(32 * calls)));
    }
}

#[test]
fn the_free_chunks_that_a_cpu_has_stay_while_others_are_in_use() {
    let mut rig = Rig::new(Setup::of(Kind::Shared), POLICY);
    let page = rig.alloc(1).expect("memory");
    rig.free(page);
    rig.poll_until(SECOND);
    assert_eq!(rig.resident(), 512 * PAGE, "its chunk");
    let stats = Reclaim::treap_stats(&rig.heap);
    assert_eq!(stats.in_use.get(), 512, "which is none of the treap's");
    // Once nothing has changed for a quarter of the deadline, nobody is there to use
    // it.
    rig.poll_until(POLICY.deadline_ns);
    assert_eq!(rig.resident(), 0);
}
