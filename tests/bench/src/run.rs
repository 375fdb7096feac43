//! One run: a fresh allocator in fresh books, and one work done with it.
//!
//! Here the kind of contender meets the kind of work: alone or on two threads,
//! under check or not. The works themselves know nothing of this.

use spanheap_replay::adaptor::PageRuns;

use crate::adaptor::{Contender, Holds, Shareable};
use crate::check::{Checked, Claims};
use crate::contest::Job;
use crate::figure::Full;
use crate::held::{self, Throughout};
use crate::meter::{Meter, Stop};
use crate::work::mixed::SEEDS;
use crate::work::{Work, bulk, half, hot, huge, mixed, play, set_up, threads};

/// One run of one contender at one work.
pub(crate) struct Run<'r> {
    pub(crate) job: &'r Job,
    pub(crate) work: Work,
    pub(crate) seed: u64,
    pub(crate) claims: Option<&'r Claims>,
    pub(crate) least: Option<&'r mut play::Least>,
}

/// One contender, alone.
pub(crate) fn alone<C: Contender>(mut run: Run<'_>, meter: &mut Meter) -> Result<(), Stop> {
    let ground = &run.job.ground;
    if run.work == Work::SetUp {
        return set_up::run::<C>(ground, meter);
    }
    if let (Some(least), Some(recording)) = (run.least.take(), &run.job.recording) {
        let mut books = C::books(ground)?;
        let mut runs = C::runs(&mut books, ground)?;
        play::each(&recording.trace, &mut runs, least, meter)?;
    }
    let mut books = C::books(ground)?;
    let runs = C::runs(&mut books, ground)?;
    match run.claims {
        None => run.with(&mut { runs }, meter),
        Some(claims) => run.with(&mut Checked::new(runs, claims, C::ABOUT), meter),
    }
}

/// One contender, on two threads.
pub(crate) fn together<C: Shareable>(run: Run<'_>, meter: &mut Meter) -> Result<(), Stop> {
    let ground = &run.job.ground;
    let mut books = C::books(ground)?;
    let runs = C::runs(&mut books, ground)?;
    let handles = [0, 1].map(|thread| C::handle(&runs, thread));
    match run.claims {
        None => run.with_two(handles, meter),
        Some(claims) => {
            let checked = handles.map(|runs| Checked::new(runs, claims, C::ABOUT));
            run.with_two(checked, meter)
        }
    }
}

impl Run<'_> {
    fn with<R: PageRuns>(&self, runs: &mut R, meter: &mut Meter) -> Result<(), Stop> {
        let (ground, pages) = (&self.job.ground, self.job.ground.pages());
        match (self.work, &self.job.recording) {
            (Work::Hot, _) => hot::run(runs, meter),
            (Work::Bulk, _) => bulk::run(runs, pages, meter),
            (Work::Half, _) => half::run(runs, pages, meter),
            (Work::Mixed(full), _) => mixed::run(runs, pages, full, self.seed, meter),
            (Work::Huge, _) => huge::run(runs, ground, meter),
            (Work::Play, Some(recording)) => match self.claims {
                None => play::time(&recording.trace, runs, meter),
                Some(claims) => play::check(&recording.trace, runs, claims, meter),
            },
            _ => Ok(()),
        }
    }

    fn with_two<R>(&self, handles: [R; 2], meter: &mut Meter) -> Result<(), Stop>
    where
        R: PageRuns<Block: Send> + Send,
    {
        match self.work {
            Work::PairTwo => threads::pair(handles, meter),
            Work::RandomTwo => threads::random(handles, self.job.ground.pages(), meter),
            Work::Pass => threads::pass(handles, meter),
            _ => Ok(()),
        }
    }
}

/// Runs one contender at one work, with its instructions counted.
pub(crate) fn count<C: Contender>(job: &Job, work: Work, meter: &mut Meter) -> Result<(), Stop> {
    let run = Run {
        job,
        work,
        seed: SEEDS[0],
        claims: None,
        least: None,
    };
    alone::<C>(run, meter)
}

/// Runs one contender at W4, with its lock marked wherever it is held.
pub(crate) fn mark<C: Contender>(job: &Job, full: Full, meter: &mut Meter) -> Result<(), Stop> {
    let (ground, pages) = (&job.ground, job.ground.pages());
    let mut books = C::books(ground)?;
    let mut runs = C::runs(&mut books, ground)?;
    match C::ABOUT.holds {
        Holds::Never => Ok(()),
        Holds::Throughout => mixed::run(&mut Throughout(runs), pages, full, SEEDS[0], meter),
        Holds::Within => {
            held::mark();
            mixed::run(&mut runs, pages, full, SEEDS[0], meter)
        }
    }
}
