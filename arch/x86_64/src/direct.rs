//! Over the direct map: released frames are unmapped, and kept.
//!
//! This gives no memory to anybody. What it gives is the fault: whoever touches
//! a page that the heap has released, through a stale pointer or off the end of
//! a neighbour, is caught at that instruction. And a kernel whose idle memory
//! goes to a hypervisor needs it beside that: a page that is unmapped is not
//! touched by mistake, and so not taken back.
//!
//! A page comes back with the frame and the attributes it had. So nothing can
//! be missing but a page table, and that only where less than 2 MiB change.

use spanheap::Window;
use x86_64::{PhysAddr, VirtAddr};

use crate::backing::PageTableBacking;
use crate::entry::Level;
use crate::error::SetUpError;
use crate::flush::Shootdown;
use crate::reserve::Reserve;
use crate::space::Source;
use crate::tables::Tables;

/// A backing over the direct map.
pub type DirectMapBacking<T, F, const N: usize> = PageTableBacking<T, F, Direct, N>;

/// The frames of the direct map: each at its own address, for ever.
#[derive(Debug)]
pub struct Direct {
    offset: u64,
}

impl Source for Direct {
    const KEEPS: bool = true;

    fn take(&mut self, _: Level, at: u64) -> Option<PhysAddr> {
        PhysAddr::try_new(at.wrapping_sub(self.offset)).ok()
    }

    fn give(&mut self, _: Level, _: PhysAddr) {}
}

impl<T: Tables, F: Shootdown, const N: usize> PageTableBacking<T, F, Direct, N> {
    /// Makes the backing of a heap whose window is of physical addresses, which
    /// are mapped at the same plus `offset`.
    ///
    /// A released page keeps its frame and its contents; touching it faults.
    /// Without a page-table frame in reserve,
    ///
    /// * a release of less than 2 MiB out of one large mapping is refused, and
    ///   of anything out of a mapping of 1 GiB that is not split yet;
    /// * a commit of a part of a released 2 MiB maps all of it, since the
    ///   memory is there. The other released pages in it do not fault, then,
    ///   until they are released again;
    /// * a commit of pages that were never mapped is refused.
    ///
    /// # Errors
    ///
    /// If a physical page is smaller than 4 KiB, the offset is no multiple of
    /// 2 MiB, or some of the addresses are none.
    ///
    /// # Safety
    ///
    /// * Of the addresses from `offset` plus the window's first to `offset` plus
    ///   its last, those of the heap's memory are mapped, writable, to that
    ///   memory, or not at all (then their region is added as released).
    /// * Nothing else maps or unmaps them, or frees the tables on the way to
    ///   them; all CPUs see them by the tables that `tables` reaches.
    /// * Nothing touches a page of the heap while it is released.
    /// * Bits 9 and 10 of entries for these addresses, which the processor leaves
    ///   to software, are the backing's: nothing else sets them.
    pub unsafe fn over_direct_map(
        tables: T,
        offset: VirtAddr,
        window: Window,
        reserve: Reserve<N>,
        shootdown: F,
    ) -> Result<Self, SetUpError> {
        let bytes = window.geometry().bytes(window.pages());
        let last = window.origin().saturating_add(bytes - 1);
        if PhysAddr::try_new(last).is_err() {
            return Err(SetUpError::NoSuchAddress);
        }
        let offset = offset.as_u64();
        Self::with_source(
            tables,
            Direct { offset },
            reserve,
            shootdown,
            window,
            offset,
        )
    }
}
