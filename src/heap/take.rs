//! Taking pages: from free to in use, with a commit between where it is needed.
//!
//! A place that is one resident span is handed out at once. Any other is
//! detached, piece by piece, exactly as far as it is needed; the driver commits
//! the released pieces in address order with the books unlocked; then
//! [`finish_take`](Ledger::finish_take) makes them one span in use, or
//! [`abort_take`](Ledger::abort_take) puts them back as they were.
//!
//! Physical pages larger than a page: what is detached from a released span
//! begins and ends on a physical page or at the span's own edge, so that an
//! abort merges cleanly; what the request did not need of it rejoins the
//! released remainder afterwards, uncounted, or is resident if that is gone.

use super::carve::cuts;
use super::error::{AllocAtError, AllocError};
use super::ledger::Ledger;
use super::place::Place;
use super::request::Request;
use super::settle::Idle;
use crate::page::{Page, PageRange};
use crate::span::{Marks, SlotId, Span};

/// Pages on their way from free to in use.
#[derive(Debug)]
pub(super) struct Taking {
    /// The first piece; the list leads to the others.
    first: SlotId,
    /// The piece that is committed next.
    cursor: Option<SlotId>,
    /// The pages asked for.
    start: u32,
    end: u32,
    /// Slots kept for what rejoins no remainder.
    spares: u32,
    /// Pages that the backing is committing, and that were not backed before.
    committing: u32,
}

/// What became of the first half of taking pages.
#[derive(Debug)]
pub(super) enum Begun {
    /// They are in use. Says whether they may hold anything but zeroes.
    Done(Span, bool),
    /// They are detached, and some must be committed.
    Commit(Taking),
}

/// No slot is left.
#[derive(Debug)]
pub(super) struct NoSlot;

/// A part of a free span that is to be detached.
struct Piece {
    id: SlotId,
    start: u32,
    end: u32,
}

