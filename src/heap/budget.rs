//! How much a release may give back, and how far it came.

use crate::page::PageCount;
use crate::span::Hold;

/// How much [`release`](crate::PageHeap::release) may give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub(crate) bytes: u64,
    pub(crate) calls: u32,
    pub(crate) hold: Option<Hold>,
    pub(crate) leftovers: bool,
}

impl Budget {
    /// Everything that is idle.
    pub const ALL: Self = Self::bytes(u64::MAX);

    /// At most this many bytes, in any number of hook calls.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self {
            bytes,
            calls: u32::MAX,
            hold: None,
            leftovers: false,
        }
    }

    /// And at most this many calls of [`Backing::sys_unused`](crate::Backing::sys_unused),
    /// each with up to 32 ranges.
    #[must_use]
    pub const fn calls(self, calls: u32) -> Self {
        Self { calls, ..self }
    }

    /// And only whole huge pages that were held for as long as this says. Where there
    /// are no huge pages, nothing is held.
    #[must_use]
    pub const fn held(self, hold: Hold) -> Self {
        Self {
            hold: Some(hold),
            ..self
        }
    }

    /// Instead of whole ones, what is still resident of huge pages that are idle as a
    /// whole and were committed or released in part; held or not, as the others are.
    #[must_use]
    pub const fn leftovers(self) -> Self {
        Self {
            leftovers: true,
            ..self
        }
    }
}

/// What a release gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a release that ended early says why"]
pub struct Release {
    /// Pages that are released now and were not before.
    pub pages: PageCount,
    /// Calls of [`Backing::sys_unused`](crate::Backing::sys_unused).
    pub calls: u32,
    /// Why it went no further.
    pub end: ReleaseEnd,
}

/// Why a release went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseEnd {
    /// Nothing idle is left that is resident and a whole physical page.
    Drained,
    /// The bytes or the calls are used up, or what is left of them would break
    /// a huge page or is less than a physical page.
    Budget,
    /// A span would have to be cut, and no slot is left for its parts.
    NoSlot,
    /// The backing released less than it was given.
    Refused,
    /// What is left is held: the first of it for so many milliseconds more.
    Held(u32),
}
