//! Giving pages back to the heap: whole spans, parts of spans, and shrinking.
//!
//! No backing is called: what is freed stays resident until a release. Freeing
//! a whole span never needs a slot; what remains of a span beside a freed part
//! takes its slots before anything changes.

use super::carve::cuts;
use super::error::{FreeError, ResizeError};
use super::ledger::Ledger;
use super::settle::Idle;
use crate::page::{PageCount, PageRange};
use crate::span::{Marks, SlotId, Span};

/// What remains of a span of which a part was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "these handles are the only ones to what remains"]
pub struct Rest {
    /// The pages before the freed part.
    pub low: Option<Span>,
    /// The pages behind the freed part.
    pub high: Option<Span>,
}

/// Why a handle is not good.
#[derive(Clone, Copy, Debug)]
pub(super) enum BadHandle {
    Stale,
    Foreign,
}

impl From<BadHandle> for FreeError {
    fn from(bad: BadHandle) -> Self {
        match bad {
            BadHandle::Stale => Self::Stale,
            BadHandle::Foreign => Self::ForeignHeap,
        }
    }
}

impl From<BadHandle> for ResizeError {
    fn from(bad: BadHandle) -> Self {
        match bad {
            BadHandle::Stale => Self::Stale,
            BadHandle::Foreign => Self::ForeignHeap,
        }
    }
}

impl Ledger<'_> {
    /// Returns the span in use that a handle names.
    #[inline]
    pub(super) fn redeem(&self, span: Span) -> Result<SlotId, BadHandle> {
        if span.heap != self.heap || span.slot.index() >= self.pool.slots() {
            return Err(BadHandle::Foreign);
        }
        let slot = self.pool.at(span.slot);
        if slot.generation != span.generation || !slot.marks.contains(Marks::IN_USE) {
            return Err(BadHandle::Stale);
        }
        Ok(span.slot)
    }

    /// Frees the span that a handle names.
    #[inline]
    pub(crate) fn free_handle(&mut self, span: Span) -> Result<(), FreeError> {
        let id = self.redeem(span)?;
        self.free(id);
        Ok(())
    }

    /// Frees a span in use.
    #[inline]
    pub(super) fn free(&mut self, id: SlotId) {
        self.retire(id);
        self.settle(id, Idle::Now);
    }

    /// Returns the span in use that holds all of `range`.
    fn span_in_use(&self, range: PageRange) -> Result<SlotId, FreeError> {
        let start = range.start().number();
        let id = self
            .map
            .floor(&self.pool, start)
            .filter(|&id| self.pool.at(id).end() > start)
            .ok_or(FreeError::Outside)?;
        if self.pool.at(id).marks.contains(Marks::IN_USE) {
            Ok(id)
        } else {
            Err(FreeError::NotInUse)
        }
    }

    /// Checks an address and a length, and returns the pages.
    fn range_at(&self, address: u64, pages: PageCount) -> Result<PageRange, FreeError> {
        if pages.get() == 0 {
            return Err(FreeError::ZeroPages);
        }
        Ok(self.window.range_at(address, pages)?)
    }

    /// Frees the span in use of exactly these pages.
    pub(crate) fn free_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        let range = self.range_at(address, pages)?;
        let id = self.span_in_use(range)?;
        let slot = self.pool.at(id);
        if slot.start != range.start().number() {
            return Err(FreeError::Interior);
        }
        if slot.len != pages.get() {
            return Err(FreeError::WrongLength);
        }
        self.free(id);
        Ok(())
    }

    /// Frees the span in use of exactly these pages, which the backing has
    /// released meanwhile: whole physical pages.
    pub(crate) fn free_released_at(
        &mut self,
        address: u64,
        pages: PageCount,
    ) -> Result<(), FreeError> {
        let range = self.range_at(address, pages)?;
        let id = self.span_in_use(range)?;
        let slot = self.pool.at(id);
        if (slot.start, slot.len) != (range.start().number(), pages.get()) {
            return Err(FreeError::WrongLength);
        }
        let (start, end) = (slot.start, slot.end());
        self.retire(id);
        self.pool.at_mut(id).marks.insert(Marks::RELEASED);
        self.settle(id, Idle::Now);
        self.ages.note_released(start, end);
        Ok(())
    }

    /// Frees these pages, which are a part or all of one span in use.
    pub(crate) fn free_part_at(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        let range = self.range_at(address, pages)?;
        let id = self.span_in_use(range)?;
        if self.pool.at(id).end() < range.end().number() {
            return Err(FreeError::WrongLength);
        }
        self.free_within(id, range).map(|_| ())
    }

    /// Frees a part of the span that a handle names.
    pub(crate) fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        let id = self.redeem(span)?;
        let slot = self.pool.at(id);
        if part.start().number() < slot.start || slot.end() < part.end().number() {
            return Err(FreeError::Outside);
        }
        self.free_within(id, part)
    }

    /// Frees `part` of a span in use, and returns what remains.
    fn free_within(&mut self, id: SlotId, part: PageRange) -> Result<Rest, FreeError> {
        let (start, end) = (part.start().number(), part.end().number());
        let slot = *self.pool.at(id);
        if self.pool.vacant() < cuts(slot.start, slot.end(), start, end) {
            return Err(FreeError::NoSlot);
        }
        // The remainders are cut off as spans in use of their own; what is left
        // of `id` is then freed whole. The lower one keeps the slot of `id`.
        let mut freed = id;
        let mut rest = Rest {
            low: None,
            high: None,
        };
        if start > slot.start {
            freed = self.split_in_use(id, start).ok_or(FreeError::NoSlot)?;
            rest.low = Some(self.handle(id));
        }
        if end < slot.end() {
            let high = self.split_in_use(freed, end).ok_or(FreeError::NoSlot)?;
            rest.high = Some(self.handle(high));
        }
        self.free(freed);
        Ok(rest)
    }

    /// Cuts a span in use in two at the page `at`, and returns the upper one.
    /// Handles to the whole are stale from now on.
    fn split_in_use(&mut self, id: SlotId, at: u32) -> Option<SlotId> {
        let slot = *self.pool.at(id);
        let high = self.pool.take(at, slot.end())?;
        self.pool.at_mut(high).marks = slot.marks.difference(Marks::REGION_START);
        let low = self.pool.at_mut(id);
        low.len = at - slot.start;
        low.generation = slot.generation.wrapping_add(1);
        self.pool.link_after(high, Some(id));
        self.map.begin(&self.pool, high);
        Some(high)
    }

    /// Frees the pages of a span behind the first `pages`.
    pub(crate) fn shrink(&mut self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        let id = self.redeem(span)?;
        let slot = *self.pool.at(id);
        if pages.get() == 0 {
            return Err(ResizeError::ZeroPages);
        }
        if pages.get() > slot.len {
            return Err(ResizeError::WrongDirection);
        }
        if pages.get() == slot.len {
            return Ok(self.handle(id));
        }
        let tail = self
            .split_in_use(id, slot.start + pages.get())
            .ok_or(ResizeError::NoSlot)?;
        self.free(tail);
        Ok(self.handle(id))
    }
}
