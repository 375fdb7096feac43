//! Checking the books against themselves: every invariant, every counter.
//!
//! Walks all spans and the whole map: for tests and for a kernel's debug
//! shell, not for a fast path.

use core::fmt;

use super::ledger::{Ledger, Tally};
use crate::page::Page;
use crate::span::{Kinds, Marks, SlotId};
use crate::treap::Query;

/// A rule of the heap's books that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inconsistency {
    /// The rule.
    pub rule: &'static str,
    /// The first page of the span where it was seen broken.
    pub page: Page,
}

impl fmt::Display for Inconsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at page {}: not so: {}", self.page.number(), self.rule)
    }
}

impl core::error::Error for Inconsistency {}

/// What a walk over the list counts.
#[derive(Default)]
struct Census {
    spans: u32,
    free: u32,
    pages: u32,
    in_use: u32,
    grains: usize,
    tally: Tally,
}

impl Ledger<'_> {
    /// Checks every invariant and recounts every counter.
    pub(crate) fn check(&self) -> Result<(), Inconsistency> {
        let mut census = Census::default();
        let mut at = self.pool.first();
        let mut prev = None;
        while let Some(id) = at {
            let broken = |rule| Inconsistency {
                rule,
                page: Page::new(self.pool.at(id).start),
            };
            if self.pool.at(id).prev != prev {
                return Err(broken("a span links back to the one before it"));
            }
            self.check_span(id, &mut census).map_err(broken)?;
            (prev, at) = (at, self.pool.at(id).next);
        }
        self.check_totals(&census).map_err(|rule| Inconsistency {
            rule,
            page: Page::new(0),
        })?;
        match self.treap.fault(&self.pool) {
            None => Ok(()),
            Some(id) => Err(Inconsistency {
                rule: "the treap is ordered, balanced by priority and summarised",
                page: Page::new(self.pool.at(id).start),
            }),
        }
    }

    /// Checks one span and its border to the one before it; counts it.
    fn check_span(&self, id: SlotId, census: &mut Census) -> Result<(), &'static str> {
        let geometry = self.window.geometry();
        let slot = self.pool.at(id);
        let (start, end) = (slot.start, slot.end());
        if start >= end || end > self.window.pages().get() {
            return Err("a span has pages, and they lie in the window");
        }
        let states = Marks::IN_USE | Marks::FREE | Marks::DETACHED;
        if slot.marks.intersection(states).bits().count_ones() != 1 {
            return Err("a span has one state");
        }
        let in_use = slot.marks.contains(Marks::IN_USE);
        if in_use && slot.is_released() {
            return Err("a span in use is resident");
        }
        let (from, to) = geometry.physical_inside(start, end);
        if slot.is_free() && slot.is_released() && from == to {
            return Err("a released span holds a whole physical page");
        }

        let before = slot.prev.map(|prev| self.pool.at(prev));
        if before.is_some_and(|before| before.end() > start) {
            return Err("spans ascend and do not overlap");
        }
        let region_start = slot.marks.contains(Marks::REGION_START);
        if !region_start && before.is_none_or(|before| before.end() != start) {
            return Err("only the first span of a region has a gap before it");
        }
        if let Some(before) = before
            && before.is_free()
            && slot.is_free()
            && !region_start
        {
            if before.is_released() == slot.is_released() {
                return Err("free neighbours differ in residency");
            }
            if geometry.physical_down(start) != start {
                return Err("released and resident neighbours meet on a physical page");
            }
        }

        if slot.is_free() {
            let seam = slot.next.is_some_and(|next| {
                let next = self.pool.at(next);
                next.is_free() && !next.marks.contains(Marks::REGION_START)
            });
            let mut kinds = self.kinds(start, end, slot.is_released());
            kinds.set(Kinds::SEAM, seam);
            if slot.kinds != kinds {
                return Err("a free span is marked as what it is");
            }
            census.free += 1;
        } else if !slot.kinds.is_empty() {
            return Err("a span that is not free has no kind");
        }

        let grain = self.map.grain();
        if before.is_none_or(|before| before.start / grain != start / grain) {
            census.grains += 1;
            if self.map.entry_of(start) != Some(id) {
                return Err("the map names the first span of each grain");
            }
        }

        census.spans += 1;
        census.pages += slot.len;
        let huge = geometry.huge_count(start, end);
        if in_use {
            census.in_use += slot.len;
        } else if slot.is_released() {
            census.tally.released += to - from;
            census.tally.huge_released += huge;
        } else {
            census.tally.huge_resident += huge;
        }
        Ok(())
    }

    /// Checks the counters against what was counted.
    fn check_totals(&self, census: &Census) -> Result<(), &'static str> {
        if census.spans != self.pool.taken() {
            return Err("every slot that is taken is in the list");
        }
        if census.pages != self.sys {
            return Err("sys counts the managed pages");
        }
        if census.in_use != self.in_use {
            return Err("in_use counts the pages in use");
        }
        if census.tally != self.tally {
            return Err("released and huge pages are counted exactly");
        }
        if census.grains != self.map.named() {
            return Err("the map names no span where none starts");
        }
        let mut nodes = 0;
        let everything = Query::kinds(Kinds::ANY);
        let mut at = self.treap.first(&self.pool, everything);
        while let Some(id) = at {
            if !self.pool.at(id).is_free() {
                return Err("the treap holds only free spans");
            }
            nodes += 1;
            at = self.treap.next(&self.pool, id, everything);
        }
        if nodes != census.free {
            return Err("the treap holds every free span");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
