//! The pass that counts: every operation of a trace, with real memory under it.
//!
//! Nothing is timed here. Every page is stamped and verified ([`Live`]), the
//! process's resident set is read at short distances, idle memory is released
//! by trace time, and the heap's own count of pages in use is compared with
//! what lives.
//!
//! Order matters at the end: first everything idle is released, or a scavenger is left
//! alone until its deadline; then what is
//! resident is measured, and last the blocks that still live are verified, so
//! that a release that took a live page's memory does not go unseen.

use spanheap::{Budget, Inconsistency, Release, Stats};
use spanheap_hosted::rss::RssError;

use crate::adaptor::{Denied, Heap, OverHeap};
use crate::history::History;
use crate::live::Live;
use crate::picture::Layout;
use crate::recorder::{Recorded, Recorder, When};
use crate::resident;
use crate::trace::{Op, Trace};

/// The resident set is read once in so many operations, besides at samples.
const RSS_EVERY: u64 = 1024;

/// What a pass is told, besides its trace and its heap.
pub struct Ground<'g> {
    /// Reads the process's resident set, in bytes.
    pub rss: &'g mut dyn FnMut() -> Result<u64, RssError>,
    /// Hears how many operations were done.
    pub progress: &'g mut dyn FnMut(u64),
    /// When idle memory is released.
    pub when: When,
    /// Where the layout goes, if anybody wants it: before the last release,
    /// and after it.
    pub layouts: Option<[Layout; 2]>,
}

impl std::fmt::Debug for Ground<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground")
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Allocations that the heap refused.
    pub refused: u64,
    /// Frees that the heap refused.
    pub refused_frees: u64,
    /// The first of either: which operation, from 1, and why.
    pub first_denied: Option<(u64, Denied)>,
    /// Pages that did not hold what their owner had written.
    pub verify_errors: u64,
    /// Pages that were stamped.
    pub stamped_pages: u64,
    /// How often the heap's count of pages in use was not what lived.
    pub count_errors: u64,
    /// What the heap's own check found.
    pub check: Result<(), Inconsistency>,
    /// The most pages alive at once.
    pub peak_live_pages: u64,
    /// Pages alive at the end.
    pub live_end_pages: u64,
    /// Pages given back, each as often as it was.
    pub given_back_pages: u64,
    /// The resident set before the first operation, in bytes.
    pub baseline_rss: u64,
    /// The largest that was read.
    pub rss_peak: u64,
    /// And after everything idle was released.
    pub rss_end: u64,
    /// The heap's counters at the end.
    pub stats: Stats,
    /// Memory over time.
    pub history: History,
}

/// Runs `trace` through the heap behind `runs`, whose pages are `live`'s.
///
/// # Errors
///
/// If the resident set cannot be read.
pub fn run<A: OverHeap>(
    trace: &Trace,
    runs: &mut A,
    live: Live<'_>,
    ground: &mut Ground<'_>,
) -> Result<Outcome, RssError> {
    let mut pass = Pass {
        runs,
        live,
        table: resident::table(None, trace.seats as usize),
        recorder: Recorder::new(trace, ground)?,
        touched: 0,
        peak_live: 0,
        refused: 0,
        refused_frees: 0,
        first_denied: None,
        count_errors: 0,
    };
    let mut ticks = trace.ticks.iter().peekable();
    let mut done = 0;
    for op in &trace.ops {
        while let Some(tick) = ticks.next_if(|tick| u64::from(tick.before) == done) {
            pass.tick(tick.at_ms, ground)?;
        }
        done += 1;
        if let Err(denied) = pass.operation(trace, *op) {
            pass.first_denied.get_or_insert((done, denied));
        }
        if done % RSS_EVERY == 0 {
            pass.recorder.look(ground)?;
            (ground.progress)(done);
        }
    }
    for tick in ticks {
        pass.tick(tick.at_ms, ground)?;
    }
    (ground.progress)(done);
    pass.finish(ground)
}

struct Pass<'p, A: OverHeap> {
    runs: &'p mut A,
    live: Live<'p>,
    table: Vec<Option<A::Block>>,
    recorder: Recorder,
    /// The page after the highest that was ever handed out.
    touched: u32,
    peak_live: u64,
    refused: u64,
    refused_frees: u64,
    first_denied: Option<(u64, Denied)>,
    count_errors: u64,
}

