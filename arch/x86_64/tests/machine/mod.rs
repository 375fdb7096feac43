//! A machine without a processor: physical memory in ordinary memory, page
//! tables in it, and a hook that counts instead of flushing.
//!
//! Physical address 0 is at the base, so the direct map's offset is the base's
//! address, and what a page table says can be followed from here. The memory
//! ends at [`MEMORY`]; frames beyond are numbers, good for all that does not
//! touch them.

#![allow(dead_code, reason = "each suite uses a part of the machine")]
#![allow(clippy::allow_attributes, reason = "no suite uses the same part")]

use std::alloc::{Layout, alloc};
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use spanheap::{Geometry, Page, PageCount, PageRange, Window};
use spanheap_x86_64::{Direct, Given, Hook, PageTableBacking, Reserve, Stale};
use x86_64::structures::paging::mapper::{MappedFrame, TranslateResult};
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper, OffsetPageTable, Page as Virtual, PageSize,
    PageTable, PageTableFlags, PhysFrame, Size1GiB, Size2MiB, Size4KiB, Translate,
};
use x86_64::{PhysAddr, VirtAddr};

/// Bytes of memory that can be touched.
pub(crate) const MEMORY: u64 = 16 << 20;
pub(crate) const FLAGS: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// Everything that the hook was told to flush.
pub(crate) type Flushes = Arc<Mutex<Vec<Stale>>>;
pub(crate) type Counting = Hook<Box<dyn Fn(Stale) + Send + Sync>>;
pub(crate) type Tree = OffsetPageTable<'static>;
pub(crate) type DirectBacking<const N: usize> = PageTableBacking<Tree, Counting, Direct, N>;
pub(crate) type WindowBacking<const N: usize> = PageTableBacking<Tree, Counting, Given<Pool>, N>;

/// Physical memory, of which frames are handed out from the start.
pub(crate) struct Machine {
    base: NonNull<u8>,
    next: u64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        // As aligned as the largest page, so that one can be mapped there.
        let layout = Layout::from_size_align(MEMORY as usize, 1 << 30).expect("a layout");
        // SAFETY: the layout is not empty. It is leaked, for the mappers.
        let base = NonNull::new(unsafe { alloc(layout) }).expect("memory");
        base.as_ptr().expose_provenance();
        Self { base, next: 0 }
    }

    /// The offset of the direct map.
    pub(crate) fn offset(&self) -> VirtAddr {
        VirtAddr::new(self.base.as_ptr() as u64)
    }

    /// A mapper with a new and empty tree of tables.
    pub(crate) fn tree(&mut self) -> Tree {
        let frame: PhysFrame = self.allocate_frame().expect("a frame");
        let at = self.at(frame.start_address()).cast::<PageTable>();
        // SAFETY: the frame is this tree's alone.
        unsafe { at.write(PageTable::new()) };
        // SAFETY: as before; it is a table now.
        let table = unsafe { &mut *at };
        // SAFETY: all of memory is at this offset.
        unsafe { OffsetPageTable::new(table, self.offset()) }
    }

    /// Maps physical addresses in the direct map, in pages of one size.
    pub(crate) fn map<S: PageSize>(&mut self, tree: &mut Tree, from: u64, to: u64)
    where
        Tree: Mapper<S>,
    {
        for address in (from..to).step_by(S::SIZE as usize) {
            let page = Virtual::<S>::containing_address(self.offset() + address);
            let frame = PhysFrame::containing_address(PhysAddr::new(address));
            // SAFETY: nobody uses these addresses but by this map.
            let mapped = unsafe { tree.map_to(page, frame, FLAGS, self) };
            assert!(mapped.is_ok(), "not mapped yet, and frames for tables");
        }
    }

    pub(crate) fn at(&self, address: PhysAddr) -> *mut u8 {
        assert!(address.as_u64() < MEMORY, "there is no such memory");
        self.base.as_ptr().wrapping_add(address.as_u64() as usize)
    }

    pub(crate) fn reserve<const N: usize>(&mut self, frames: usize) -> Reserve<N> {
        let mut reserve = Reserve::new();
        for _ in 0..frames {
            let frame = self.allocate_frame().expect("a frame");
            // SAFETY: the frame is the reserve's alone.
            unsafe { reserve.add(frame) }.expect("room");
        }
        reserve
    }

    /// A direct map of `from..to` in pages of size `S`, under a backing with
    /// `frames` tables in reserve, for a heap over `window`.
    pub(crate) fn direct<S: PageSize, const N: usize>(
        &mut self,
        mapped: std::ops::Range<u64>,
        window: Window,
        frames: usize,
    ) -> (DirectBacking<N>, Flushes)
    where
        Tree: Mapper<S>,
    {
        let mut tree = self.tree();
        self.map::<S>(&mut tree, mapped.start, mapped.end);
        let (flushes, hook) = counting();
        let reserve = self.reserve(frames);
        // SAFETY: the tree maps frames to themselves at the offset, and belongs
        // to the backing from here on.
        let backing = unsafe {
            PageTableBacking::over_direct_map(tree, self.offset(), window, reserve, hook)
        };
        (backing.expect("a backing"), flushes)
    }

    pub(crate) fn window<const N: usize>(
        &mut self,
        pool: Pool,
        window: Window,
        frames: usize,
    ) -> (WindowBacking<N>, Flushes) {
        let tree = self.tree();
        let (flushes, hook) = counting();
        let reserve = self.reserve(frames);
        // SAFETY: the tree is empty, and belongs to the backing from here on.
        let backing = unsafe { PageTableBacking::over_window(tree, pool, window, reserve, hook) };
        (backing.expect("a backing"), flushes)
    }
}

