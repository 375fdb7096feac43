//! `alloc`: bad requests, and requests that cannot be served.

use spanheap::backing::fake::Reuse;
use spanheap::{AllocError, Growth, RegionError, Request, Residency};

use crate::layout::{PAGE, Scene, Setup, pages, range};
use crate::{MIXED, REFUSED, SETUP, refused, refused_by_the_backing};

/// Makes each request of a table; each must be refused with its error.
#[track_caller]
fn all_refused(requests: &[(Request, AllocError)]) {
    SETUP.both(MIXED, |mut scene| {
        for (request, expected) in requests {
            refused(
                &mut scene,
                |scene| scene.alloc(request.clone()),
                Err(*expected),
            );
        }
    });
}

#[test]
fn a_request_for_no_pages_is_refused() {
    all_refused(&[
        (pages(0), AllocError::ZeroPages),
        (pages(0).aligned(3), AllocError::ZeroPages),
        (pages(0).within(5..5).zeroed(), AllocError::ZeroPages),
    ]);
}

#[test]
fn an_alignment_that_is_no_power_of_two_is_refused() {
    for align in [0, 3, PAGE - 1, PAGE + 1, 3 * PAGE, u64::MAX] {
        all_refused(&[
            (pages(1).aligned(align), AllocError::BadAlignment),
            (pages(99).aligned(align), AllocError::BadAlignment),
        ]);
    }
}

#[test]
fn an_empty_or_inverted_window_is_refused() {
    let origin = SETUP.origin;
    for (start, end) in [
        (0, 0),
        (origin, origin),
        (origin + PAGE, origin),
        (u64::MAX, 0),
        (u64::MAX, u64::MAX),
    ] {
        let request = pages(1).within(std::ops::Range { start, end });
        all_refused(&[(request, AllocError::BadWindow)]);
    }
}

#[test]
fn more_pages_than_any_free_run_has_are_refused() {
    all_refused(&[
        (pages(9), AllocError::NoRun),
        // As many as are idle, as are managed, as can be counted.
        (pages(20), AllocError::NoRun),
        (pages(26), AllocError::NoRun),
        (pages(27), AllocError::NoRun),
        (pages(u32::MAX), AllocError::NoRun),
        (pages(u32::MAX).zeroed(), AllocError::NoRun),
    ]);
}

#[test]
fn an_alignment_or_a_window_that_no_free_run_meets_is_refused() {
    let at = |page: u64| SETUP.origin + page * PAGE;
    let no_run = AllocError::NoRun;
    all_refused(&[
        // Pages 0 and 32 alone are so aligned, and no run begins there.
        (pages(1).aligned(32 * PAGE), no_run),
        (pages(8).aligned(8 * PAGE).within(at(17)..at(34)), no_run),
        (pages(1).aligned(1 << 63), no_run),
        (pages(u32::MAX).aligned(1 << 63), no_run),
        // In use, nobody's, behind the regions, before and behind the window.
        (pages(1).within(at(0)..at(2)), no_run),
        (pages(1).within(at(9)..at(12)), no_run),
        (pages(1).within(at(29)..at(34)), no_run),
        (pages(1).within(0..at(0)), no_run),
        (pages(1).within(at(34)..u64::MAX), no_run),
        (pages(1).within(u64::MAX - 1..u64::MAX), no_run),
        // Shorter than the request, by one byte at either end.
        (pages(3).within(at(2) + 1..at(5)), no_run),
        (pages(3).within(at(2)..at(5) - 1), no_run),
        (pages(1).within(at(2) + 1..at(3) - 1), no_run),
        // No run of two regions, though they touch.
        (pages(9).within(at(12)..at(24)), no_run),
        (pages(2).within(at(15)..at(17)), no_run),
    ]);
}

#[test]
fn sums_at_the_end_of_the_address_space_do_not_overflow() {
    let huge = 2 << 20;
    let setup = Setup {
        origin: u64::MAX - (huge - 1),
        spare: 511 - 8,
        ..Setup::PLAIN
    };
    setup.both("r8", |mut scene| {
        let origin = setup.origin;
        for (request, expected) in [
            (pages(9), AllocError::NoRun),
            (pages(u32::MAX), AllocError::NoRun),
            (pages(8).aligned(1 << 63), AllocError::NoRun),
            (pages(1).within(u64::MAX - 1..u64::MAX), AllocError::NoRun),
            (pages(8).within(origin + 1..u64::MAX), AllocError::NoRun),
        ] {
            refused(&mut scene, |scene| scene.alloc(request), Err(expected));
        }
        let span = scene.alloc(pages(8).within(origin..u64::MAX).aligned(huge));
        assert_eq!(span.expect("the region fits").range(), range(0, 8));
    });
}

