//! What a caller asks for, and every answer but the good one.
//!
//! A [`Request`] is built, not checked: the verb that takes it checks all of it
//! before it changes anything. Every error here means that nothing has changed.

use core::fmt;
use core::ops::Range;

use crate::backing::Refused;
use crate::page::{AddressError, PageCount};
use crate::span::Hold;

/// A request for a run of pages.
///
/// ```
/// use spanheap::{PageCount, Request};
///
/// // 16 pages for a device that reaches the first 4 GiB, from a 64 KiB boundary.
/// let dma = Request::pages(PageCount::new(16))
///     .aligned(64 << 10)
///     .within(0..4 << 30)
///     .zeroed();
/// # let _ = dma;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) pages: PageCount,
    pub(crate) align: Option<u64>,
    pub(crate) within: Option<Range<u64>>,
    pub(crate) zeroed: bool,
    pub(crate) class: Class,
}

/// What pages are for: a hint, by which pages that live long and pages that do
/// not are kept out of each other's huge pages. Only
/// [`SharedHeap`](crate::SharedHeap) makes use of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A kernel's own: page tables, stacks, buffers. They live for long, and
    /// apart.
    #[default]
    Unmovable,
    /// Users' memory and page caches: they come and go in bulk.
    Movable,
    /// A kernel's caches, which can be dropped.
    Reclaimable,
}

impl Request {
    /// Asks for `pages` pages, anywhere.
    #[must_use]
    pub const fn pages(pages: PageCount) -> Self {
        Self {
            pages,
            align: None,
            within: None,
            zeroed: false,
            class: Class::Unmovable,
        }
    }

    /// Asks that the first page's address be a multiple of `bytes`, a power of
    /// two. Anything up to a page is what every page has.
    #[must_use]
    pub const fn aligned(self, bytes: u64) -> Self {
        Self {
            align: Some(bytes),
            ..self
        }
    }

    /// Asks that every byte lie within these addresses.
    #[must_use]
    pub const fn within(self, addresses: Range<u64>) -> Self {
        Self {
            within: Some(addresses),
            ..self
        }
    }

    /// Returns whether only the number of pages matters.
    pub(crate) const fn is_plain(&self) -> bool {
        self.align.is_none() && self.within.is_none() && !self.zeroed
    }

    /// Says what the pages are for.
    #[must_use]
    pub const fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// Asks that every byte read as zero.
    #[must_use]
    pub const fn zeroed(self) -> Self {
        Self {
            zeroed: true,
            ..self
        }
    }
}

impl From<PageCount> for Request {
    fn from(pages: PageCount) -> Self {
        Self::pages(pages)
    }
}

/// Why no pages were handed out. Nothing has changed, but for a region that the
/// backing grew by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// The request is for no pages.
    ZeroPages,
    /// The alignment is no power of two.
    BadAlignment,
    /// The addresses to stay within are an empty or inverted range.
    BadWindow,
    /// No free run has this length, alignment and window.
    NoRun,
    /// No slot of the pool is left to name the run, or what remains beside it.
    NoSlot,
    /// The backing has no memory. What it had committed for this request
    /// before it refused is resident now, and idle.
    Refused(Refused),
    /// More than may be resident would be; see
    /// [`PageHeap::set_limit`](crate::PageHeap::set_limit).
    Limit,
    /// The backing grew by a region that cannot be added.
    BadGrowth(RegionError),
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroPages => f.write_str("no pages were asked for"),
            Self::BadAlignment => f.write_str("the alignment is no power of two"),
            Self::BadWindow => f.write_str("the addresses to stay within are empty"),
            Self::NoRun => f.write_str("no free run is long enough"),
            Self::NoSlot => f.write_str("no slot is left in the span pool"),
            Self::Refused(refused) => write!(f, "the backing refused (code {})", refused.code),
            Self::Limit => f.write_str("more than the limit would be resident"),
            Self::BadGrowth(why) => write!(f, "the backing grew by a bad region: {why}"),
        }
    }
}

impl core::error::Error for AllocError {}

/// Why exactly these pages were not handed out. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocAtError {
    /// The request is for no pages.
    ZeroPages,
    /// The address does not begin a page.
    Unaligned,
    /// Some of the pages are not managed, or belong to two regions.
    Outside,
    /// Some of the pages are in use.
    InUse,
    /// No slot of the pool is left.
    NoSlot,
    /// The backing has no memory; see [`AllocError::Refused`].
    Refused(Refused),
    /// More than may be resident would be; see [`AllocError::Limit`].
    Limit,
}

