//! What a kernel may choose, and what memory it gives.

use spanheap::{PageCount, PageRange};

use crate::ring::SharedMemory;

/// Bytes of the memory that the driver shares with the device: 36 KiB, for the
/// queues and two small buffers, whatever the size of the heap.
pub const SHARED_BYTES: u64 = size_of::<SharedMemory>() as u64;

/// How small the pieces may be that are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Whole huge pages only. The heap must be one whose physical page *is* its
    /// huge page, `Geometry::new(4096, 2 << 20, 2 << 20)` on x86-64: then it
    /// releases nothing smaller, and its counters say what the host sees.
    WholeHugePages,
    /// Physical pages of any size. The host splits its huge pages for the small
    /// ones, and may free nothing when it does: the counters promise more than
    /// the host's free memory shows, and the rest of the huge page gets slower.
    Any,
}

/// What a kernel may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub(crate) pieces: Pieces,
    pub(crate) limit: PageCount,
    pub(crate) poison: Option<u32>,
}

impl Options {
    /// Whole huge pages, no limit, no pattern in free pages.
    pub const DEFAULT: Self = Self {
        pieces: Pieces::WholeHugePages,
        limit: PageCount::new(u32::MAX),
        poison: None,
    };

    /// Says how small the pieces may be.
    #[must_use]
    pub const fn pieces(self, pieces: Pieces) -> Self {
        Self { pieces, ..self }
    }

    /// Puts no more than `pages` into the balloon for the host, whatever it
    /// wants.
    #[must_use]
    pub const fn limit(self, pages: PageCount) -> Self {
        Self {
            limit: pages,
            ..self
        }
    }

    /// Says that the kernel fills free pages with `pattern` before it frees
    /// them, and expects to find it again, lowest byte first. To a host that
    /// cannot be told so, no pages are reported; one that can keeps them, unless
    /// the pattern is zero. Pages that come out of the balloon are filled with
    /// it by the driver.
    #[must_use]
    pub const fn poison(self, pattern: u32) -> Self {
        Self {
            poison: Some(pattern),
            ..self
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A place in the balloon's books for one range that the host wanted.
#[derive(Clone, Copy, Debug)]
pub struct Holding(pub(crate) Option<PageRange>);

impl Holding {
    /// An empty place.
    pub const EMPTY: Self = Self(None);
}

/// The memory that a balloon is given for its books. Either may be empty.
#[derive(Debug)]
pub struct BalloonMemory<'m> {
    /// One place for each range in the balloon, of a huge page mostly. Without
    /// places, the host's target is not followed.
    pub holdings: &'m mut [Holding],
    /// One bit for each physical page of the window, for devices that take no
    /// reports. Without bits, nothing is given back to those. It need not reach
    /// to the window's end; what lies beyond is not given back.
    pub inflated: &'m mut [u64],
}
