//! W5: whole aligned huge pages, over a fragmented range.
//!
//! All of the range is allocated page by page and freed in random order, but
//! for one page in 1,024, at random: two huge pages of five are broken. Half of
//! those that are whole is taken; then one is freed and one allocated, by
//! turns. What could be had of the whole ones is counted at the end.

use fastrand::Rng;
use spanheap::PageCount;
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{ONE, room};
use crate::adaptor::Ground;
use crate::figure::Figure;
use crate::meter::{Meter, Stop};

/// One page in so many stays.
const PINNED: u32 = 1024;
/// The most pairs: what looks for an alignment is slow.
const MOST_PAIRS: u32 = 1 << 15;

/// Does W5.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses what must be there.
pub fn run<R: PageRuns>(runs: &mut R, ground: &Ground, meter: &mut Meter) -> Result<(), Stop> {
    let count = meter.filled(ground.pages());
    let huge = PageCount::new(ground.huge_pages());
    let mut random = Rng::with_seed(5);
    let mut blocks = room(runs, count)?;
    meter.prepare("filling the range", count, |_| {
        blocks.push(runs.alloc(ONE)?);
        Ok(())
    })?;
    random.shuffle(&mut blocks);
    let pinned = count / PINNED;
    meter.prepare("freeing most of it at random", count - pinned, |_| {
        let block = blocks.pop().ok_or(Denied::Exhausted)?;
        runs.free(block)
    })?;

    let mut whole = vec![true; (ground.pages() / huge.get()) as usize];
    for &block in &blocks {
        let broken = runs.start(block).number() / huge.get();
        if let Some(whole) = whole.get_mut(broken as usize) {
            *whole = false;
        }
    }
    let whole = whole.into_iter().filter(|&whole| whole).count() as u32;
    let mut held = Vec::with_capacity(whole as usize);
    meter.prepare("taking half of the huge pages", whole / 2, |_| {
        held.push(runs.alloc_aligned(huge, huge)?);
        Ok(())
    })?;
    if held.is_empty() {
        return Err(Stop::Denied("the range has too few huge pages".into()));
    }
    let pairs = meter.pairs().min(MOST_PAIRS);
    meter.measure(Figure::Huge, pairs, |_| {
        let block = &mut held[random.u32(0..whole / 2) as usize];
        runs.free(*block)?;
        *block = runs.alloc_aligned(huge, huge)?;
        Ok(1)
    })?;
    if meter.checks() {
        let mut had = whole / 2;
        meter.prepare("taking the others", whole - had, |_| {
            had += u32::from(runs.alloc_aligned(huge, huge).is_ok());
            Ok(())
        })?;
        meter.note(Figure::HugeHad, 100.0 * f64::from(had) / f64::from(whole));
    }
    Ok(())
}