impl fmt::Display for AllocAtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroPages => f.write_str("no pages were asked for"),
            Self::Unaligned => f.write_str("the address does not begin a page"),
            Self::Outside => f.write_str("some of the pages are not managed as one region"),
            Self::InUse => f.write_str("some of the pages are in use"),
            Self::NoSlot => f.write_str("no slot is left in the span pool"),
            Self::Refused(refused) => write!(f, "the backing refused (code {})", refused.code),
            Self::Limit => f.write_str("more than the limit would be resident"),
        }
    }
}

impl core::error::Error for AllocAtError {}

impl From<AddressError> for AllocAtError {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Unaligned => Self::Unaligned,
            AddressError::Outside => Self::Outside,
        }
    }
}

/// Why pages were not freed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreeError {
    /// The handle's span was freed or resized before.
    Stale,
    /// The handle was made by another heap.
    ForeignHeap,
    /// The address does not begin a page.
    Unaligned,
    /// Some of the pages are not managed, or no part of the handle's span.
    Outside,
    /// The pages are free already.
    NotInUse,
    /// The first page lies inside a span that begins before it.
    Interior,
    /// The span that begins there has another length.
    WrongLength,
    /// No pages were named.
    ZeroPages,
    /// What remains of the span needs a slot, and none is left.
    NoSlot,
}

impl fmt::Display for FreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the handle's span was freed or resized before",
            Self::ForeignHeap => "the handle is another heap's",
            Self::Unaligned => "the address does not begin a page",
            Self::Outside => "some of the pages are not managed, or not the span's",
            Self::NotInUse => "the pages are free already",
            Self::Interior => "the address lies inside a span",
            Self::WrongLength => "the span has another length",
            Self::ZeroPages => "no pages were named",
            Self::NoSlot => "no slot is left in the span pool",
        })
    }
}

impl core::error::Error for FreeError {}

impl From<AddressError> for FreeError {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Unaligned => Self::Unaligned,
            AddressError::Outside => Self::Outside,
        }
    }
}

/// Why a span was not resized in place. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// The handle's span was freed or resized before.
    Stale,
    /// The handle was made by another heap.
    ForeignHeap,
    /// The new length is zero.
    ZeroPages,
    /// Shrinking to a greater length, or growing to a smaller one.
    WrongDirection,
    /// The pages behind the span are not free.
    NoRoom,
    /// No slot of the pool is left.
    NoSlot,
    /// The backing has no memory; see [`AllocError::Refused`].
    Refused(Refused),
    /// More than may be resident would be; see [`AllocError::Limit`].
    Limit,
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the handle's span was freed or resized before"),
            Self::ForeignHeap => f.write_str("the handle is another heap's"),
            Self::ZeroPages => f.write_str("the new length is zero"),
            Self::WrongDirection => f.write_str("the new length lies in the other direction"),
            Self::NoRoom => f.write_str("the pages behind the span are not free"),
            Self::NoSlot => f.write_str("no slot is left in the span pool"),
            Self::Refused(refused) => write!(f, "the backing refused (code {})", refused.code),
            Self::Limit => f.write_str("more than the limit would be resident"),
        }
    }
}

impl core::error::Error for ResizeError {}

/// Why a region was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// Some of the pages are outside of the window.
    OutsideWindow,
    /// Some of the pages are managed already.
    Overlap,
    /// An end of the region lies inside a physical page.
    Unaligned,
    /// The region holds the page at address 0, which is never handed out.
    AddressZero,
    /// No slot of the pool is left.
    NoSlot,
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutsideWindow => "the region reaches out of the window",
            Self::Overlap => "some of the pages are managed already",
            Self::Unaligned => "the region ends inside a physical page",
            Self::AddressZero => "the region holds the page at address 0",
            Self::NoSlot => "no slot is left in the span pool",
        })
    }
}

impl core::error::Error for RegionError {}

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

/// What remains of a span of which a part was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "these handles are the only ones to what remains"]
pub struct Rest {
    /// The pages before the freed part.
    pub low: Option<crate::Span>,
    /// The pages behind the freed part.
    pub high: Option<crate::Span>,
}
