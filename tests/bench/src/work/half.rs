//! W3: half of the range at random, then pairs of a free and an allocation.
//!
//! All of it is allocated page by page, and a random half freed. What an
//! allocator then hands out is what was freed, here and there: in no more pairs
//! than half of the live pages. They are done again after every live page was
//! replaced six times, when the free pages lie as the allocator made them lie.

use fastrand::Rng;
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{ONE, room};
use crate::figure::Figure;
use crate::meter::{Meter, Stop};

/// How often the live set is replaced.
const TURNS: u32 = 6;

/// Prepares the live half of `pages` pages, in random order.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn prepare<R: PageRuns>(
    runs: &mut R,
    pages: u32,
    meter: &mut Meter,
) -> Result<Vec<R::Block>, Stop> {
    let count = meter.filled(pages);
    let mut blocks = room(runs, count)?;
    meter.prepare("filling the range", count, |_| {
        blocks.push(runs.alloc(ONE)?);
        Ok(())
    })?;
    Rng::with_seed(3).shuffle(&mut blocks);
    meter.prepare("freeing half of it at random", count / 2, |_| {
        let block = blocks.pop().ok_or(Denied::Exhausted)?;
        runs.free(block)
    })?;
    Ok(blocks)
}

/// Does W3 and W3s over `pages` pages.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn run<R: PageRuns>(runs: &mut R, pages: u32, meter: &mut Meter) -> Result<(), Stop> {
    let mut blocks = prepare(runs, pages, meter)?;
    let mut random = Rng::with_seed(4);
    pairs(
        runs,
        &mut blocks,
        &mut random,
        meter,
        Figure::Random,
        Figure::Lifo,
    )?;
    let turned = blocks.len() as u32 * TURNS;
    meter.prepare("replacing the live pages", turned, |_| {
        swap(runs, &mut blocks, &mut random)
    })?;
    let figures = (Figure::TurnedRandom, Figure::TurnedLifo);
    pairs(runs, &mut blocks, &mut random, meter, figures.0, figures.1)
}

fn pairs<R: PageRuns>(
    runs: &mut R,
    blocks: &mut [R::Block],
    random: &mut Rng,
    meter: &mut Meter,
    at_random: Figure,
    lifo: Figure,
) -> Result<(), Stop> {
    let pairs = meter.pairs().min(blocks.len() as u32 / 2);
    meter.measure(at_random, pairs, |_| swap(runs, blocks, random).map(|()| 1))?;
    let last = blocks.last_mut().ok_or(Denied::Exhausted)?;
    meter.measure(lifo, pairs, |_| {
        runs.free(*last)?;
        *last = runs.alloc(ONE)?;
        Ok(1)
    })
}

/// Frees a random one of `blocks`, and allocates another for it.
#[inline]
pub(super) fn swap<R: PageRuns>(
    runs: &mut R,
    blocks: &mut [R::Block],
    random: &mut Rng,
) -> Result<(), Denied> {
    let block = &mut blocks[random.u32(0..blocks.len() as u32) as usize];
    runs.free(*block)?;
    *block = runs.alloc(ONE)?;
    Ok(())
}
