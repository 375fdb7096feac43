//! `free_at` and `free_part_at`: addresses and lengths that are not good.

use spanheap::FreeError;

use crate::layout::{PAGE, Scene};
use crate::{MIXED, SETUP, refused};

const fn at(page: u64) -> u64 {
    SETUP.origin + page * PAGE
}

#[track_caller]
fn whole_refused(scene: &mut Scene, address: u64, pages: u32, expected: FreeError) {
    refused(
        scene,
        |scene| scene.free_at_address(address, pages),
        Err(expected),
    );
}

#[track_caller]
fn part_refused(scene: &mut Scene, address: u64, pages: u32, expected: FreeError) {
    refused(
        scene,
        |scene| scene.free_part_at_address(address, pages),
        Err(expected),
    );
}

/// Frees each address and number of pages of a table, as a whole span and as a
/// part of one; both must be refused.
#[track_caller]
fn all_refused(table: &[(u64, u32)], expected: FreeError) {
    SETUP.both(MIXED, |mut scene| {
        for &(address, pages) in table {
            whole_refused(&mut scene, address, pages, expected);
            part_refused(&mut scene, address, pages, expected);
        }
    });
}

#[test]
fn freeing_no_pages_is_refused() {
    let table = [
        (at(0), 0),
        (at(0) + 1, 0),
        (at(2), 0),
        (0, 0),
        (u64::MAX, 0),
    ];
    all_refused(&table, FreeError::ZeroPages);
}

#[test]
fn an_address_inside_a_page_is_refused() {
    let table = [(at(0) + 1, 2), (at(1) - 1, 1), (at(26) + PAGE / 2, 3)];
    all_refused(&table, FreeError::Unaligned);
}

#[test]
fn pages_that_are_not_managed_are_refused() {
    let table = [
        (0, 1),
        (at(0) - PAGE, 1),
        (at(0) - PAGE, 3),
        (at(34), 1),
        (u64::MAX, 1),
        (u64::MAX - PAGE + 1, u32::MAX),
        (at(9), 1),
        (at(11), 2),
        (at(29), 1),
        // Out of the window.
        (at(26), 9),
        (at(0), u32::MAX),
    ];
    all_refused(&table, FreeError::Outside);
}

#[test]
fn pages_that_are_free_are_refused() {
    // Resident and released, from the start and from inside, and too many.
    let table = [(at(2), 3), (at(3), 1), (at(5), 4), (at(7), 2), (at(2), 32)];
    all_refused(&table, FreeError::NotInUse);
}

#[test]
fn a_second_free_by_address_is_refused_while_the_pages_are_free() {
    SETUP.both(MIXED, |mut scene| {
        scene.free_at(0, 2).expect("it is in use");
        whole_refused(&mut scene, at(0), 2, FreeError::NotInUse);
        part_refused(&mut scene, at(1), 1, FreeError::NotInUse);
        let _ = scene.release_all();
        whole_refused(&mut scene, at(0), 2, FreeError::NotInUse);
    });
}

#[test]
fn an_address_inside_a_span_frees_no_whole_one() {
    SETUP.both(MIXED, |mut scene| {
        for (address, pages) in [
            (at(1), 1),
            (at(1), 2),
            (at(27), 2),
            (at(28), 1),
            (at(27), 3),
        ] {
            whole_refused(&mut scene, address, pages, FreeError::Interior);
        }
    });
}

#[test]
fn a_wrong_length_is_refused() {
    SETUP.both("U2 U3 r3", |mut scene| {
        for (page, pages) in [(0, 1), (0, 3), (0, 5), (0, 8), (2, 2), (2, 4), (2, 6)] {
            whole_refused(&mut scene, at(page), pages, FreeError::WrongLength);
        }
        // A part may be shorter, but not of more than one span.
        for (page, pages) in [(0, 3), (1, 2), (0, 5), (0, 8), (2, 4), (4, 2)] {
            part_refused(&mut scene, at(page), pages, FreeError::WrongLength);
        }
    });
}
