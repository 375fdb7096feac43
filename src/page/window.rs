//! The window: what ties page numbers to addresses.
//!
//! Invariant: a page inside the window has an address that does not overflow.

use core::fmt;
use core::ops::Range;

use super::geometry::Geometry;
use super::range::{Page, PageCount, PageRange};

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
        let mask = (geometry.page_bytes() - 1) | (geometry.physical_bytes() - 1) | (huge - 1);
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
            .wrapping_add((page.0 as u64) << self.geometry.page_shift())
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
        let number = offset >> self.geometry.page_shift();
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
