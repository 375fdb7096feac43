//! The comparison of all three accounts, after every operation.

use spanheap::{Page, PageCount, Span, SpanInfo, SpanState};

use super::{Differs, Pair, ensure};
use crate::model::{Cell, Heap, Run};

impl<'m, H: Heap<'m>> Pair<H> {
    /// Compares everything there is to compare.
    pub(super) fn verify(&mut self) -> Result<(), Differs> {
        if !self.watches {
            return Ok(());
        }
        self.spans_peak = self.spans_peak.max(self.model.counts().spans);
        if let Err(broken) = self.heap.check() {
            return Err(format!("check(): {broken:?}"));
        }
        let runs = self.model.runs();
        let spans = self.heap.spans();
        self.verify_counters()?;
        self.verify_spans(&runs, &spans)?;
        self.verify_look_ups(&spans)?;
        self.verify_backing(&runs, &spans)
    }

    fn verify_counters(&self) -> Result<(), Differs> {
        let stats = self.heap.stats();
        let want = self.model.counts();
        let pages = PageCount::get;
        let pairs = [
            (
                "sys",
                pages(stats.sys).into(),
                (want.in_use + want.idle).into(),
            ),
            ("in_use", pages(stats.in_use).into(), want.in_use.into()),
            ("idle", pages(stats.idle).into(), want.idle.into()),
            (
                "released",
                pages(stats.released).into(),
                want.released.into(),
            ),
            (
                "huge_resident",
                stats.huge_resident.into(),
                want.huge_resident.into(),
            ),
            (
                "huge_released",
                stats.huge_released.into(),
                want.huge_released.into(),
            ),
            ("spans", stats.spans.into(), want.spans.into()),
            ("slots", stats.slots.into(), self.slots.into()),
            ("used_calls", stats.used_calls, self.tally.used),
            ("unused_calls", stats.unused_calls, self.tally.unused),
            ("zero_calls", stats.zero_calls, self.tally.zero),
        ];
        for (name, got, want) in pairs {
            let (got, want): (u64, u64) = (got, want);
            ensure(got == want, || format!("{name} is {got}, should be {want}"))?;
        }
        ensure(stats.spans_peak >= self.spans_peak, || {
            format!(
                "spans_peak is {}, was {}",
                stats.spans_peak, self.spans_peak
            )
        })?;
        ensure(stats.spans_peak <= self.slots, || {
            format!("spans_peak is {} of {}", stats.spans_peak, self.slots)
        })
    }

    /// The same spans, in the same states, in address order.
    fn verify_spans(&self, runs: &[Run], spans: &[SpanInfo]) -> Result<(), Differs> {
        let got: Vec<_> = spans.iter().map(|span| (span.range, span.state)).collect();
        let want: Vec<_> = runs
            .iter()
            .map(|run| (run.range, state_of(run.cell)))
            .collect();
        ensure(got == want, || {
            format!("spans are {got:?}, should be {want:?}")
        })
    }

    /// Every page's span is found, and only managed pages have one.
    fn verify_look_ups(&self, spans: &[SpanInfo]) -> Result<(), Differs> {
        let window = *self.model.window();
        let look_up = |page: u32, want: Option<SpanInfo>| {
            let address = window.address_of(Page::new(page)) + 5;
            let got = self.heap.span_of(address);
            ensure(got == want, || {
                format!("page {page} belongs to {got:?}, should be {want:?}")
            })
        };
        for &span in spans {
            let (start, last) = (span.range.start().number(), span.range.end().number() - 1);
            for page in [start, start.midpoint(last), last] {
                look_up(page, Some(span))?;
            }
        }
        for (page, &cell) in self.model.cells().iter().enumerate() {
            if cell == Cell::Unmanaged {
                look_up(page as u32, None)?;
            }
        }
        look_up(window.pages().get(), None)
    }

    /// What is in use is backed and holds its stamp; what is resident is backed;
    /// what counts as released is not; what claims to be zero is.
    fn verify_backing(&self, runs: &[Run], spans: &[SpanInfo]) -> Result<(), Differs> {
        let mut committed = 0;
        for (run, span) in runs.iter().zip(spans) {
            let is_marked =
                !run.cell.is_free() || span.needs_zero == self.model.needs_zero(run.range);
            ensure(is_marked, || format!("{span:?} has the wrong mark"))?;
            let whole = self.model.physical_inside(run.range);
            for page in run.range.pages() {
                let holds = self.fake.read(page);
                committed += u32::from(holds.is_some());
                let is_right = match run.cell {
                    Cell::Unmanaged => true,
                    Cell::InUse(_) => holds == Some(self.stamps[page.number() as usize]),
                    Cell::Resident => holds.is_some(),
                    Cell::Released => {
                        whole.is_none_or(|whole| !whole.contains(page)) || holds.is_none()
                    }
                };
                ensure(is_right, || format!("{page:?} of {run:?} holds {holds:?}"))?;
                let is_claimed = run.cell.is_free() && !span.needs_zero;
                ensure(!is_claimed || self.fake.would_read_zero(page), || {
                    format!("{page:?} of {span:?} is not zero: it holds {holds:?}")
                })?;
            }
        }
        let resident = self.heap.stats().resident().get();
        ensure(committed == resident, || {
            format!("{committed} pages are committed, {resident} count as resident")
        })
    }

    /// A handle that the heap returned names exactly these pages.
    pub(super) fn verify_handle(span: Span, want: spanheap::PageRange) -> Result<(), Differs> {
        ensure(span.range() == want && span.count() == want.count(), || {
            format!("the heap gave {:?}, should be {want:?}", span.range())
        })
    }
}

fn state_of(cell: Cell) -> SpanState {
    match cell {
        Cell::InUse(_) | Cell::Unmanaged => SpanState::InUse,
        Cell::Resident => SpanState::Resident,
        Cell::Released => SpanState::Released,
    }
}
