//! The fake as a whole: its log, its faults, its callback, its growth.

use super::*;
use crate::page::Geometry;

fn range(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).unwrap()
}

/// Eight released pages of a window of sixteen.
fn fake() -> FakeBacking {
    let geometry = Geometry::new(4096, 4096, 0).unwrap();
    let window = Window::new(geometry, 1 << 20, PageCount::new(16)).unwrap();
    let fake = FakeBacking::new(window);
    fake.add(range(0, 8), Residency::Released);
    fake
}

#[test]
fn every_call_is_in_the_log_in_order() {
    let fake = fake();
    assert_eq!(fake.sys_used(range(0, 3)), Ok(()));
    fake.zero(range(1, 2));
    assert_eq!(fake.sys_unused(&[range(2, 3), range(0, 1)]), 2);
    assert_eq!(fake.grow(PageCount::new(5)), None);
    assert_eq!(
        fake.take_log(),
        [
            Call::Used {
                range: range(0, 3),
                refused: false
            },
            Call::Zero(range(1, 2)),
            Call::Unused {
                ranges: std::vec![range(2, 3), range(0, 1)],
                done: 2
            },
            Call::Grow {
                pages: PageCount::new(5),
                growth: None
            },
        ]
    );
    assert!(fake.take_log().is_empty());
    assert!(fake.is_committed(Page::new(1)) && !fake.is_committed(Page::new(2)));
}

#[test]
fn a_refused_use_commits_nothing() {
    let fake = fake();
    fake.fail_nth(1, 0);
    assert_eq!(fake.sys_used(range(0, 2)), Ok(()));
    assert_eq!(
        fake.sys_used(range(2, 4)),
        Err(Refused { code: FAULT_CODE })
    );
    assert!(fake.has_failed() && !fake.is_committed(Page::new(2)));
    assert_eq!(fake.sys_used(range(2, 4)), Ok(()));
    assert_eq!(fake.fallible_calls(), 3);
}

#[test]
fn a_failing_release_does_a_prefix_of_the_batch() {
    let fake = fake();
    assert_eq!(fake.sys_used(range(0, 8)), Ok(()));
    fake.fail_nth(0, 1);
    assert_eq!(fake.sys_unused(&[range(6, 8), range(2, 4), range(0, 1)]), 1);
    let committed: Vec<u32> = (0..8)
        .filter(|&page| fake.is_committed(Page::new(page)))
        .collect();
    assert_eq!(committed, [0, 1, 2, 3, 4, 5]);
    fake.fail_nth(0, 9);
    assert_eq!(
        fake.sys_unused(&[range(0, 1)]),
        0,
        "a failure is no success"
    );
}

#[test]
fn every_hook_fails_until_the_fake_recovers() {
    let fake = fake();
    fake.offer(Growth {
        range: range(8, 16),
        residency: Residency::Resident,
    });
    fake.fail_always();
    assert!(fake.sys_used(range(0, 2)).is_err());
    assert!(fake.grow(PageCount::new(1)).is_none());
    fake.recover();
    assert!(fake.sys_used(range(0, 2)).is_ok());
    assert!(fake.grow(PageCount::new(1)).is_some());
    assert!(fake.is_committed(Page::new(8)));
}

#[test]
fn a_region_that_nobody_can_manage_is_offered_and_not_believed() {
    let fake = fake();
    fake.offer(Growth {
        range: range(4, 12),
        residency: Residency::Resident,
    });
    assert!(fake.grow(PageCount::new(1)).is_some());
    assert!(!fake.is_committed(Page::new(4)) && !fake.is_committed(Page::new(8)));
}

#[test]
fn the_callback_may_call_the_hooks_and_is_not_called_for_those() {
    let fake = fake();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (inner, calls) = (fake.clone(), Arc::clone(&seen));
    fake.on_call(move |call| {
        calls.lock().unwrap().push(call.clone());
        assert_eq!(inner.sys_used(range(4, 5)), Ok(()));
    });
    assert_eq!(fake.sys_used(range(0, 1)), Ok(()));
    fake.zero(range(0, 1));
    let used = |range| Call::Used {
        range,
        refused: false,
    };
    assert_eq!(
        *seen.lock().unwrap(),
        [used(range(0, 1)), Call::Zero(range(0, 1))]
    );
    assert_eq!(
        fake.take_log(),
        [
            used(range(0, 1)),
            used(range(4, 5)),
            Call::Zero(range(0, 1)),
            used(range(4, 5)),
        ]
    );
    fake.no_callback();
    fake.zero(range(0, 1));
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn pages_hold_what_was_written_to_them() {
    let fake = fake().with_reuse(Reuse::Zeroes);
    assert!(fake.zeroes_released() && fake.would_read_zero(Page::new(0)));
    assert_eq!(fake.read(Page::new(0)), None);
    assert_eq!(fake.sys_used(range(0, 2)), Ok(()));
    fake.write(range(0, 1), 7);
    assert_eq!(fake.read(Page::new(0)), Some(7));
    assert!(!fake.would_read_zero(Page::new(0)) && fake.would_read_zero(Page::new(1)));
}

#[test]
#[should_panic(expected = "sys_unused is called under the heap's lock")]
fn a_hook_under_the_lock_fails_loudly() {
    let fake = fake();
    assert_eq!(fake.sys_used(range(0, 2)), Ok(()));
    let _held = Held::new();
    let _ = fake.sys_unused(&[range(0, 2)]);
}
