//! Giving back: whole spans, parts of them, and every way to get it wrong.

use spanheap::{AddressError, FreeError, PageCount, PageRange, ResizeError, Rest, Span};

use super::alloc::expect;
use super::{Differs, Found, Live, Outcome, Pair, Target, ensure};
use crate::model::{Cell, Heap, range};

impl Found {
    pub(super) const fn handle(&self) -> Span {
        match *self {
            Self::Live(_, span) | Self::Dead(span) | Self::Foreign(span) => span,
        }
    }
}

impl<'m, H: Heap<'m>> Pair<H> {
    /// Frees a whole span by its handle. Never for want of a slot.
    pub(crate) fn free(&mut self, target: Target) -> Result<Outcome, Differs> {
        let Some(found) = self.found(target) else {
            return Ok(Outcome::Skipped);
        };
        let got = self.heap.free(found.handle());
        let outcome = match found {
            Found::Dead(_) => expect(got, FreeError::Stale, Outcome::Wrong)?,
            Found::Foreign(_) => expect(got, FreeError::ForeignHeap, Outcome::Wrong)?,
            Found::Live(index, handle) => {
                got.map_err(|error| format!("free of {:?} gave {error:?}", handle.range()))?;
                self.freed(index, self.live[index].range, None);
                Outcome::Done
            }
        };
        self.silent("free")?;
        self.verify()?;
        Ok(outcome)
    }

    /// Frees what is said to be a whole span, by address.
    pub(crate) fn free_at(&mut self, address: u64, pages: u32) -> Result<Outcome, Differs> {
        let got = self.heap.free_at(address, PageCount::new(pages));
        let place = self.model.window().range_at(address, PageCount::new(pages));
        let facts = self.free_at_facts(address, pages, place);
        let outcome = match (got, place) {
            (Err(error), _) if facts.contains(&error) => Outcome::Wrong,
            (Ok(()), Ok(place)) if facts.is_empty() => {
                let index = self.live_index(place).ok_or("the span is not known")?;
                self.freed(index, place, None);
                Outcome::Done
            }
            _ => return Err(format!("free_at gave {got:?}, true is {facts:?}")),
        };
        self.silent("free_at")?;
        self.verify()?;
        Ok(outcome)
    }

    fn free_at_facts(
        &self,
        address: u64,
        pages: u32,
        place: Result<PageRange, AddressError>,
    ) -> Vec<FreeError> {
        let mut facts = self.address_facts(pages, place);
        // The first page alone says what is wrong, even if the length is too.
        if let Ok(first) = self.model.window().page_at(address) {
            let first = range(first.number(), first.number() + 1);
            match self.model.cells_of(first)[0] {
                Cell::Unmanaged => facts.push(FreeError::Outside),
                Cell::Resident | Cell::Released => facts.push(FreeError::NotInUse),
                Cell::InUse(_) => {
                    let span = self.model.run_at(first);
                    if span.start() != first.start() {
                        facts.push(FreeError::Interior);
                    } else if span.count().get() != pages {
                        facts.push(FreeError::WrongLength);
                    }
                }
            }
        }
        facts
    }

    /// What can be wrong with an address and a length alone.
    fn address_facts(&self, pages: u32, place: Result<PageRange, AddressError>) -> Vec<FreeError> {
        let mut facts = Vec::new();
        if pages == 0 {
            facts.push(FreeError::ZeroPages);
        }
        match place {
            Ok(place) if self.model.has_unmanaged(place) => facts.push(FreeError::Outside),
            Ok(_) => {}
            Err(AddressError::Unaligned) => facts.push(FreeError::Unaligned),
            // No pages are no range anywhere.
            Err(_) => facts.push(FreeError::Outside),
        }
        facts
    }

    /// Frees a part of a span by its handle: `part` may lie outside of it.
    pub(crate) fn free_part(
        &mut self,
        target: Target,
        part: PageRange,
    ) -> Result<Outcome, Differs> {
        let Some(found) = self.found(target) else {
            return Ok(Outcome::Skipped);
        };
        let got = self.heap.free_part(found.handle(), part);
        let outcome = match found {
            Found::Dead(_) => expect(got, FreeError::Stale, Outcome::Wrong)?,
            Found::Foreign(_) => expect(got, FreeError::ForeignHeap, Outcome::Wrong)?,
            Found::Live(_, handle) if !handle.range().covers(part) => {
                expect(got, FreeError::Outside, Outcome::Wrong)?
            }
            Found::Live(index, handle) => match got {
                Err(FreeError::NoSlot) => self.judge_no_slot(handle.range(), part)?,
                Err(error) => return Err(format!("free_part of {part:?} gave {error:?}")),
                Ok(rest) => {
                    self.freed(index, part, Some(rest));
                    self.verify_rest(rest, handle.range(), part)?;
                    Outcome::Done
                }
            },
        };
        self.silent("free_part")?;
        self.verify()?;
        Ok(outcome)
    }

