//! Putting idle pages back among the free ones, merged with what is beside them.
//!
//! A merge is in place: a free span that grows over the pages beside it keeps
//! its node. Only pages between two spans in use insert, and only pages between
//! two free spans of their own residency remove.
//!
//! Where physical pages are larger than pages, a border between a released and
//! a resident span lies on a physical page: the released one gives up the part
//! of a physical page that it could not count.

use super::ledger::Ledger;
use crate::span::{Kinds, Link, Marks, SlotId};

/// Since when pages that settle are idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// They were, and only their residency changed or what is beside them.
    Already,
    /// They were in use, or no part of the heap: the huge pages that they complete are
    /// stamped.
    Now,
}

impl Ledger<'_> {
    /// Puts a loose span among the free ones: merges it with neighbours of
    /// the same residency, and moves a border to one of the other that lies
    /// inside a physical page. Needs no slot.
    pub(super) fn settle(&mut self, id: SlotId, idle: Idle) {
        let slot = self.pool.at(id);
        let low = slot.prev.filter(|&prev| {
            !slot.marks.contains(Marks::REGION_START) && self.pool.at(prev).is_free()
        });
        let high = slot.next.filter(|&next| {
            let next = self.pool.at(next);
            next.is_free() && !next.marks.contains(Marks::REGION_START)
        });
        if low.is_none() && high.is_none() && !slot.is_released() {
            // Between two spans in use: what most frees come to.
            if idle == Idle::Now {
                let pages = (slot.start, slot.end());
                self.ages.note_idle(pages, pages);
            }
            self.plant(id, false);
        } else {
            self.merge(id, low, high, idle);
        }
    }

    /// Puts a loose span among the free ones, with the free ones beside it.
    #[inline(never)]
    fn merge(&mut self, id: SlotId, low: Link, high: Link, idle: Idle) {
        let slot = self.pool.at(id);
        let (from, to) = (slot.start, slot.end());
        let mut released = slot.is_released();
        let is_released = |link: Link| link.is_some_and(|id| self.pool.at(id).is_released());
        let (low_released, high_released) = (is_released(low), is_released(high));
        if released && !low_released && !high_released && self.is_husk(id) {
            // What it was cut from is gone, and what is beside it backs it.
            self.pool.at_mut(id).marks.remove(Marks::RELEASED);
            released = false;
        }
        let (low_merges, low_differs) = split(low, low_released == released);
        let (high_merges, high_differs) = split(high, high_released == released);
        // Behind what merges is a seam if `high` has one, or makes one.
        let seam = match high_merges {
            Some(high) => self.pool.at(high).kinds.contains(Kinds::SEAM),
            None => high_differs.is_some(),
        };

        let start = low_merges.map_or(self.pool.at(id).start, |low| self.pool.at(low).start);
        let end = high_merges.map_or(self.pool.at(id).end(), |high| self.pool.at(high).end());
        let merged = match (low_merges, high_merges) {
            (Some(low), high) => {
                self.absorb(low, id);
                if let Some(high) = high {
                    self.treap.erase(&mut self.pool, high);
                    let slot = self.pool.at(high);
                    let (start, end) = (slot.start, slot.end());
                    self.count_out(start, end, released);
                    self.absorb(low, high);
                }
                self.reshape(low, start, end);
                self.set_seam(low, seam);
                low
            }
            (None, Some(high)) => {
                self.absorb(high, id);
                self.reshape(high, start, end);
                high
            }
            (None, None) => {
                self.plant(id, seam);
                id
            }
        };
        if let Some(low) = low_differs {
            self.set_seam(low, true);
            self.realign(low, merged);
        }
        if let Some(high) = high_differs {
            self.realign(merged, high);
        }
        if idle == Idle::Now {
            let around = match low_differs.or(high_differs) {
                Some(_) => self.idle_around(merged, self.ages.down(from), self.ages.up(to)),
                None => (start, end),
            };
            self.ages.note_idle((from, to), around);
        }
    }

    /// Makes a loose span a free one of its own.
    fn plant(&mut self, id: SlotId, seam: bool) {
        let slot = self.pool.at(id);
        let (start, end, released) = (slot.start, slot.end(), slot.is_released());
        self.count_in(start, end, released);
        let mut kinds = self.kinds(start, end, released);
        kinds.set(Kinds::SEAM, seam);
        let slot = self.pool.at_mut(id);
        slot.kinds = kinds;
        slot.marks.insert(Marks::FREE);
        self.treap.insert(&mut self.pool, id);
    }

    /// Returns whether a span is less than one whole physical page. If it is
    /// released, each page of it is backed for what is beside it.
    fn is_husk(&self, id: SlotId) -> bool {
        let slot = self.pool.at(id);
        let geometry = self.window.geometry();
        let (from, to) = geometry.physical_inside(slot.start, slot.end());
        from == to
    }

    /// Gives up `part`, a loose span right beside `into`: its marks and its
    /// slot. The new range of `into` is the caller's.
    pub(super) fn absorb(&mut self, into: SlotId, part: SlotId) {
        let marks = self.pool.at(part).marks.intersection(Marks::INHERITED);
        self.pool.at_mut(into).marks.insert(marks);
        self.forget(part);
    }

    /// Takes a span out of the map and the list, and gives its slot back.
    pub(super) fn forget(&mut self, id: SlotId) {
        self.map.end(&self.pool, id);
        self.pool.unlink(id);
        self.pool.give(id);
    }

    /// Moves the border between two free neighbours of different residency to
    /// the edge of a physical page: the released one gives up the page that it
    /// could not count.
    fn realign(&mut self, low: SlotId, high: SlotId) {
        let geometry = self.window.geometry();
        if !geometry.physical_is_larger() {
            return;
        }
        let (low_slot, high_slot) = (*self.pool.at(low), *self.pool.at(high));
        let border = high_slot.start;
        let (giver, gainer, edge) = if low_slot.is_released() {
            (low_slot, high, geometry.physical_down(border))
        } else {
            (high_slot, low, geometry.physical_up(border))
        };
        if edge == border {
            return;
        }
        let needs_zero = giver.marks.intersection(Marks::NEEDS_ZERO);
        self.pool.at_mut(gainer).marks.insert(needs_zero);
        // The giver first, so that the two never overlap.
        if gainer == high {
            self.reshape(low, low_slot.start, edge);
            self.reshape(high, edge, high_slot.end());
        } else {
            self.reshape(high, edge, high_slot.end());
            self.reshape(low, low_slot.start, edge);
        }
    }
}

/// Sorts a neighbour: it merges, or it differs.
const fn split(neighbour: Link, alike: bool) -> (Link, Link) {
    if alike {
        (neighbour, None)
    } else {
        (None, neighbour)
    }
}
