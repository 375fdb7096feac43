//! Requests: what may be handed out, what must be committed for it, and when
//! the heap may say no.

use std::iter::Peekable;
use std::vec::IntoIter;

use spanheap::backing::fake::{Call, FAULT_CODE};
use spanheap::{
    AddressError, AllocAtError, AllocError, PageCount, PageRange, Refused, RegionError,
    ResizeError, Span,
};

use super::{Ask, Differs, Found, Live, Outcome, Pair, Target, ensure};
use crate::model::{Heap, range};

/// How committing the released parts of a place went.
enum Commit {
    /// All of them; over a seam or not.
    All { joined: bool },
    /// The backing refused one; the parts before it are resident now.
    Refused,
}

type Calls = Peekable<IntoIter<Call>>;

const REFUSED: Refused = Refused { code: FAULT_CODE };

impl<'m, H: Heap<'m>> Pair<H> {
    /// Asks for a run of pages.
    pub(crate) fn alloc(&mut self, ask: &Ask) -> Result<Outcome, Differs> {
        let got = self.heap.alloc(ask.request());
        let mut calls = self.calls().into_iter().peekable();
        let facts = ask.facts();
        let outcome = if facts.is_empty() {
            self.judge_alloc(ask, got, &mut calls)?
        } else {
            ensure(got.is_err_and(|error| facts.contains(&error)), || {
                format!("alloc gave {got:?}, true is {facts:?}")
            })?;
            Outcome::Wrong
        };
        no_more(&mut calls)?;
        self.verify()?;
        Ok(outcome)
    }

    fn judge_alloc(
        &mut self,
        ask: &Ask,
        got: Result<Span, AllocError>,
        calls: &mut Calls,
    ) -> Result<Outcome, Differs> {
        let mut grew = false;
        loop {
            let Some(place) = self.model.find(&ask.wanted()) else {
                match calls.next() {
                    Some(Call::Grow { pages, growth }) => {
                        ensure(self.model.could_serve(&ask.wanted()), || {
                            String::from("no region could serve, but grow is asked for one")
                        })?;
                        ensure(pages.get() >= ask.pages, || {
                            format!("grow is asked for {pages:?} only")
                        })?;
                        let Some(growth) = growth else {
                            return expect(got, AllocError::NoRun, Outcome::NoRun);
                        };
                        let mut facts = self.region_facts(growth.range);
                        if facts.is_empty() && self.lacks_slots(1) {
                            facts.push(RegionError::NoSlot);
                        }
                        if let Err(AllocError::BadGrowth(error)) = got {
                            ensure(facts.contains(&error), || {
                                format!("growth by {growth:?} fails with {error:?}")
                            })?;
                            return Ok(Outcome::Wrong);
                        }
                        ensure(facts.is_empty(), || {
                            format!("growth by {growth:?} is taken: {facts:?}")
                        })?;
                        self.model.add_region(growth.range, growth.residency);
                        grew = true;
                        continue;
                    }
                    None if grew => return expect(got, AllocError::NoRun, Outcome::NoRun),
                    // Without a slot for a region, or a place for one, growing
                    // is no use.
                    None if self.lacks_slots(1) || !self.model.could_serve(&ask.wanted()) => {
                        return expect(got, AllocError::NoRun, Outcome::NoRun);
                    }
                    other => {
                        return Err(format!(
                            "alloc gave {got:?} and called {other:?}; it should ask for growth"
                        ));
                    }
                }
            };
            if got == Err(AllocError::NoSlot) {
                return self.allows_no_slot(self.slots_for(ask.sides()));
            }
            return match self.judge_commits(place, calls)? {
                Commit::Refused => expect(got, AllocError::Refused(REFUSED), Outcome::Refused),
                Commit::All { joined } => {
                    let span = got
                        .map_err(|error| format!("alloc gave {error:?}, but {place:?} is free"))?;
                    Self::verify_handle(span, place)?;
                    if ask.zeroed {
                        self.judge_zeroes(place, calls)?;
                    }
                    self.handed_out(span);
                    Ok(done(joined))
                }
            };
        }
    }

