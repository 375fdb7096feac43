//! The passes that are timed: heap operations, and nothing else.
//!
//! No memory is behind the page numbers, for ours as for the peer: the heap's
//! backing answers and does nothing, its region is resident from the start,
//! so what is timed is the choice of pages and the books about them. All
//! passes run over the same decoded operations, with the same loop and the same
//! table of blocks; `Null` runs, too, and says what these cost by themselves.
//!
//! The clock is the thread's own: it stands still while the machine does
//! something else, which a pass of a tenth of a second often meets.
//!
//! A round runs each contender once, ours and the peer by turns; ratios are
//! made within a round, and the median over the rounds is what counts. One
//! round before them is not counted: it warms up caches and the allocator
//! that the peer takes its tree nodes from.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

use crate::adaptor::PageRuns;
use crate::resident;
use crate::trace::{Op, Trace};

/// One pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lap {
    /// Nanoseconds for one operation, on average.
    pub ns_per_event: f64,
    /// Operations that were refused.
    pub refused: u64,
}

/// Times one pass over `trace` through fresh `runs`.
pub fn lap<A: PageRuns>(trace: &Trace, mut runs: A) -> Lap {
    let mut table: Vec<Option<A::Block>> = resident::table(None, trace.seats as usize);
    let begin = thread_ns();
    let refused = every_op(trace, &mut runs, &mut table);
    let took = thread_ns() - begin;
    black_box(&table);
    let operations = trace.ops.len().max(1) as f64;
    Lap {
        ns_per_event: took as f64 / operations,
        refused,
    }
}

/// Returns how long this thread has run, in nanoseconds.
fn thread_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A function of its own for each allocator, so that a profile names it.
#[inline(never)]
fn every_op<A: PageRuns>(trace: &Trace, runs: &mut A, table: &mut [Option<A::Block>]) -> u64 {
    let mut refused = 0;
    for op in &trace.ops {
        let done = match *op {
            Op::Alloc { seat, pages, class } => match runs.alloc_for(pages, class) {
                Ok(block) => {
                    table[seat.index()] = Some(block);
                    true
                }
                Err(_) => {
                    table[seat.index()] = None;
                    false
                }
            },
            Op::Free { seat } => match table[seat.index()].take() {
                Some(block) => runs.free(block).is_ok(),
                None => true,
            },
            Op::FreePart { seat, part } => match table[seat.index()] {
                Some(block) => runs.free_part(block, trace.part(part)).is_ok(),
                None => true,
            },
        };
        refused += u64::from(!done);
    }
    refused
}

/// The laps of one contender, round by round.
#[derive(Clone, Debug, Default)]
pub struct Laps {
    laps: Vec<Lap>,
}

impl Laps {
    /// Adds the lap of the next round.
    pub fn push(&mut self, lap: Lap) {
        self.laps.push(lap);
    }

    /// Forgets the first round.
    pub fn forget_first(&mut self) {
        self.laps.drain(..self.laps.len().min(1));
    }

    /// Returns the median, in nanoseconds for one operation.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        median(self.laps.iter().map(|lap| lap.ns_per_event).collect())
    }

    /// Returns the median of the ratios to `other`, round by round.
    #[must_use]
    pub fn ratio_to(&self, other: &Self) -> Option<f64> {
        let pairs = self.laps.iter().zip(&other.laps);
        median(
            pairs
                .filter(|(_, other)| other.ns_per_event > 0.0)
                .map(|(one, other)| one.ns_per_event / other.ns_per_event)
                .collect(),
        )
    }

    /// Returns the most operations that were refused in a lap.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.laps.iter().map(|lap| lap.refused).max().unwrap_or(0)
    }
}

/// Returns the middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laps(times: &[f64]) -> Laps {
        Laps {
            laps: times
                .iter()
                .map(|&ns_per_event| Lap {
                    ns_per_event,
                    refused: 0,
                })
                .collect(),
        }
    }

    #[test]
    fn the_median_of_any_number_of_laps_is_the_one_in_the_middle() {
        assert_eq!(laps(&[]).median(), None);
        assert_eq!(laps(&[7.0]).median(), Some(7.0));
        assert_eq!(laps(&[9.0, 1.0, 5.0, 100.0, 2.0]).median(), Some(5.0));
        assert_eq!(laps(&[4.0, 1.0, 2.0, 100.0]).median(), Some(3.0));
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        // The second round was slow for both: a ratio of the medians would say 2.
        let ours = laps(&[10.0, 40.0, 20.0]);
        let peer = laps(&[10.0, 80.0, 10.0]);
        assert_eq!(ours.ratio_to(&peer), Some(1.0));
        assert_eq!(ours.ratio_to(&laps(&[])), None);
    }
}
