//! W2: a quarter of the range page by page, freed in random order.

use fastrand::Rng;
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{ONE, room};
use crate::figure::Figure;
use crate::meter::{Meter, Stop};

/// Fills a quarter of `pages` pages, and frees it.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn run<R: PageRuns>(runs: &mut R, pages: u32, meter: &mut Meter) -> Result<(), Stop> {
    let count = meter.filled(pages / 4);
    let mut blocks = room(runs, count)?;
    meter.measure(Figure::Fill, count, |_| {
        blocks.push(runs.alloc(ONE)?);
        Ok(1)
    })?;
    Rng::with_seed(2).shuffle(&mut blocks);
    meter.measure(Figure::RandomFree, count, |_| {
        let block = blocks.pop().ok_or(Denied::Exhausted)?;
        runs.free(block)?;
        Ok(1)
    })
}
