//! A backing that refuses, now and then or always: nothing is lost, it is asked again
//! later, and not all the time.

use spanheap::backing::fake::Call;
use spanheap::{AllocError, Policy, Pressure, ReleaseEnd};

use crate::common::{KINDS, Kind, MS, POLICY, Rig, SECOND, Setup, count};

#[test]
fn a_backing_that_takes_nothing_back_is_asked_again_and_again_but_not_often() {
    for kind in KINDS {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        rig.fake.fail_always();
        let polls = rig.poll_until(60 * SECOND);
        assert!(polls < 80, "{kind:?}: {polls}");
        assert!(rig.fake.has_failed());
        assert_eq!(rig.idle(), 8, "nothing is lost");
        // At most two calls in a poll.
        let calls = rig.stats().unused_calls;
        assert!(calls > 50 && calls <= 2 * u64::from(polls), "{calls}");
        // And as soon as it can, it does.
        rig.fake.recover();
        rig.poll_until(rig.now + 2 * SECOND);
        assert_eq!(rig.idle(), 0);
    }
}

#[test]
fn a_refused_release_is_not_paid_for_as_taking_back_is() {
    let policy = Policy { share: 0, ..POLICY };
    let mut rig = Rig::new(Setup::of(Kind::Page), policy);
    rig.fake.fail_always();
    rig.poll_until(5 * SECOND);
    // Taken and freed: it never was away, and nothing is owed.
    let all = rig.alloc(8 * 512).expect("it is backed");
    let _ = rig.poll();
    rig.fake.recover();
    rig.free(all);
    let freed = rig.now;
    let gone = rig.until_release() - freed;
    assert!(gone < 700 * MS, "after {} ms", gone / MS);
}

#[test]
fn a_backing_that_does_a_part_of_each_batch_is_given_the_rest_later() {
    let setup = Setup {
        slots: 512,
        ..Setup::SMALL
    };
    for done in [0, 1, 5, 15] {
        let mut rig = Rig::new(setup, POLICY);
        for huge in 0..16 {
            let _ = rig.take(huge * 32, 1);
        }
        let mut failed = 0;
        while rig.idle() > 0 {
            rig.fake.fail_nth(0, done);
            let _ = rig.poll();
            failed += u32::from(rig.fake.has_failed());
            // Each second, a batch is refused; without fault the rest goes.
            if failed == 3 {
                rig.fake.recover();
                let _ = rig.poll();
            }
            assert!(rig.now < 30 * SECOND, "{done}: {}", rig.idle());
        }
    }
}

#[test]
fn every_demand_says_that_it_was_refused_and_loses_nothing() {
    for kind in KINDS {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        let _ = rig.take(512, 100);
        rig.fake.fail_always();
        let before = rig.resident();
        assert_eq!(rig.sleep().end, ReleaseEnd::Refused);
        assert_eq!(rig.pressure(Pressure::Moderate).end, ReleaseEnd::Refused);
        assert_eq!(rig.pressure(Pressure::Severe).end, ReleaseEnd::Refused);
        assert_eq!(rig.reclaim(1).end, ReleaseEnd::Refused);
        assert_eq!(rig.set_limit(0).end, ReleaseEnd::Refused);
        assert_eq!(rig.resident(), before, "{kind:?}");
        rig.fake.recover();
        let done = rig.pressure(Pressure::Severe);
        assert_eq!(done.pages, count(7 * 512 + 412));
    }
}

#[test]
fn a_refused_demand_makes_one_call_and_not_one_for_each_of_its_parts() {
    let mut rig = Rig::new(Setup::of(Kind::Page), POLICY);
    let _ = rig.take(512, 100);
    rig.fake.fail_always();
    for bytes in [1, 5 << 20, u64::MAX] {
        drop(rig.fake.take_log());
        let _ = rig.reclaim(bytes);
        assert_eq!(rig.fake.take_log().len(), 1, "{bytes}");
    }
}

#[test]
fn a_commit_that_is_refused_is_neither_a_refault_nor_a_return() {
    for kind in [Kind::Page, Kind::Locked] {
        let policy = Policy { share: 0, ..POLICY };
        let mut rig = Rig::new(Setup::of(kind), policy);
        let _ = rig.until_release();
        let used_pages = rig.stats().used_pages;
        for _ in 0..50 {
            rig.fake.fail_nth(0, 0);
            assert!(matches!(rig.alloc(512), Err(AllocError::Refused(_))));
            rig.audit();
        }
        assert_eq!(rig.stats().used_pages, used_pages);
        let _ = rig.poll();
        // What there was to spend is still there.
        let one = rig.alloc(512).expect("memory");
        let _ = rig.poll();
        rig.free(one);
        let freed = rig.now;
        let gone = rig.until_release() - freed;
        assert!(gone < 3 * SECOND, "{kind:?}: after {} ms", gone / MS);
    }
}

#[test]
fn after_a_refused_commit_what_had_been_committed_is_young() {
    // Two huge pages, the lower of them released in two spans with a page between.
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let _ = rig.take(64, 448);
    rig.poll_until(SECOND);
    assert_eq!(rig.resident(), 448 * 4096);
    // Page 40 is backed and idle; a request for 64 pages commits both sides of it.
    let page = rig.take(40, 1);
    rig.free(page);
    rig.now += 5 * SECOND;
    let _ = rig.poll();
    rig.fake.fail_nth(1, 0);
    assert!(matches!(rig.alloc(64), Err(AllocError::Refused(_))));
    rig.audit();
    let committed = rig.now;
    assert_eq!(rig.idle(), 2, "those below page 40");
    let calls = rig.fake.take_log();
    assert_eq!(
        calls
            .iter()
            .filter(|call| matches!(call, Call::Used { .. }))
            .count(),
        2
    );
    let gone = rig.until_release() - committed;
    assert!(gone >= 50 * MS, "after {} ms", gone / MS);
}

#[test]
fn whatever_call_fails_the_heap_is_drained_in_the_end() {
    for kind in KINDS {
        for nth in 0..12 {
            let mut rig = Rig::new(Setup::of(kind), Policy { calls: 1, ..POLICY });
            rig.fake.fail_nth(nth, 0);
            for round in 0..6 {
                if let Ok(range) = rig.alloc(700 + round * 300) {
                    let _ = rig.poll();
                    rig.free(range);
                }
                rig.audit();
                rig.poll_until(rig.now + 3 * SECOND);
            }
            let _ = rig.sleep();
            let _ = rig.sleep();
            assert_eq!(rig.resident(), 0, "{kind:?}, {nth}");
        }
    }
}
