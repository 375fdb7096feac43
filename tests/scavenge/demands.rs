//! What is asked for now: sleep, pressure, so many bytes, a lower limit.

use spanheap::{Policy, Pressure, Reclaim, Release, ReleaseEnd};

use crate::common::{KINDS, Kind, PAGE, POLICY, Rig, SECOND, Setup, count};

const HUGE: u64 = 512 * PAGE;

/// Everything in use but for the odd huge pages and a few pages of the even ones.
fn fragmented(kind: Kind, policy: Policy) -> Rig {
    let mut rig = Rig::new(Setup::of(kind), policy);
    for huge in (0..8).step_by(2) {
        let _ = rig.take(huge * 512 + 40, 400);
    }
    rig
}

#[test]
fn a_system_that_goes_to_sleep_keeps_nothing_but_the_minimum() {
    for kind in KINDS {
        for minimum in [0, HUGE, 3 * HUGE] {
            let policy = Policy {
                minimum,
                headroom: 1000,
                ..POLICY
            };
            let mut rig = Rig::new(Setup::of(kind), policy);
            let peak = rig.take(0, 8 * 512);
            let _ = rig.poll();
            rig.free(peak);
            let done = rig.sleep();
            assert_eq!(rig.resident(), minimum, "{kind:?}");
            assert_eq!(u64::from(done.pages.get()) * PAGE, 8 * HUGE - minimum);
            // The peak is forgotten: what comes and goes now is not kept for it.
            let page = rig.take(0, 512);
            let _ = rig.poll();
            rig.free(page);
            rig.now += 2 * SECOND;
            let _ = rig.sleep();
            assert_eq!(rig.resident(), minimum, "{kind:?}");
        }
    }
}

#[test]
fn the_past_peak_is_forgotten_by_a_system_that_goes_to_sleep() {
    let policy = Policy {
        headroom: 200,
        ..POLICY
    };
    for sleeps in [false, true] {
        let mut rig = Rig::new(Setup::SMALL, policy);
        let _ = rig.take(0, 128);
        let peak = rig.take(128, 384);
        let _ = rig.poll();
        rig.free(peak);
        if sleeps {
            let _ = rig.sleep();
            let back = rig.take(128, 384);
            rig.free(back);
        }
        rig.poll_until(rig.now + 5 * SECOND);
        // A fifth of the peak, but no more than half of what is in use: of 32 huge
        // pages, or of 8.
        assert_eq!(rig.idle(), if sleeps { 2 } else { 4 });
    }
}

#[test]
fn a_system_that_sleeps_gives_back_what_is_idle_beside_huge_pages_too() {
    for kind in KINDS {
        let mut rig = fragmented(kind, POLICY);
        let _ = rig.sleep();
        assert_eq!(rig.stats().resident(), rig.stats().in_use, "{kind:?}");
    }
}

#[test]
fn whatever_a_cpu_has_goes_when_the_system_sleeps_or_is_pressed() {
    type Verb = fn(&mut Rig) -> Release;
    let verbs: [Verb; 4] = [
        |rig| rig.sleep(),
        |rig| rig.pressure(Pressure::Moderate),
        |rig| rig.pressure(Pressure::Severe),
        |rig| rig.reclaim(8 * HUGE),
    ];
    for verb in verbs {
        let mut rig = Rig::new(Setup::of(Kind::Shared), POLICY);
        let pages: Vec<_> = (0..8 * 512)
            .map(|_| rig.alloc(1).expect("memory"))
            .collect();
        for page in pages {
            rig.free(page);
        }
        let _ = verb(&mut rig);
        assert_eq!(rig.resident(), 0);
    }
}

#[test]
fn under_moderate_pressure_all_whole_huge_pages_go_but_for_the_minimum() {
    for kind in KINDS {
        for (minimum, kept) in [(0, 0), (HUGE, 1), (2 * HUGE + 1, 3), (u64::MAX, 4)] {
            // However young they are, and in however many pieces.
            let policy = Policy {
                minimum,
                calls: 0,
                step: 0,
                ..POLICY
            };
            let mut rig = fragmented(kind, policy);
            let _ = rig.poll();
            let done = rig.pressure(Pressure::Moderate);
            assert_eq!(rig.idle(), kept, "{kind:?}");
            assert_eq!(done.pages, count((4 - kept) * 512));
            assert!(rig.is_backed(0), "no part of one");
        }
    }
}

#[test]
fn moderate_pressure_reaches_every_huge_page_of_a_fragmented_heap() {
    let setup = Setup {
        pages: 200 * 16,
        slots: 3200,
        ..Setup::SMALL
    };
    let policy = Policy { calls: 1, ..POLICY };
    let mut rig = Rig::new(setup, policy);
    for huge in 0..100 {
        let _ = rig.take(huge * 32, 1);
    }
    let done = rig.pressure(Pressure::Moderate);
    assert_eq!((rig.idle(), done.end), (0, ReleaseEnd::Drained));
}

