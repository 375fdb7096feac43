//! What the contenders are asked to do.
//!
//! A work is written once, over any allocator. It makes its random numbers
//! from fixed seeds, so that every contender in every round is asked for the
//! same, as long as it refuses nothing.

pub mod bulk;
pub mod half;
pub mod hot;
pub mod huge;
pub mod mixed;
pub mod play;
pub mod set_up;
pub mod threads;

use spanheap::PageCount;
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::resident;

use crate::figure::{Figure, Full};

/// One page.
pub(crate) const ONE: PageCount = PageCount::new(1);

/// A work: what is done with one fresh allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// W1.
    Hot,
    /// W2.
    Bulk,
    /// W3, and W3s.
    Half,
    /// W4, so full.
    Mixed(Full),
    /// W5.
    Huge,
    /// W6: W1 on two threads.
    PairTwo,
    /// W6: W3 on two threads.
    RandomTwo,
    /// W6: one allocates, the other frees.
    Pass,
    /// W7.
    SetUp,
    /// W8.
    Play,
}

impl Work {
    /// Returns what it measures, in the order of the table's rows.
    #[must_use]
    pub fn figures(self) -> Vec<Figure> {
        match self {
            Self::Hot => vec![Figure::Pair, Figure::Stack],
            Self::Bulk => vec![Figure::Fill, Figure::RandomFree],
            Self::Half => vec![
                Figure::Random,
                Figure::Lifo,
                Figure::TurnedRandom,
                Figure::TurnedLifo,
            ],
            Self::Mixed(full) => vec![
                Figure::Mixed(full),
                Figure::MixedRefused(full),
                Figure::MixedWaste(full),
                Figure::MixedHuge(full),
            ],
            Self::Huge => vec![Figure::Huge, Figure::HugeHad],
            Self::PairTwo => vec![Figure::PairTwo],
            Self::RandomTwo => vec![Figure::RandomTwo],
            Self::Pass => vec![Figure::Pass],
            Self::SetUp => vec![
                Figure::SetUp,
                Figure::Zero,
                Figure::Books,
                Figure::BooksHalf,
            ],
            Self::Play => vec![
                Figure::Event,
                Figure::EventRefused,
                Figure::EventHugeMean,
                Figure::EventHugeTime,
                Figure::EventHugeEnd,
                Figure::EventP50,
                Figure::EventP99,
                Figure::EventP999,
                Figure::EventP9999,
                Figure::EventMost,
            ],
        }
    }

    /// Returns whether two threads do it.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::PairTwo | Self::RandomTwo | Self::Pass)
    }
}

/// Returns a table with room for `count` blocks that is in memory already, so
/// that what fills it does not pay for page faults.
pub(crate) fn room<R: PageRuns>(runs: &mut R, count: u32) -> Result<Vec<R::Block>, Denied> {
    let block = runs.alloc(ONE)?;
    runs.free(block)?;
    Ok(resident::room(block, count as usize))
}
