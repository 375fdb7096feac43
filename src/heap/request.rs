//! What a caller asks for.
//!
//! A [`Request`] is built, not checked: the verb that takes it checks all of it
//! before it changes anything.

use core::ops::Range;

use crate::page::PageCount;

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