#[test]
fn under_severe_pressure_all_that_is_idle_goes() {
    for kind in KINDS {
        let policy = Policy {
            minimum: u64::MAX,
            ..POLICY
        };
        let mut rig = fragmented(kind, policy);
        // Single pages, which the shared heap has in a chunk.
        let pages: Vec<_> = (0..9).map(|_| rig.alloc(1).expect("memory")).collect();
        for page in pages.iter().step_by(2) {
            rig.free(*page);
        }
        let done = rig.pressure(Pressure::Severe);
        let stats = rig.stats();
        assert_eq!(stats.resident(), stats.in_use, "{kind:?}");
        assert_eq!(done.end, ReleaseEnd::Drained);
        assert_eq!(done.pages, stats.released);
    }
}

#[test]
fn at_least_as_many_bytes_go_as_are_wanted_and_whole_huge_pages_first() {
    for kind in KINDS {
        let wanted = [1, PAGE, PAGE + 1, HUGE - 1, HUGE, HUGE + 1, 4 * HUGE];
        for bytes in wanted {
            let mut rig = fragmented(kind, POLICY);
            let done = rig.reclaim(bytes);
            let huge = bytes.div_ceil(HUGE) as u32;
            assert_eq!(done.pages, count(huge * 512), "{kind:?}, {bytes}");
            assert_eq!(rig.idle(), 4 - huge);
        }
        // More than there is in whole huge pages: as much as is idle beside them.
        for pages in [1, 112, 300, 448] {
            let mut rig = fragmented(kind, POLICY);
            let done = rig.reclaim(4 * HUGE + u64::from(pages) * PAGE);
            assert_eq!(rig.idle(), 0);
            let beside = done.pages.get() - 4 * 512;
            assert_eq!(beside, pages, "{kind:?}");
        }
        let mut rig = fragmented(kind, POLICY);
        let done = rig.reclaim(u64::MAX);
        assert_eq!(done.pages, count(4 * 512 + 4 * 112));
        assert_eq!(rig.stats().resident(), rig.stats().in_use);
    }
}

#[test]
fn nothing_goes_if_nothing_is_wanted() {
    for kind in KINDS {
        let mut rig = fragmented(kind, POLICY);
        assert_eq!(rig.reclaim(0).pages, count(0));
        assert_eq!(rig.set_limit(u64::MAX).pages, count(0));
        assert_eq!(rig.idle(), 4);
        assert_eq!(rig.stats().unused_calls, 0);
    }
}

#[test]
fn what_is_wanted_goes_without_a_slot_left_if_it_is_all_there_is() {
    let setup = Setup {
        slots: 4,
        ..Setup::SMALL
    };
    for verb in [0, 1] {
        let mut rig = Rig::new(setup, POLICY);
        let _ = rig.take(5, 1);
        let _ = rig.take(6, 1);
        assert_eq!(rig.stats().spans, setup.slots);
        if verb == 0 {
            let _ = rig.pressure(Pressure::Severe);
        } else {
            let _ = rig.sleep();
        }
        assert_eq!(rig.stats().resident(), count(2));
    }
}

#[test]
fn a_lower_limit_is_kept_from_the_next_moment_on() {
    for kind in KINDS {
        for pages in [0, 1, 511, 512, 513, 3 * 512] {
            let mut rig = fragmented(kind, POLICY);
            let in_use = rig.resident() - 4 * HUGE - 4 * 112 * PAGE;
            let limit = in_use + pages * PAGE;
            let _ = rig.set_limit(limit);
            assert!(rig.resident() <= limit, "{kind:?}, {pages}");
            assert!(rig.resident() + HUGE > limit, "{kind:?}, {pages}");
        }
    }
}

#[test]
fn what_was_asked_for_is_paid_for_like_anything_else() {
    // Whatever is released is charged for when it comes back.
    let policy = Policy { share: 0, ..POLICY };
    let setup = Setup {
        kind: Kind::Page,
        ..Setup::of(Kind::Page)
    };
    for verb in 0..3 {
        let mut rig = Rig::new(setup, policy);
        let _ = rig.poll_early();
        let _ = match verb {
            0 => rig.sleep(),
            1 => rig.pressure(Pressure::Severe),
            _ => rig.reclaim(8 * HUGE),
        };
        let all = rig.take(0, 8 * 512);
        let _ = rig.poll_early();
        rig.free(all);
        let freed = rig.now;
        let gone = rig.until_release() - freed;
        assert!(gone >= policy.deadline_ns);
        assert!(Reclaim::treap_stats(&rig.heap).used_pages == 8 * 512);
    }
}
