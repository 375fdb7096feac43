//! What the driver asks of the machine: where memory is, and how long to wait.
//!
//! Both questions are the kernel's. `virtio-drivers` has a trait for
//! the first (`Hal`), but of static functions, which allocate; this one is a
//! value that allocates nothing. [`DirectMap`] answers for most kernels.
//!
//! Every wait of the driver goes through [`wait`](Machine::wait), so that none
//! is longer than the machine allows, whatever the device does.

use core::hint::spin_loop;
use core::ptr;

use spanheap::Corruption;

/// The machine under the driver.
///
/// Both methods may be called with the driver's lock held: they must not call
/// the heap or the balloon.
///
/// # Safety
///
/// For every range of guest-physical memory that the balloon is given (the
/// pages of its heap while they are committed, and the memory it shares with
/// the device), `pointer` of its first byte is valid for reads and writes of
/// all of the range, which lies there in one piece.
pub unsafe trait Machine {
    /// Returns where the byte at a guest-physical address is visible.
    fn pointer(&self, physical: u64) -> *mut u8;

    /// Passes a little time while the driver waits for the device, and returns
    /// whether it shall wait on. `turn` counts the calls of one wait, from 0.
    ///
    /// A device that has not answered when this returns `false` is reset, and
    /// the heap goes on without it.
    fn wait(&self, turn: u32) -> bool;

    /// What happens when the heap's metadata was overwritten: see
    /// [`Backing::corrupted`](spanheap::Backing::corrupted), of which this is
    /// the kernel's part. The default panics with the numbers.
    fn corrupted(what: Corruption) -> !
    where
        Self: Sized,
    {
        panic!("the heap's metadata was overwritten: {what:?}")
    }
}

/// A machine whose memory is all visible at one offset, and which spins.
#[derive(Clone, Copy, Debug)]
pub struct DirectMap {
    offset: u64,
    patience: u32,
}

impl DirectMap {
    /// How many turns are waited by default: some tenths of a second at the
    /// least, where a device is expected to answer in microseconds.
    pub const PATIENCE: u32 = 100_000_000;

    /// Makes a machine where the byte at the guest-physical address `a` is
    /// visible at the address `offset + a`, modulo 2⁶⁴.
    ///
    /// # Safety
    ///
    /// That holds for all the memory that [`Machine`] speaks of, readable and
    /// writable, for as long as this value or a copy of it is used.
    #[must_use]
    pub const unsafe fn new(offset: u64) -> Self {
        Self {
            offset,
            patience: Self::PATIENCE,
        }
    }

    /// Waits for as many turns of a spin loop, and no longer.
    #[must_use]
    pub const fn patience(self, turns: u32) -> Self {
        Self {
            patience: turns,
            ..self
        }
    }
}

// SAFETY: whoever made the value promised that the memory is there.
unsafe impl Machine for DirectMap {
    fn pointer(&self, physical: u64) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.offset.wrapping_add(physical) as usize)
    }

    fn wait(&self, turn: u32) -> bool {
        spin_loop();
        turn < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_map_adds_its_offset_and_waits_for_so_many_turns() {
        // SAFETY: nothing is touched.
        let map = unsafe { DirectMap::new(0xffff_8000_0000_0000) }.patience(3);
        assert_eq!(map.pointer(0x1234).addr(), 0xffff_8000_0000_1234);
        assert!((0..3).all(|turn| map.wait(turn)));
        assert!(!map.wait(3) && !map.wait(u32::MAX));
    }
}
