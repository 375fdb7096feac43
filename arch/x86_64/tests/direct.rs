//! Over the direct map: released pages are unmapped and keep their frames.

use std::ops::Range;

use spanheap::{Backing, Geometry, PageCount, Refused, Window};
use spanheap_x86_64::{DirectMap, Obstacle};
use x86_64::PhysAddr;
use x86_64::structures::paging::page_table::PageTableFlags;
use x86_64::structures::paging::{
    Mapper, Page as Virtual, PageSize, PhysFrame, Size1GiB, Size2MiB, Size4KiB, Translate,
};

mod machine;
use machine::{DirectBacking, Flushes, Machine, flushed, lookup, range, window};

const LARGE: u64 = Size2MiB::SIZE;
const GIANT: u64 = Size1GiB::SIZE;
/// Pages in 2 MiB.
const HUGE: u32 = 512;

/// A direct map of 8 MiB in pages of 2 MiB, all of it the heap's.
fn large_pages<const N: usize>(tables: usize) -> (Machine, DirectBacking<N>, Flushes) {
    let mut machine = Machine::new();
    let (backing, flushes) = machine.direct::<Size2MiB, N>(0..8 << 20, window(0, 4 * HUGE), tables);
    (machine, backing, flushes)
}

/// The size of the page that maps a frame of the direct map, which must be to
/// itself.
fn mapped<const N: usize>(machine: &Machine, backing: &DirectBacking<N>, page: u32) -> Option<u64> {
    let address = u64::from(page) * 4096;
    let seen = backing.with_tables(|tree| lookup(tree, machine.offset() + address));
    seen.map(|(frame, size)| {
        assert_eq!(frame, PhysAddr::new(address));
        size
    })
}

fn all_mapped<const N: usize>(
    machine: &Machine,
    backing: &DirectBacking<N>,
    pages: Range<u32>,
    size: Option<u64>,
) {
    for page in pages {
        assert_eq!(mapped(machine, backing, page), size, "page {page}");
    }
}

#[test]
fn a_whole_huge_page_goes_and_comes_back_without_a_table() {
    let (machine, backing, flushes) = large_pages::<0>(0);
    assert_eq!(backing.sys_unused(&[range(HUGE, HUGE)]), 1);
    assert_eq!(flushed(&flushes), 1);
    all_mapped(&machine, &backing, 0..HUGE, Some(LARGE));
    all_mapped(&machine, &backing, HUGE..2 * HUGE, None);
    all_mapped(&machine, &backing, 2 * HUGE..4 * HUGE, Some(LARGE));
    assert_eq!(backing.sys_used(range(HUGE, HUGE)), Ok(()));
    all_mapped(&machine, &backing, 0..4 * HUGE, Some(LARGE));
    assert_eq!(flushed(&flushes), 0, "what is not present is not cached");
}

#[test]
fn a_page_out_of_a_huge_one_goes_alone_and_the_huge_one_is_joined_again() {
    let (machine, backing, flushes) = large_pages::<1>(1);
    assert_eq!(backing.sys_unused(&[range(700, 1)]), 1);
    assert_eq!((flushed(&flushes), backing.reserve_len()), (1, 0));
    all_mapped(&machine, &backing, 0..HUGE, Some(LARGE));
    all_mapped(&machine, &backing, HUGE..700, Some(4096));
    all_mapped(&machine, &backing, 700..701, None);
    all_mapped(&machine, &backing, 701..2 * HUGE, Some(4096));
    assert_eq!(backing.sys_used(range(700, 1)), Ok(()));
    all_mapped(&machine, &backing, 0..4 * HUGE, Some(LARGE));
    assert_eq!(backing.reserve_len(), 1, "the table is back");
    assert_eq!(flushed(&flushes), 1, "the table may be cached");
}

