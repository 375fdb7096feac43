//! Growing a span in use over the free pages behind it.
//!
//! The pages behind are taken like any others, and joined to the span at the
//! end; only then does the span change, so that a refused commit leaves it as
//! it was.

use super::error::ResizeError;
use super::give::BadHandle;
use super::ledger::Ledger;
use super::place::Place;
use super::take::{Begun, NoSlot};
use crate::page::PageCount;
use crate::span::Span;

/// What became of the first half of growing a span.
#[derive(Debug)]
pub(super) enum Growing {
    /// Nothing is to be done: it is as long already.
    Same(Span),
    /// The pages behind it are taken, or detached.
    Behind(Begun),
}

impl Ledger<'_> {
    /// Takes the pages behind a span, so that it can have `pages` pages.
    pub(super) fn begin_grow(
        &mut self,
        span: Span,
        pages: PageCount,
    ) -> Result<Growing, ResizeError> {
        let id = self.redeem(span)?;
        let slot = self.pool.at(id);
        if pages.get() == 0 {
            return Err(ResizeError::ZeroPages);
        }
        if pages.get() < slot.len {
            return Err(ResizeError::WrongDirection);
        }
        if pages.get() == slot.len {
            return Ok(Growing::Same(self.handle(id)));
        }
        let start = slot.end();
        let end = slot
            .start
            .checked_add(pages.get())
            .ok_or(ResizeError::NoRoom)?;
        let first = self
            .next_of_region(id)
            .filter(|&next| self.pool.at(next).is_free())
            .ok_or(ResizeError::NoRoom)?;
        let mut last = first;
        while self.pool.at(last).end() < end {
            last = self
                .next_of_region(last)
                .filter(|&next| self.pool.at(next).is_free())
                .ok_or(ResizeError::NoRoom)?;
        }
        self.begin_take(Place { first, start, end })
            .map(Growing::Behind)
            .map_err(|NoSlot| ResizeError::NoSlot)
    }

    /// Joins the pages behind a span to it. If the span was freed meanwhile,
    /// so are they.
    pub(super) fn finish_grow(&mut self, span: Span, behind: Span) -> Result<Span, BadHandle> {
        let tail = self.redeem(behind)?;
        let id = match self.redeem(span) {
            Ok(id) if self.pool.at(id).next == Some(tail) => id,
            Ok(_) | Err(_) => {
                self.free(tail);
                return Err(BadHandle::Stale);
            }
        };
        let end = self.pool.at(tail).end();
        let generation = self.pool.at(tail).generation.wrapping_add(1);
        self.pool.at_mut(tail).generation = generation;
        self.forget(tail);
        let slot = self.pool.at_mut(id);
        slot.len = end - slot.start;
        slot.generation = slot.generation.wrapping_add(1);
        Ok(self.handle(id))
    }
}
