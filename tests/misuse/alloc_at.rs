//! `alloc_at`: exactly these pages, or an error.

use spanheap::AllocAtError;

use crate::layout::{PAGE, Setup};
use crate::{MIXED, REFUSED, SETUP, refused, refused_by_the_backing};

/// Asks for each address and number of pages of a table.
#[track_caller]
fn all_refused(setup: Setup, layout: &str, table: &[(u64, u32)], expected: AllocAtError) {
    setup.both(layout, |mut scene| {
        for &(address, pages) in table {
            refused(
                &mut scene,
                |scene| scene.alloc_at_address(address, pages),
                Err(expected),
            );
        }
    });
}

const fn at(page: u64) -> u64 {
    SETUP.origin + page * PAGE
}

#[test]
fn no_pages_at_any_address_are_refused() {
    let table = [(at(2), 0), (at(2) + 1, 0), (0, 0), (u64::MAX, 0)];
    all_refused(SETUP, MIXED, &table, AllocAtError::ZeroPages);
}

#[test]
fn an_address_inside_a_page_is_refused() {
    let table = [(at(2) + 1, 1), (at(3) - 1, 1), (at(2) + PAGE / 2, 2)];
    all_refused(SETUP, MIXED, &table, AllocAtError::Unaligned);
}

#[test]
fn pages_that_are_not_managed_as_one_region_are_refused() {
    let table = [
        // Before the window, behind it, at the ends of the address space.
        (0, 1),
        (at(0) - PAGE, 1),
        (at(0) - 1, 1),
        (at(34), 1),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (u64::MAX - PAGE + 1, 1),
        // Out of the window, by one page and by as many as can be counted.
        (at(33), 2),
        (at(25), u32::MAX),
        (at(0), u32::MAX),
        (at(0), 35),
        // Of the window, but of no region; wholly, at the start, at the end.
        (at(9), 3),
        (at(29), 5),
        (at(11), 2),
        (at(8), 2),
        (at(5), 8),
        // Of two regions that touch.
        (at(15), 2),
        (at(12), 12),
    ];
    all_refused(SETUP, MIXED, &table, AllocAtError::Outside);
}

#[test]
fn pages_in_use_are_refused_wherever_they_lie_in_the_range() {
    let table = [
        (at(0), 1),
        (at(0), 2),
        (at(1), 1),
        (at(1), 3),
        (at(0), 9),
        (at(16), 9),
        (at(23), 3),
        (at(24), 1),
        (at(25), 2),
        (at(26), 3),
    ];
    all_refused(SETUP, MIXED, &table, AllocAtError::InUse);
}

#[test]
fn without_slots_for_what_remains_exact_pages_are_refused() {
    // before, slots, page, pages, slots that are missing.
    let table = [
        ("U1 r4", 2, 1, 1, 1),
        ("U1 r4", 2, 4, 1, 1),
        ("U1 r4", 2, 2, 1, 2),
        ("U1 r4", 3, 2, 1, 1),
        ("U1 s4", 2, 2, 1, 2),
        ("U1 s4", 3, 2, 1, 1),
        ("r4 s4", 2, 2, 4, 2),
        ("r4 s4", 3, 2, 4, 1),
    ];
    for (before, slots, page, pages, missing) in table {
        for more in 0..=missing {
            let setup = Setup {
                slots: Some(slots + more),
                ..Setup::PLAIN
            };
            setup.both(before, |mut scene| {
                if more < missing {
                    refused(
                        &mut scene,
                        |scene| scene.alloc_at(page, pages),
                        Err(AllocAtError::NoSlot),
                    );
                } else {
                    let _ = scene.alloc_at(page, pages).expect("slots enough");
                }
            });
        }
    }
}

#[test]
fn exact_pages_that_the_backing_refuses_are_not_handed_out() {
    for (page, pages) in [(5, 4), (6, 1), (2, 7), (4, 2), (16, 8), (20, 4)] {
        SETUP.both(MIXED, |mut scene| {
            refused_by_the_backing(
                &mut scene,
                |scene| scene.alloc_at(page, pages),
                Err(AllocAtError::Refused(REFUSED)),
            );
            let _ = scene.alloc_at(page, pages).expect("the backing recovered");
        });
    }
}
