//! The hook calls: each that must be, none that need not be, and what a
//! refused one leaves.

use spanheap::{Budget, Span};

use crate::layout::{PAGE, Scene, Setup, pages, range};

#[test]
fn resident_pages_come_and_go_without_any_hook() {
    Setup::PLAIN.both("r16", |mut scene| {
        let span = scene.take(8);
        let span = scene.shrink(span, 6).expect("it is longer");
        let span = scene.grow(span, 10).expect("there is room");
        let rest = scene.free_part(span, range(2, 4)).expect("a part");
        scene.free(rest.low.expect("below")).expect("it is in use");
        scene.free_at(4, 6).expect("it is in use");
        let _ = scene.alloc_at(5, 3).expect("they are free");
        let _ = scene
            .alloc(pages(4).aligned(4 * PAGE))
            .expect("there is room");
        scene.hooks("");
    });
}

#[test]
fn what_is_released_is_committed_once_until_it_is_released_again() {
    Setup::PLAIN.both("s8", |mut scene| {
        for _ in 0..3 {
            let span = scene.take(8);
            scene.free(span).expect("it is in use");
        }
        scene.hooks("used 0..8");
        let _ = scene.release_all();
        let _ = scene.release_all();
        let _ = scene.take(8);
        scene.hooks("unused 0..8; used 0..8");
    });
}

#[test]
fn a_merge_with_released_pages_releases_nothing_anew() {
    Setup::PLAIN.both("s4 U2 s4", |mut scene| {
        scene.free(scene.held(4)).expect("it is in use");
        scene.hooks("");
        let _ = scene.release_all();
        scene.hooks("unused 4..6");
        scene.is("s10");
    });
}

#[test]
fn the_remainder_of_a_trim_is_not_released_anew() {
    Setup::physical(2).both("s8", |mut scene| {
        let _ = scene.take(3);
        let _ = scene.release_all();
        scene.hooks("used 0..3");
        scene.is("U3 s5");
    });
}

#[test]
fn each_range_of_a_release_is_as_long_as_it_can_be() {
    Setup::PLAIN.both("U2 U2 U2 U2", |mut scene| {
        for page in [0, 4, 2, 6] {
            scene.free(scene.held(page)).expect("it is in use");
        }
        let _ = scene.release_all();
        scene.hooks("unused 0..8");
    });
}

/// A verb that makes hook calls, on the layout `U4 s4 r4 s4` (16 pages).
type Verb = fn(&mut Scene) -> Result<Option<Span>, ()>;

const VERBS: [(&str, Verb); 7] = [
    ("alloc", |scene| {
        scene.alloc(pages(3)).map(Some).map_err(drop)
    }),
    ("alloc over seams", |scene| {
        scene.alloc(pages(12)).map(Some).map_err(drop)
    }),
    ("alloc aligned", |scene| {
        let request = pages(8).aligned(2 * PAGE).zeroed();
        scene.alloc(request).map(Some).map_err(drop)
    }),
    ("alloc_at", |scene| {
        scene.alloc_at(6, 8).map(Some).map_err(drop)
    }),
    ("grow", |scene| {
        scene.grow(scene.held(0), 14).map(Some).map_err(drop)
    }),
    ("release", |scene| match scene.release_all().end {
        spanheap::ReleaseEnd::Refused => Err(()),
        _ => Ok(None),
    }),
    ("release within a budget", |scene| {
        match scene.release(Budget::bytes(2 * PAGE)).end {
            spanheap::ReleaseEnd::Refused => Err(()),
            _ => Ok(None),
        }
    }),
];

#[test]
fn whatever_hook_call_is_refused_nothing_is_lost_and_the_next_try_succeeds() {
    let before = "U4 s4 r4 s4";
    for setup in [Setup::PLAIN, Setup::physical(2)] {
        for (name, verb) in VERBS {
            for nth in 0..3 {
                setup.both(before, |mut scene| {
                    let snapshot = scene.snapshot();
                    scene.fake().fail_nth(nth, 0);
                    if verb(&mut scene).is_ok() {
                        assert!(!scene.fake().has_failed(), "{name}: a refusal is reported");
                        return;
                    }
                    let stats = scene.stats();
                    assert_eq!(stats.in_use, snapshot.stats.in_use, "{name}");
                    assert_eq!(stats.sys, snapshot.stats.sys, "{name}");
                    if nth == 0 {
                        scene.is_as_but_for_history(&snapshot);
                    }
                    // The fake remembers that a fault has fired until the next.
                    verb(&mut scene).unwrap_or_else(|()| panic!("{name} after a refusal"));
                    scene
                        .free_at(0, scene.spans()[0].range.count().get())
                        .expect("the first span is in use");
                });
            }
        }
    }
}

#[test]
fn while_the_backing_refuses_everything_what_is_resident_is_served() {
    Setup::PLAIN.both("U4 s4 r4 s4", |mut scene| {
        scene.fake().fail_always();
        assert!(scene.alloc(pages(12)).is_err());
        assert!(
            scene.alloc(pages(3)).is_err(),
            "the lowest span is released"
        );
        let _ = scene.alloc_at(8, 3).expect("it is resident");
        let span = scene.shrink(scene.held(0), 2).expect("no hook is needed");
        let span = scene.grow(span, 4).expect("no hook is needed");
        scene.free(span).expect("no hook is needed");
        let release = scene.release_all();
        assert_eq!((release.pages.get(), release.calls), (0, 1));
        scene.is("r4 s4 U3 r1 s4");
        scene.fake().recover();
        assert_eq!(scene.release_all().pages.get(), 5);
    });
}