impl Ledger<'_> {
    /// Hands out the lowest free run of `pages` pages, if that is resident.
    /// Nearly every request ends here.
    #[inline]
    pub(super) fn alloc_resident(&mut self, pages: u32) -> Option<SlotId> {
        if pages == 0 {
            return None;
        }
        let id = self.treap.first_fit(&self.pool, pages)?;
        let slot = self.pool.at(id);
        if slot.is_released() {
            return None;
        }
        let start = slot.start;
        let piece = self.carve(id, start, start + pages)?;
        self.mark_in_use(piece);
        Some(piece)
    }

    /// Finds a place for a request and takes it.
    #[inline]
    pub(super) fn begin_alloc(&mut self, request: &Request) -> Result<Begun, AllocError> {
        let constraint = self.constraint(request)?;
        match self.place(&constraint) {
            Some(place) => self.begin_take(place).map_err(|NoSlot| AllocError::NoSlot),
            None => Err(AllocError::NoRun),
        }
    }

    /// Takes exactly `range`.
    pub(super) fn begin_alloc_at(&mut self, range: PageRange) -> Result<Begun, AllocAtError> {
        let (start, end) = (range.start().number(), range.end().number());
        let first = self.holding(start).ok_or(AllocAtError::Outside)?;
        let mut last = first;
        let mut free = self.pool.at(first).is_free();
        while self.pool.at(last).end() < end {
            last = self.next_of_region(last).ok_or(AllocAtError::Outside)?;
            free &= self.pool.at(last).is_free();
        }
        if !free {
            return Err(AllocAtError::InUse);
        }
        self.begin_take(Place { first, start, end })
            .map_err(|NoSlot| AllocAtError::NoSlot)
    }

    /// Returns the span behind `id`, if that is adjacent and of the same region.
    pub(super) fn next_of_region(&self, id: SlotId) -> Option<SlotId> {
        self.pool
            .at(id)
            .next
            .filter(|&next| !self.pool.at(next).marks.contains(Marks::REGION_START))
    }

    /// Takes a place: hands it out, or detaches what must be committed first.
    #[inline]
    pub(super) fn begin_take(&mut self, place: Place) -> Result<Begun, NoSlot> {
        let slot = self.pool.at(place.first);
        if place.end <= slot.end() && !slot.is_released() {
            let needs_zero = slot.marks.contains(Marks::NEEDS_ZERO);
            let id = self
                .carve(place.first, place.start, place.end)
                .ok_or(NoSlot)?;
            return Ok(Begun::Done(self.hand_out(id), needs_zero));
        }
        self.detach_place(place).map(Begun::Commit)
    }

    /// Detaches every piece of a place.
    fn detach_place(&mut self, place: Place) -> Result<Taking, NoSlot> {
        let Place { first, start, end } = place;
        // Count the slots of every outcome before anything changes.
        let (mut needed, mut spares) = (0, 0);
        let mut at = first;
        loop {
            let piece = self.piece(at, start, end);
            let slot = self.pool.at(at);
            needed += cuts(slot.start, slot.end(), piece.start, piece.end);
            // What the request does not need of a piece rejoins the remainder.
            // It takes a slot if there is none, or if another may take it.
            let lead = piece.start < start && (self.shared || piece.start == slot.start);
            let trail = piece.end > end && (self.shared || piece.end == slot.end());
            spares += u32::from(lead) + u32::from(trail);
            match slot.next {
                Some(next) if slot.end() < end => at = next,
                _ => break,
            }
        }
        if self.pool.vacant() < needed + spares {
            return Err(NoSlot);
        }

        let mut at = first;
        let mut first_piece = None;
        loop {
            let piece = self.piece(at, start, end);
            let id = self.carve(piece.id, piece.start, piece.end).ok_or(NoSlot)?;
            self.detach(id);
            first_piece = first_piece.or(Some(id));
            match self.pool.at(id).next {
                Some(next) if self.pool.at(id).end() < end => at = next,
                _ => break,
            }
        }
        self.pool.reserve(spares);
        let first = first_piece.ok_or(NoSlot)?;
        Ok(Taking {
            first,
            cursor: Some(first),
            start,
            end,
            spares,
            committing: 0,
        })
    }

    /// Returns what must be detached of a free span for the pages `start..end`.
    fn piece(&self, id: SlotId, start: u32, end: u32) -> Piece {
        let slot = self.pool.at(id);
        let (mut from, mut to) = (start.max(slot.start), end.min(slot.end()));
        let geometry = self.window.geometry();
        if slot.is_released() && geometry.physical_is_larger() {
            from = geometry.physical_down(from).max(slot.start);
            to = geometry.physical_up(to).min(slot.end());
            // A remainder without a whole physical page could not be released.
            let whole = |(from, to): (u32, u32)| from < to;
            if !whole(geometry.physical_inside(slot.start, from)) {
                from = slot.start;
            }
            if !whole(geometry.physical_inside(to, slot.end())) {
                to = slot.end();
            }
        }
        Piece {
            id,
            start: from,
            end: to,
        }
    }

    /// Returns the next pages to commit: of one piece, and asked for. Or says by how
    /// many pages that would exceed the limit.
    pub(super) fn next_commit(&mut self, taking: &mut Taking) -> Option<Result<PageRange, u32>> {
        while let Some(id) = taking.cursor {
            let slot = self.pool.at(id);
            if slot.is_released() {
                let range = PageRange::between(
                    Page::new(slot.start.max(taking.start)),
                    Page::new(slot.end().min(taking.end)),
                )?;
                let pages = self.backed_by(range, slot.start, slot.end());
                let resident = self.resident().saturating_add(pages);
                if resident > self.limit {
                    return Some(Err(resident - self.limit));
                }
                self.committing += pages;
                taking.committing = pages;
                self.calls.used += 1;
                return Some(Ok(range));
            }
            taking.cursor = slot.next.filter(|_| slot.end() < taking.end);
        }
        None
    }

    /// Returns by how many pages more is backed once `range` is, of the released span
    /// `start..end`: whole physical pages, but for those at its ends that are backed
    /// for what is beside it.
    fn backed_by(&self, range: PageRange, start: u32, end: u32) -> u32 {
        let geometry = self.window.geometry();
        let (from, to) = geometry.physical_inside(start, end);
        let from = from.max(geometry.physical_down(range.start().number()));
        let to = to.min(geometry.physical_up(range.end().number()));
        to.saturating_sub(from)
    }

    /// Notes that what [`next_commit`](Self::next_commit) returned is not committed.
    pub(super) fn uncommitted(&mut self, taking: &mut Taking) {
        self.committing -= core::mem::take(&mut taking.committing);
    }

    /// Notes that what [`next_commit`](Self::next_commit) returned is resident.
    pub(super) fn committed(&mut self, taking: &mut Taking, range: PageRange) {
        self.uncommitted(taking);
        if let Some(id) = taking.cursor {
            let (start, end) = (range.start().number(), range.end().number());
            self.calls.used_pages += u64::from(end - start);
            self.ages.note_taken_back(start, end);
            self.loosen(id);
            self.pool.at_mut(id).marks.remove(Marks::RELEASED);
            self.detach(id);
        }
    }

    /// Makes pages that are all resident now one span in use.
    pub(super) fn finish_take(&mut self, taking: Taking) -> (Span, bool) {
        let Taking {
            first,
            start,
            end,
            spares,
            ..
        } = taking;
        self.pool.unreserve(spares);
        // Each end may hold what its own piece may.
        let lead_dirt = self.pool.at(first).marks.intersection(Marks::NEEDS_ZERO);
        let trail_dirt = self.join(first, end);
        let slot = *self.pool.at(first);
        // Both ends are cut off before either settles, which may merge it with
        // anything but what is in use.
        let lead = self.cut_lead(first, slot.start, start, lead_dirt);
        let trail = self.cut_trail(first, end, slot.end(), trail_dirt);
        let span = self.hand_out(first);
        for id in [lead, trail].into_iter().flatten() {
            self.settle(id, Idle::Already);
        }
        (span, slot.marks.contains(Marks::NEEDS_ZERO))
    }

    /// Puts pages back as they were; what was committed of them is resident.
    pub(super) fn abort_take(&mut self, taking: Taking) {
        self.pool.unreserve(taking.spares);
        let mut at = Some(taking.first);
        while let Some(id) = at {
            let slot = *self.pool.at(id);
            at = slot.next.filter(|_| slot.end() < taking.end);
            self.loosen(id);
            let idle = if slot.is_released() {
                Idle::Already
            } else {
                Idle::Now
            };
            self.settle(id, idle);
        }
    }

    /// Merges the detached pieces from `first` up to `end` into `first`, loose. Returns
    /// whether the last one needed zeroing.
    fn join(&mut self, first: SlotId, end: u32) -> Marks {
        self.loosen(first);
        let mut marks = self.pool.at(first).marks;
        while self.pool.at(first).end() < end
            && let Some(next) = self.pool.at(first).next
        {
            self.loosen(next);
            marks = self.pool.at(next).marks;
            let (start, next_end) = (self.pool.at(first).start, self.pool.at(next).end());
            self.absorb(first, next);
            self.resize(first, start, next_end);
        }
        marks.intersection(Marks::NEEDS_ZERO)
    }

    /// Cuts the pages `from..start`, which were detached only to make whole
    /// physical pages, off a span. Returns them if no remainder takes them. `dirt` says
    /// whether they need zeroing.
    fn cut_lead(&mut self, id: SlotId, from: u32, start: u32, dirt: Marks) -> Option<SlotId> {
        if from == start {
            return None;
        }
        let slot = *self.pool.at(id);
        let remainder = slot.prev.filter(|&prev| {
            let prev = self.pool.at(prev);
            !slot.marks.contains(Marks::REGION_START) && prev.is_free() && prev.is_released()
        });
        if let Some(prev) = remainder {
            self.resize(id, start, slot.end());
            self.rejoin(prev, self.pool.at(prev).start, start, dirt);
            return None;
        }
        let lead = self.pool.take(from, start)?;
        self.pool.at_mut(lead).marks = slot.marks.difference(Marks::NEEDS_ZERO).union(dirt);
        self.pool.at_mut(id).marks.remove(Marks::REGION_START);
        self.map.replace(from, id, lead);
        self.pool.link_before(lead, id);
        self.resize(id, start, slot.end());
        Some(lead)
    }

    /// The same for the pages `end..to` behind a span.
    fn cut_trail(&mut self, id: SlotId, end: u32, to: u32, dirt: Marks) -> Option<SlotId> {
        if end == to {
            return None;
        }
        let slot = *self.pool.at(id);
        let remainder = self
            .next_of_region(id)
            .filter(|&next| self.pool.at(next).is_free() && self.pool.at(next).is_released());
        self.resize(id, slot.start, end);
        if let Some(next) = remainder {
            self.rejoin(next, end, self.pool.at(next).end(), dirt);
            return None;
        }
        let trail = self.pool.take(end, to)?;
        let marks = slot
            .marks
            .difference(Marks::REGION_START | Marks::NEEDS_ZERO);
        self.pool.at_mut(trail).marks = marks.union(dirt);
        self.pool.link_after(trail, Some(id));
        self.map.begin(&self.pool, trail);
        Some(trail)
    }

    /// Grows a free, released span over backed pages beside it; they are less
    /// than a physical page and count as no released one.
    fn rejoin(&mut self, id: SlotId, start: u32, end: u32, dirt: Marks) {
        self.pool.at_mut(id).marks.insert(dirt);
        self.reshape(id, start, end);
    }
}
