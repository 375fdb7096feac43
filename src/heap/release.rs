//! Giving idle memory back: which pages, in which order, in which batches.
//!
//! Whole huge pages go first, those at the highest addresses before others;
//! then whatever else is idle, resident and a whole physical page, from the top
//! down. A span is cut where the budget ends, never inside of a huge page; and
//! where huge pages are held by their age, between those that are and those that are
//! not. What
//! is released already is not looked at again: the treap's kinds lead past it.
//!
//! A batch is detached, so that nobody takes its pages while the backing works
//! on them with the books unlocked; then what the backing did is settled as
//! released, and the rest as it was. The walk keeps a page number, not a node,
//! so that it goes on wherever others have changed the tree meanwhile.

use super::budget::{Budget, ReleaseEnd};
use super::carve::cuts;
use super::ledger::Ledger;
use super::settle::Idle;
use crate::page::{Page, PageCount, PageRange};
use crate::span::{Hold, Kinds, Link, Marks, SlotId};
use crate::treap::Query;

/// How many ranges go to the backing at once: what a reporting virtqueue takes,
/// and enough for a vectored `madvise` to cost what it costs at its best.
pub(crate) const BATCH: usize = 32;

/// How many records of huge pages are looked at in one step: a few microseconds under
/// the lock.
pub(super) const LOOKS: u32 = 4096;

/// A search of the treap counts as so many looks, and so does a walk over the spans of
/// this many pages.
pub(super) const SEARCH: u32 = 16;

/// Ranges that are detached to be released.
#[derive(Debug)]
pub(super) struct Batch {
    ids: [Link; BATCH],
    ranges: [PageRange; BATCH],
    len: usize,
}

/// One release on its way.
#[derive(Debug)]
pub(super) struct Releasing {
    /// Pages it may still release.
    pub(super) pages: u32,
    /// Hook calls it may still make.
    calls: u32,
    /// Looks only at spans that start before this page.
    pub(super) cursor: u32,
    /// Looks for whole huge pages.
    huge: bool,
    /// Only those that are not held.
    pub(super) hold: Option<Hold>,
    /// Only what is resident of those that are released in part.
    pub(super) leftovers: bool,
    /// For how long the first of those that are will be.
    pub(super) held: Option<u32>,
    /// What may still be looked at in this step.
    pub(super) looks: u32,
    /// Everything idle fits the budget, so that no span need be cut.
    everything: bool,
    /// Something was left for want of budget.
    pub(super) left: bool,
    /// Something was left for want of slots.
    pub(super) no_slot: bool,
}

/// What is to be released next.
pub(super) struct Cut {
    pub(super) id: SlotId,
    /// What is detached.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The whole physical pages of it.
    pub(super) range: (u32, u32),
}

impl Batch {
    /// Returns what the backing is to release.
    pub(super) fn ranges(&self) -> &[PageRange] {
        self.ranges.get(..self.len).unwrap_or(&[])
    }
}

impl Releasing {
    /// Returns why it went no further, if the backing did all it was given.
    pub(super) const fn end(&self) -> ReleaseEnd {
        if self.no_slot {
            ReleaseEnd::NoSlot
        } else if self.left {
            ReleaseEnd::Budget
        } else if let Some(ms) = self.held {
            ReleaseEnd::Held(ms)
        } else {
            ReleaseEnd::Drained
        }
    }
}

