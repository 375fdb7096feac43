//! Pages, counts and ranges of them, and the window that ties them to addresses.
//!
//! The only place where page arithmetic is written. A page is named by its
//! number from the window's origin, so that the heap above never sees an
//! address; bytes appear here and nowhere else.
//!
//! Invariant: a [`PageRange`] is never empty and its end never overflows; a
//! page inside the window has an address that does not overflow either.

use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;

/// A page, by its number from the window's origin; not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Page(u32);

impl Page {
    /// The page with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the page's number from the window's origin.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A number of pages. May be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PageCount(u32);

impl PageCount {
    /// No pages.
    pub const ZERO: Self = Self(0);

    /// This many pages.
    #[must_use]
    pub const fn new(pages: u32) -> Self {
        Self(pages)
    }

    /// Returns the number of pages.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A run of pages: never empty, and its end is a valid `u32`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRange {
    start: u32,
    len: NonZeroU32,
}

impl PageRange {
    /// Returns the `count` pages from `start` on; `None` if that is none or
    /// reaches past the last page number.
    #[must_use]
    pub const fn new(start: Page, count: PageCount) -> Option<Self> {
        match (NonZeroU32::new(count.0), start.0.checked_add(count.0)) {
            (Some(len), Some(_)) => Some(Self {
                start: start.0,
                len,
            }),
            _ => None,
        }
    }

    /// Returns the pages from `start` up to, not including, `end`.
    #[must_use]
    pub const fn between(start: Page, end: Page) -> Option<Self> {
        match end.0.checked_sub(start.0) {
            Some(count) => Self::new(start, PageCount(count)),
            None => None,
        }
    }

    /// Returns the first page.
    #[must_use]
    pub const fn start(self) -> Page {
        Page(self.start)
    }

    /// Returns the page after the last.
    #[must_use]
    pub const fn end(self) -> Page {
        Page(self.start.wrapping_add(self.len.get()))
    }

    /// Returns how many pages there are: at least one.
    #[must_use]
    pub const fn count(self) -> PageCount {
        PageCount(self.len.get())
    }

    /// Returns whether `page` is one of these.
    #[must_use]
    pub const fn contains(self, page: Page) -> bool {
        self.start <= page.0 && page.0 < self.end().0
    }

    /// Returns whether every page of `other` is one of these.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end().0 <= self.end().0
    }

    /// Returns the pages that are in both ranges, if there are any.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::between(
            Page(self.start.max(other.start)),
            self.end().min(other.end()),
        )
    }

    /// Returns the pages, in order.
    pub fn pages(self) -> impl DoubleEndedIterator<Item = Page> {
        (self.start..self.end().0).map(Page)
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end().0)
    }
}

/// Why no [`Geometry`] was made of three sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeometryError {
    /// A size is not a power of two.
    NotAPowerOfTwo,
    /// The huge page is smaller than a physical page.
    HugeBelowPhysical,
    /// The huge page is smaller than a page.
    HugeBelowPage,
    /// A physical or a huge page is 2³¹ pages or more.
    TooLarge,
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAPowerOfTwo => "a page size is not a power of two",
            Self::HugeBelowPhysical => "a huge page is smaller than a physical page",
            Self::HugeBelowPage => "a huge page is smaller than a page",
            Self::TooLarge => "a physical or huge page is 2^31 pages or more",
        })
    }
}

impl core::error::Error for GeometryError {}

/// The sizes of a page, a physical page and a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The page's size is `1 << page_shift` bytes.
    page_shift: u32,
    /// A physical page in bytes.
    physical_bytes: u64,
    /// A physical page in pages, at least one, minus one.
    physical_mask: u32,
    /// A huge page is `1 << huge_shift` pages, if there are huge pages.
    huge_shift: Option<u32>,
}

impl Geometry {
    /// x86-64's sizes, and most others': pages and physical pages of 4 KiB,
    /// huge pages of 2 MiB.
    pub const SMALL_PAGES: Self = Self {
        page_shift: 12,
        physical_bytes: 4096,
        physical_mask: 0,
        huge_shift: Some(9),
    };