    /// Asks for exactly these pages.
    pub(crate) fn alloc_at(&mut self, address: u64, pages: u32) -> Result<Outcome, Differs> {
        let got = self.heap.alloc_at(address, PageCount::new(pages));
        let mut calls = self.calls().into_iter().peekable();
        let place = self.model.window().range_at(address, PageCount::new(pages));
        let facts = self.alloc_at_facts(place, pages);
        let outcome = match (place, got) {
            (_, Err(error)) if facts.contains(&error) => Outcome::Wrong,
            (Ok(_), Err(AllocAtError::NoSlot)) if facts.is_empty() => {
                self.allows_no_slot(self.slots_for(2))?
            }
            (Ok(place), got) if facts.is_empty() => match self.judge_commits(place, &mut calls)? {
                Commit::Refused => expect(got, AllocAtError::Refused(REFUSED), Outcome::Refused)?,
                Commit::All { joined } => {
                    let span =
                        got.map_err(|error| format!("alloc_at gave {error:?}, {place:?} is free"))?;
                    Self::verify_handle(span, place)?;
                    self.handed_out(span);
                    done(joined)
                }
            },
            _ => return Err(format!("alloc_at gave {got:?}, true is {facts:?}")),
        };
        no_more(&mut calls)?;
        self.verify()?;
        Ok(outcome)
    }

    fn alloc_at_facts(
        &self,
        place: Result<PageRange, AddressError>,
        pages: u32,
    ) -> Vec<AllocAtError> {
        let mut facts = Vec::new();
        if pages == 0 {
            facts.push(AllocAtError::ZeroPages);
        }
        match place {
            Err(AddressError::Unaligned) => facts.push(AllocAtError::Unaligned),
            // No pages are no range anywhere.
            Err(_) => facts.push(AllocAtError::Outside),
            Ok(place) => {
                if !self.model.is_one_region(place) {
                    facts.push(AllocAtError::Outside);
                }
                if self.model.has_in_use(place) {
                    facts.push(AllocAtError::InUse);
                }
            }
        }
        facts
    }

    /// Lengthens a span in place, to `pages` pages.
    pub(crate) fn grow(&mut self, target: Target, pages: u32) -> Result<Outcome, Differs> {
        let Some(found) = self.found(target) else {
            return Ok(Outcome::Skipped);
        };
        let got = self.heap.grow(found.handle(), PageCount::new(pages));
        let mut calls = self.calls().into_iter().peekable();
        let outcome = match found {
            Found::Dead(_) => expect(got, ResizeError::Stale, Outcome::Wrong)?,
            Found::Foreign(_) => expect(got, ResizeError::ForeignHeap, Outcome::Wrong)?,
            Found::Live(index, handle) => self.judge_grow(index, handle, pages, got, &mut calls)?,
        };
        no_more(&mut calls)?;
        self.verify()?;
        Ok(outcome)
    }

    fn judge_grow(
        &mut self,
        index: usize,
        handle: Span,
        pages: u32,
        got: Result<Span, ResizeError>,
        calls: &mut Calls,
    ) -> Result<Outcome, Differs> {
        let old = self.live[index].range;
        let mut facts = Vec::new();
        if pages == 0 {
            facts.push(ResizeError::ZeroPages);
        }
        if pages < old.count().get() {
            facts.push(ResizeError::WrongDirection);
        }
        let new = PageRange::new(old.start(), PageCount::new(pages));
        let more = new.and_then(|new| PageRange::between(old.end(), new.end()));
        let has_room = more.is_none_or(|more| {
            self.whole_window().covers(more)
                && self.model.is_free(more)
                && self
                    .model
                    .is_one_region(range(old.end().number() - 1, more.end().number()))
        });
        if facts.is_empty() && (new.is_none() || !has_room) {
            facts.push(ResizeError::NoRoom);
        }
        if !facts.is_empty() {
            ensure(got.is_err_and(|error| facts.contains(&error)), || {
                format!("grow gave {got:?}, true is {facts:?}")
            })?;
            return Ok(Outcome::Wrong);
        }
        let mut joined = false;
        if let Some(more) = more {
            if got == Err(ResizeError::NoSlot) {
                return self.allows_no_slot(self.slots_for(1));
            }
            match self.judge_commits(more, calls)? {
                Commit::All { joined: seams } => joined = seams,
                Commit::Refused => {
                    return expect(got, ResizeError::Refused(REFUSED), Outcome::Refused);
                }
            }
            self.model.take_more(more, self.live[index].id);
            self.stamp(more);
        }
        let span = got.map_err(|error| format!("grow gave {error:?}, there is room"))?;
        let new = range(
            old.start().number(),
            more.map_or(old, |more| more).end().number(),
        );
        self.resized(index, handle, span, new)?;
        Ok(done(joined))
    }