#[test]
fn a_huge_page_that_is_released_piece_by_piece_needs_no_table_in_the_end() {
    let (machine, backing, _) = large_pages::<1>(1);
    for start in (0..HUGE).step_by(64) {
        assert_eq!(backing.reserve_len(), usize::from(start == 0));
        assert_eq!(backing.sys_unused(&[range(start, 64)]), 1);
    }
    assert_eq!(backing.reserve_len(), 1);
    all_mapped(&machine, &backing, 0..HUGE, None);
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    all_mapped(&machine, &backing, 0..HUGE, Some(LARGE));
}

#[test]
fn a_page_of_a_released_huge_page_comes_back_alone() {
    let (machine, backing, _) = large_pages::<1>(1);
    assert_eq!(backing.sys_unused(&[range(0, HUGE)]), 1);
    assert_eq!(backing.sys_used(range(5, 2)), Ok(()));
    all_mapped(&machine, &backing, 0..5, None);
    all_mapped(&machine, &backing, 5..7, Some(4096));
    all_mapped(&machine, &backing, 7..HUGE, None);
}

#[test]
fn without_a_table_only_whole_huge_pages_go_and_the_answer_is_the_prefix() {
    let (machine, backing, flushes) = large_pages::<0>(0);
    let batch = [
        range(3 * HUGE, HUGE),
        // A whole one, and a page of the next.
        range(HUGE, HUGE + 1),
        range(0, HUGE),
    ];
    assert_eq!(backing.sys_unused(&batch), 1);
    assert_eq!(flushed(&flushes), 1);
    all_mapped(&machine, &backing, 0..3 * HUGE, Some(LARGE));
    all_mapped(&machine, &backing, 3 * HUGE..4 * HUGE, None);
    assert_eq!(backing.sys_unused(&batch[1..]), 0);
    assert_eq!(flushed(&flushes), 0, "nothing changed");
    assert_eq!(backing.sys_unused(&batch[2..]), 1);
}

#[test]
fn a_release_that_is_refused_half_way_leaves_every_huge_page_whole() {
    let (machine, backing, flushes) = large_pages::<1>(1);
    // The first huge page could be split, the second could not.
    let both = range(HUGE - 1, 2);
    assert_eq!(backing.sys_unused(&[both]), 0);
    all_mapped(&machine, &backing, 0..4 * HUGE, Some(LARGE));
    assert_eq!((flushed(&flushes), backing.reserve_len()), (0, 1));
    // Nor after one that is not refused.
    assert_eq!(backing.sys_unused(&[range(3 * HUGE, HUGE), both]), 1);
    assert_eq!(backing.reserve_len(), 1);
    all_mapped(&machine, &backing, 0..3 * HUGE, Some(LARGE));
    all_mapped(&machine, &backing, 3 * HUGE..4 * HUGE, None);
}

#[test]
fn without_a_table_a_part_of_a_released_huge_page_is_not_refused() {
    let (machine, backing, _) = large_pages::<0>(0);
    assert_eq!(backing.sys_unused(&[range(0, HUGE)]), 1);
    assert_eq!(backing.sys_used(range(9, 1)), Ok(()));
    all_mapped(&machine, &backing, 0..HUGE, Some(LARGE));
    // The others are committed and released as ever.
    assert_eq!(backing.sys_used(range(0, 9)), Ok(()));
    assert_eq!(backing.sys_used(range(10, HUGE - 10)), Ok(()));
    assert_eq!(backing.sys_unused(&[range(0, HUGE)]), 1);
    all_mapped(&machine, &backing, 0..HUGE, None);
}

#[test]
fn a_batch_of_many_ranges_is_one_flush_that_covers_them() {
    let (machine, backing, flushes) = large_pages::<4>(4);
    let batch: Vec<_> = (0..32).map(|index| range(index * 60, 7)).collect();
    assert_eq!(backing.sys_unused(&batch), 32);
    let told = std::mem::take(&mut *flushes.lock().expect("not poisoned"));
    let [stale] = told[..] else {
        panic!("{told:?}");
    };
    for page in batch.iter().flat_map(|range| range.pages()) {
        assert_eq!(mapped(&machine, &backing, page.number()), None);
        assert!(stale.contains(machine.offset() + u64::from(page.number()) * 4096));
    }
    for range in batch {
        assert_eq!(backing.sys_used(range), Ok(()));
    }
    all_mapped(&machine, &backing, 0..4 * HUGE, Some(LARGE));
    assert_eq!(backing.reserve_len(), 4);
}