    /// Makes a geometry of three sizes in bytes.
    ///
    /// `page` is the unit the heap hands out, `physical` the unit the backing
    /// commits and releases (smaller than, equal to or larger than a page),
    /// `huge` the unit worth keeping whole, or 0 if there is none.
    ///
    /// # Errors
    ///
    /// If a size is not a power of two, a huge page is smaller than either of
    /// the others, or one is 2³¹ pages or more.
    pub const fn new(page: u64, physical: u64, huge: u64) -> Result<Self, GeometryError> {
        if !page.is_power_of_two() || !physical.is_power_of_two() {
            return Err(GeometryError::NotAPowerOfTwo);
        }
        if huge != 0 && !huge.is_power_of_two() {
            return Err(GeometryError::NotAPowerOfTwo);
        }
        if huge != 0 && huge < physical {
            return Err(GeometryError::HugeBelowPhysical);
        }
        if huge != 0 && huge < page {
            return Err(GeometryError::HugeBelowPage);
        }
        let page_shift = page.trailing_zeros();
        let physical_pages = physical >> page_shift;
        if physical_pages >= 1 << 31 || huge >> page_shift >= 1 << 31 {
            return Err(GeometryError::TooLarge);
        }
        let physical_mask = if physical_pages == 0 {
            0
        } else {
            physical_pages as u32 - 1
        };
        Ok(Self {
            page_shift,
            physical_bytes: physical,
            physical_mask,
            huge_shift: match huge {
                0 => None,
                _ => Some(huge.trailing_zeros() - page_shift),
            },
        })
    }

    /// Returns a page's size in bytes.
    #[must_use]
    pub const fn page_bytes(self) -> u64 {
        1 << self.page_shift
    }

    /// Returns a physical page's size in bytes.
    #[must_use]
    pub const fn physical_bytes(self) -> u64 {
        self.physical_bytes
    }

    /// Returns the smallest number of pages that the backing can commit or
    /// release: a physical page, or one page if that is larger.
    #[must_use]
    pub const fn physical_pages(self) -> PageCount {
        PageCount(self.physical_mask + 1)
    }

    /// Returns how many pages a huge page has, if there are huge pages.
    #[must_use]
    pub const fn huge_pages(self) -> Option<PageCount> {
        match self.huge_shift {
            Some(shift) => Some(PageCount(1 << shift)),
            None => None,
        }
    }

    /// Returns the bytes in `count` pages, which are of some window.
    #[must_use]
    pub const fn bytes(self, count: PageCount) -> u64 {
        (count.0 as u64) << self.page_shift
    }

    /// Returns how many pages hold `bytes`, rounded up; `None` if they cannot
    /// be counted.
    #[must_use]
    pub const fn pages_for(self, bytes: u64) -> Option<PageCount> {
        let pages = bytes.div_ceil(self.page_bytes());
        if pages <= u32::MAX as u64 {
            Some(PageCount(pages as u32))
        } else {
            None
        }
    }

    /// Returns whether a resident span of `pages` pages can hold a whole huge
    /// page, or less than a whole physical one.
    #[inline]
    pub(crate) const fn may_count(self, pages: u32) -> bool {
        let huge = match self.huge_shift {
            Some(shift) => pages >> shift != 0,
            None => false,
        };
        huge || self.physical_is_larger()
    }

    /// Returns whether a physical page is larger than a page.
    pub(crate) const fn physical_is_larger(self) -> bool {
        self.physical_mask != 0
    }

    /// Rounds a page number down to a physical page.
    pub(crate) const fn physical_down(self, page: u32) -> u32 {
        page & !self.physical_mask
    }

    /// Rounds a page number up to a physical page; saturates at the last one.
    pub(crate) const fn physical_up(self, page: u32) -> u32 {
        self.physical_down(page.saturating_add(self.physical_mask))
    }

    /// Returns the whole physical pages of `start..end`, as `start..end`;
    /// start and end are equal if there are none.
    #[inline]
    pub(crate) const fn physical_inside(self, start: u32, end: u32) -> (u32, u32) {
        if !self.physical_is_larger() {
            return (start, end);
        }
        let inner_end = self.physical_down(end);
        let inner_start = self.physical_up(start);
        if inner_start < inner_end {
            (inner_start, inner_end)
        } else {
            (inner_end, inner_end)
        }
    }

    /// Returns the whole huge pages of `start..end`, as `start..end` in pages.
    #[inline]
    pub(crate) const fn huge_inside(self, start: u32, end: u32) -> Option<(u32, u32)> {
        let Some(shift) = self.huge_shift else {
            return None;
        };
        // Nearly every span is short: say so before any rounding.
        if (end - start) >> shift == 0 {
            return None;
        }
        let mask = (1 << shift) - 1;
        let inner_end = end & !mask;
        let inner_start = start.saturating_add(mask) & !mask;
        if inner_start < inner_end {
            Some((inner_start, inner_end))
        } else {
            None
        }
    }

