//! The direct map: all physical memory, at an offset.
//!
//! The one file that writes to the heap's pages.

use core::ops::Range;
use core::ptr;

use x86_64::structures::paging::{PageSize, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

/// Where physical memory is mapped: at its address plus an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectMap {
    offset: VirtAddr,
}

impl DirectMap {
    /// The direct map at this offset.
    #[must_use]
    pub const fn new(offset: VirtAddr) -> Self {
        Self { offset }
    }

    /// Returns the offset.
    #[must_use]
    pub const fn offset(self) -> VirtAddr {
        self.offset
    }

    /// Returns where the byte at a physical address is mapped. Beyond the end
    /// of the map that is no address of physical memory.
    #[must_use]
    pub const fn pointer(self, address: PhysAddr) -> *mut u8 {
        let address = self.offset.as_u64().wrapping_add(address.as_u64());
        ptr::with_exposed_provenance_mut(address as usize)
    }

    /// Fills a frame with zeroes.
    ///
    /// # Safety
    ///
    /// The frame is mapped here, writable, and nothing else uses it.
    pub unsafe fn zero_frame<S: PageSize>(self, frame: PhysFrame<S>) {
        let at = self.pointer(frame.start_address());
        // SAFETY: the caller promises that these bytes are mapped, writable
        // and unshared.
        unsafe { at.write_bytes(0, S::SIZE as usize) };
    }
}

/// Fills virtual addresses with zeroes.
///
/// # Safety
///
/// They are mapped, writable, and nothing else uses them.
pub(crate) unsafe fn zero(bytes: Range<u64>) {
    let at = ptr::with_exposed_provenance_mut::<u8>(bytes.start as usize);
    let count = bytes.end.saturating_sub(bytes.start) as usize;
    // SAFETY: the caller promises that these bytes are mapped, writable and
    // unshared.
    unsafe { at.write_bytes(0, count) };
}
