//! The static pool of span records, and the list that links them by address.
//!
//! A pool never allocates: it hands out the slots of a borrowed slice, those
//! given back last first. Slots that were never taken are not touched, so that
//! a pool of any size is set up in no time.
//!
//! The records of all spans, in use and idle, form one list in address order;
//! a span's neighbours are two links away, and coalescing needs no look-up.
//!
//! Every access to a slot goes through [`Pool::at`] and [`Pool::at_mut`]. An
//! index that names no slot can only come from overwritten memory and ends in
//! the hook that the backing brought.

use core::fmt;

use crate::backing::Corruption;
use crate::span::slot::{Link, Marks, Slot, SlotId};

/// The slots, which of them are taken, and the list of those.
pub(crate) struct Pool<'m> {
    slots: &'m mut [Slot],
    /// The slot given back last.
    vacant: Link,
    /// The first slot that was never taken.
    fresh: u32,
    taken: u32,
    reserved: u32,
    peak: u32,
    /// The span with the lowest address.
    first: Link,
    corrupted: fn(Corruption) -> !,
}

impl fmt::Debug for Pool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the slots: there may be millions.
        f.debug_struct("Pool")
            .field("slots", &self.slots.len())
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

impl<'m> Pool<'m> {
    /// Makes a pool of vacant slots. What lies beyond the last that can be
    /// numbered is not used.
    pub(crate) const fn new(slots: &'m mut [Slot], corrupted: fn(Corruption) -> !) -> Self {
        Self {
            slots,
            vacant: None,
            fresh: 0,
            taken: 0,
            reserved: 0,
            peak: 0,
            first: None,
            corrupted,
        }
    }

    /// Returns how many slots there are.
    pub(crate) const fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Returns how many slots are taken.
    pub(crate) const fn taken(&self) -> u32 {
        self.taken
    }

    /// Returns the most slots that were ever taken at once.
    pub(crate) const fn peak(&self) -> u32 {
        self.peak
    }

    /// Returns how many slots can be taken now.
    pub(crate) const fn vacant(&self) -> u32 {
        self.slots() - self.taken - self.reserved
    }

    /// Returns the span with the lowest address.
    pub(crate) const fn first(&self) -> Link {
        self.first
    }

    /// Keeps `count` slots for later; says whether there were so many.
    pub(crate) const fn reserve(&mut self, count: u32) -> bool {
        let enough = self.vacant() >= count;
        if enough {
            self.reserved += count;
        }
        enough
    }

    /// Gives up `count` slots that were reserved.
    pub(crate) const fn unreserve(&mut self, count: u32) {
        self.reserved = self.reserved.saturating_sub(count);
    }

    /// Returns a slot's record.
    #[inline]
    pub(crate) fn at(&self, id: SlotId) -> &Slot {
        match self.slots.get(id.index() as usize) {
            Some(slot) => slot,
            None => self.corrupted(id),
        }
    }

    /// Returns a slot's record, to be changed.
    #[inline]
    pub(crate) fn at_mut(&mut self, id: SlotId) -> &mut Slot {
        let index = id.index() as usize;
        if index >= self.slots.len() {
            self.corrupted(id);
        }
        match self.slots.get_mut(index) {
            Some(slot) => slot,
            None => (self.corrupted)(Corruption { slot: 0, slots: 0 }),
        }
    }

    /// Gives up: a link in `id`'s record, or `id` itself, cannot be.
    #[cold]
    pub(crate) fn corrupted(&self, id: SlotId) -> ! {
        (self.corrupted)(Corruption {
            slot: id.index(),
            slots: self.slots(),
        })
    }

    /// Takes a vacant slot, if one is left, for the pages from `start` up to
    /// `end`. It is in no list, and marked as nothing.
    #[inline]
    pub(crate) fn take(&mut self, start: u32, end: u32) -> Link {
        if self.vacant() == 0 {
            return None;
        }
        let id = match self.vacant {
            Some(id) => {
                self.vacant = self.at(id).next;
                id
            }
            None => {
                let id = SlotId::at(self.fresh)?;
                self.fresh += 1;
                id
            }
        };
        self.taken += 1;
        self.peak = self.peak.max(self.taken);
        let slot = self.at_mut(id);
        *slot = Slot {
            start,
            len: end.wrapping_sub(start),
            generation: slot.generation,
            ..Slot::VACANT
        };
        Some(id)
    }

