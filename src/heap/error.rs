//! Every answer of a verb but the good one. Each means that nothing has changed.

use core::fmt;

use crate::backing::Refused;
use crate::page::AddressError;

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
