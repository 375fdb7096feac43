//! The stopwatch: runs a work's steps, and says what one of them took.
//!
//! Every step of every work goes through here, so that three runs are the same
//! run: one that is timed, one whose results are checked, and one whose
//! instructions are counted. A run has a time by which it must end: what would
//! take too long stops, and says how far it came.
//!
//! The clock is the thread's own, which stands still while the machine does
//! something else.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use spanheap_replay::adaptor::Denied;

use crate::figure::Figure;

/// Why a run ended before it was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It took too long.
    Late {
        /// In which step.
        what: String,
        /// How many operations of it were done.
        done: u64,
        /// Of how many.
        of: u64,
        /// What one took so far, in nanoseconds.
        ns: f64,
    },
    /// The allocator refused, and had no reason to.
    Denied(String),
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.to_string())
    }
}

/// How much a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How many pairs the works do that have no natural end.
    pub pairs: u32,
    /// How many pages of a range the works fill, at most, that go page by page.
    /// What is left of a larger one stays free behind them.
    pub most_pages: u32,
    /// How long a run may take.
    pub patience: Duration,
}

/// What the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its time.
    Time,
    /// Its results.
    Check,
    /// Its instructions.
    Count,
}

/// A stopwatch for one run.
#[derive(Debug)]
pub struct Meter {
    effort: Effort,
    mode: Mode,
    until: Until,
    taken: Vec<(Figure, f64)>,
    operations: Vec<(Figure, u64)>,
}

/// How often a step looks at the clock: seldom enough to cost nothing.
const BATCH: u32 = 256;

impl Meter {
    /// A stopwatch for one run, which begins now.
    #[must_use]
    pub fn new(mode: Mode, effort: Effort) -> Self {
        Self {
            effort,
            mode,
            until: Until::after(effort.patience),
            taken: Vec::new(),
            operations: Vec::new(),
        }
    }

    /// Returns whether the results are checked, and time is no matter.
    #[must_use]
    pub const fn checks(&self) -> bool {
        matches!(self.mode, Mode::Check)
    }

    /// Returns how many pairs a work without an end does.
    #[must_use]
    pub const fn pairs(&self) -> u32 {
        self.effort.pairs
    }

    /// Returns how many of a range's pages are filled, page by page.
    #[must_use]
    pub fn filled(&self, pages: u32) -> u32 {
        pages.min(self.effort.most_pages)
    }

    /// Returns when the run must end.
    #[must_use]
    pub const fn until(&self) -> Until {
        self.until
    }

    /// Returns what was measured so far.
    #[must_use]
    pub fn taken(&self) -> &[(Figure, f64)] {
        &self.taken
    }

    /// Returns what was measured, and of how many operations, in order.
    #[must_use]
    pub fn operations(&self) -> &[(Figure, u64)] {
        &self.operations
    }

    /// Notes a figure that was found in another way.
    pub fn note(&mut self, figure: Figure, value: f64) {
        self.taken.push((figure, value));
    }

    /// Does `step` `count` times, to get ready.
    ///
    /// # Errors
    ///
    /// If it takes too long, or a step fails.
    #[inline]
    pub fn prepare(
        &mut self,
        what: &str,
        count: u32,
        mut step: impl FnMut(u32) -> Result<(), Denied>,
    ) -> Result<(), Stop> {
        let begin = thread_ns();
        let done = paced(self.until, count, &mut |index| step(index).map(|()| 1))?;
        finished(|| what.into(), done, count, thread_ns() - begin)
    }

    /// Does `step` `count` times, and measures what an operation takes; `step`
    /// returns how many it did.
    ///
    /// # Errors
    ///
    /// If it takes too long, or a step fails.
    #[inline]
    pub fn measure(
        &mut self,
        figure: Figure,
        count: u32,
        mut step: impl FnMut(u32) -> Result<u32, Denied>,
    ) -> Result<(), Stop> {
        let (until, mut end) = (self.until, Ok(Paced::default()));
        let begin = thread_ns();
        let mut all = || end = paced(until, count, &mut step);
        match self.mode {
            Mode::Count => counted(&mut all),
            Mode::Time | Mode::Check => all(),
        }
        let took = thread_ns() - begin;
        let done = end?;
        finished(|| figure.to_string(), done, count, took)?;
        self.taken.push((figure, done.ns(took)));
        self.operations.push((figure, done.operations));
        Ok(())
    }
}

/// Says whether all steps were done.
pub(crate) fn finished(
    what: impl FnOnce() -> String,
    done: Paced,
    count: u32,
    took: u64,
) -> Result<(), Stop> {
    if done.steps == count {
        return Ok(());
    }
    Err(Stop::Late {
        what: what(),
        done: u64::from(done.steps),
        of: u64::from(count),
        ns: done.ns(took),
    })
}

/// Where instructions are counted: callgrind is told this function's name.
#[inline(never)]
fn counted(all: &mut dyn FnMut()) {
    black_box(&mut *all)();
}

/// The name of that function, as callgrind is told it.
pub const COUNTED: &str = "spanheap_bench::meter::counted";

/// When a run must end.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    wall: Instant,
    /// The same by a thread's own clock, which may be behind.
    thread: Option<u64>,
}

impl Until {
    fn after(patience: Duration) -> Self {
        Self {
            wall: Instant::now() + patience,
            thread: Some(thread_ns().saturating_add(patience.as_nanos() as u64)),
        }
    }

    /// The same for threads that wait for each other.
    #[must_use]
    pub const fn by_the_wall(self) -> Self {
        Self {
            thread: None,
            ..self
        }
    }

    /// Returns whether it is over. The wall's clock is cheap to read and always
    /// ahead; the thread's is asked only when that one says so.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if now < self.wall {
            return false;
        }
        let left = self.thread.map_or(0, |end| end.saturating_sub(thread_ns()));
        self.wall = now + Duration::from_nanos(left);
        left == 0
    }
}

/// How far a run of steps came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paced {
    pub(crate) steps: u32,
    pub(crate) operations: u64,
}

impl Paced {
    pub(crate) fn ns(self, took: u64) -> f64 {
        took as f64 / self.operations.max(1) as f64
    }
}

/// Does `step` up to `count` times, while there is time; a step returns how
/// many operations it did.
#[inline]
pub(crate) fn paced<E>(
    mut until: Until,
    count: u32,
    step: &mut impl FnMut(u32) -> Result<u32, E>,
) -> Result<Paced, E> {
    let mut done = Paced::default();
    while done.steps < count {
        let end = count.min(done.steps + BATCH);
        for index in done.steps..end {
            done.operations += u64::from(step(index)?);
        }
        done.steps = end;
        if until.is_over() {
            break;
        }
    }
    Ok(done)
}

/// Returns how long this thread has run, in nanoseconds.
#[must_use]
pub fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec) as u64
}