#[test]
fn without_a_slot_for_what_remains_a_request_is_refused() {
    // before, slots, request, slots that are missing.
    let table = [
        ("U1 r4 U1", 3, pages(1), 1),
        ("U1 s4 U1", 3, pages(1), 1),
        ("U1 r8", 3, pages(1).aligned(4 * PAGE), 1),
        ("U1 r8", 2, pages(1).aligned(4 * PAGE), 2),
        ("U1 s8", 3, pages(1).aligned(4 * PAGE), 1),
        ("U1 s8", 2, pages(1).aligned(4 * PAGE), 2),
        ("r3 s3", 2, pages(5), 1),
        ("s3 r3", 2, pages(4), 1),
        ("U1 r3 s4 U1", 4, pages(3).aligned(4 * PAGE), 1),
        ("U1 r4 s4 U1", 4, pages(6).aligned(2 * PAGE), 2),
    ];
    for (before, slots, request, missing) in table {
        for more in 0..=missing {
            let setup = Setup {
                slots: Some(slots + more),
                ..Setup::PLAIN
            };
            setup.both(before, |mut scene| {
                let call = |scene: &mut Scene| scene.alloc(request.clone());
                if more < missing {
                    refused(&mut scene, call, Err(AllocError::NoSlot));
                } else {
                    let _ = call(&mut scene).expect("slots enough");
                }
            });
        }
    }
}

#[test]
fn what_the_backing_refuses_is_not_handed_out() {
    let at = |page: u64| SETUP.origin + page * PAGE;
    for request in [
        pages(4).within(at(5)..at(9)),
        pages(8),
        pages(5),
        pages(7).within(at(0)..at(9)),
        pages(2).aligned(4 * PAGE).within(at(16)..at(24)).zeroed(),
    ] {
        SETUP.both(MIXED, |mut scene| {
            let call = |scene: &mut Scene| scene.alloc(request.clone());
            refused_by_the_backing(&mut scene, call, Err(AllocError::Refused(REFUSED)));
            let _ = scene.alloc(request.clone()).expect("the backing recovered");
        });
    }
}

#[test]
fn growth_by_a_region_that_cannot_be_added_is_an_error() {
    let physical = Setup {
        spare: 8,
        ..Setup::physical(2)
    };
    let at_zero = Setup {
        origin: 0,
        ..physical
    };
    // The heap has pages 2 to 9 of 18, half of them in use.
    for (setup, start, end, why) in [
        (physical, 16, 20, RegionError::OutsideWindow),
        (physical, 18, 20, RegionError::OutsideWindow),
        (physical, u32::MAX - 4, u32::MAX, RegionError::OutsideWindow),
        (physical, 8, 12, RegionError::Overlap),
        (physical, 0, 4, RegionError::Overlap),
        (physical, 4, 6, RegionError::Overlap),
        (physical, 0, 18, RegionError::Overlap),
        (physical, 11, 14, RegionError::Unaligned),
        (physical, 10, 13, RegionError::Unaligned),
        (at_zero, 0, 2, RegionError::AddressZero),
    ] {
        setup.both("-2 U4 r4", |mut scene| {
            scene.fake().offer(Growth {
                range: range(start, end),
                residency: Residency::Released,
            });
            refused(
                &mut scene,
                |scene| scene.alloc(pages(5)),
                Err(AllocError::BadGrowth(why)),
            );
            scene.hooks(&format!("grow 5 by {start}..{end}"));
        });
    }
}

#[test]
fn without_a_slot_for_it_the_backing_is_not_asked_to_grow() {
    let setup = Setup {
        slots: Some(1),
        spare: 8,
        ..Setup::PLAIN
    };
    setup.both("U8", |mut scene| {
        scene.fake().offer(Growth {
            range: range(8, 16),
            residency: Residency::Resident,
        });
        let call = |scene: &mut Scene| scene.alloc(pages(1));
        refused(&mut scene, call, Err(AllocError::NoRun));
        scene.hooks("");
    });
}

#[test]
fn a_bad_request_does_not_ask_the_backing_to_grow() {
    let setup = Setup {
        reuse: Reuse::Zeroes,
        ..SETUP
    };
    setup.both(MIXED, |mut scene| {
        for request in [
            pages(0),
            pages(99).aligned(3),
            pages(99).within(std::ops::Range { start: 2, end: 1 }),
        ] {
            assert!(scene.alloc(request).is_err());
        }
        scene.hooks("");
    });
}
