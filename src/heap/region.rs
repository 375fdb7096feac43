//! Adding memory to the heap.
//!
//! A region is one contiguous run of pages that the backing treats as one
//! piece: spans never merge across its borders, not even when another region
//! touches it. Its ends lie on physical pages, so that every partial physical
//! page inside it has a neighbour that backs it.

use super::error::RegionError;
use super::ledger::Ledger;
use super::settle::Idle;
use crate::backing::Residency;
use crate::page::{PageCount, PageRange};
use crate::region::MemoryMap;
use crate::span::{Link, Marks};

impl Ledger<'_> {
    /// Adds a region, all of it idle.
    pub(crate) fn add_region(
        &mut self,
        range: PageRange,
        residency: Residency,
    ) -> Result<(), RegionError> {
        let prev = self.check_region(range)?;
        if self.pool.vacant() == 0 {
            return Err(RegionError::NoSlot);
        }
        let (start, end) = (range.start().number(), range.end().number());
        let id = self.pool.take(start, end).ok_or(RegionError::NoSlot)?;
        let released = residency == Residency::Released;
        let slot = self.pool.at_mut(id);
        slot.marks = Marks::REGION_START;
        slot.marks.set(Marks::RELEASED, released);
        slot.marks
            .set(Marks::NEEDS_ZERO, !(released && self.zeroes_released));
        self.pool.link_after(id, prev);
        self.map.begin(&self.pool, id);
        self.sys += end - start;
        // It was nobody's before, and so is not old. Until the clock is first set, that is
        // what its records say: at boot, a region takes the same time whatever its size.
        let idle = match self.ages.stamp() {
            0 => Idle::Already,
            _ => Idle::Now,
        };
        self.settle(id, idle);
        Ok(())
    }

    /// Adds every range of a boot memory map, or none.
    pub(crate) fn add_memory(
        &mut self,
        map: &MemoryMap<'_>,
        residency: Residency,
    ) -> Result<PageCount, RegionError> {
        let mut regions = 0;
        for range in map.ranges(&self.window) {
            self.check_region(range)?;
            regions += 1;
        }
        if self.pool.vacant() < regions {
            return Err(RegionError::NoSlot);
        }
        let mut pages = 0;
        for range in map.ranges(&self.window) {
            self.add_region(range, residency)?;
            pages += range.count().get();
        }
        Ok(PageCount::new(pages))
    }

    /// Checks that a region can be added, slots aside, and returns the span
    /// that it follows.
    pub(super) fn check_region(&self, range: PageRange) -> Result<Link, RegionError> {
        let geometry = self.window.geometry();
        let (start, end) = (range.start().number(), range.end().number());
        if end > self.window.pages().get() {
            return Err(RegionError::OutsideWindow);
        }
        if geometry.physical_down(start) != start || geometry.physical_down(end) != end {
            return Err(RegionError::Unaligned);
        }
        if self.window.address_of(range.start()) == 0 {
            return Err(RegionError::AddressZero);
        }
        let prev = self.map.floor(&self.pool, start);
        let next = match prev {
            Some(prev) => self.pool.at(prev).next,
            None => self.pool.first(),
        };
        if prev.is_some_and(|prev| self.pool.at(prev).end() > start)
            || next.is_some_and(|next| self.pool.at(next).start < end)
        {
            return Err(RegionError::Overlap);
        }
        Ok(prev)
    }
}
