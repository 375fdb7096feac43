//! How a reservation is made and used: what a user may want otherwise.
//!
//! Values with a good default each; [`HostedBacking::reserve`] takes them all.

use spanheap::{Geometry, PageCount};

use crate::backing::HostedBacking;
use crate::error::HostedError;

/// Whether the kernel may back the reservation with transparent huge pages.
///
/// They make the first touch of much memory, and the release of a whole huge
/// page, several times faster, and save TLB misses. But the kernel makes one as
/// soon as a single page of it is touched, and `khugepaged` may make one of a
/// few at any time. The heap does not know: what it has released comes back
/// with a neighbour's first touch, and is not released again, because for the
/// heap it is released.
///
/// And a part of a huge page cannot be given back: the resident set falls, but
/// the kernel keeps all of it until it is short of memory and splits it. (Seen
/// on Linux 6.18: half of each huge page of 1 GiB released, the resident set
/// fell by 512 MiB, and the machine's available memory did not rise at all.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HugePages {
    /// None. What is resident follows the heap's books to the page: the
    /// resident set never exceeds what the heap counts as resident.
    #[default]
    Never,
    /// As the system is configured (`/sys/kernel/mm/transparent_hugepage`).
    Inherit,
    /// Wherever they fit. For heaps that are used in large runs, and released
    /// in whole huge pages only.
    Advise,
}

/// How several ranges are released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Batching {
    /// Many in one call, by `process_madvise`, if the kernel and the sandbox
    /// let a process release its own memory so (Linux after 6.14), which is
    /// tried when the reservation is made; one by one if not.
    ///
    /// Seen on Linux 6.18, against the loop: 3 to 5 times as fast for ranges of
    /// a page, 2.5 times for 64 KiB, no different from 2 MiB on.
    #[default]
    Vectored,
    /// One by one, by `madvise`.
    Loop,
}

/// The options of a reservation.
///
/// ```
/// use spanheap::{Geometry, PageCount};
/// use spanheap_hosted::{HostedOptions, HugePages};
///
/// // 1 GiB of address space; the heap takes it 64 MiB at a time.
/// let backing = HostedOptions::new()
///     .huge_pages(HugePages::Inherit)
///     .growing_by(PageCount::new(16 << 10))
///     .reserve(Geometry::SMALL_PAGES, PageCount::new(1 << 18))?;
/// assert_eq!(backing.window().pages(), PageCount::new(1 << 18));
/// # Ok::<(), spanheap_hosted::HostedError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostedOptions {
    pub(crate) huge_pages: HugePages,
    pub(crate) batching: Batching,
    pub(crate) step: Option<PageCount>,
}

impl HostedOptions {
    /// The defaults: no huge pages, batches where there are any, no growth.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            huge_pages: HugePages::Never,
            batching: Batching::Vectored,
            step: None,
        }
    }

    /// Says whether there may be transparent huge pages.
    #[must_use]
    pub const fn huge_pages(self, huge_pages: HugePages) -> Self {
        Self { huge_pages, ..self }
    }

    /// Says how several ranges are released.
    #[must_use]
    pub const fn batching(self, batching: Batching) -> Self {
        Self { batching, ..self }
    }

    /// Gives the reservation to the heap by itself, at least `step` pages at a
    /// time, whenever the heap has no room: no region needs to be added by
    /// hand, and so no `unsafe`.
    ///
    /// Regions never merge, so no span is longer than one of these steps, or
    /// than the request that led to it. A step of the whole window is a good
    /// one: address space costs nothing until it is used.
    #[must_use]
    pub const fn growing_by(self, step: PageCount) -> Self {
        Self {
            step: Some(step),
            ..self
        }
    }

    /// Reserves address space for a window of at least `pages` pages; see
    /// [`HostedBacking::reserve`].
    ///
    /// # Errors
    ///
    /// As for [`HostedBacking::reserve`].
    pub fn reserve(
        self,
        geometry: Geometry,
        pages: PageCount,
    ) -> Result<HostedBacking, HostedError> {
        HostedBacking::with(self, geometry, pages)
    }
}