    /// Frees any part of a span by its address.
    pub(crate) fn free_part_at(&mut self, address: u64, pages: u32) -> Result<Outcome, Differs> {
        let got = self.heap.free_part_at(address, PageCount::new(pages));
        let place = self.model.window().range_at(address, PageCount::new(pages));
        let facts = self.free_part_at_facts(address, pages, place);
        let outcome = match (got, place) {
            (Err(error), _) if facts.contains(&error) => Outcome::Wrong,
            (Err(FreeError::NoSlot), Ok(place)) if facts.is_empty() => {
                self.judge_no_slot(self.model.run_at(place), place)?
            }
            (Ok(()), Ok(place)) if facts.is_empty() => {
                let index = self.live_index(place).ok_or("the span is not known")?;
                self.freed(index, place, None);
                Outcome::Done
            }
            _ => return Err(format!("free_part_at gave {got:?}, true is {facts:?}")),
        };
        self.silent("free_part_at")?;
        self.verify()?;
        Ok(outcome)
    }

    fn free_part_at_facts(
        &self,
        address: u64,
        pages: u32,
        place: Result<PageRange, AddressError>,
    ) -> Vec<FreeError> {
        let mut facts = self.address_facts(pages, place);
        if let Ok(first) = self.model.window().page_at(address) {
            let first = range(first.number(), first.number() + 1);
            match self.model.cells_of(first)[0] {
                Cell::Unmanaged => facts.push(FreeError::Outside),
                Cell::Resident | Cell::Released => facts.push(FreeError::NotInUse),
                Cell::InUse(_) => {
                    let span = self.model.run_at(first);
                    let reaches = place.is_ok_and(|place| !span.covers(place));
                    if reaches || (place.is_err() && pages > 0) {
                        facts.push(FreeError::WrongLength);
                    }
                }
            }
        }
        if let Ok(place) = place
            && self.model.cells_of(place).iter().any(|cell| cell.is_free())
        {
            facts.push(FreeError::NotInUse);
        }
        facts
    }

    /// Shortens a span in place, to `pages` pages.
    pub(crate) fn shrink(&mut self, target: Target, pages: u32) -> Result<Outcome, Differs> {
        let Some(found) = self.found(target) else {
            return Ok(Outcome::Skipped);
        };
        let got = self.heap.shrink(found.handle(), PageCount::new(pages));
        let outcome = match found {
            Found::Dead(_) => expect(got, ResizeError::Stale, Outcome::Wrong)?,
            Found::Foreign(_) => expect(got, ResizeError::ForeignHeap, Outcome::Wrong)?,
            Found::Live(..) if pages == 0 => expect(got, ResizeError::ZeroPages, Outcome::Wrong)?,
            Found::Live(_, handle) if pages > handle.count().get() => {
                expect(got, ResizeError::WrongDirection, Outcome::Wrong)?
            }
            Found::Live(index, handle) => {
                let old = handle.range();
                let end = old.start().number() + pages;
                let tail = (end < old.end().number()).then(|| range(end, old.end().number()));
                match (got, tail) {
                    (Err(ResizeError::NoSlot), Some(tail)) => self.judge_no_slot(old, tail)?,
                    (Err(error), _) => return Err(format!("shrink gave {error:?}")),
                    (Ok(span), tail) => {
                        if let Some(tail) = tail {
                            self.model.give(tail);
                        }
                        self.resized(index, handle, span, range(old.start().number(), end))?;
                        Outcome::Done
                    }
                }
            }
        };
        self.silent("shrink")?;
        self.verify()?;
        Ok(outcome)
    }

    /// A partial free may lack a slot; the free of a whole span never does.
    fn judge_no_slot(&self, span: PageRange, part: PageRange) -> Result<Outcome, Differs> {
        ensure(span != part, || format!("NoSlot for the whole of {span:?}"))?;
        self.allows_no_slot(2)
    }

    /// Takes note that a part of a span in use, or all of it, was freed. What
    /// remains has the handles in `rest`, or none.
    fn freed(&mut self, index: usize, part: PageRange, rest: Option<Rest>) {
        let old = self.live.swap_remove(index);
        self.dead.extend(old.handle);
        self.model.give(part);
        let low = PageRange::between(old.range.start(), part.start());
        let high = PageRange::between(part.end(), old.range.end());
        if let Some(range) = low {
            self.live.push(Live {
                range,
                id: old.id,
                handle: rest.and_then(|rest| rest.low),
            });
        }
        if let Some(range) = high {
            let id = self.model.renumber(range);
            self.live.push(Live {
                range,
                id,
                handle: rest.and_then(|rest| rest.high),
            });
        }
    }

    /// The handles to what remains name exactly that.
    fn verify_rest(&self, rest: Rest, old: PageRange, part: PageRange) -> Result<(), Differs> {
        let got = [rest.low, rest.high].map(|rest| rest.map(|span| span.range()));
        let want = [
            PageRange::between(old.start(), part.start()),
            PageRange::between(part.end(), old.end()),
        ];
        ensure(got == want, || {
            format!("what remains is {got:?}, should be {want:?}")
        })
    }
}
