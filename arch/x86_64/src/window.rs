//! Over a window of virtual addresses: frames come from an allocator, and go
//! back to it.
//!
//! For a heap that has more addresses than the machine has memory, or shares
//! the memory with others: what it releases, they can have. The heap's window
//! is of virtual addresses, and which frame is behind one is nobody's business.
//!
//! A frame of 2 MiB is taken for a whole huge page if the allocator has one,
//! 512 of 4 KiB otherwise. It goes back as it is then mapped: a frame of 2 MiB
//! of which a part was released before goes back in frames of 4 KiB.
//!
//! The allocator is called with the backing's lock held. It must not call this
//! backing, and if it waits for other CPUs, none of them may wait for the lock.

use spanheap::Window;
use x86_64::PhysAddr;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, PageSize, PhysFrame, Size2MiB, Size4KiB,
};

use crate::backing::PageTableBacking;
use crate::entry::Level;
use crate::error::SetUpError;
use crate::flush::Shootdown;
use crate::reserve::Reserve;
use crate::space::Source;
use crate::tables::Tables;

/// A backing over a window of virtual addresses.
pub type WindowBacking<T, F, A, const N: usize> = PageTableBacking<T, F, Given<A>, N>;

/// The frames of an allocator.
#[derive(Debug)]
pub struct Given<A> {
    frames: A,
}

impl<A> Given<A> {
    fn take_frame<S: PageSize>(&mut self) -> Option<PhysAddr>
    where
        A: FrameAllocator<S>,
    {
        let frame: PhysFrame<S> = self.frames.allocate_frame()?;
        Some(frame.start_address())
    }

    fn give_frame<S: PageSize>(&mut self, frame: PhysAddr)
    where
        A: FrameDeallocator<S>,
    {
        let frame = PhysFrame::<S>::containing_address(frame);
        // SAFETY: it came from this allocator, whole or as a part of a larger
        // one, and its last mapping is gone from the tables and from every
        // cache (`Shootdown` promised that), so nothing uses it.
        unsafe { self.frames.deallocate_frame(frame) };
    }
}

impl<A> Source for Given<A>
where
    A: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB>,
    A: FrameAllocator<Size2MiB> + FrameDeallocator<Size2MiB>,
{
    const KEEPS: bool = false;

    fn take(&mut self, level: Level, _: u64) -> Option<PhysAddr> {
        match level {
            Level::One => self.take_frame::<Size4KiB>(),
            Level::Two => self.take_frame::<Size2MiB>(),
            Level::Three | Level::Four => None,
        }
    }

    fn give(&mut self, level: Level, frame: PhysAddr) {
        match level {
            Level::One => self.give_frame::<Size4KiB>(frame),
            Level::Two => self.give_frame::<Size2MiB>(frame),
            Level::Three | Level::Four => {}
        }
    }
}

impl<T, F, A, const N: usize> PageTableBacking<T, F, Given<A>, N>
where
    T: Tables,
    F: Shootdown,
    A: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB>,
    A: FrameAllocator<Size2MiB> + FrameDeallocator<Size2MiB>,
{
    /// Makes the backing of a heap whose window is of virtual addresses.
    ///
    /// A commit is refused, and has taken nothing, if the allocator has no
    /// frame ([`Obstacle::NoFrame`](crate::Obstacle::NoFrame)), or a page table
    /// is needed and none is in reserve: one for each 2 MiB that is not all one
    /// large frame, one for each GiB, one for each 512 GiB. A release of a part
    /// of one large frame needs one, too.
    ///
    /// # Errors
    ///
    /// If a physical page is smaller than 4 KiB, or some of the addresses are
    /// none.
    ///
    /// # Safety
    ///
    /// * Nothing else maps, unmaps or uses the window's addresses, or frees the
    ///   tables on the way to them; all CPUs see them by the tables that
    ///   `tables` reaches.
    /// * The allocator takes a frame of 2 MiB that it gave out back in frames
    ///   of 4 KiB, too.
    /// * Bits 9 and 10 of entries for these addresses, which the processor leaves
    ///   to software, are the backing's: nothing else sets them.
    pub unsafe fn over_window(
        tables: T,
        frames: A,
        window: Window,
        reserve: Reserve<N>,
        shootdown: F,
    ) -> Result<Self, SetUpError> {
        Self::with_source(tables, Given { frames }, reserve, shootdown, window, 0)
    }
}
