//! What the policies are tried on: recorded traces, and two loads that are made.
//!
//! *Churn* is the hard case for whoever waits for a fixed time: a working set of
//! 512 MiB that is allocated in a tenth of a second, freed at once and, after a
//! pause, allocated again; for pauses from 10 ms to 10 s. *Drain* is 12 GiB that
//! are allocated and freed at once, and then nothing.

use std::fs::File;
use std::path::Path;

use spanheap::PageCount;

use crate::error::Error;
use crate::trace::{self, Class, Maker, Seat, Trace};

/// A page of the loads that are made.
const PAGE: u64 = 4096;
/// The longest block of theirs, in pages.
const LONGEST: u64 = 64;

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its name.
    pub name: String,
    /// What is done.
    pub trace: Trace,
    /// Its parts, if it has some.
    pub phases: Vec<Phase>,
}

/// A part of a load that is a number of equal cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The pause after each cycle, in milliseconds.
    pub pause_ms: u64,
    /// When it begins, in milliseconds since the load began.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
    /// How many cycles it has.
    pub cycles: u64,
}

/// What churn is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Churn<'c> {
    /// The working set, in pages of 4 KiB.
    pub pages: u64,
    /// How long it takes to allocate it, in milliseconds.
    pub ramp_ms: u64,
    /// The pauses, in milliseconds.
    pub pauses_ms: &'c [u64],
    /// How long there are cycles of each pause, in milliseconds.
    pub each_ms: u64,
    /// The fewest cycles of each pause.
    pub least: u64,
}

impl Default for Churn<'_> {
    fn default() -> Self {
        Self {
            pages: (512 << 20) / PAGE,
            ramp_ms: 100,
            pauses_ms: &[10, 30, 100, 300, 1000, 3000, 10_000],
            each_ms: 12_000,
            least: 10,
        }
    }
}

/// Lengths of blocks: three of four are one page, the others up to 64, as likely
/// each.
struct Lengths(u64);

impl Lengths {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 >> 8 & 3 {
            0 => 2 + (self.0 >> 32) % (LONGEST - 1),
            _ => 1,
        }
    }
}

impl Load {
    /// Reads a recorded trace.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let opened = File::open(path).map_err(|error| Error::Open {
            path: path.into(),
            error,
        })?;
        let trace = trace::read(opened).map_err(|error| Error::Trace {
            path: path.into(),
            error,
        })?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy();
        Ok(Self {
            name: name.trim_end_matches(".pagetrace.gz").into(),
            trace,
            phases: Vec::new(),
        })
    }

    /// Returns whether nothing is freed before the load ends.
    #[must_use]
    pub const fn is_drain(&self) -> bool {
        self.trace.counts.frees + self.trace.counts.partial_frees == 0
    }

    /// Makes churn.
    #[must_use]
    pub fn churn(churn: &Churn<'_>) -> Self {
        let mut maker = Maker::new(PAGE);
        let mut lengths = Lengths(0x9e37_79b9_7f4a_7c15);
        let mut blocks = Vec::new();
        let mut phases = Vec::new();
        for &pause_ms in churn.pauses_ms {
            let cycles = (churn.each_ms / (churn.ramp_ms + pause_ms).max(1)).max(churn.least);
            let from_ms = maker.now_ms();
            for _ in 0..cycles {
                fill(&mut maker, &mut lengths, &mut blocks, churn);
                blocks.drain(..).for_each(|seat| maker.free(seat));
                maker.pass(pause_ms);
            }
            phases.push(Phase {
                pause_ms,
                from_ms,
                to_ms: maker.now_ms(),
                cycles,
            });
        }
        let what = format!(
            "{} MiB allocated in {} ms, freed at once, and again after a pause",
            (churn.pages * PAGE) >> 20,
            churn.ramp_ms
        );
        Self {
            name: "churn".into(),
            trace: maker.finish(&what),
            phases,
        }
    }

    /// Makes a load of so many pages of 4 KiB, allocated within a second; all is
    /// freed at its end.
    #[must_use]
    pub fn drain(pages: u64) -> Self {
        let mut maker = Maker::new(PAGE);
        let all = Churn {
            pages,
            ramp_ms: 1000,
            ..Churn::default()
        };
        let mut lengths = Lengths(0x2545_f491_4f6c_dd1d);
        fill(&mut maker, &mut lengths, &mut Vec::new(), &all);
        let what = format!(
            "{} MiB allocated within a second, and freed at once",
            (pages * PAGE) >> 20
        );
        Self {
            name: "drain".into(),
            trace: maker.finish(&what),
            phases: Vec::new(),
        }
    }
}

/// Allocates the working set, evenly over the time that it takes.
fn fill(maker: &mut Maker, lengths: &mut Lengths, blocks: &mut Vec<Seat>, churn: &Churn<'_>) {
    let (begun, mut done) = (maker.now_ms(), 0);
    while done < churn.pages {
        let pages = lengths.next().min(churn.pages - done);
        blocks.push(maker.alloc(PageCount::new(pages as u32), Class::Movable));
        done += pages;
        let due = begun + churn.ramp_ms * done / churn.pages;
        maker.pass(due.saturating_sub(maker.now_ms()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn churn_comes_and_goes_as_often_as_its_pauses_say() {
        let churn = Churn {
            pages: 1000,
            pauses_ms: &[100, 900],
            each_ms: 800,
            least: 3,
            ..Churn::default()
        };
        let load = Load::churn(&churn);
        let told: Vec<_> = load
            .phases
            .iter()
            .map(|phase| (phase.cycles, phase.from_ms, phase.to_ms))
            .collect();
        assert_eq!(told, [(4, 0, 800), (3, 800, 3800)]);
        assert_eq!(load.trace.header.peak_live_pages, 1000);
        assert_eq!(load.trace.header.ms, 3800);
        assert_eq!(load.trace.counts.allocs, load.trace.counts.frees);
    }

    #[test]
    fn drain_leaves_everything_to_be_freed_at_its_end() {
        let load = Load::drain(5000);
        assert_eq!(load.trace.header.peak_live_pages, 5000);
        assert_eq!((load.trace.header.ms, load.trace.counts.frees), (1000, 0));
    }

    #[test]
    fn most_blocks_are_single_pages_and_none_is_longer_than_64() {
        let mut lengths = Lengths(1);
        let all: Vec<_> = (0..10_000).map(|_| lengths.next()).collect();
        let single = all.iter().filter(|&&pages| pages == 1).count();
        assert!((7000..8000).contains(&single), "{single}");
        assert_eq!(all.iter().max(), Some(&64));
    }
}
