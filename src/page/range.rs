//! Pages, counts of them and runs of them: numbers with a meaning.
//!
//! Invariant: a [`PageRange`] is never empty, and its end never overflows.

use core::fmt;
use core::num::NonZeroU64;

/// A page, by its number from the window's origin; not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Page(pub(super) u32);

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
pub struct PageCount(pub(super) u32);

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
///
/// One word: the first page above, how many there are below. Two fields would be
/// stored one by one where a range is returned in memory, and a load of both has
/// to wait until both stores have left the processor's store buffer: a quarter of
/// an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PageRange(NonZeroU64);

impl PageRange {
    /// Returns the `count` pages from `start` on; `None` if that is none or
    /// reaches past the last page number.
    #[must_use]
    pub const fn new(start: Page, count: PageCount) -> Option<Self> {
        if count.0 == 0 || start.0.checked_add(count.0).is_none() {
            return None;
        }
        match NonZeroU64::new((start.0 as u64) << 32 | count.0 as u64) {
            Some(word) => Some(Self(word)),
            None => None,
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
        Page((self.0.get() >> 32) as u32)
    }

    /// Returns the page after the last.
    #[must_use]
    pub const fn end(self) -> Page {
        Page(self.start().0.wrapping_add(self.count().0))
    }

    /// Returns how many pages there are: at least one.
    #[must_use]
    pub const fn count(self) -> PageCount {
        PageCount(self.0.get() as u32)
    }

    /// Returns whether `page` is one of these.
    #[must_use]
    pub const fn contains(self, page: Page) -> bool {
        self.start().0 <= page.0 && page.0 < self.end().0
    }

    /// Returns whether every page of `other` is one of these.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start().0 <= other.start().0 && other.end().0 <= self.end().0
    }

    /// Returns the pages that are in both ranges, if there are any.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::between(self.start().max(other.start()), self.end().min(other.end()))
    }

    /// Returns the pages, in order.
    pub fn pages(self) -> impl DoubleEndedIterator<Item = Page> {
        (self.start().0..self.end().0).map(Page)
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start().0, self.end().0)
    }
}
