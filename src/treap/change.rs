//! Changing the treap: insert, erase, and change in place.
//!
//! Nodes are linked anew, never copied into one another, so that a position
//! names the same span until that span is erased.
//!
//! A key that is there already, a span that is not, and an order broken inside
//! [`Treap::mutate`] are errors of the heap above; debug builds stop there.

use super::{Side, Summary, Treap};
use crate::span::{Link, Pool, Slot, SlotId};

impl Treap {
    /// Inserts a span. Its range and kinds are set.
    pub(crate) fn insert(&mut self, pool: &mut Pool<'_>, id: SlotId) {
        self.inserts += 1;
        let priority = self.random.next();
        let slot = pool.at_mut(id);
        slot.priority = priority;
        slot.set_child(Side::Low, None, Summary::EMPTY);
        slot.set_child(Side::High, None, Summary::EMPTY);
        let (start, own) = (slot.start, slot.own());

        match self.leaf_for(pool, start) {
            None => {
                pool.at_mut(id).parent = None;
                self.root = Some(id);
                self.lowest = Some(id);
            }
            Some((parent, side)) => {
                pool.at_mut(id).parent = Some(parent);
                pool.at_mut(parent).set_child(side, Some(id), own);
                if side == Side::Low && self.lowest == Some(parent) {
                    self.lowest = Some(id);
                }
                Self::repair(pool, parent);
            }
        }

        self.finger = Some(id);
        while let Some(parent) = pool.at(id).parent
            && pool.at(parent).priority > priority
        {
            self.lift(pool, id, parent);
        }
    }

    /// Returns where a span that starts at `start` hangs as a leaf.
    fn leaf_for(&self, pool: &Pool<'_>, start: u32) -> Option<(SlotId, Side)> {
        let mut at = match self.finger {
            Some(finger) => Self::climb(pool, finger, start),
            None => self.root?,
        };
        loop {
            let slot = pool.at(at);
            debug_assert!(slot.start != start, "page {start} starts a span already");
            // Both children are loaded before it is known which: a load less
            // to wait for at each level.
            let (low, high) = (slot.child(Side::Low), slot.child(Side::High));
            let is_low = start < slot.start;
            match if is_low { low } else { high } {
                Some(child) => at = child,
                None => return Some((at, if is_low { Side::Low } else { Side::High })),
            }
        }
    }

    /// Climbs from `from` to the lowest node whose subtree would hold a span
    /// that starts at `start`: the finger search that Seidel and Aragon describe.
    fn climb(pool: &Pool<'_>, from: SlotId, start: u32) -> SlotId {
        let mut at = from;
        let mut slot = pool.at(at);
        // Only an ancestor beyond `start`, of which this is on the near side,
        // bounds the subtree.
        let side = if slot.start < start {
            Side::Low
        } else {
            Side::High
        };
        while let Some(parent) = slot.parent {
            let above = pool.at(parent);
            let is_beyond = (above.start < start) == (side == Side::High);
            if is_beyond && above.side_of(at) == side {
                break;
            }
            (at, slot) = (parent, above);
        }
        at
    }

    /// Removes a span.
    pub(crate) fn erase(&mut self, pool: &mut Pool<'_>, id: SlotId) {
        debug_assert!(
            self.floor(pool, pool.at(id).start) == Some(id),
            "the span at page {} is not in the tree",
            pool.at(id).start
        );
        self.removals += 1;
        if self.lowest == Some(id) {
            self.lowest = Self::second(pool, id);
        }
        // With a child on either side, the one that belongs higher goes up.
        while let (Some(low), Some(high)) =
            (pool.at(id).child(Side::Low), pool.at(id).child(Side::High))
        {
            let up = if pool.at(low).priority <= pool.at(high).priority {
                low
            } else {
                high
            };
            self.lift(pool, up, id);
        }
        let slot = pool.at_mut(id);
        let (heir, below) = match slot.child(Side::Low) {
            None => (slot.child(Side::High), slot.below(Side::High)),
            low => (low, slot.below(Side::Low)),
        };
        let parent = slot.parent.take();
        slot.set_child(Side::Low, None, Summary::EMPTY);
        slot.set_child(Side::High, None, Summary::EMPTY);
        if self.finger == Some(id) {
            self.finger = parent.or(heir);
        }
        if let Some(heir) = heir {
            pool.at_mut(heir).parent = parent;
        }
        match parent {
            None => self.root = heir,
            Some(parent) => {
                let above = pool.at_mut(parent);
                above.set_child(above.side_of(id), heir, below);
                Self::repair(pool, parent);
            }
        }
    }

    /// Changes a span of the tree where it is, and repairs the summaries above.
    ///
    /// `change` may alter the range and the kinds, so long as the span stays
    /// between its neighbours in the order; nothing else.
    #[inline]
    pub(crate) fn mutate(
        &mut self,
        pool: &mut Pool<'_>,
        id: SlotId,
        change: impl FnOnce(&mut Slot),
    ) {
        debug_assert!(
            self.floor(pool, pool.at(id).start) == Some(id),
            "the span at page {} is not in the tree",
            pool.at(id).start
        );
        let slot = pool.at_mut(id);
        let before = slot.own();
        change(slot);
        debug_assert!(slot.len != 0, "a span of the tree is never empty");
        if slot.own() != before {
            Self::repair(pool, id);
        }
        debug_assert!(
            self.floor(pool, pool.at(id).start) == Some(id),
            "the order is broken at page {}",
            pool.at(id).start
        );
    }

    /// Returns what follows `id`, which has nothing on its low side.
    fn second(pool: &Pool<'_>, id: SlotId) -> Link {
        let Some(mut at) = pool.at(id).child(Side::High) else {
            return pool.at(id).parent;
        };
        while let Some(child) = pool.at(at).child(Side::Low) {
            at = child;
        }
        Some(at)
    }

    /// Brings the summaries above `id` up to date, as far as they change.
    #[inline]
    fn repair(pool: &mut Pool<'_>, id: SlotId) {
        let slot = pool.at(id);
        let (mut at, mut subtree, mut up) = (id, slot.subtree(), slot.parent);
        while let Some(parent) = up {
            let above = pool.at_mut(parent);
            let side = above.side_of(at);
            if above.below(side) == subtree {
                return;
            }
            above.set_below(side, subtree);
            (at, subtree, up) = (parent, above.subtree(), above.parent);
        }
    }

    /// Rotates `id` up over its parent.
    ///
    /// The set of spans below what is above them both stays the same, and so
    /// do the summaries there.
    fn lift(&mut self, pool: &mut Pool<'_>, id: SlotId, parent: SlotId) {
        let side = pool.at(parent).side_of(id);
        let up = pool.at(id);
        let (inner, inner_below) = (up.child(side.other()), up.below(side.other()));

        let down = pool.at_mut(parent);
        down.set_child(side, inner, inner_below);
        let grandparent = down.parent.replace(id);
        let down_subtree = down.subtree();

        if let Some(inner) = inner {
            pool.at_mut(inner).parent = Some(parent);
        }
        let up = pool.at_mut(id);
        up.set_child(side.other(), Some(parent), down_subtree);
        up.parent = grandparent;
        match grandparent {
            None => self.root = Some(id),
            Some(above) => {
                let above = pool.at_mut(above);
                let side = above.side_of(parent);
                above.set_child(side, Some(id), above.below(side));
            }
        }
    }
}