    /// Returns how many whole huge pages `start..end` holds.
    #[inline]
    pub(crate) const fn huge_count(self, start: u32, end: u32) -> u32 {
        match (self.huge_inside(start, end), self.huge_shift) {
            (Some((start, end)), Some(shift)) => (end - start) >> shift,
            _ => 0,
        }
    }
}

/// Why no [`Window`] was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowError {
    /// The origin is not aligned to a page, a physical page and a huge page.
    UnalignedOrigin,
    /// There are no pages, or the last one has no address.
    BadLength,
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnalignedOrigin => "the origin is not aligned to every page size",
            Self::BadLength => "the window is empty or its end has no address",
        })
    }
}

impl core::error::Error for WindowError {}

/// Why an address names no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The address does not begin a page.
    Unaligned,
    /// The address is outside of the window.
    Outside,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaligned => "the address does not begin a page",
            Self::Outside => "the address is outside of the window",
        })
    }
}

impl core::error::Error for AddressError {}

/// The addresses that a heap can ever manage: an origin, and pages from there.
///
/// The origin is aligned to a page, a physical page and a huge page, so that a
/// page number is aligned to one of these exactly if its address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    geometry: Geometry,
    origin: u64,
    pages: PageCount,
}

impl Window {
    /// A window without pages.
    pub(crate) const EMPTY: Self = Self {
        geometry: Geometry::SMALL_PAGES,
        origin: 0,
        pages: PageCount::ZERO,
    };

    /// Makes a window of `pages` pages from the address `origin` on.
    ///
    /// # Errors
    ///
    /// If the origin is not aligned to every page size, there are no pages, or
    /// the end of the last one is no `u64`.
    pub const fn new(
        geometry: Geometry,
        origin: u64,
        pages: PageCount,
    ) -> Result<Self, WindowError> {
        let huge = match geometry.huge_pages() {
            Some(count) => geometry.bytes(count),
            None => 1,
        };
        let mask = (geometry.page_bytes() - 1) | (geometry.physical_bytes - 1) | (huge - 1);
        if origin & mask != 0 {
            return Err(WindowError::UnalignedOrigin);
        }
        let end = match (pages.0 as u64).checked_mul(geometry.page_bytes()) {
            Some(bytes) => origin.checked_add(bytes),
            None => None,
        };
        if pages.0 == 0 || end.is_none() {
            return Err(WindowError::BadLength);
        }
        Ok(Self {
            geometry,
            origin,
            pages,
        })
    }

    /// Returns the page sizes.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Returns the address of page 0.
    #[must_use]
    pub const fn origin(&self) -> u64 {
        self.origin
    }

    /// Returns how many pages the window has.
    #[must_use]
    pub const fn pages(&self) -> PageCount {
        self.pages
    }

    /// Returns the address of a page of this window.
    #[must_use]
    pub const fn address_of(&self, page: Page) -> u64 {
        self.origin
            .wrapping_add((page.0 as u64) << self.geometry.page_shift)
    }

    /// Returns the bytes of a range of this window, as addresses.
    #[must_use]
    pub const fn bytes_of(&self, range: PageRange) -> Range<u64> {
        self.address_of(range.start())..self.address_of(range.end())
    }

    /// Returns the page that begins at `address`.
    ///
    /// # Errors
    ///
    /// If the address begins no page, or one outside of the window.
    pub const fn page_at(&self, address: u64) -> Result<Page, AddressError> {
        let Some(offset) = address.checked_sub(self.origin) else {
            return Err(AddressError::Outside);
        };
        let number = offset >> self.geometry.page_shift;
        if number >= self.pages.0 as u64 {
            return Err(AddressError::Outside);
        }
        if address & (self.geometry.page_bytes() - 1) != 0 {
            return Err(AddressError::Unaligned);
        }
        Ok(Page(number as u32))
    }

    /// Returns the `pages` pages from `address` on.
    ///
    /// # Errors
    ///
    /// If the address begins no page of the window, or there are none or too
    /// many pages ([`AddressError::Outside`]).
    pub fn range_at(&self, address: u64, pages: PageCount) -> Result<PageRange, AddressError> {
        let start = self.page_at(address)?;
        match PageRange::new(start, pages) {
            Some(range) if range.end().0 <= self.pages.0 => Ok(range),
            _ => Err(AddressError::Outside),
        }
    }
}
