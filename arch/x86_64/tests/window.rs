//! Over a window: frames come from an allocator, and go back to it.

use spanheap::{Backing, Refused};
use spanheap_x86_64::Obstacle;
use x86_64::VirtAddr;
use x86_64::structures::paging::{PageSize, Size2MiB};

mod machine;
use machine::{Flushes, Machine, Pool, WindowBacking, flushed, lookup, range, window};

const ORIGIN: u64 = 0xffff_9000_0000_0000;
const LARGE: u64 = Size2MiB::SIZE;
const HUGE: u32 = 512;
/// Tables for the way from the top, which stay.
const WAY: usize = 2;

/// A window of 8 MiB over a pool of frames, all tables it can need in reserve.
fn small<const N: usize>(frames: u64, tables: usize) -> (WindowBacking<N>, Pool, Flushes) {
    let mut machine = Machine::new();
    let pool = Pool::new(LARGE, frames);
    let (backing, flushes) = machine.window(pool.clone(), window(ORIGIN, 4 * HUGE), tables);
    (backing, pool, flushes)
}

fn size<const N: usize>(backing: &WindowBacking<N>, page: u32) -> Option<u64> {
    let address = VirtAddr::new(ORIGIN + u64::from(page) * 4096);
    let seen = backing.with_tables(|tree| lookup(tree, address));
    seen.map(|(_, size)| size)
}

fn all<const N: usize>(backing: &WindowBacking<N>, pages: std::ops::Range<u32>, is: Option<u64>) {
    for page in pages {
        assert_eq!(size(backing, page), is, "page {page}");
    }
}

/// From now on frames may come back only after another flush.
fn expect_flush(pool: &Pool, flushes: &Flushes) {
    let before = flushes.lock().expect("not poisoned").len();
    pool.with(|state| state.before = Some((flushes.clone(), before)));
}

#[test]
fn whole_huge_pages_get_large_frames_and_the_rest_small_ones() {
    let (backing, pool, flushes) = small::<8>(2048, 5);
    assert_eq!(backing.sys_used(range(500, HUGE + 24)), Ok(()));
    all(&backing, 0..500, None);
    all(&backing, 500..HUGE, Some(4096));
    all(&backing, HUGE..2 * HUGE, Some(LARGE));
    all(&backing, 2 * HUGE..2 * HUGE + 12, Some(4096));
    all(&backing, 2 * HUGE + 12..4 * HUGE, None);
    assert_eq!(pool.out(), HUGE as usize + 24);
    assert_eq!(backing.reserve_len(), 5 - WAY - 2);
    assert_eq!(flushed(&flushes), 0);
}

#[test]
fn frames_go_back_after_one_flush_and_tables_too() {
    let (backing, pool, flushes) = small::<8>(2048, 5);
    assert_eq!(backing.sys_used(range(500, HUGE + 24)), Ok(()));
    expect_flush(&pool, &flushes);
    let batch = [range(505, 3), range(510, HUGE + 5), range(2 * HUGE + 4, 8)];
    assert_eq!(backing.sys_unused(&batch), 3);
    assert_eq!(flushed(&flushes), 1);
    assert_eq!(pool.out(), 5 + 2 + 1);
    all(&backing, 500..505, Some(4096));
    all(&backing, 505..508, None);
    all(&backing, 508..510, Some(4096));
    all(&backing, 510..2 * HUGE + 3, None);
    all(&backing, 2 * HUGE + 3..2 * HUGE + 4, Some(4096));
    all(&backing, 2 * HUGE + 4..4 * HUGE, None);
    let rest = [range(500, 5), range(508, 2), range(2 * HUGE + 3, 1)];
    expect_flush(&pool, &flushes);
    assert_eq!(backing.sys_unused(&rest), 3);
    assert_eq!(flushed(&flushes), 1);
    assert_eq!((pool.out(), backing.reserve_len()), (0, 5 - WAY));
}

#[test]
fn a_large_frame_goes_back_in_parts() {
    let (backing, pool, flushes) = small::<8>(HUGE.into(), 3);
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    assert_eq!(size(&backing, 0), Some(LARGE));
    expect_flush(&pool, &flushes);
    assert_eq!(backing.sys_unused(&[range(7, 100)]), 1);
    assert_eq!(pool.out(), HUGE as usize - 100);
    all(&backing, 0..7, Some(4096));
    all(&backing, 7..107, None);
    all(&backing, 107..HUGE, Some(4096));
    // Committed again it is whole, but its frames are not one.
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    all(&backing, 0..HUGE, Some(4096));
    expect_flush(&pool, &flushes);
    assert_eq!(backing.sys_unused(&[range(0, HUGE)]), 1);
    assert_eq!((pool.out(), backing.reserve_len()), (0, 3 - WAY));
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    assert_eq!(size(&backing, 0), Some(LARGE));
}

