//! One run of `replay policies`, from the options to a report.
//!
//! Everything that can be refused is refused before the long part: the traces
//! are read and the pictures' files opened first. Then each load is played under
//! each policy, as many at once as there are processors; no play knows of
//! another, and time is the load's own, so that the result is the same however
//! many they are.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::ground::{Driven, Ground};
use super::load::{Churn, Load};
use super::options::PoliciesOptions;
use super::pictures::Pictures;
use super::play::Outcome;
use super::policy::Kind;
use super::prices::Prices;
use super::report::{LoadReport, PoliciesReport};
use crate::error::Error;
use crate::progress::Progress;

/// What drain frees, in pages of 4 KiB: 12 GiB.
const DRAIN: u64 = 12 << 18;

/// Does what the options ask for.
///
/// # Errors
///
/// If a trace or an option is not valid, or an output cannot be written.
pub fn run_policies(options: &PoliciesOptions) -> Result<PoliciesReport, Error> {
    let mut loads = Vec::new();
    for path in &options.traces {
        loads.push(Load::read(path)?);
    }
    if options.churn || (loads.is_empty() && !options.drain) {
        loads.push(Load::churn(&Churn::default()));
    }
    if options.drain {
        loads.push(Load::drain(DRAIN));
    }
    let ground = |load| Ok::<_, Error>(Ground::new(load)?.limited(options.limit));
    let grounds: Vec<_> = loads.iter().map(ground).collect::<Result<_, _>>()?;
    let mut pictures = Vec::new();
    if let Some(folder) = &options.plots {
        for index in 0..loads.len() {
            pictures.push(Pictures::open(folder, &loads, index)?);
        }
    }
    let kinds = Kind::all();
    let mut progress = Progress::new((loads.len() * kinds.len()) as u64);
    let prices = options.prices.prices();
    let mut reports = Vec::new();
    let mut pictures = pictures.into_iter();
    for (load, ground) in loads.iter().zip(&grounds) {
        progress.stage(load.name.clone());
        let outcomes = all(load, ground, options.heap, prices, &kinds, |done| {
            progress.done(done);
        })?;
        if let Some(pictures) = pictures.next() {
            pictures.draw(load, &outcomes)?;
        }
        reports.push(LoadReport::new(load, &outcomes));
    }
    progress.clear();
    Ok(PoliciesReport {
        heap: match options.heap {
            Driven::Page => "page",
            Driven::Shared => "shared",
        },
        prices,
        limit_bytes: options.limit,
        loads: reports,
    })
}

/// Plays a load under every policy; `done` hears how many are through.
fn all(
    load: &Load,
    ground: &Ground,
    driven: Driven,
    prices: Prices,
    kinds: &[Kind],
    done: impl FnMut(u64) + Send,
) -> Result<Vec<(Kind, Outcome)>, Error> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::new(), done));
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(kinds.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Relaxed: only the number matters.
                while let Some(&kind) = kinds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = ground.play(load, driven, prices, kind);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    let (outcomes, done) = &mut *results;
                    outcomes.push((kind, outcome));
                    done(outcomes.len() as u64);
                }
            });
        }
    });
    let (mut outcomes, _) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(kind, _)| kinds.iter().position(|other| other == kind));
    let whole = outcomes
        .into_iter()
        .map(|(kind, outcome)| Ok((kind, outcome?)));
    whole.collect()
}
