//! Taking pages out of a free span, which keeps its place in the treap.
//!
//! The low pages of a span, which first fit takes, cost no insert and no
//! removal: what remains is the same node with a higher start. Only an exact
//! fit removes, and only pages from the middle insert.

use super::ledger::Ledger;
use crate::span::{Kinds, Link, Marks, SlotId};

impl Ledger<'_> {
    /// Returns how far pages around an idle span are idle, of either residency: down
    /// to `low` and up to `high`, or a little further.
    pub(super) fn idle_around(&self, id: SlotId, low: u32, high: u32) -> (u32, u32) {
        let is_idle = |id: SlotId| !self.pool.at(id).marks.contains(Marks::IN_USE);
        let mut lowest = self.pool.at(id);
        while lowest.start > low
            && !lowest.marks.contains(Marks::REGION_START)
            && let Some(prev) = lowest.prev.filter(|&prev| is_idle(prev))
        {
            lowest = self.pool.at(prev);
        }
        let mut highest = id;
        while self.pool.at(highest).end() < high
            && let Some(next) = self.next_of_region(highest).filter(|&next| is_idle(next))
        {
            highest = next;
        }
        (lowest.start, self.pool.at(highest).end())
    }

    /// Takes `start..end` out of the free span `id` and returns the loose span
    /// they are now. What remains of `id` stays where it is in the treap; only
    /// an exact fit, or pages from the middle, remove or insert.
    ///
    /// Takes a slot for each side on which something remains, before anything
    /// changes; `None` if there are too few.
    pub(super) fn carve(&mut self, id: SlotId, start: u32, end: u32) -> Link {
        let slot = self.pool.at(id);
        let (low, high, marks) = (slot.start, slot.end(), slot.marks);
        if self.pool.vacant() < cuts(low, high, start, end) {
            return None;
        }
        if start > low {
            return self.carve_above(id, start, end);
        }
        // What lies before it is free, and has a seam, only if it is not first.
        let has_lower = !self.treap.is_lowest(id);
        if end == high {
            self.treap.erase(&mut self.pool, id);
            self.count_out(low, high, marks.contains(Marks::RELEASED));
            let slot = self.pool.at_mut(id);
            slot.kinds = Kinds::empty();
            slot.marks = marks.difference(Marks::FREE);
            if has_lower {
                self.clear_seam_before(id);
            }
            return Some(id);
        }
        let piece = self.pool.take(start, end)?;
        self.pool.at_mut(piece).marks = marks.difference(Marks::FREE);
        self.pool.at_mut(id).marks.remove(Marks::REGION_START);
        // The piece takes over where `id` started.
        self.map.replace(start, id, piece);
        self.pool.link_before(piece, id);
        self.reshape(id, end, high);
        if has_lower {
            self.clear_seam_before(piece);
        }
        Some(piece)
    }

    /// The same for pages of which `id` keeps lower ones.
    fn carve_above(&mut self, id: SlotId, start: u32, end: u32) -> Link {
        let slot = *self.pool.at(id);
        let piece = self.pool.take(start, end)?;
        let inner = slot.marks.difference(Marks::REGION_START);
        self.pool.at_mut(piece).marks = inner.difference(Marks::FREE);
        self.reshape(id, slot.start, start);
        self.set_seam(id, false);
        self.pool.link_after(piece, Some(id));
        self.map.begin(&self.pool, piece);
        if end < slot.end() {
            let high = self.pool.take(end, slot.end())?;
            self.pool.link_after(high, Some(piece));
            self.map.begin(&self.pool, high);
            let kinds = self.kinds(end, slot.end(), slot.is_released());
            let record = self.pool.at_mut(high);
            record.marks = inner;
            record.kinds = kinds.union(slot.kinds.intersection(Kinds::SEAM));
            self.treap.insert(&mut self.pool, high);
            self.count_in(end, slot.end(), slot.is_released());
        }
        Some(piece)
    }

    /// Clears the seam of whatever lies before `id`, which is no longer free.
    fn clear_seam_before(&mut self, id: SlotId) {
        if let Some(prev) = self.pool.at(id).prev {
            self.set_seam(prev, false);
        }
    }
}

/// Returns on how many sides of `start..end` something of `low..high` remains.
pub(super) const fn cuts(low: u32, high: u32, start: u32, end: u32) -> u32 {
    (low < start) as u32 + (end < high) as u32
}
