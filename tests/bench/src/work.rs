//! What an allocator is asked to do, and how long it took.
//!
//! The clock is the thread's own, so that it stands still while the machine
//! does something else.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use spanheap::PageCount;
use spanheap_replay::adaptor::{Denied, PageRuns};

const ONE: PageCount = PageCount::new(1);
/// How many pairs the hot works do.
const PAIRS: u32 = 1 << 18;
/// How deep the stack is.
const DEPTH: u32 = 64;

/// A work's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// One page, allocated and freed at once; for a pair.
    HotPair,
    /// 64 pages, then freed in the opposite order; for a pair.
    Stack,
    /// A quarter of the range, page by page; for an allocation.
    Fill,
    /// All of that, in random order; for a free.
    RandomFree,
}

impl Work {
    /// All works, in the order that they are done.
    pub const ALL: [Self; 4] = [Self::HotPair, Self::Stack, Self::Fill, Self::RandomFree];

    /// Returns what stands at its row of the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::HotPair => "one page, freed at once (a pair)",
            Self::Stack => "64 pages, last in first out (a pair)",
            Self::Fill => "a quarter of the range (an allocation)",
            Self::RandomFree => "freed in random order (a free)",
        }
    }
}

/// Does all works with a fresh allocator over `pages` pages, and returns the
/// nanoseconds for one operation of each, in the order of [`Work::ALL`].
///
/// # Errors
///
/// If the allocator refuses, which it has no reason to.
pub fn all<A: PageRuns>(runs: &mut A, pages: u32) -> Result<[f64; 4], Denied> {
    let hot = timed(PAIRS, || {
        for _ in 0..PAIRS {
            let block = black_box(runs.alloc(ONE)?);
            runs.free(block)?;
        }
        Ok(())
    })?;

    let mut blocks = Vec::with_capacity(pages as usize / 4);
    let stack = timed(PAIRS, || {
        for _ in 0..PAIRS / DEPTH {
            for _ in 0..DEPTH {
                blocks.push(runs.alloc(ONE)?);
            }
            while let Some(block) = blocks.pop() {
                runs.free(block)?;
            }
        }
        Ok(())
    })?;

    let quarter = pages / 4;
    let fill = timed(quarter, || {
        for _ in 0..quarter {
            blocks.push(runs.alloc(ONE)?);
        }
        Ok(())
    })?;
    fastrand::Rng::with_seed(1).shuffle(&mut blocks);
    let random = timed(quarter, || {
        for block in blocks.drain(..) {
            runs.free(block)?;
        }
        Ok(())
    })?;
    Ok([hot, stack, fill, random])
}

/// Returns how many nanoseconds of this thread one of `count` operations took.
fn timed(count: u32, work: impl FnOnce() -> Result<(), Denied>) -> Result<f64, Denied> {
    let begin = thread_ns();
    work()?;
    Ok((thread_ns() - begin) as f64 / f64::from(count.max(1)))
}

fn thread_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
