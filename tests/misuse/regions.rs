//! `add_region` and `add_memory`: regions that a heap cannot take.

use spanheap::region::MemoryMap;
use spanheap::{RegionError, Residency};

use crate::layout::{PAGE, Setup, range};
use crate::refused;

/// Adds each region of a table, in both residencies.
#[track_caller]
fn all_refused(setup: Setup, layout: &str, table: &[(u32, u32)], expected: RegionError) {
    setup.both(layout, |mut scene| {
        for &(start, end) in table {
            for residency in [Residency::Resident, Residency::Released] {
                refused(
                    &mut scene,
                    |scene| scene.add_region(range(start, end), residency),
                    Err(expected),
                );
            }
        }
    });
}

/// Physical pages of two pages; the heap has pages 4 to 7 and 12 to 15 of 20.
const SETUP: Setup = Setup {
    physical: 2 * PAGE,
    spare: 4,
    ..Setup::PLAIN
};
const LAYOUT: &str = "-4 U2 r2 -4 s4";

#[test]
fn a_region_outside_of_the_window_is_refused() {
    let table = [
        (18, 22),
        (20, 22),
        (0, 21),
        (4, 22),
        (u32::MAX - 1, u32::MAX),
        (0, u32::MAX),
    ];
    all_refused(SETUP, LAYOUT, &table, RegionError::OutsideWindow);
}

#[test]
fn a_region_that_overlaps_managed_pages_is_refused() {
    let table = [
        (4, 8),
        (12, 16),
        (2, 6),
        (6, 10),
        (4, 6),
        (6, 8),
        (2, 10),
        (10, 14),
        (14, 18),
        (0, 20),
        (8, 14),
    ];
    all_refused(SETUP, LAYOUT, &table, RegionError::Overlap);
}

#[test]
fn a_region_that_ends_inside_a_physical_page_is_refused() {
    let table = [(1, 4), (0, 3), (9, 11), (9, 12), (17, 20), (5, 7)];
    all_refused(SETUP, LAYOUT, &table, RegionError::Unaligned);
}

#[test]
fn a_region_with_the_page_at_address_zero_is_refused() {
    let setup = Setup { origin: 0, ..SETUP };
    all_refused(setup, LAYOUT, &[(0, 2), (0, 4)], RegionError::AddressZero);
    // Page 0 of a window that begins elsewhere is a page like any other.
    SETUP.both(LAYOUT, |mut scene| {
        scene
            .add_region(range(0, 4), Residency::Resident)
            .expect("a good region");
    });
}

#[test]
fn without_a_slot_a_region_is_refused() {
    let setup = Setup {
        slots: Some(3),
        ..SETUP
    };
    all_refused(
        setup,
        LAYOUT,
        &[(0, 4), (8, 12), (16, 20)],
        RegionError::NoSlot,
    );
}

#[test]
fn a_memory_map_of_which_one_range_cannot_be_added_adds_none() {
    let at = |page: u64| SETUP.origin + page * PAGE;
    let good = at(0)..at(2);
    SETUP.both(LAYOUT, |mut scene| {
        // The second range overlaps what is managed, by one physical page.
        let usable = [good.clone(), at(10)..at(14)];
        let map = MemoryMap::new(&usable, &[]);
        refused(
            &mut scene,
            |scene| scene.add_memory(&map, Residency::Resident),
            Err(RegionError::Overlap),
        );
    });
    let setup = Setup {
        slots: Some(4),
        ..SETUP
    };
    setup.both(LAYOUT, |mut scene| {
        // One slot is left, and there are two ranges.
        let usable = [good.clone(), at(16)..at(18)];
        let map = MemoryMap::new(&usable, &[]);
        refused(
            &mut scene,
            |scene| scene.add_memory(&map, Residency::Resident),
            Err(RegionError::NoSlot),
        );
    });
    let setup = Setup { origin: 0, ..SETUP };
    setup.both(LAYOUT, |mut scene| {
        // Address 0 is no error in a map: it is left out, with all of its
        // physical page.
        let usable = [0..4 * PAGE, 0..PAGE];
        let map = MemoryMap::new(&usable, &[]);
        let added = scene.add_memory(&map, Residency::Resident);
        assert_eq!(added.map(|pages| pages.get()), Ok(2));
        scene.is("-2 r2 | U2 r2 -4 s4");
    });
}
