//! Where a request goes: the lowest run of free pages that can serve it.
//!
//! A single free span is preferred, whatever its residency. Without alignment
//! and window that is one descent; otherwise the spans that are long enough are
//! tried in address order, and only those with a whole huge page if the request
//! must contain one. When no span can serve, runs of adjacent spans of both
//! residencies are tried, which the seams lead to.
//!
//! Nothing here changes anything.

use super::error::AllocError;
use super::ledger::Ledger;
use super::request::Request;
use crate::span::{Kinds, SlotId};
use crate::treap::Query;

/// A request in pages of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constraint {
    pages: u32,
    /// An aligned page's number from address 0 has none of these bits.
    align_mask: u64,
    /// The window's origin, in pages.
    origin: u64,
    /// The pages to stay within.
    low: u32,
    high: u32,
}

/// Pages that can serve a request, all free and of one region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The span that `start` is in.
    pub(super) first: SlotId,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Constraint {
    /// Returns where the request's pages go in the free pages `start..end`.
    fn fit(&self, start: u32, end: u32) -> Option<u32> {
        let from = u64::from(start.max(self.low)) + self.origin;
        let aligned = (from.checked_add(self.align_mask)? & !self.align_mask) - self.origin;
        let limit = u64::from(end.min(self.high));
        if aligned + u64::from(self.pages) <= limit {
            u32::try_from(aligned).ok()
        } else {
            None
        }
    }

    /// Returns whether any free page is as good as another.
    fn is_plain(&self, window_pages: u32) -> bool {
        self.align_mask == 0 && self.low == 0 && self.high >= window_pages
    }
}

impl Ledger<'_> {
    /// Checks a request.
    pub(super) fn constraint(&self, request: &Request) -> Result<Constraint, AllocError> {
        let shift = self.window.geometry().page_bytes().trailing_zeros();
        let origin = self.window.origin();
        let pages = self.window.pages().get();
        let mut constraint = Constraint {
            pages: request.pages.get(),
            align_mask: 0,
            origin: origin >> shift,
            low: 0,
            high: pages,
        };
        if constraint.pages == 0 {
            return Err(AllocError::ZeroPages);
        }
        if let Some(align) = request.align {
            if !align.is_power_of_two() {
                return Err(AllocError::BadAlignment);
            }
            constraint.align_mask = (align - 1) >> shift;
        }
        if let Some(within) = &request.within {
            if within.start >= within.end {
                return Err(AllocError::BadWindow);
            }
            let page_mask = self.window.geometry().page_bytes() - 1;
            let clip = |page: u64| u32::try_from(page).map_or(pages, |page| page.min(pages));
            let above = within.start.saturating_sub(origin);
            // Rounded up without overflow: the last page of all has no next.
            constraint.low = clip((above >> shift) + u64::from(above & page_mask != 0));
            constraint.high = clip(within.end.saturating_sub(origin) >> shift);
        }
        Ok(constraint)
    }

    /// Returns whether the request would fit if the whole window were free.
    pub(super) fn could_serve(&self, request: &Request) -> bool {
        self.constraint(request)
            .is_ok_and(|constraint| constraint.fit(0, self.window.pages().get()).is_some())
    }

    /// Returns the lowest place for the request, if there is one.
    #[inline]
    pub(super) fn place(&self, constraint: &Constraint) -> Option<Place> {
        let pages = constraint.pages;
        if constraint.is_plain(self.window.pages().get()) {
            if let Some(first) = self.treap.first_fit(&self.pool, pages) {
                let start = self.pool.at(first).start;
                return Some(Place {
                    first,
                    start,
                    end: start + pages,
                });
            }
        } else if let Some(place) = self.place_in_span(constraint) {
            return Some(place);
        }
        if pages > self.idle() {
            return None;
        }
        self.place_over_seams(constraint)
    }

    /// Tries every single span that is long enough.
    fn place_in_span(&self, constraint: &Constraint) -> Option<Place> {
        // An aligned run as long as a huge page contains one.
        let needs_huge = match self.window.geometry().huge_pages() {
            Some(huge) => {
                constraint.pages >= huge.get() && constraint.align_mask >= u64::from(huge.get() - 1)
            }
            None => false,
        };
        let query = Query {
            pages: constraint.pages,
            kinds: if needs_huge { Kinds::HUGE } else { Kinds::ANY },
        };
        let mut at = self.treap.first_from(&self.pool, constraint.low, query);
        while let Some(first) = at {
            let slot = self.pool.at(first);
            if slot.start >= constraint.high {
                return None;
            }
            if let Some(start) = constraint.fit(slot.start, slot.end()) {
                return Some(Place {
                    first,
                    start,
                    end: start + constraint.pages,
                });
            }
            at = self.treap.next(&self.pool, first, query);
        }
        None
    }

    /// Tries every run of adjacent spans of both residencies.
    fn place_over_seams(&self, constraint: &Constraint) -> Option<Place> {
        let query = Query::kinds(Kinds::SEAM);
        let mut at = self.treap.first(&self.pool, query);
        while let Some(first) = at {
            let start = self.pool.at(first).start;
            let mut last = first;
            while let Some(next) = self.pool.at(last).next
                && self.pool.at(last).kinds.contains(Kinds::SEAM)
            {
                last = next;
            }
            if start >= constraint.high {
                return None;
            }
            if let Some(start) = constraint.fit(start, self.pool.at(last).end()) {
                let mut first = first;
                while let Some(next) = self.pool.at(first).next
                    && self.pool.at(first).end() <= start
                {
                    first = next;
                }
                return Some(Place {
                    first,
                    start,
                    end: start + constraint.pages,
                });
            }
            at = self.treap.next(&self.pool, last, query);
        }
        None
    }
}
