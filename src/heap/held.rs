//! Which huge pages may be released by their age.
//!
//! A huge page is idle as a whole, or it is not: what is free of one that is in part
//! in use has no age, and stays. One that is idle as a whole may be resident in part:
//! a short span was committed in it, and freed; then only that goes.
//!
//! Nothing is looked up for a huge page but its record, and no more of them are
//! looked at in one step than takes a few microseconds. What is resident of one that is
//! released in part is found by its seams; those of one that is in part in use are walked
//! once, and what the walk takes counts as looks.

use super::carve::cuts;
use super::ledger::Ledger;
use super::release::{Cut, Releasing, SEARCH};
use crate::span::{Hold, Kinds, SlotId};
use crate::treap::Query;

impl Ledger<'_> {
    /// Notes of huge pages that are idle as a whole that they are about to be released.
    /// If the backing refuses, nothing comes of it.
    pub(super) fn note_leaving(&mut self, from: u32, to: u32, releasing: &Releasing) {
        if releasing.leftovers {
            self.ages.note_released(from, to);
        } else if let Some((from, to)) = self.window.geometry().huge_inside(from, to) {
            self.ages.note_released(from, to);
        }
    }

    /// The highest whole huge pages of a span below the cursor that are side by side
    /// and not held, as many as may go.
    pub(super) fn held_pages(
        &self,
        id: SlotId,
        hold: Hold,
        releasing: &mut Releasing,
    ) -> Option<Cut> {
        let geometry = self.window.geometry();
        let slot = self.pool.at(id);
        let (from, to) = geometry.huge_inside(slot.start, slot.end())?;
        let huge = geometry.huge_pages()?.get();
        let mut start = to.min(releasing.cursor & !(huge - 1));
        let mut end = start;
        while start > from && releasing.looks > 0 {
            releasing.looks -= 1;
            let left = self.ages.left(start - huge, &hold);
            if left == 0 && end - start + huge > releasing.pages {
                releasing.left = true;
                break;
            }
            if left == 0 {
                start -= huge;
                continue;
            }
            releasing.held = Some(releasing.held.map_or(left, |least| least.min(left)));
            if start < end {
                break;
            }
            start -= huge;
            end = start;
        }
        if releasing.looks == 0 {
            releasing.cursor = start;
        }
        (start < end).then_some(Cut {
            id,
            start,
            end,
            range: (start, end),
        })
    }

    /// Returns whether what is left of the budget is less than a huge page.
    pub(super) fn is_spent(&self, releasing: &Releasing) -> bool {
        let huge = self.window.geometry().huge_pages();
        huge.is_none_or(|huge| releasing.pages < huge.get())
    }

    /// Returns what is resident of a huge page that is idle as a whole, the highest below
    /// the cursor: it is beside something released, and the border between is no huge
    /// page's.
    pub(super) fn next_leftover(&self, releasing: &mut Releasing) -> Option<Cut> {
        let geometry = self.window.geometry();
        let huge = geometry.huge_pages()?.get();
        while releasing.looks > 0 {
            releasing.looks = releasing.looks.saturating_sub(SEARCH);
            let seams = Query::kinds(Kinds::SEAM);
            let low = self
                .treap
                .last_before(&self.pool, releasing.cursor, seams)?;
            let slot = self.pool.at(low);
            releasing.cursor = slot.start;
            let (border, high) = (slot.end(), slot.next?);
            let from = border & !(huge - 1);
            let to = from.saturating_add(huge);
            let around = self.idle_around(low, from, to);
            let (lowest, highest) = (around.0.max(from), around.1.min(to));
            let walked = highest.saturating_sub(lowest) / SEARCH;
            releasing.looks = releasing.looks.saturating_sub(walked);
            if from < lowest || highest < to {
                // So it is with every other seam of this run: all are of this huge page.
                releasing.cursor = releasing.cursor.min(lowest);
                continue;
            }
            let id = if slot.is_released() { high } else { low };
            if from == border || self.is_held(id) {
                continue;
            }
            if let Some(hold) = releasing.hold {
                let left = self.ages.left(border, &hold);
                if left > 0 {
                    releasing.held = Some(releasing.held.map_or(left, |least| least.min(left)));
                    continue;
                }
            }
            let slot = self.pool.at(id);
            let (start, end) = (slot.start.max(from), slot.end().min(to));
            let range = geometry.physical_inside(start, end);
            let cuts = cuts(slot.start, slot.end(), start, end);
            if range.0 == range.1 {
                continue;
            }
            if range.1 - range.0 > releasing.pages {
                releasing.left = true;
                continue;
            }
            if self.pool.vacant() < cuts {
                releasing.no_slot = true;
                return None;
            }
            return Some(Cut {
                id,
                start,
                end,
                range,
            });
        }
        None
    }
}
