//! W8: a recorded trace, in a range of twice its peak.
//!
//! Three passes over the same operations: one for the time of all, one for the
//! time of each, and one under check, which also samples the free huge pages
//! after every event.
//!
//! What one operation takes is the least of what it took in all rounds. Every
//! round is asked for the same, so that what is slow every time is the
//! allocator's doing, and what is slow once is the machine's.

use std::time::Instant;

use spanheap_replay::adaptor::PageRuns;
use spanheap_replay::resident;
use spanheap_replay::trace::{Op, Trace};

use crate::adaptor::{Ground, Unable};
use crate::check::Claims;
use crate::figure::Figure;
use crate::meter::{Meter, Paced, Stop, Until, finished, thread_ns};

/// A trace, and the range that it is played in.
#[derive(Debug)]
pub struct Recording {
    /// Its name.
    pub name: String,
    /// What was recorded.
    pub trace: Trace,
    /// The range.
    pub ground: Ground,
}

impl Recording {
    /// Plays `trace` in twice the pages that it needs at its peak.
    ///
    /// # Errors
    ///
    /// If these are too many.
    pub fn new(name: String, trace: Trace) -> Result<Self, Unable> {
        let pages = trace.header.peak_live_pages.max(1).saturating_mul(2);
        let pages = u32::try_from(pages).map_err(|_| Unable::TooLarge)?;
        // Two for each block or piece: itself, and what is free beside it.
        let spans = trace.peak_pieces.saturating_mul(2);
        let spans = spans.saturating_add(pages / 64 + 64);
        let ground = Ground::new(pages, trace.page_bytes(), spans)?;
        Ok(Self {
            name,
            trace,
            ground,
        })
    }
}

/// How often a pass looks at the clock.
const BATCH: usize = 1024;

/// Plays all of a trace, each operation as the CPU that did it, and tells `after`
/// of each; returns how far it came, and how much was refused.
#[inline]
fn play<R: PageRuns>(
    trace: &Trace,
    runs: &mut R,
    table: &mut [Option<R::Block>],
    mut until: Until,
    mut after: impl FnMut(usize),
) -> (Paced, u32) {
    let (mut done, mut refused) = (0, 0);
    let mut switches = trace.switches.iter().peekable();
    let mut looks = 0;
    while done < trace.ops.len() {
        while let Some(switch) = switches.next_if(|switch| switch.before as usize <= done) {
            runs.run_on(switch.cpu);
        }
        let next = switches
            .peek()
            .map_or(usize::MAX, |next| next.before as usize);
        let end = trace.ops.len().min(done + BATCH).min(next);
        for (index, op) in trace.ops[done..end].iter().enumerate() {
            let good = match *op {
                Op::Alloc { seat, pages, class } => {
                    let block = runs.alloc_for(pages, class);
                    let good = block.is_ok();
                    table[seat.index()] = block.ok();
                    good
                }
                Op::Free { seat } => match table[seat.index()].take() {
                    Some(block) => runs.free(block).is_ok(),
                    None => true,
                },
                Op::FreePart { seat, part } => match table[seat.index()] {
                    Some(block) => runs.free_part(block, trace.part(part)).is_ok(),
                    None => true,
                },
            };
            refused += u32::from(!good);
            after(done + index);
        }
        looks += end - done;
        done = end;
        if looks >= BATCH {
            looks = 0;
            if until.is_over() {
                break;
            }
        }
    }
    runs.run_on(0);
    let paced = Paced {
        steps: done as u32,
        operations: done as u64,
    };
    (paced, refused)
}

/// Returns a place for each block of a trace that is live at a time. To make them takes a
/// millisecond, which is no allocator's.
fn seats<R: PageRuns>(trace: &Trace) -> Vec<Option<R::Block>> {
    resident::table(None, trace.seats as usize)
}

fn late(done: Paced, trace: &Trace, took: u64) -> Result<(), Stop> {
    let what = || Figure::Event.to_string();
    finished(what, done, trace.ops.len() as u32, took)
}

/// Times all of a trace.
///
/// # Errors
///
/// If it takes too long.
#[inline(never)]
pub fn time<R: PageRuns>(trace: &Trace, runs: &mut R, meter: &mut Meter) -> Result<(), Stop> {
    let mut seats = seats::<R>(trace);
    let begin = thread_ns();
    let (done, _) = play(trace, runs, &mut seats, meter.until(), |_| {});
    let took = thread_ns() - begin;
    late(done, trace, took)?;
    meter.note(Figure::Event, done.ns(took));
    Ok(())
}

/// Of each operation of a trace, the least of all rounds.
#[derive(Debug)]
pub struct Least {
    /// What it took, in nanoseconds.
    pub took: Vec<u32>,
}

impl Least {
    /// Of `operations` operations, before the first round.
    #[must_use]
    pub fn of(operations: usize) -> Self {
        Self {
            took: resident::table(u32::MAX, operations),
        }
    }
}

/// Times each operation of a trace, and keeps in `least` what is less.
///
/// # Errors
///
/// If it takes too long.
#[inline(never)]
pub fn each<R: PageRuns>(
    trace: &Trace,
    runs: &mut R,
    least: &mut Least,
    meter: &Meter,
) -> Result<(), Stop> {
    let mut seats = seats::<R>(trace);
    let begin = thread_ns();
    let mut last = Instant::now();
    let (done, _) = play(trace, runs, &mut seats, meter.until(), |index| {
        let took = last.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32;
        least.took[index] = least.took[index].min(took);
        last = Instant::now();
    });
    late(done, trace, thread_ns() - begin)
}

/// Plays a trace under check.
///
/// # Errors
///
/// If it takes too long.
pub fn check<R: PageRuns>(
    trace: &Trace,
    runs: &mut R,
    claims: &Claims,
    meter: &mut Meter,
) -> Result<(), Stop> {
    let (mut sum, mut by_time, mut now_ms) = (0, 0, 0);
    let mut ticks = trace.ticks.iter().peekable();
    let mut seats = seats::<R>(trace);
    let begin = thread_ns();
    let (done, refused) = play(trace, runs, &mut seats, meter.until(), |index| {
        let free = u64::from(claims.free_huge());
        sum += free;
        let next = index as u64 + 1;
        while let Some(tick) = ticks.next_if(|tick| u64::from(tick.before) <= next) {
            by_time += free * (tick.at_ms - now_ms);
            now_ms = tick.at_ms;
        }
    });
    late(done, trace, thread_ns() - begin)?;
    meter.note(Figure::EventRefused, f64::from(refused));
    let mean = sum as f64 / trace.ops.len().max(1) as f64;
    meter.note(Figure::EventHugeMean, mean);
    let mean = by_time as f64 / now_ms.max(1) as f64;
    meter.note(Figure::EventHugeTime, mean);
    meter.note(Figure::EventHugeEnd, f64::from(claims.free_huge()));
    Ok(())
}

/// Returns the figures of the distribution of `least`, the operations' times.
#[must_use]
pub fn distribution(least: &Least) -> Vec<(Figure, f64)> {
    let mut sorted = least.took.clone();
    sorted.sort_unstable();
    // Nearest rank: so many of `of` take no longer.
    let rank = |part: usize, of: usize| {
        let rank = (sorted.len() * part).div_ceil(of).max(1);
        f64::from(*sorted.get(rank - 1).unwrap_or(&0))
    };
    vec![
        (Figure::EventP50, rank(1, 2)),
        (Figure::EventP99, rank(99, 100)),
        (Figure::EventP999, rank(999, 1000)),
        (Figure::EventP9999, rank(9999, 10_000)),
        (Figure::EventMost, rank(1, 1)),
    ]
}
