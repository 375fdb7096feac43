//! Releases: what may go, in which order, and why it may stop.
//!
//! The model does not predict the ranges; it checks every rule on what the
//! backing was told, and takes that over.

use spanheap::backing::fake::{Call, MAX_BATCH};
use spanheap::{Budget, PageRange, Release, ReleaseEnd, SpanState};

use super::{Differs, Outcome, Pair, ensure};
use crate::model::{Cell, Heap, Model};

impl<'m, H: Heap<'m>> Pair<H> {
    /// Releases up to so many bytes, in so many hook calls.
    pub(crate) fn release(&mut self, bytes: u64, calls: u32) -> Result<Outcome, Differs> {
        let before = self.model.clone();
        let got = self.heap.release(Budget::bytes(bytes).calls(calls));
        let log = self.calls();
        let mut done: Vec<PageRange> = Vec::new();
        let mut refused = false;
        for call in &log {
            let Call::Unused {
                ranges,
                done: count,
            } = call
            else {
                return Err(format!("release called {call:?}"));
            };
            ensure(!refused, || format!("{call:?} after a refusal"))?;
            ensure(ranges.len() <= MAX_BATCH, || "too large a batch".into())?;
            refused = *count < ranges.len();
            self.judge_order(&before, &mut done, ranges)?;
            done.truncate(done.len() - (ranges.len() - count));
        }
        let spans = self.heap.spans();
        for &range in &done {
            self.model.release(range, |page| {
                spans
                    .iter()
                    .any(|span| span.range.contains(page) && span.state == SpanState::Released)
            });
        }
        self.judge_sums(got, &done, log.len(), bytes, calls)?;
        let budget = bytes / self.model.window().geometry().page_bytes();
        Self::judge_choice(&before, &done, budget)?;
        self.judge_end(got, refused, budget, calls)?;
        self.verify()?;
        Ok(match got.end {
            ReleaseEnd::Refused => Outcome::Refused,
            ReleaseEnd::NoSlot => Outcome::NoSlot,
            _ => Outcome::Done,
        })
    }

    /// Each range is resident and idle; those with whole huge pages come first;
    /// within each kind the highest address does.
    fn judge_order(
        &self,
        before: &Model,
        done: &mut Vec<PageRange>,
        ranges: &[PageRange],
    ) -> Result<(), Differs> {
        for &range in ranges {
            let is_resident = before
                .cells_of(range)
                .iter()
                .all(|&cell| cell == Cell::Resident);
            ensure(is_resident && before.is_one_region(range), || {
                format!("{range:?} is released, but it is not idle and resident")
            })?;
            let is_huge = |range| !before.huge_pages_of(range).is_empty();
            if let Some(&last) = done.last() {
                let is_after = match (is_huge(last), is_huge(range)) {
                    (true, false) => true,
                    (false, true) => false,
                    _ => range.end() <= last.start(),
                };
                ensure(is_after, || format!("{range:?} is released after {last:?}"))?;
            }
            done.push(range);
        }
        Ok(())
    }

    fn judge_sums(
        &self,
        got: Release,
        done: &[PageRange],
        log: usize,
        bytes: u64,
        calls: u32,
    ) -> Result<(), Differs> {
        let pages: u32 = done.iter().map(|range| range.count().get()).sum();
        let went = self
            .model
            .window()
            .geometry()
            .bytes(spanheap::PageCount::new(pages));
        ensure(
            got.pages.get() == pages && got.calls as usize == log,
            || format!("release says {got:?}: it was {pages} pages in {log} calls"),
        )?;
        ensure(went <= bytes && got.calls <= calls, || {
            format!("{got:?} is over the budget of {bytes} bytes, {calls} calls")
        })
    }

    /// No whole huge page of a resident span is released in part; and of those
    /// that could go, as of all other physical pages, the highest went.
    fn judge_choice(before: &Model, done: &[PageRange], budget: Pages) -> Result<(), Differs> {
        let kinds = Candidates::of(before);
        let went = |part: &PageRange| done.iter().any(|range| range.covers(*part));
        for &huge in &kinds.huge {
            let touched = done.iter().any(|range| range.intersection(huge).is_some());
            ensure(!touched || went(&huge), || {
                format!("{huge:?} is broken: {done:?}")
            })?;
        }
        for kind in [&kinds.huge, &kinds.fringe, &kinds.other] {
            let lowest = kind.iter().position(went).unwrap_or(kind.len());
            let kept = kind[lowest..].iter().find(|part| !went(part));
            ensure(kept.is_none(), || {
                format!("{kept:?} is kept, while lower pages went: {done:?}")
            })?;
        }
        let huge: Pages = kinds
            .huge
            .iter()
            .filter(|part| went(part))
            .map(pages_of)
            .sum();
        let next = kinds.huge.iter().find(|part| !went(part)).map(pages_of);
        ensure(
            !kinds.other.iter().any(went) || next.is_none_or(|next| budget - huge < next),
            || format!("others went before a whole huge page: {done:?}"),
        )
    }

    /// The reason for stopping is a true one.
    fn judge_end(
        &self,
        got: Release,
        refused: bool,
        budget: Pages,
        calls: u32,
    ) -> Result<(), Differs> {
        let left = budget - Pages::from(got.pages.get());
        let candidates = Candidates::of(&self.model);
        let fits = candidates.all().find(|part| pages_of(part) <= left);
        let is_drained = candidates.all().next().is_none();
        let is_true = match got.end {
            ReleaseEnd::Refused => refused,
            ReleaseEnd::Drained => is_drained,
            ReleaseEnd::Budget => !is_drained && (got.calls == calls || fits.is_none()),
            ReleaseEnd::NoSlot => !is_drained && self.lacks_slots(2),
            _ => false,
        };
        ensure(
            is_true && refused == (got.end == ReleaseEnd::Refused),
            || {
                format!(
                    "release ended with {got:?}; {left} pages left of the budget, {fits:?} to go"
                )
            },
        )
    }
}

/// What can be released, in address order: whole huge pages, and the physical
/// pages outside of them, in spans that have such and in spans that have none.
#[derive(Default)]
struct Candidates {
    huge: Vec<PageRange>,
    fringe: Vec<PageRange>,
    other: Vec<PageRange>,
}

impl Candidates {
    fn of(model: &Model) -> Self {
        let mut candidates = Self::default();
        for run in model.runs() {
            if run.cell != Cell::Resident {
                continue;
            }
            let huge = model.huge_pages_of(run.range);
            let physical = model.physical_pages_of(run.range);
            let outside = physical
                .into_iter()
                .filter(|part| huge.iter().all(|huge| huge.intersection(*part).is_none()));
            match huge.is_empty() {
                true => candidates.other.extend(outside),
                false => candidates.fringe.extend(outside),
            }
            candidates.huge.extend(huge);
        }
        candidates
    }

    fn all(&self) -> impl Iterator<Item = &PageRange> {
        self.huge.iter().chain(&self.fringe).chain(&self.other)
    }
}

/// A number of pages.
type Pages = u64;

fn pages_of(range: &PageRange) -> Pages {
    range.count().get().into()
}
