//! What a pass records besides its own counts: memory over trace time, the
//! process's resident set, and what was given back.
//!
//! It also releases idle memory by trace time, since that is when it looks.

use spanheap::{Budget, PageCount, Policy, Reclaim, Release, Scavenger, Stats};
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
    /// Sets the clock by which huge pages age.
    fn age(&mut self, now: u32, until: u32);
    /// Takes what became free since then to be free from now on.
    fn catch_up(&mut self, now: u32);
    /// Returns the counters that a scavenger goes by.
    fn quick_stats(&self) -> Stats {
        self.stats()
    }
    /// Makes idle what CPUs hold for themselves.
    fn gather(&mut self) {}
    /// Returns the page after the highest that was ever handed out: first fit never
    /// reached what lies above.
    fn touched(&self) -> u32;
}

/// When idle memory is released.
#[derive(Clone, Debug)]
pub enum When {
    /// All of it, at the end.
    AtTheEnd,
    /// What has been idle for so many milliseconds, and the rest at the end.
    After(u64),
    /// When a scavenger of this policy thinks right, which is called by trace time,
    /// and after the end until its deadline.
    Scavenged(Policy),
}

impl When {
    /// For how long a scavenger is left alone after the end: its deadline, which may
    /// count from the last time that it was called.
    fn after_the_end_ms(&self) -> u64 {
        match self {
            Self::AtTheEnd | Self::After(_) => 0,
            Self::Scavenged(policy) => {
                (policy.deadline_ns + policy.deadline_ns / 8).div_ceil(NS_PER_MS)
            }
        }
    }
}

/// Who decides what is released, by trace time.
enum Judge {
    Nobody,
    Patience(Patience),
    Scavenger {
        scavenger: Box<Scavenger>,
        /// When it wants to be called, in nanoseconds.
        next: u64,
    },
}

/// What a scavenger drives.
struct Driven<'r, R> {
    heap: &'r mut R,
    given_back: &'r mut u64,
}

impl<R: Recorded> Reclaim for Driven<'_, R> {
    fn treap_stats(&self) -> Stats {
        self.heap.quick_stats()
    }

    fn tick(&mut self, now: u32, until: u32) {
        self.heap.age(now, until);
    }

    fn catch_up(&mut self, now: u32) {
        self.heap.catch_up(now);
    }

    fn release(&mut self, budget: Budget) -> Release {
        let done = self.heap.release(budget);
        *self.given_back += u64::from(done.pages.get());
        done
    }

    fn gather(&mut self) {
        self.heap.gather();
    }

    fn set_limit(&mut self, _: u64) {}
}

const NS_PER_MS: u64 = 1_000_000;

/// The record of one pass.
pub(crate) struct Recorder {
    pub(crate) history: History,
    /// The resident set before the first operation, in bytes.
    pub(crate) baseline: u64,
    /// The largest that was read.
    pub(crate) rss_peak: u64,
    /// Pages given back, each as often as it was.
    pub(crate) given_back: u64,
    judge: Judge,
    now_ms: u64,
}

impl Recorder {
    /// Begins the record of a pass over `trace`.
    pub(crate) fn new(trace: &Trace, ground: &mut Ground<'_>) -> Result<Self, RssError> {
        // Twice: the first read pages in the code that reads.
        (ground.rss)()?;
        let baseline = (ground.rss)()?;
        Ok(Self {
            history: History::new(trace.header.ms + ground.when.after_the_end_ms()),
            baseline,
            rss_peak: baseline,
            given_back: 0,
            judge: match ground.when {
                When::AtTheEnd => Judge::Nobody,
                When::After(ms) => Judge::Patience(Patience::new(ms)),
                When::Scavenged(policy) => Judge::Scavenger {
                    scavenger: Box::new(Scavenger::new(policy)),
                    next: 0,
                },
            },
            now_ms: 0,
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
        if let Judge::Patience(patience) = &mut self.judge {
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
        self.now_ms = at_ms;
        self.scavenge(heap);
        if let Judge::Patience(patience) = &mut self.judge {
            let due = patience.pass(at_ms, idle(&heap.stats()));
            if let Some(due) = due {
                if due > PageCount::ZERO {
                    let bytes = heap.stats().bytes(due);
                    self.given_back += u64::from(heap.release(Budget::bytes(bytes)).pages.get());
                }
                patience.begin(idle(&heap.stats()));
            }
        }
        Ok(is_due)
    }

    /// Calls the scavenger as often as it wants to be until now; returns whether there
    /// is one.
    fn scavenge(&mut self, heap: &mut impl Recorded) -> bool {
        let Judge::Scavenger { scavenger, next } = &mut self.judge else {
            return false;
        };
        let given_back = &mut self.given_back;
        while *next <= self.now_ms * NS_PER_MS {
            *next = scavenger.poll(&mut Driven { heap, given_back }, *next);
        }
        true
    }

    /// Releases everything idle; or lets trace time pass after the end, without a call
    /// to the heap, until a scavenger's deadline has passed.
    pub(crate) fn conclude(
        &mut self,
        heap: &mut impl Recorded,
        ground: &mut Ground<'_>,
    ) -> Result<(), RssError> {
        if !self.scavenge(heap) {
            self.given_back += u64::from(heap.release(Budget::ALL).pages.get());
            return Ok(());
        }
        let until = self.now_ms + ground.when.after_the_end_ms();
        while self.now_ms < until {
            self.now_ms = (self.now_ms + 50).min(until);
            if self.history.is_due(self.now_ms) {
                let sample = self.sample(heap, ground)?;
                self.history.take(self.now_ms, sample);
            }
            self.scavenge(heap);
        }
        Ok(())
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
