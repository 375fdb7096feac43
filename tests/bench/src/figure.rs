//! What is measured: each figure by its work, with its unit.

use std::fmt;

use serde::{Serialize, Serializer};

/// How full the range is, in per cent, when sizes are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Full(pub u32);

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// W1: one page, allocated and freed at once; for a pair.
    Pair,
    /// W1: 64 pages, freed last in first out; for a pair.
    Stack,
    /// W2: a quarter of the range page by page; for an allocation.
    Fill,
    /// W2: all that in random order; for a free.
    RandomFree,
    /// W3: half the range, at random; free one at random, allocate one.
    Random,
    /// W3: the same, last in first out.
    Lifo,
    /// W3s: after the live set was replaced six times.
    TurnedRandom,
    /// W3s: the same, last in first out.
    TurnedLifo,
    /// W4: mixed sizes; for an operation.
    Mixed(Full),
    /// W4: requests that were refused.
    MixedRefused(Full),
    /// W4: pages lost by rounding, as a part of what was taken.
    MixedWaste(Full),
    /// W4: wholly free huge pages that are left.
    MixedHuge(Full),
    /// W4: the longest that a lock was held at once; in instructions only.
    MixedHeld(Full),
    /// W5: huge runs over a fragmented range; free one, allocate one.
    Huge,
    /// W5: huge runs to be had, as a part of those that are free.
    HugeHad,
    /// W6: W1 on two threads; for a pair of one thread.
    PairTwo,
    /// W6: W3 on two threads; for a pair of one thread.
    RandomTwo,
    /// W6: one thread allocates what another frees; for a block.
    Pass,
    /// W7: setting up.
    SetUp,
    /// W7: zeroing the books before that.
    Zero,
    /// W7: metadata, nothing allocated.
    Books,
    /// W7: metadata, every other page free.
    BooksHalf,
    /// W8: a recorded trace; for an event.
    Event,
    /// W8: requests that were refused.
    EventRefused,
    /// W8: wholly free huge pages, the mean over the events.
    EventHugeMean,
    /// W8: the same, the mean over the trace's time.
    EventHugeTime,
    /// W8: the same at the end.
    EventHugeEnd,
    /// W8: half of the operations take less.
    EventP50,
    /// W8: 99 of 100 take less.
    EventP99,
    /// W8: 999 of 1,000.
    EventP999,
    /// W8: 9,999 of 10,000.
    EventP9999,
    /// W8: the longest.
    EventMost,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Time of one operation.
    Ns,
    /// Times, pages.
    Count,
    /// A part of a whole, in per cent.
    Percent,
    /// Memory.
    Bytes,
}

impl Figure {
    /// Returns the work's number, as people call it.
    #[must_use]
    pub const fn work(self) -> &'static str {
        match self {
            Self::Pair | Self::Stack => "W1",
            Self::Fill | Self::RandomFree => "W2",
            Self::Random | Self::Lifo => "W3",
            Self::TurnedRandom | Self::TurnedLifo => "W3s",
            Self::Mixed(_)
            | Self::MixedRefused(_)
            | Self::MixedWaste(_)
            | Self::MixedHuge(_)
            | Self::MixedHeld(_) => "W4",
            Self::Huge | Self::HugeHad => "W5",
            Self::PairTwo | Self::RandomTwo | Self::Pass => "W6",
            Self::SetUp | Self::Zero | Self::Books | Self::BooksHalf => "W7",
            Self::Event
            | Self::EventRefused
            | Self::EventHugeMean
            | Self::EventHugeTime
            | Self::EventHugeEnd
            | Self::EventP50
            | Self::EventP99
            | Self::EventP999
            | Self::EventP9999
            | Self::EventMost => "W8",
        }
    }

    /// Returns what it counts.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::MixedRefused(_)
            | Self::MixedHuge(_)
            | Self::EventRefused
            | Self::EventHugeMean
            | Self::EventHugeTime
            | Self::EventHugeEnd => Unit::Count,
            Self::MixedWaste(_) | Self::HugeHad => Unit::Percent,
            Self::Books | Self::BooksHalf => Unit::Bytes,
            _ => Unit::Ns,
        }
    }

    /// Returns whether it is counted under check, and takes no time.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(
            self,
            Self::MixedRefused(_)
                | Self::MixedWaste(_)
                | Self::MixedHuge(_)
                | Self::HugeHad
                | Self::BooksHalf
                | Self::EventRefused
                | Self::EventHugeMean
                | Self::EventHugeTime
                | Self::EventHugeEnd
        )
    }

    /// Returns whether it is the time of an operation: not of what happens once,
    /// and not how a time is spread.
    #[must_use]
    pub const fn is_speed(self) -> bool {
        matches!(self.unit(), Unit::Ns)
            && !matches!(
                self,
                Self::MixedHeld(_)
                    | Self::SetUp
                    | Self::Zero
                    | Self::EventP50
                    | Self::EventP99
                    | Self::EventP999
                    | Self::EventP9999
                    | Self::EventMost
            )
    }

    /// Returns whether less is better; more is, for pages that are free.
    #[must_use]
    pub const fn less_is_better(self) -> bool {
        !matches!(
            self,
            Self::MixedHuge(_)
                | Self::HugeHad
                | Self::EventHugeMean
                | Self::EventHugeTime
                | Self::EventHugeEnd
        )
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = self.work();
        let what = match self {
            Self::Pair => "pair",
            Self::Stack => "stack of 64, a pair",
            Self::Fill => "allocate a quarter",
            Self::RandomFree => "free at random",
            Self::Random | Self::TurnedRandom => "random, a pair",
            Self::Lifo | Self::TurnedLifo => "LIFO, a pair",
            Self::Mixed(full) => return write!(f, "{work} {}%, an operation", full.0),
            Self::MixedRefused(full) => return write!(f, "{work} {}%, refused", full.0),
            Self::MixedWaste(full) => return write!(f, "{work} {}%, lost by rounding", full.0),
            Self::MixedHuge(full) => return write!(f, "{work} {}%, free huge pages", full.0),
            Self::MixedHeld(full) => return write!(f, "{work} {}%, longest lock held", full.0),
            Self::Huge => "512 aligned, a pair",
            Self::HugeHad => "free ones to be had",
            Self::PairTwo => "pair, two threads",
            Self::RandomTwo => "random, two threads",
            Self::Pass => "one allocates, one frees",
            Self::SetUp => "set-up",
            Self::Zero => "zeroing before it",
            Self::Books => "metadata, fresh",
            Self::BooksHalf => "metadata, every other free",
            Self::Event => "an event",
            Self::EventRefused => "refused",
            Self::EventHugeMean => "free huge pages, mean",
            Self::EventHugeTime => "free huge pages, by time",
            Self::EventHugeEnd => "free huge pages, end",
            Self::EventP50 => "p50",
            Self::EventP99 => "p99",
            Self::EventP999 => "p99.9",
            Self::EventP9999 => "p99.99",
            Self::EventMost => "longest",
        };
        write!(f, "{work} {what}")
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
