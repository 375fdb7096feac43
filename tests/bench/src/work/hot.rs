//! W1: hot pages, which come back at once.

use spanheap_replay::adaptor::PageRuns;

use super::{ONE, room};
use crate::figure::Figure;
use crate::meter::{Meter, Stop};

/// How deep the stack is.
const DEPTH: u32 = 64;

/// Allocates a page and frees it; then a stack of pages.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn run<R: PageRuns>(runs: &mut R, meter: &mut Meter) -> Result<(), Stop> {
    let pairs = meter.pairs();
    meter.measure(Figure::Pair, pairs, |_| {
        let block = runs.alloc(ONE)?;
        runs.free(block)?;
        Ok(1)
    })?;

    let mut blocks = room(runs, DEPTH)?;
    meter.measure(Figure::Stack, pairs / DEPTH, |_| {
        for _ in 0..DEPTH {
            blocks.push(runs.alloc(ONE)?);
        }
        while let Some(block) = blocks.pop() {
            runs.free(block)?;
        }
        Ok(DEPTH)
    })
}