    /// Gives a slot back that is in no list.
    #[inline]
    pub(crate) fn give(&mut self, id: SlotId) {
        let vacant = self.vacant;
        let slot = self.at_mut(id);
        slot.marks = Marks::empty();
        slot.len = 0;
        slot.next = vacant;
        self.vacant = Some(id);
        self.taken = self.taken.wrapping_sub(1);
    }

    /// Puts `id` into the list, right before `next`.
    #[inline]
    pub(crate) fn link_before(&mut self, id: SlotId, next: SlotId) {
        let prev = self.at_mut(next).prev.replace(id);
        self.bind(prev, id);
        let slot = self.at_mut(id);
        slot.prev = prev;
        slot.next = Some(next);
    }

    /// Puts `id` into the list, right behind `prev`, or first.
    #[inline]
    pub(crate) fn link_after(&mut self, id: SlotId, prev: Link) {
        let next = match prev {
            Some(prev) => self.at_mut(prev).next.replace(id),
            None => self.first.replace(id),
        };
        if let Some(next) = next {
            self.at_mut(next).prev = Some(id);
        }
        let slot = self.at_mut(id);
        slot.prev = prev;
        slot.next = next;
    }

    /// Takes `id` out of the list.
    #[inline]
    pub(crate) fn unlink(&mut self, id: SlotId) {
        let (prev, next) = (self.at(id).prev, self.at(id).next);
        match prev {
            Some(prev) => self.at_mut(prev).next = next,
            None => self.first = next,
        }
        if let Some(next) = next {
            self.at_mut(next).prev = prev;
        }
    }

    /// Makes `id` what follows `prev`.
    fn bind(&mut self, prev: Link, id: SlotId) {
        match prev {
            Some(prev) => self.at_mut(prev).next = Some(id),
            None => self.first = Some(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn corrupted(what: Corruption) -> ! {
        panic!("{what:?}")
    }

    fn in_order(pool: &Pool<'_>) -> Vec<u32> {
        let mut starts = Vec::new();
        let mut at = pool.first();
        while let Some(id) = at {
            starts.push(pool.at(id).start);
            at = pool.at(id).next;
        }
        starts
    }

    #[test]
    fn slots_are_taken_last_given_first_and_no_further_than_the_last() {
        let mut slots = vec![Slot::VACANT; 3];
        let mut pool = Pool::new(&mut slots, corrupted);
        let a = pool.take(0, 1).unwrap();
        let b = pool.take(1, 2).unwrap();
        let c = pool.take(2, 3).unwrap();
        assert_eq!(pool.take(3, 4), None);
        pool.give(b);
        pool.give(a);
        assert_eq!(pool.take(0, 1), Some(a));
        assert_eq!(pool.take(1, 2), Some(b));
        assert_eq!((pool.vacant(), pool.peak(), c.index()), (0, 3, 2));
    }

    #[test]
    fn a_reserved_slot_is_nobody_elses() {
        let mut slots = vec![Slot::VACANT; 2];
        let mut pool = Pool::new(&mut slots, corrupted);
        assert!(pool.reserve(1) && pool.take(0, 1).is_some());
        assert!(!pool.reserve(1) && pool.take(0, 1).is_none());
        pool.unreserve(1);
        assert!(pool.take(0, 1).is_some());
    }

    #[test]
    fn the_list_keeps_the_order_it_is_given() {
        let mut slots = vec![Slot::VACANT; 4];
        let mut pool = Pool::new(&mut slots, corrupted);
        let ids: Vec<_> = (0..4).filter_map(|at| pool.take(at, at + 1)).collect();
        pool.link_after(ids[2], None);
        pool.link_before(ids[0], ids[2]);
        pool.link_after(ids[1], Some(ids[0]));
        pool.link_after(ids[3], Some(ids[2]));
        assert_eq!(in_order(&pool), [0, 1, 2, 3]);
        pool.unlink(ids[0]);
        pool.unlink(ids[2]);
        assert_eq!(in_order(&pool), [1, 3]);
        assert_eq!(pool.at(ids[3]).prev, Some(ids[1]));
    }

    #[test]
    #[should_panic = "slot: 9"]
    fn an_index_that_names_no_slot_ends_in_the_hook() {
        let mut slots = vec![Slot::VACANT; 2];
        let pool = Pool::new(&mut slots, corrupted);
        pool.at(SlotId::at(9).unwrap());
    }
}