impl Ledger<'_> {
    /// Starts a release.
    pub(super) fn start_release(&self, budget: Budget) -> Releasing {
        let shift = self.window.geometry().page_bytes().trailing_zeros();
        let pages = u32::try_from(budget.bytes >> shift).unwrap_or(u32::MAX);
        let has_huge = self.window.geometry().huge_pages().is_some();
        let hold = budget.hold.filter(|_| has_huge);
        Releasing {
            pages,
            calls: budget.calls,
            cursor: u32::MAX,
            huge: true,
            hold,
            leftovers: budget.leftovers && has_huge,
            held: None,
            looks: 0,
            everything: hold.is_none()
                && !budget.leftovers
                && self.idle() - self.tally.released <= pages,
            left: false,
            no_slot: false,
        }
    }

    /// Detaches the next batch; `None` if there is nothing left to do.
    pub(super) fn begin_release(&mut self, releasing: &mut Releasing) -> Option<Batch> {
        const NOTHING: Option<PageRange> = PageRange::new(Page::new(0), PageCount::new(1));
        let mut batch = Batch {
            ids: [None; BATCH],
            ranges: [NOTHING?; BATCH],
            len: 0,
        };
        releasing.looks = LOOKS;
        if releasing.calls == 0 {
            let is_more = self.next_cut(releasing).is_some();
            releasing.left |= is_more;
            return (!is_more && releasing.is_unfinished()).then_some(batch);
        }
        for (id, range) in batch.ids.iter_mut().zip(&mut batch.ranges) {
            let Some(cut) = self.next_cut(releasing) else {
                break;
            };
            let Some(piece) = self.carve(cut.id, cut.start, cut.end) else {
                break;
            };
            let (from, to) = cut.range;
            let Some(pages) = PageRange::between(Page::new(from), Page::new(to)) else {
                break;
            };
            self.detach(piece);
            self.note_leaving(from, to, releasing);
            releasing.pages -= to - from;
            releasing.cursor = cut.start;
            (*id, *range) = (Some(piece), pages);
            batch.len += 1;
        }
        if batch.len == 0 {
            // Nothing yet, if it was for want of looks.
            return releasing.is_unfinished().then_some(batch);
        }
        releasing.calls -= 1;
        self.calls.unused += 1;
        Some(batch)
    }

    /// Settles a batch of which the backing released the first `done` ranges;
    /// returns how many pages that were.
    pub(super) fn finish_release(&mut self, batch: &Batch, done: usize) -> u32 {
        let geometry = self.window.geometry();
        let mut pages = 0;
        for (at, id) in batch.ids.iter().take(batch.len).enumerate() {
            let Some(id) = *id else { continue };
            self.loosen(id);
            if at < done {
                let slot = self.pool.at(id);
                let (start, end) = (slot.start, slot.end());
                let (from, to) = geometry.physical_inside(start, end);
                pages += to - from;
                // At an end inside a physical page, that one keeps its contents.
                let zeroed = self.zeroes_released && (from, to) == (start, end);
                let marks = &mut self.pool.at_mut(id).marks;
                marks.insert(Marks::RELEASED);
                if zeroed {
                    marks.remove(Marks::NEEDS_ZERO);
                }
            }
            self.settle(id, Idle::Already);
        }
        pages
    }

    /// Returns what to release next, and moves past what cannot be.
    fn next_cut(&self, releasing: &mut Releasing) -> Option<Cut> {
        releasing.no_slot = false;
        if releasing.leftovers {
            return self.next_leftover(releasing);
        }
        let physical = self.window.geometry().physical_pages().get();
        loop {
            releasing.looks = releasing.looks.saturating_sub(SEARCH);
            if releasing.looks == 0 {
                return None;
            }
            let kinds = if releasing.huge {
                Kinds::RESIDENT_HUGE
            } else {
                Kinds::RELEASABLE
            };
            let next = self
                .treap
                .last_before(&self.pool, releasing.cursor, Query::kinds(kinds));
            let Some(id) = next else {
                if releasing.huge && releasing.hold.is_none() {
                    releasing.start_over();
                    continue;
                }
                return None;
            };
            if releasing.hold.is_none() && releasing.pages < physical {
                // Nothing more may go: neither this nor what is below it.
                releasing.left = true;
                return None;
            }
            if self.is_held(id) {
                releasing.left = true;
                releasing.cursor = self.pool.at(id).start;
                continue;
            }
            let cut = if let Some(hold) = releasing.hold {
                let cut = self.held_pages(id, hold, releasing);
                if cut.is_none() && (releasing.looks == 0 || self.is_spent(releasing)) {
                    return None;
                }
                cut
            } else if releasing.everything {
                self.whole(id, releasing.pages)
            } else if releasing.huge {
                self.huge_pages(id, releasing.pages)
            } else {
                self.other_pages(id, releasing.pages)
            };
            let Some(cut) = cut else {
                releasing.left |= releasing.hold.is_none();
                // Budget for no huge page here is budget for none anywhere.
                if releasing.huge && !releasing.everything && releasing.hold.is_none() {
                    releasing.start_over();
                } else {
                    releasing.cursor = self.pool.at(id).start;
                }
                continue;
            };
            let slot = self.pool.at(id);
            if self.pool.vacant() < cuts(slot.start, slot.end(), cut.start, cut.end) {
                // Lower ones that could go whole wait: the highest go first.
                releasing.no_slot = true;
                return None;
            }
            return Some(cut);
        }
    }

    /// Returns whether a border inside a physical page keeps a span from being
    /// released: the neighbour is with a backing, and may come back released,
    /// when nothing would back the page between them.
    pub(super) fn is_held(&self, id: SlotId) -> bool {
        let geometry = self.window.geometry();
        if !geometry.physical_is_larger() {
            return false;
        }
        let slot = self.pool.at(id);
        let held = |border: u32, neighbour: Link| {
            geometry.physical_down(border) != border
                && neighbour.is_some_and(|id| self.pool.at(id).marks.contains(Marks::DETACHED))
        };
        held(slot.start, slot.prev) || held(slot.end(), slot.next)
    }

    /// All of a span, if so many pages may go.
    fn whole(&self, id: SlotId, pages: u32) -> Option<Cut> {
        let slot = self.pool.at(id);
        let (start, end) = (slot.start, slot.end());
        let range = self.window.geometry().physical_inside(start, end);
        (range.1 - range.0 <= pages).then_some(Cut {
            id,
            start,
            end,
            range,
        })
    }

    /// The highest whole huge pages of a span, as many as may go.
    fn huge_pages(&self, id: SlotId, pages: u32) -> Option<Cut> {
        let geometry = self.window.geometry();
        let slot = self.pool.at(id);
        let (from, to) = geometry.huge_inside(slot.start, slot.end())?;
        let huge = geometry.huge_pages()?.get();
        let count = (to - from).min(pages & !(huge - 1));
        (count > 0).then_some(Cut {
            id,
            start: to - count,
            end: to,
            range: (to - count, to),
        })
    }

    /// The highest pages of a span outside of its whole huge pages.
    fn other_pages(&self, id: SlotId, pages: u32) -> Option<Cut> {
        let geometry = self.window.geometry();
        let slot = self.pool.at(id);
        let (start, end) = (slot.start, slot.end());
        let (from, to) = geometry.physical_inside(start, end);
        // The fringe above the whole huge pages, or else the one below.
        let (from, to, start, end) = match geometry.huge_inside(start, end) {
            Some((_, huge_end)) if huge_end < to => (huge_end, to, huge_end, end),
            Some((huge_start, _)) => (from, huge_start, start, huge_start),
            None => (from, to, start, end),
        };
        let physical = geometry.physical_pages().get();
        let count = to.saturating_sub(from).min(pages & !(physical - 1));
        (count > 0).then_some(Cut {
            id,
            // What is below the first whole physical page goes along with it.
            start: if count == to - from {
                start
            } else {
                to - count
            },
            end,
            range: (to - count, to),
        })
    }
}

impl Releasing {
    /// Returns whether nothing was found only for want of looks.
    const fn is_unfinished(&self) -> bool {
        self.looks == 0 && !self.no_slot
    }

    /// Goes on from the top with what is no whole huge page.
    const fn start_over(&mut self) {
        self.huge = false;
        self.cursor = u32::MAX;
    }
}