#[test]
fn without_a_large_frame_a_huge_page_is_made_of_small_ones() {
    let (backing, pool, _) = small::<8>(2048, 3);
    pool.with(|state| state.no_large = true);
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    all(&backing, 0..HUGE, Some(4096));
    assert_eq!((pool.out(), backing.reserve_len()), (512, 0));
    assert_eq!(
        backing.sys_used(range(HUGE, HUGE)),
        Err(Obstacle::NoTable.into())
    );
    assert_eq!(pool.out(), 512);
}

#[test]
fn out_of_frames_is_an_error_and_takes_nothing() {
    for frames in [0, 1, 11, 12, 511, 512, 523, 524, 1023] {
        let (backing, pool, _) = small::<8>(frames, 6);
        assert_eq!(backing.sys_used(range(1020, 2)).is_ok(), frames >= 2);
        let held = pool.out();
        // Pages on either side of a huge one, some of them there already.
        let refused: Refused = Obstacle::NoFrame.into();
        assert_eq!(backing.sys_used(range(500, 1024)), Err(refused));
        assert_eq!(pool.out(), held, "of {frames}");
        for page in 0..4 * HUGE {
            let there = held > 0 && (1020..1022).contains(&page);
            assert_eq!(
                size(&backing, page).is_some(),
                there,
                "page {page} of {frames}"
            );
        }
        assert_eq!(backing.reserve_len(), 6 - WAY - usize::from(held > 0));
    }
}

#[test]
fn a_commit_of_what_is_mapped_takes_no_frame() {
    let (backing, pool, flushes) = small::<8>(2048, 5);
    for _ in 0..3 {
        assert_eq!(backing.sys_used(range(100, HUGE * 2)), Ok(()));
        assert_eq!(pool.out(), 2 * HUGE as usize);
    }
    assert_eq!(flushed(&flushes), 0);
}

#[test]
fn without_a_table_only_whole_huge_pages_go() {
    let (backing, pool, flushes) = small::<8>(2048, WAY);
    assert_eq!(backing.sys_used(range(0, 3 * HUGE)), Ok(()));
    expect_flush(&pool, &flushes);
    let batch = [range(0, HUGE), range(HUGE, HUGE + 1), range(2 * HUGE, HUGE)];
    assert_eq!(backing.sys_unused(&batch), 1);
    assert_eq!(pool.out(), 2 * HUGE as usize);
    all(&backing, 0..HUGE, None);
    all(&backing, HUGE..3 * HUGE, Some(LARGE));
    assert_eq!(backing.sys_used(range(0, 1)), Err(Obstacle::NoTable.into()));
    assert_eq!(pool.out(), 2 * HUGE as usize);
}

#[test]
fn a_release_that_is_refused_half_way_leaves_large_frames_whole() {
    let (backing, pool, flushes) = small::<8>(2048, WAY + 1);
    assert_eq!(backing.sys_used(range(0, 3 * HUGE)), Ok(()));
    // The first huge page could be split, the last could not.
    assert_eq!(backing.sys_unused(&[range(1, 3 * HUGE - 2)]), 0);
    assert_eq!((flushed(&flushes), backing.reserve_len()), (0, 1));
    all(&backing, 0..3 * HUGE, Some(LARGE));
    assert_eq!(backing.sys_unused(&[range(1, 3 * HUGE - 1)]), 1);
    assert_eq!((pool.out(), backing.reserve_len()), (1, 0));
}

#[test]
fn without_the_tables_on_the_way_nothing_is_taken() {
    for tables in 0..WAY + 1 {
        let (backing, pool, _) = small::<8>(2048, tables);
        assert_eq!(backing.sys_used(range(0, 1)), Err(Obstacle::NoTable.into()));
        assert_eq!((pool.out(), size(&backing, 0)), (0, None));
        assert_eq!(backing.reserve_len(), 0);
    }
}

#[test]
fn more_tables_than_go_in_one_round_all_come_back_with_their_frames() {
    let mut machine = Machine::new();
    let pool = Pool::new(1 << 30, 200 * 512);
    pool.with(|state| state.no_large = true);
    let window = window(ORIGIN, 200 * HUGE);
    let (backing, flushes) = machine.window::<256>(pool.clone(), window, 200 + WAY);
    assert_eq!(backing.sys_used(range(3, 200 * HUGE - 5)), Ok(()));
    assert_eq!((pool.out(), backing.reserve_len()), (200 * 512 - 5, 0));
    expect_flush(&pool, &flushes);
    assert_eq!(backing.sys_unused(&[range(3, 200 * HUGE - 5)]), 1);
    assert_eq!((pool.out(), backing.reserve_len()), (0, 200));
    assert_eq!(flushed(&flushes), 4);
}
