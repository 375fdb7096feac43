//! The three page sizes, and rounding to them.
//!
//! Sizes are powers of two and kept as shifts and masks: a division on the way
//! of every request would be the dearest thing on it.

use core::fmt;

use super::range::PageCount;

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

    /// Returns the power of two that a page's size in bytes is.
    pub(super) const fn page_shift(self) -> u32 {
        self.page_shift
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
