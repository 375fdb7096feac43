//! What other CPUs may do between the halves of a batch: in its flush.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spanheap::Backing;
use spanheap_x86_64::{Direct, Given, Hook, PageTableBacking, Stale};
use x86_64::structures::paging::Size2MiB;

mod machine;
use machine::{Machine, Pool, Tree, range, window};

const HUGE: u32 = 512;

type OverMap = PageTableBacking<Tree, Hook<fn(Stale)>, Direct, 1>;
type OverWindow = PageTableBacking<Tree, Hook<fn(Stale)>, Given<Pool>, 8>;

#[test]
fn the_lock_is_free_while_cpus_are_told() {
    static BACKING: OnceLock<OverMap> = OnceLock::new();
    let ask: fn(Stale) = |_| {
        // With the lock held, this would never return.
        let backing = BACKING.get().expect("set up");
        assert_eq!(backing.sys_used(range(HUGE - 1, 1)), Ok(()));
    };
    let mut machine = Machine::new();
    let mut tree = machine.tree();
    machine.map::<Size2MiB>(&mut tree, 0, 2 << 20);
    // SAFETY: there is no processor here that could have cached anything.
    let hook = unsafe { Hook::new(ask) };
    let (offset, window, reserve) = (machine.offset(), window(0, HUGE), machine.reserve(1));
    // SAFETY: the tree maps frames to themselves at the offset, and is the
    // backing's.
    let backing = unsafe { OverMap::over_direct_map(tree, offset, window, reserve, hook) };
    let backing = BACKING.get_or_init(|| backing.expect("a backing"));
    assert_eq!(backing.sys_unused(&[range(0, 1)]), 1);
    assert_eq!(backing.reserve_len(), 0);
}

#[test]
fn a_table_is_not_used_again_before_every_cpu_has_forgotten_it() {
    static BACKING: OnceLock<OverMap> = OnceLock::new();
    static FLUSHES: AtomicU32 = AtomicU32::new(0);
    let told: fn(Stale) = |_| {
        // The second flush is that of the join. Alone: one thread.
        if FLUSHES.fetch_add(1, Ordering::Relaxed) == 1 {
            let backing = BACKING.get().expect("set up");
            assert_eq!(backing.reserve_len(), 0);
            assert_eq!(backing.sys_unused(&[range(HUGE + 3, 1)]), 0);
        }
    };
    let mut machine = Machine::new();
    let mut tree = machine.tree();
    machine.map::<Size2MiB>(&mut tree, 0, 4 << 20);
    // SAFETY: there is no processor here that could have cached anything.
    let hook = unsafe { Hook::new(told) };
    let (offset, window, reserve) = (machine.offset(), window(0, 2 * HUGE), machine.reserve(1));
    // SAFETY: the tree maps frames to themselves at the offset, and is the
    // backing's.
    let backing = unsafe { OverMap::over_direct_map(tree, offset, window, reserve, hook) };
    let backing = BACKING.get_or_init(|| backing.expect("a backing"));
    assert_eq!(backing.sys_unused(&[range(3, 1)]), 1);
    assert_eq!(backing.sys_used(range(3, 1)), Ok(()));
    assert_eq!(FLUSHES.load(Ordering::Relaxed), 2);
    assert_eq!(backing.sys_unused(&[range(HUGE + 3, 1)]), 1);
}

