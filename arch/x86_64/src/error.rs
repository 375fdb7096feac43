//! Why a backing was not made, or could not commit.

use core::fmt;

use spanheap::Refused;

/// Why no backing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetUpError {
    /// A physical page of the heap's geometry is smaller than 4 KiB.
    PhysicalPage,
    /// The offset of the direct map is not a multiple of 2 MiB, so that no
    /// frame of 2 MiB could be mapped whole.
    UnalignedOffset,
    /// The window's addresses, or the virtual ones they are mapped at, are not
    /// all addresses that the processor has.
    NoSuchAddress,
}

impl fmt::Display for SetUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PhysicalPage => "a physical page is smaller than 4 KiB",
            Self::UnalignedOffset => "the offset is not a multiple of 2 MiB",
            Self::NoSuchAddress => "the window reaches beyond the processor's addresses",
        })
    }
}

impl core::error::Error for SetUpError {}

/// Why pages could not be committed or released; the code of a [`Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// Some of the pages are outside of the window.
    OutsideWindow,
    /// A page table is needed, and the reserve is empty.
    NoTable,
    /// The frame allocator has no frame left.
    NoFrame,
    /// An entry on the way is not what a page heap's tables hold: another part
    /// of the kernel keeps something in it, or its table cannot be reached.
    Foreign,
}

impl Obstacle {
    const ALL: [Self; 4] = [
        Self::OutsideWindow,
        Self::NoTable,
        Self::NoFrame,
        Self::Foreign,
    ];

    /// Returns what a refusal of one of these backings means; `None` if it is
    /// another backing's.
    #[must_use]
    pub fn of(refused: Refused) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|why| Refused::from(*why) == refused)
    }
}

impl From<Obstacle> for Refused {
    fn from(why: Obstacle) -> Self {
        Self {
            code: match why {
                Obstacle::OutsideWindow => 1,
                Obstacle::NoTable => 2,
                Obstacle::NoFrame => 3,
                Obstacle::Foreign => 4,
            },
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutsideWindow => "some of the pages are outside of the window",
            Self::NoTable => "no frame for a page table is in reserve",
            Self::NoFrame => "the frame allocator has no frame",
            Self::Foreign => "a page-table entry is in use for something else",
        })
    }
}

impl core::error::Error for Obstacle {}
