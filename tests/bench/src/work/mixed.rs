//! W4: sizes from 1 to 512 pages, every doubling as likely as the next, in a
//! range that stays as full as asked.
//!
//! A step asks for a block; before it, random ones are freed until the block
//! has its place under the mark. Full is what was asked for: an allocator that
//! rounds takes more. First steps fill the range, then every live block is
//! replaced eight times, on average, and that is what counts. What is refused
//! is dropped. The live blocks stay at the end, to be looked at.

use std::f64::consts::LN_2;

use fastrand::Rng;
use spanheap::PageCount;
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::resident;

use super::ONE;
use crate::figure::{Figure, Full};
use crate::meter::{Meter, Stop};

/// The seeds that every contender is run with.
pub const SEEDS: [u64; 5] = [11, 23, 47, 101, 211];
/// How full the range is.
pub const FULL: [Full; 3] = [Full(70), Full(90), Full(97)];
/// How often a block is replaced, on average.
const TURNS: u32 = 8;
/// How many sizes are drawn; then they come again.
const SIZES: usize = 1 << 16;

/// Does W4 over `pages` pages, and notes what was refused.
///
/// # Errors
///
/// If it takes too long, or the allocator does not take a block back.
pub fn run<R: PageRuns>(
    runs: &mut R,
    pages: u32,
    full: Full,
    seed: u64,
    meter: &mut Meter,
) -> Result<(), Stop> {
    let mut random = Rng::with_seed(seed);
    let mark = (u64::from(pages) * u64::from(full.0) / 100) as u32;
    let (sizes, mean) = sizes(mark, &mut random);
    let fills = (f64::from(mark) / mean) as u32 + 1;

    let block = runs.alloc(ONE)?;
    runs.free(block)?;
    // Small blocks stay longer than large ones: there may be more than `fills`.
    let room = (fills as usize * 2).max(64);
    let mut live = Live {
        blocks: resident::room((block, 0), room),
        pages: 0,
        random,
    };
    let mut step = |index: u32| {
        let size = sizes[index as usize % SIZES];
        live.step(runs, u32::from(size), mark)
    };
    meter.prepare("filling the range", fills, |index| step(index).map(|_| ()))?;
    let steps = fills * TURNS;
    let mut refused = 0;
    meter.measure(Figure::Mixed(full), steps, |index| {
        let (operations, was_refused) = step(fills.wrapping_add(index))?;
        refused += u32::from(was_refused);
        Ok(operations)
    })?;
    if meter.checks() {
        meter.note(Figure::MixedRefused(full), f64::from(refused));
    }
    Ok(())
}

/// Draws sizes, and returns their mean.
fn sizes(mark: u32, random: &mut Rng) -> (Vec<u16>, f64) {
    // Half of a small range is as much as one block may be.
    let most = 512.min(mark / 2).max(1);
    let doublings = f64::from(most + 1).log2();
    let sizes: Vec<u16> = (0..SIZES)
        .map(|_| (random.f64() * doublings * LN_2).exp() as u16)
        .map(|size| size.clamp(1, most as u16))
        .collect();
    let sum: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
    (sizes, sum as f64 / SIZES as f64)
}

struct Live<B> {
    blocks: Vec<(B, u32)>,
    pages: u32,
    random: Rng,
}

impl<B: Copy> Live<B> {
    /// Frees until `size` pages have their place under `mark`, and asks for
    /// them; returns how many operations that were, and whether it was refused.
    #[inline]
    fn step<R: PageRuns<Block = B>>(
        &mut self,
        runs: &mut R,
        size: u32,
        mark: u32,
    ) -> Result<(u32, bool), Denied> {
        let mut operations = 1;
        while self.pages + size > mark {
            let which = self.random.u32(0..self.blocks.len() as u32);
            let (block, pages) = self.blocks.swap_remove(which as usize);
            runs.free(block)?;
            self.pages -= pages;
            operations += 1;
        }
        let refused = match runs.alloc(PageCount::new(size)) {
            Ok(block) => {
                self.blocks.push((block, size));
                self.pages += size;
                false
            }
            Err(Denied::Unsupported) => return Err(Denied::Unsupported),
            Err(_) => true,
        };
        Ok((operations, refused))
    }
}