    /// Replaces the handle of a span that was resized.
    pub(super) fn resized(
        &mut self,
        index: usize,
        old: Span,
        new: Span,
        range: PageRange,
    ) -> Result<(), Differs> {
        Self::verify_handle(new, range)?;
        if new != old {
            self.dead.push(old);
        }
        self.live[index].range = range;
        self.live[index].handle = Some(new);
        Ok(())
    }

    /// Every released part of a place is committed, once, in address order, and
    /// exactly as far as the place reaches.
    fn judge_commits(&mut self, place: PageRange, calls: &mut Calls) -> Result<Commit, Differs> {
        let parts = self.model.released_parts(place);
        let joined = parts.iter().any(|&part| part != place);
        for (index, &part) in parts.iter().enumerate() {
            match calls.next() {
                Some(Call::Used { range, refused }) if range == part => {
                    if refused {
                        for &part in &parts[..index] {
                            self.model.commit(part);
                        }
                        return Ok(Commit::Refused);
                    }
                }
                other => return Err(format!("{part:?} must be committed, not {other:?}")),
            }
        }
        Ok(Commit::All { joined })
    }

    /// A zeroed place is zero; no page was zeroed twice, nor one outside.
    fn judge_zeroes(&self, place: PageRange, calls: &mut Calls) -> Result<(), Differs> {
        let mut zeroed: Vec<PageRange> = Vec::new();
        while let Some(Call::Zero(part)) = calls.next_if(|call| matches!(call, Call::Zero(_))) {
            let is_new = zeroed.iter().all(|old| old.intersection(part).is_none());
            ensure(place.covers(part) && is_new, || {
                format!("zeroes {part:?} of {place:?} after {zeroed:?}")
            })?;
            zeroed.push(part);
        }
        let dirty = place.pages().find(|&page| self.fake.read(page) != Some(0));
        ensure(dirty.is_none(), || {
            format!("{dirty:?} was asked for zeroed")
        })
    }

    /// Takes note of a new span, and writes to it.
    fn handed_out(&mut self, span: Span) {
        let id = self.model.take(span.range());
        self.stamp(span.range());
        self.live.push(Live {
            range: span.range(),
            id,
            handle: Some(span),
        });
    }

    /// How many slots a place may take, with something left on so many sides:
    /// one for each. A heap that others use meanwhile keeps another for what it
    /// detaches only to make physical pages whole.
    fn slots_for(&self, sides: u32) -> u32 {
        match H::SHARED && self.model.physical() > 1 {
            true => 2 * sides,
            false => sides,
        }
    }

    /// A `NoSlot` is right only if the pool lacks slots that may be needed, and
    /// never with one slot for each page.
    pub(super) fn allows_no_slot(&self, needed: u32) -> Result<Outcome, Differs> {
        let counts = self.model.counts();
        let is_scarce = self.slots < counts.in_use + counts.idle;
        ensure(is_scarce && self.lacks_slots(needed), || {
            format!(
                "NoSlot, with {} of {} slots taken",
                counts.spans, self.slots
            )
        })?;
        Ok(Outcome::NoSlot)
    }
}

const fn done(joined: bool) -> Outcome {
    if joined {
        Outcome::Joined
    } else {
        Outcome::Done
    }
}

/// The heap's answer must be this error.
pub(super) fn expect<T, E>(got: Result<T, E>, want: E, outcome: Outcome) -> Result<Outcome, Differs>
where
    T: std::fmt::Debug,
    E: std::fmt::Debug + PartialEq,
{
    match got {
        Err(error) if error == want => Ok(outcome),
        other => Err(format!("the heap gave {other:?}, should be {want:?}")),
    }
}

fn no_more(calls: &mut Calls) -> Result<(), Differs> {
    match calls.next() {
        None => Ok(()),
        Some(call) => Err(format!("nobody needed {call:?}")),
    }
}