#[test]
fn a_commit_of_what_is_mapped_changes_nothing() {
    let (machine, backing, flushes) = large_pages::<1>(1);
    for _ in 0..2 {
        assert_eq!(backing.sys_used(range(100, 900)), Ok(()));
    }
    all_mapped(&machine, &backing, 0..4 * HUGE, Some(LARGE));
    assert_eq!(backing.sys_unused(&[range(100, 10)]), 1);
    assert_eq!(flushed(&flushes), 1);
    for _ in 0..2 {
        assert_eq!(backing.sys_used(range(90, 15)), Ok(()));
    }
    all_mapped(&machine, &backing, 90..105, Some(4096));
    all_mapped(&machine, &backing, 105..110, None);
    assert_eq!((flushed(&flushes), backing.reserve_len()), (0, 0));
}

#[test]
fn a_page_comes_back_with_the_attributes_it_had() {
    let (machine, backing, _) = large_pages::<1>(1);
    let flags = PageTableFlags::PRESENT | PageTableFlags::GLOBAL | PageTableFlags::NO_EXECUTE;
    let page = Virtual::<Size2MiB>::containing_address(machine.offset());
    backing.with_tables(|tree| {
        // SAFETY: nobody uses this page.
        let updated = unsafe { tree.update_flags(page, flags) };
        updated.expect("mapped").ignore();
    });
    let seen = |page: u64| {
        use x86_64::structures::paging::mapper::TranslateResult::Mapped;
        match backing.with_tables(|tree| tree.translate(machine.offset() + page * 4096)) {
            Mapped { flags, .. } => flags,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(backing.sys_unused(&[range(3, 1)]), 1);
    assert_eq!(seen(4), flags);
    assert_eq!(backing.sys_unused(&[range(4, 1)]), 1);
    assert_eq!(backing.sys_used(range(4, 1)), Ok(()));
    assert_eq!(seen(4), flags);
    assert_eq!(backing.sys_used(range(3, 1)), Ok(()));
    assert_eq!(seen(3) & flags, flags);
    assert_eq!(mapped(&machine, &backing, 3), Some(LARGE));
}

#[test]
fn tables_that_are_not_from_the_reserve_are_left_where_they_are() {
    let mut machine = Machine::new();
    let (backing, flushes) = machine.direct::<Size4KiB, 4>(0..4 << 20, window(0, 2 * HUGE), 0);
    assert_eq!(backing.sys_unused(&[range(0, 2 * HUGE)]), 1);
    assert_eq!(flushed(&flushes), 1);
    all_mapped(&machine, &backing, 0..2 * HUGE, None);
    assert_eq!(backing.sys_used(range(0, 2 * HUGE)), Ok(()));
    all_mapped(&machine, &backing, 0..2 * HUGE, Some(4096));
    assert_eq!((flushed(&flushes), backing.reserve_len()), (0, 0));
}

#[test]
fn a_mapping_of_1_gib_is_split_once_and_its_neighbours_stay() {
    let mut machine = Machine::new();
    let (backing, flushes) =
        machine.direct::<Size1GiB, 2>(0..2 * GIANT, window(GIANT, 1024 * HUGE), 2);
    let base = (GIANT / 4096) as u32;
    // Nothing of a giant page that is mapped needs a table.
    assert_eq!(backing.sys_used(range(0, 4 * HUGE)), Ok(()));
    assert_eq!(backing.reserve_len(), 2);
    assert_eq!(backing.sys_unused(&[range(HUGE, HUGE)]), 1);
    assert_eq!((flushed(&flushes), backing.reserve_len()), (1, 1));
    for page in [0, base - 1] {
        assert_eq!(mapped(&machine, &backing, page), Some(GIANT));
    }
    for (page, size) in [(0, Some(LARGE)), (HUGE, None), (2 * HUGE, Some(LARGE))] {
        assert_eq!(mapped(&machine, &backing, base + page), size);
    }
    // One more table for a single page; it comes back, the giant's does not.
    assert_eq!(backing.sys_unused(&[range(0, 1)]), 1);
    assert_eq!(backing.reserve_len(), 0);
    assert_eq!(backing.sys_used(range(0, 2 * HUGE)), Ok(()));
    assert_eq!(backing.reserve_len(), 1);
    assert_eq!(mapped(&machine, &backing, base), Some(LARGE));
    assert_eq!(
        mapped(&machine, &backing, base + 512 * HUGE - 1),
        Some(LARGE)
    );
}

#[test]
fn a_mapping_of_1_gib_cannot_be_released_from_without_a_table() {
    let mut machine = Machine::new();
    let (backing, flushes) = machine.direct::<Size1GiB, 0>(0..GIANT, window(0, 512 * HUGE), 0);
    assert_eq!(backing.sys_unused(&[range(HUGE, HUGE)]), 0);
    assert_eq!(flushed(&flushes), 0);
    assert_eq!(mapped(&machine, &backing, HUGE), Some(GIANT));
}

#[test]
fn memory_that_was_never_mapped_is_mapped_by_the_first_commit() {
    let mut machine = Machine::new();
    // Nothing is mapped: three tables for the first page, none for the next.
    let (backing, flushes) = machine.direct::<Size4KiB, 4>(0..0, window(0, 4 * HUGE), 3);
    let backing = backing.with_flags(PageTableFlags::WRITABLE | PageTableFlags::GLOBAL);
    assert_eq!(backing.sys_used(range(1, 1)), Ok(()));
    assert_eq!(backing.reserve_len(), 0);
    assert_eq!(backing.sys_used(range(HUGE, HUGE)), Ok(()), "a large page");
    let refused: Refused = Obstacle::NoTable.into();
    assert_eq!(backing.sys_used(range(2 * HUGE, 1)), Err(refused));
    assert_eq!(Obstacle::of(refused), Some(Obstacle::NoTable));
    all_mapped(&machine, &backing, 0..1, None);
    all_mapped(&machine, &backing, 1..2, Some(4096));
    all_mapped(&machine, &backing, 2..HUGE, None);
    all_mapped(&machine, &backing, HUGE..2 * HUGE, Some(LARGE));
    all_mapped(&machine, &backing, 2 * HUGE..4 * HUGE, None);
    assert_eq!(backing.refill(&mut machine), 4);
    assert_eq!(backing.sys_used(range(2 * HUGE, 1)), Ok(()));
    assert_eq!(flushed(&flushes), 0);
}

#[test]
fn more_tables_than_go_in_one_round_all_come_back() {
    let mut machine = Machine::new();
    // 200 huge pages, each with one page gone.
    let (backing, flushes) =
        machine.direct::<Size2MiB, 256>(0..400 << 20, window(0, 200 * HUGE), 200);
    for index in 0..200 {
        assert_eq!(backing.sys_unused(&[range(index * HUGE + index, 1)]), 1);
    }
    assert_eq!((flushed(&flushes), backing.reserve_len()), (200, 0));
    assert_eq!(backing.sys_used(range(0, 200 * HUGE)), Ok(()));
    assert_eq!(backing.reserve_len(), 200);
    assert_eq!(flushed(&flushes), 4, "64 tables each");
    for index in 0..200 {
        assert_eq!(
            mapped(&machine, &backing, index * HUGE + index),
            Some(LARGE)
        );
    }
}

#[test]
fn an_entry_that_is_someone_elses_is_an_obstacle_and_stays() {
    let (machine, backing, _) = large_pages::<2>(2);
    let swapped = |tree: &mut machine::Tree| {
        // Not present, but not empty: as a swapped page might be.
        let page = Virtual::<Size2MiB>::containing_address(machine.offset());
        // SAFETY: nobody uses this page.
        unsafe { tree.update_flags(page, PageTableFlags::BIT_11) }
            .expect("mapped")
            .ignore();
    };
    backing.with_tables(swapped);
    let foreign: Refused = Obstacle::Foreign.into();
    for part in [range(0, 1), range(0, HUGE)] {
        assert_eq!(backing.sys_used(part), Err(foreign));
        assert_eq!(backing.sys_unused(&[range(HUGE, HUGE), part]), 1);
        assert_eq!(backing.sys_used(range(HUGE, HUGE)), Ok(()));
    }
    assert_eq!(backing.reserve_len(), 2);
}

#[test]
fn pages_outside_of_the_window_are_refused() {
    let (_, backing, flushes) = large_pages::<1>(1);
    let refused: Refused = Obstacle::OutsideWindow.into();
    assert_eq!(backing.sys_used(range(4 * HUGE - 1, 2)), Err(refused));
    let batch = [range(0, HUGE), range(4 * HUGE, HUGE)];
    assert_eq!(backing.sys_unused(&batch), 1);
    assert_eq!(flushed(&flushes), 1);
}

#[test]
fn physical_pages_larger_than_4_kib_are_committed_and_released_whole() {
    let mut machine = Machine::new();
    let geometry = Geometry::new(4096, 16384, LARGE).expect("a geometry");
    let window = Window::new(geometry, 0, PageCount::new(HUGE)).expect("a window");
    let (backing, _) = machine.direct::<Size2MiB, 1>(0..LARGE, window, 1);
    assert_eq!(backing.sys_unused(&[range(4, 12)]), 1);
    assert_eq!(backing.sys_used(range(9, 1)), Ok(()));
    all_mapped(&machine, &backing, 4..8, None);
    all_mapped(&machine, &backing, 8..12, Some(4096));
    all_mapped(&machine, &backing, 12..16, None);
    // A heap asks for whole ones only; the rest of one is not its to give.
    assert_eq!(backing.sys_unused(&[range(17, 6)]), 1);
    all_mapped(&machine, &backing, 16..HUGE, Some(4096));
}

#[test]
fn a_physical_page_of_which_the_window_has_a_part_is_not_the_heaps() {
    let mut machine = Machine::new();
    let geometry = Geometry::new(4096, 16384, LARGE).expect("a geometry");
    let window = Window::new(geometry, 0, PageCount::new(6)).expect("a window");
    let (backing, flushes) = machine.direct::<Size4KiB, 1>(0..6 * 4096, window, 0);
    let outside: Refused = Obstacle::OutsideWindow.into();
    assert_eq!(backing.sys_used(range(5, 1)), Err(outside));
    assert_eq!(backing.sys_used(range(0, 6)), Err(outside));
    all_mapped(&machine, &backing, 6..8, None);
    // Rounded inward, nothing is left of it.
    assert_eq!(backing.sys_unused(&[range(4, 2), range(5, 1)]), 2);
    assert_eq!(flushed(&flushes), 0);
    all_mapped(&machine, &backing, 0..6, Some(4096));
    assert_eq!(backing.sys_used(range(1, 1)), Ok(()));
}

#[test]
fn zeroing_writes_zeroes_to_the_range_and_to_nothing_else() {
    let (machine, backing, _) = large_pages::<0>(0);
    let byte = |address: u64| machine.at(PhysAddr::new(address));
    // SAFETY: nothing else uses this memory: tables lie in the first MiB.
    unsafe { byte(4 << 20).write_bytes(0xa5, 5 * 4096) };
    backing.zero(range(2 * HUGE + 1, 2));
    let map = DirectMap::new(machine.offset());
    let frame = PhysFrame::<Size4KiB>::containing_address(PhysAddr::new((4 << 20) + 4 * 4096));
    // SAFETY: the frame is the test's.
    unsafe { map.zero_frame(frame) };
    for page in 0..5_u64 {
        let expected = if [1, 2, 4].contains(&page) { 0 } else { 0xa5 };
        for offset in 0..4096 {
            // SAFETY: this memory is the test's, and was written.
            let seen = unsafe { byte((4 << 20) + page * 4096 + offset).read() };
            assert_eq!(seen, expected, "page {page}");
        }
    }
}
