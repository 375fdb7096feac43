//! What a pass records besides its own counts: memory over trace time, the
//! process's resident set, and what was given back.
//!
//! It also releases idle memory by trace time, since that is when it looks.

use spanheap::{Budget, PageCount, Release, Stats};
use spanheap_hosted::rss::RssError;

use crate::history::{History, Sample};
use crate::pass::Ground;
use crate::patience::Patience;
use crate::trace::Trace;

/// The heap of a pass, as it is recorded.
pub(crate) trait Recorded {
    /// Returns the heap's counters.
    fn stats(&self) -> Stats;
    /// Releases idle memory.
    fn release(&mut self, budget: Budget) -> Release;
    /// Returns the page after the highest that was ever handed out: first fit never
    /// reached what lies above.
    fn touched(&self) -> u32;
}

/// The record of one pass.
pub(crate) struct Recorder {
    pub(crate) history: History,
    /// The resident set before the first operation, in bytes.
    pub(crate) baseline: u64,
    /// The largest that was read.
    pub(crate) rss_peak: u64,
    /// Pages given back, each as often as it was.
    pub(crate) given_back: u64,
    patience: Option<Patience>,
}

impl Recorder {
    /// Begins the record of a pass over `trace`.
    pub(crate) fn new(trace: &Trace, ground: &mut Ground<'_>) -> Result<Self, RssError> {
        // Twice: the first read pages in the code that reads.
        (ground.rss)()?;
        let baseline = (ground.rss)()?;
        Ok(Self {
            history: History::new(trace.header.ms),
            baseline,
            rss_peak: baseline,
            given_back: 0,
            patience: ground.release_after_ms.map(Patience::new),
        })
    }

    /// Reads the resident set.
    pub(crate) fn look(&mut self, ground: &mut Ground<'_>) -> Result<u64, RssError> {
        let rss = (ground.rss)()?;
        self.rss_peak = self.rss_peak.max(rss);
        Ok(rss)
    }

    /// Sees what is idle after an operation, if that matters.
    pub(crate) fn observe(&mut self, heap: &impl Recorded) {
        if let Some(patience) = &mut self.patience {
            patience.observe(idle(&heap.stats()));
        }
    }

    /// Notes that trace time passed, and releases what is due. Says whether a sample
    /// was taken.
    pub(crate) fn tick(
        &mut self,
        at_ms: u64,
        heap: &mut impl Recorded,
        ground: &mut Ground<'_>,
    ) -> Result<bool, RssError> {
        let is_due = self.history.is_due(at_ms);
        if is_due {
            let sample = self.sample(heap, ground)?;
            self.history.take(at_ms, sample);
        } else {
            self.history.pass(at_ms);
        }
        let idle_now = |heap: &_| idle(&Recorded::stats(heap));
        let due = self.patience.as_mut().and_then(|patience| {
            let before = idle_now(heap);
            patience.pass(at_ms, before)
        });
        if let Some(due) = due {
            if due > PageCount::ZERO {
                let bytes = heap.stats().bytes(due);
                self.release(Budget::bytes(bytes), heap);
            }
            if let Some(patience) = &mut self.patience {
                patience.begin(idle_now(heap));
            }
        }
        Ok(is_due)
    }

    /// Releases idle memory.
    pub(crate) fn release(&mut self, budget: Budget, heap: &mut impl Recorded) {
        self.given_back += u64::from(heap.release(budget).pages.get());
    }

    /// Takes a sample, whenever the last one was.
    pub(crate) fn sample_now(
        &mut self,
        heap: &impl Recorded,
        ground: &mut Ground<'_>,
    ) -> Result<(), RssError> {
        let sample = self.sample(heap, ground)?;
        self.history.take_now(sample);
        Ok(())
    }

    fn sample(
        &mut self,
        heap: &impl Recorded,
        ground: &mut Ground<'_>,
    ) -> Result<Sample, RssError> {
        let rss = self.look(ground)?;
        let stats = heap.stats();
        let never_used = stats.sys.get().saturating_sub(heap.touched());
        let given_back = stats.released.get().saturating_sub(never_used);
        Ok(Sample {
            at_ms: 0,
            live: stats.bytes(stats.in_use),
            idle: stats.bytes(idle(&stats)),
            given_back: stats.bytes(PageCount::new(given_back)),
            measured: rss.saturating_sub(self.baseline),
        })
    }
}

/// Returns how many pages are idle and resident.
fn idle(stats: &Stats) -> PageCount {
    PageCount::new(stats.idle.get().saturating_sub(stats.released.get()))
}
