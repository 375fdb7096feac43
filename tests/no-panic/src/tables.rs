//! Every public verb of `arch/x86_64`, over tables that say anything.
//!
//! A verb that is missing here fails `tests/no_panic.rs`, which reads the names
//! in `arch/x86_64/src`.

use spanheap::{Backing, Corruption, LockedHeap, PageHeap, PageRange, Refused, Window};
use spanheap_x86_64::{
    DirectMap, DirectMapBacking, Frames, Hook, Obstacle, PageTableBacking, Reserve, Shootdown,
    Stale, WindowBacking,
};
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, OffsetPageTable, PageSize, PageTableFlags, PhysFrame,
    Size1GiB, Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::{Anything, any, stop};

type Tree = OffsetPageTable<'static>;
type OverMap = DirectMapBacking<Tree, Cpus, 64>;
type OverWindow = WindowBacking<Tree, Cpus, Pool, 64>;

/// What the verbs are given.
pub struct Given {
    window: Window,
    range: PageRange,
    ranges: &'static [PageRange],
    address: VirtAddr,
    physical: PhysAddr,
    frame: PhysFrame,
    large: PhysFrame<Size2MiB>,
    giant: PhysFrame<Size1GiB>,
    flags: PageTableFlags,
    stale: Stale,
    refused: Refused,
}

/// Calls every verb that both backings have.
macro_rules! call_verbs {
    ($heap:expr, $made:expr, $given:expr) => {{
        if let Ok(made) = any($made) {
            any(PageTableBacking::with_flags(made, any($given.flags)));
        }
        let backing = || any($heap.backing());
        any(PageTableBacking::window(backing()));
        any(PageTableBacking::reserve_len(backing()));
        any(PageTableBacking::refill(backing(), &mut any(Pool)));
        any(PageTableBacking::with_tables(backing(), |tree| {
            any(tree);
        }));
        let _ = any(Backing::sys_used(backing(), any($given.range)));
        any(Backing::sys_unused(backing(), any($given.ranges)));
        Backing::zero(backing(), any($given.range));
        any(Backing::zeroes_released(backing()));
        let _ = any(LockedHeap::alloc(any($heap), any($given.range.count())));
        let _ = any(LockedHeap::release_all(any($heap)));
    }};
}

/// Every verb of a backing over the direct map.
pub fn over_direct_map(
    heap: &LockedHeap<'static, OverMap>,
    tree: fn() -> Tree,
    reserve: fn() -> Reserve<64>,
    given: &Given,
) {
    let (tree, reserve) = (any(tree()), any(reserve()));
    let (offset, window) = (any(given.address), any(given.window));
    // SAFETY: the program is never run.
    let made = unsafe { OverMap::over_direct_map(tree, offset, window, reserve, Cpus) };
    call_verbs!(heap, made, given);
    #[cfg(feature = "planted-tables")]
    any(heap.backing().reserve_len().checked_sub(1).unwrap());
}

/// Every verb of a backing over a window.
pub fn over_window(
    heap: &LockedHeap<'static, OverWindow>,
    tree: fn() -> Tree,
    reserve: fn() -> Reserve<64>,
    given: &Given,
) {
    let (tree, reserve, window) = (any(tree()), any(reserve()), any(given.window));
    // SAFETY: the program is never run.
    let made = unsafe { OverWindow::over_window(tree, Pool, window, reserve, Cpus) };
    call_verbs!(heap, made, given);
}

/// A heap as the mapper's allocator.
pub fn frames(
    heap: &mut PageHeap<'static, Anything>,
    locked: &LockedHeap<'static, Anything>,
    given: &Given,
) {
    // SAFETY: the program is never run.
    let mut frames = unsafe { Frames::new(any(&mut *heap)) };
    frames_of(&mut frames, any(given.frame));
    frames_of(&mut frames, any(given.large));
    frames_of(&mut frames, any(given.giant));
    // SAFETY: the program is never run.
    let mut frames = unsafe { Frames::new(any(locked)) };
    frames_of(&mut frames, any(given.frame));
    frames_of(&mut frames, any(given.large));
    frames_of(&mut frames, any(given.giant));
}

fn frames_of<H, S: PageSize>(frames: &mut Frames<H>, frame: PhysFrame<S>)
where
    H: spanheap_x86_64::FrameHeap,
{
    let _ = any(frames.alloc_frame::<S>());
    any::<Option<PhysFrame<S>>>(frames.allocate_frame());
    // SAFETY: the program is never run.
    let _ = any(unsafe { frames.free_frame(any(frame)) });
    // SAFETY: the program is never run.
    unsafe { frames.deallocate_frame(any(frame)) };
}

/// What they are made of.
pub fn values(reserve: &mut Reserve<64>, given: &Given) {
    any(Reserve::<64>::new());
    any(any(&mut *reserve).fill(&mut any(Pool)));
    // SAFETY: the program is never run.
    let _ = any(unsafe { any(&mut *reserve).add(any(given.frame)) });
    any((any(&*reserve).len(), any(&*reserve).is_empty()));
    any(any(&mut *reserve).allocate_frame());
    let stale = || any(given.stale);
    any((stale().start(), stale().pages()));
    any(stale().contains(any(given.address)));
    // SAFETY: the program is never run.
    let hook = unsafe {
        Hook::new(|stale: Stale| {
            any(stale);
        })
    };
    hook.flush(stale());
    any(Obstacle::of(any(given.refused)));
    let map = any(DirectMap::new(any(given.address)));
    any((map.offset(), map.pointer(any(given.physical))));
    // SAFETY: the program is never run.
    unsafe { map.zero_frame(any(given.frame)) };
}

/// CPUs that forget, or not.
#[derive(Debug)]
pub struct Cpus;

// SAFETY: the program is never run.
unsafe impl Shootdown for Cpus {
    fn flush(&self, stale: Stale) {
        any(stale);
    }

    fn corrupted(what: Corruption) -> ! {
        any(what);
        stop()
    }
}

/// Frames from anywhere.
#[derive(Debug)]
pub struct Pool;

// SAFETY: the program is never run.
unsafe impl FrameAllocator<Size4KiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        any(None)
    }
}

// SAFETY: the program is never run.
unsafe impl FrameAllocator<Size2MiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame<Size2MiB>> {
        any(None)
    }
}

impl FrameDeallocator<Size4KiB> for Pool {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        any(frame);
    }
}

impl FrameDeallocator<Size2MiB> for Pool {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame<Size2MiB>) {
        any(frame);
    }
}