#[test]
fn a_batch_that_ends_first_leaves_the_frames_of_the_other_in_the_same_table() {
    static SHARED: OnceLock<(OverWindow, Pool)> = OnceLock::new();
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    let other: fn(Stale) = |_| {
        // Alone: one thread.
        if DEPTH.fetch_add(1, Ordering::Relaxed) == 0 {
            let (backing, pool) = SHARED.get().expect("set up");
            assert_eq!(pool.out(), 512, "none before the flush");
            assert_eq!(backing.sys_unused(&[range(100, HUGE - 100)]), 1);
            assert_eq!(pool.out(), 100, "those of the first batch may be cached");
        }
    };
    let mut machine = Machine::new();
    let tree = machine.tree();
    // SAFETY: there is no processor here that could have cached anything.
    let hook = unsafe { Hook::new(other) };
    let pool = Pool::new(1 << 30, 512);
    pool.with(|state| state.no_large = true);
    let (window, reserve) = (window(1 << 40, HUGE), machine.reserve(3));
    // SAFETY: the tree is empty, and the backing's.
    let backing = unsafe { OverWindow::over_window(tree, pool.clone(), window, reserve, hook) };
    let (backing, pool) = SHARED.get_or_init(|| (backing.expect("a backing"), pool));
    assert_eq!(backing.sys_used(range(0, HUGE)), Ok(()));
    assert_eq!(backing.sys_unused(&[range(0, 100)]), 1);
    assert_eq!(pool.out(), 0);
    assert_eq!(
        backing.reserve_len(),
        1,
        "the last one saw that it is empty"
    );
    assert_eq!(DEPTH.load(Ordering::Relaxed), 3, "and had it forgotten");
}

/// Translates an address as a processor does, by loads alone; tables lie in
/// memory at `base`, the highest at its start.
fn walk(base: usize, address: u64) -> Option<u64> {
    let mut table = 0;
    for shift in [39, 30, 21, 12] {
        if shift == 12 {
            // It may have cached all but the last for long.
            std::thread::yield_now();
        }
        let index = (address >> shift) as usize % 512;
        let at = std::ptr::with_exposed_provenance::<AtomicU64>(base + table as usize + index * 8);
        // SAFETY: the machine's memory is never freed, and all tables lie in it;
        // entries are only ever read and written as atomics meanwhile.
        let entry = unsafe { &*at }.load(Ordering::Acquire);
        if entry & 1 == 0 {
            return None;
        }
        table = entry & 0x000f_ffff_ffff_f000;
        if shift == 12 || entry & 0x80 != 0 {
            return Some(table + address % (1 << shift));
        }
    }
    None
}

#[test]
fn the_neighbours_of_a_released_page_are_mapped_at_every_moment() {
    /// Odd while the other CPU walks.
    static EPOCH: AtomicU32 = AtomicU32::new(0);
    // A CPU that is told answers when it has ended its walk.
    let told: fn(Stale) = |_| {
        // SeqCst, as a read-modify-write: after every store to a table.
        let seen = EPOCH.fetch_add(0, Ordering::SeqCst);
        while seen % 2 == 1 && EPOCH.load(Ordering::SeqCst) == seen {
            std::thread::yield_now();
        }
    };
    let mut machine = Machine::new();
    let mut tree = machine.tree();
    machine.map::<Size2MiB>(&mut tree, 0, 4 << 20);
    // SAFETY: the one CPU there is has ended its walk when the hook returns.
    let hook = unsafe { Hook::new(told) };
    let (offset, window) = (machine.offset(), window(0, 2 * HUGE));
    // One table, which serves both huge pages in turn.
    let reserve = machine.reserve(1);
    // SAFETY: the tree maps frames to themselves at the offset, and is the
    // backing's.
    let backing = unsafe { OverMap::over_direct_map(tree, offset, window, reserve, hook) };
    let backing = backing.expect("a backing");

    let (base, backing) = (offset.as_u64(), &backing);
    let turns = move |huge: u32| {
        for turn in 0..30_000 {
            let page = range(huge * HUGE + 3 + turn % 4, 1);
            // The other may have the table.
            if backing.sys_unused(&[page]) == 1 {
                assert_eq!(backing.sys_used(page), Ok(()));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(move || turns(0));
        scope.spawn(move || turns(1));
        for _ in 0..30_000 {
            for neighbour in [7 * 4096, (2 << 20) + 7 * 4096] {
                EPOCH.fetch_add(1, Ordering::SeqCst);
                let seen = walk(base as usize, base + neighbour);
                EPOCH.fetch_add(1, Ordering::SeqCst);
                assert_eq!(seen, Some(neighbour), "a neighbour's translation");
            }
        }
    });
    assert_eq!(backing.reserve_len(), 1);
}