// SAFETY: each frame is handed out once.
unsafe impl FrameAllocator<Size4KiB> for Machine {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let address = self.next;
        self.next += 4096;
        (self.next <= MEMORY).then(|| PhysFrame::containing_address(PhysAddr::new(address)))
    }
}

fn counting() -> (Flushes, Counting) {
    let flushes = Flushes::default();
    let told = Arc::clone(&flushes);
    let hook: Box<dyn Fn(Stale) + Send + Sync> = Box::new(move |stale| {
        // Other threads come in here, where no lock is held.
        std::thread::yield_now();
        told.lock().expect("not poisoned").push(stale);
    });
    // SAFETY: there is no processor here that could have cached anything.
    (flushes, unsafe { Hook::new(hook) })
}

/// How many flushes there were since the last call.
pub(crate) fn flushed(flushes: &Flushes) -> usize {
    std::mem::take(&mut *flushes.lock().expect("not poisoned")).len()
}

pub(crate) fn window(origin: u64, pages: u32) -> Window {
    Window::new(Geometry::SMALL_PAGES, origin, PageCount::new(pages)).expect("a window")
}

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), PageCount::new(pages)).expect("not empty")
}

/// Where a virtual address is mapped to, and by a page of which size.
pub(crate) fn lookup(tree: &Tree, address: VirtAddr) -> Option<(PhysAddr, u64)> {
    match tree.translate(address) {
        // In a table of 4 KiB pages the crate takes every entry for mapped that
        // is not zero.
        TranslateResult::Mapped { flags, .. } if !flags.contains(PageTableFlags::PRESENT) => None,
        TranslateResult::Mapped { frame, offset, .. } => {
            let size = match frame {
                MappedFrame::Size4KiB(_) => Size4KiB::SIZE,
                MappedFrame::Size2MiB(_) => Size2MiB::SIZE,
                MappedFrame::Size1GiB(_) => Size1GiB::SIZE,
            };
            Some((frame.start_address() + offset, size))
        }
        TranslateResult::NotMapped => None,
        TranslateResult::InvalidFrameAddress(address) => panic!("a bad entry: {address:?}"),
    }
}

/// A pool of frames that knows which are out, and panics if one comes back that
/// is not, or before the flush.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<PoolState>>);

#[derive(Default)]
pub(crate) struct PoolState {
    /// Frames of 4 KiB that can be had, by number.
    free: BTreeSet<u64>,
    total: usize,
    /// Whether frames of 2 MiB can be had.
    pub(crate) no_large: bool,
    /// What counts flushes, and how many there were before the call: frames
    /// come back after another one.
    pub(crate) before: Option<(Flushes, usize)>,
}

impl Pool {
    pub(crate) fn new(start: u64, frames: u64) -> Self {
        let pool = Self::default();
        pool.with(|state| {
            state.free = (start / 4096..start / 4096 + frames).collect();
            state.total = frames as usize;
        });
        pool
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut PoolState) -> R) -> R {
        work(&mut self.0.lock().expect("not poisoned"))
    }

    /// How many frames of 4 KiB are out.
    pub(crate) fn out(&self) -> usize {
        self.with(|state| state.total - state.free.len())
    }

    fn take(&self, frames: u64) -> Option<PhysAddr> {
        self.with(|state| {
            let whole = |first: u64| state.free.range(first..first + frames).count() as u64;
            let all = *state.free.first()?..=*state.free.last()?;
            let first = (all.start().next_multiple_of(frames)..*all.end() + 1)
                .step_by(frames as usize)
                .find(|first| whole(*first) == frames)?;
            for frame in first..first + frames {
                state.free.remove(&frame);
            }
            Some(PhysAddr::new(first * 4096))
        })
    }

    fn give(&self, address: PhysAddr, frames: u64) {
        self.with(|state| {
            if let Some((flushes, before)) = &state.before {
                let now = flushes.lock().expect("not poisoned").len();
                assert!(now > *before, "given back before the flush");
            }
            let first = address.as_u64() / 4096;
            for frame in first..first + frames {
                assert!(state.free.insert(frame), "given back twice: {address:?}");
            }
            assert!(state.free.len() <= state.total, "never given out");
        });
    }
}

// SAFETY: what is taken is not free until it comes back.
unsafe impl FrameAllocator<Size4KiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        Some(PhysFrame::containing_address(self.take(1)?))
    }
}

// SAFETY: as before.
unsafe impl FrameAllocator<Size2MiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame<Size2MiB>> {
        if self.with(|state| state.no_large) {
            return None;
        }
        Some(PhysFrame::containing_address(self.take(512)?))
    }
}

impl FrameDeallocator<Size4KiB> for Pool {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        self.give(frame.start_address(), 1);
    }
}

impl FrameDeallocator<Size2MiB> for Pool {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame<Size2MiB>) {
        self.give(frame.start_address(), 512);
    }
}