/// What is recorded of a pass.
struct Seen<'s, A> {
    runs: &'s mut A,
    touched: u32,
}

impl<A: OverHeap> Recorded for Seen<'_, A> {
    fn stats(&self) -> Stats {
        self.runs.heap().stats()
    }

    fn release(&mut self, budget: Budget) -> Release {
        self.runs.heap_mut().release(budget)
    }

    fn age(&mut self, now: u32, until: u32) {
        self.runs.heap_mut().tick(now, until);
    }

    fn catch_up(&mut self, now: u32) {
        self.runs.heap_mut().catch_up(now);
    }

    fn touched(&self) -> u32 {
        self.touched
    }
}

impl<A: OverHeap> Pass<'_, A> {
    fn operation(&mut self, trace: &Trace, op: Op) -> Result<(), Denied> {
        match op {
            Op::Alloc { seat, pages, .. } => {
                let block = self.runs.alloc(pages).inspect_err(|_| {
                    self.refused += 1;
                    self.table[seat.index()] = None;
                })?;
                let start = self.runs.start(block);
                self.live.placed(seat, start, pages);
                self.table[seat.index()] = Some(block);
                let end = start.number().saturating_add(pages.get());
                self.touched = self.touched.max(end);
                self.peak_live = self.peak_live.max(self.live.pages());
            }
            Op::Free { seat } => {
                if let Some(block) = self.table[seat.index()].take() {
                    self.live.freed(seat);
                    self.runs
                        .free(block)
                        .inspect_err(|_| self.refused_frees += 1)?;
                }
            }
            Op::FreePart { seat, part } => {
                if let Some(block) = self.table[seat.index()] {
                    let part = trace.part(part);
                    self.live.freed_part(seat, part);
                    self.runs
                        .free_part(block, part)
                        .inspect_err(|_| self.refused_frees += 1)?;
                }
            }
        }
        let (recorder, seen) = self.seen();
        recorder.observe(&seen);
        Ok(())
    }

    fn seen(&mut self) -> (&mut Recorder, Seen<'_, A>) {
        let seen = Seen {
            runs: self.runs,
            touched: self.touched,
        };
        (&mut self.recorder, seen)
    }

    fn tick(&mut self, at_ms: u64, ground: &mut Ground<'_>) -> Result<(), RssError> {
        let (recorder, mut seen) = self.seen();
        if recorder.tick(at_ms, &mut seen, ground)? {
            self.count();
        }
        Ok(())
    }

    fn sample_now(&mut self, ground: &mut Ground<'_>) -> Result<(), RssError> {
        let (recorder, seen) = self.seen();
        recorder.sample_now(&seen, ground)?;
        self.count();
        Ok(())
    }

    /// Compares the heap's count of pages in use with what lives.
    fn count(&mut self) {
        let in_use = self.runs.heap().stats().in_use.get();
        self.count_errors += u64::from(u64::from(in_use) != self.live.pages());
    }

    fn note_layout(&self, ground: &mut Ground<'_>, which: usize) {
        if let Some(layouts) = &mut ground.layouts {
            let heap = self.runs.heap();
            heap.each_span(&mut |span| layouts[which].add(span));
        }
    }

    fn finish(mut self, ground: &mut Ground<'_>) -> Result<Outcome, RssError> {
        self.sample_now(ground)?;
        self.note_layout(ground, 0);
        let (recorder, mut seen) = self.seen();
        recorder.conclude(&mut seen, ground)?;
        self.sample_now(ground)?;
        self.note_layout(ground, 1);
        let rss_end = (ground.rss)()?;
        self.live.verify_all();
        let heap = self.runs.heap();
        Ok(Outcome {
            refused: self.refused,
            refused_frees: self.refused_frees,
            first_denied: self.first_denied,
            verify_errors: self.live.errors(),
            stamped_pages: self.live.stamped(),
            count_errors: self.count_errors,
            check: heap.check(),
            peak_live_pages: self.peak_live,
            live_end_pages: self.live.pages(),
            given_back_pages: self.recorder.given_back,
            baseline_rss: self.recorder.baseline,
            rss_peak: self.recorder.rss_peak,
            rss_end,
            stats: heap.stats(),
            history: self.recorder.history,
        })
    }
}
