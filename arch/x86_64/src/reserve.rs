//! The reserve: frames for page tables, put by before they are needed.
//!
//! To split a large mapping takes a table, and it is needed in the middle of a
//! release or a commit, where asking the heap for one could mean to commit it.
//! So they are set aside at set-up. A table that is no longer needed comes back
//! here, and never goes elsewhere.
//!
//! Invariant: `len + promised <= N`; the first `len` frames are some, and used
//! by nothing else.

use core::fmt;

use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// The reserve holds as many frames as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveFull;

impl fmt::Display for ReserveFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reserve of page-table frames is full")
    }
}

impl core::error::Error for ReserveFull {}

/// Up to `N` frames for page tables.
///
/// One for each 2 MiB of the heap's window, and one for each GiB of it, is
/// enough for all there can ever be: 0.2 % of the memory. Much less does for
/// most, since whole huge pages go first and need none. A backing with an empty
/// reserve still works, in pieces of 2 MiB.
///
/// As a [`FrameAllocator`] it serves a mapper that must not call the heap; see
/// [`with_tables`](crate::PageTableBacking::with_tables).
#[derive(Debug)]
pub struct Reserve<const N: usize> {
    frames: [Option<PhysFrame>; N],
    len: usize,
    promised: usize,
}

impl<const N: usize> Reserve<N> {
    /// Makes an empty reserve.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            frames: [None; N],
            len: 0,
            promised: 0,
        }
    }

    /// Fills it from an allocator, and returns how many frames it took.
    pub fn fill(&mut self, frames: &mut impl FrameAllocator<Size4KiB>) -> usize {
        let before = self.len;
        while self.has_room() {
            let Some(frame) = frames.allocate_frame() else {
                break;
            };
            self.put(frame);
        }
        self.len - before
    }

    /// Adds one frame.
    ///
    /// # Errors
    ///
    /// If it is full.
    ///
    /// # Safety
    ///
    /// Nothing else uses the frame from now on, and it can be reached as a
    /// table ([`Tables::table`](crate::Tables::table)).
    pub unsafe fn add(&mut self, frame: PhysFrame) -> Result<(), ReserveFull> {
        if !self.has_room() {
            return Err(ReserveFull);
        }
        self.put(frame);
        Ok(())
    }

    /// Returns how many frames there are now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether a frame can be added.
    pub(crate) const fn has_room(&self) -> bool {
        self.len + self.promised < N
    }

    /// Takes a frame.
    pub(crate) fn take(&mut self) -> Option<PhysFrame> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        self.frames.get_mut(last)?.take()
    }

    /// Keeps room for a frame that is to come back; `false` if there is none.
    pub(crate) const fn promise(&mut self) -> bool {
        let room = self.has_room();
        if room {
            self.promised += 1;
        }
        room
    }

    /// Takes a frame back for which room was kept.
    pub(crate) fn redeem(&mut self, frame: PhysFrame) {
        self.renounce();
        self.put(frame);
    }

    /// Keeps no room any more for a frame that does not come.
    pub(crate) fn renounce(&mut self) {
        self.promised = self.promised.saturating_sub(1);
    }

    /// Puts a frame, for which there is room.
    pub(crate) fn put(&mut self, frame: PhysFrame) {
        if let Some(place) = self.frames.get_mut(self.len) {
            *place = Some(frame);
            self.len += 1;
        }
    }
}

impl<const N: usize> Default for Reserve<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what is in the reserve is used by nothing else, which those promised
// who put it there; a frame that is taken is no longer in it.
unsafe impl<const N: usize> FrameAllocator<Size4KiB> for Reserve<N> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x86_64::PhysAddr;

    fn frame(number: u64) -> PhysFrame {
        PhysFrame::containing_address(PhysAddr::new(number * 4096))
    }

    #[test]
    fn what_is_promised_room_is_never_turned_away() {
        let mut reserve = Reserve::<2>::new();
        assert!(reserve.promise());
        // SAFETY: frames are numbers here.
        assert_eq!(unsafe { reserve.add(frame(1)) }, Ok(()));
        // SAFETY: as before.
        assert_eq!(unsafe { reserve.add(frame(2)) }, Err(ReserveFull));
        assert!(!reserve.promise());
        reserve.redeem(frame(3));
        assert_eq!(reserve.len(), 2);
        assert_eq!(
            [reserve.take(), reserve.take()],
            [Some(frame(3)), Some(frame(1))]
        );
        assert_eq!(reserve.take(), None);
        assert!(reserve.is_empty());
    }
}
