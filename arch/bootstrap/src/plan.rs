//! A heap whose books lie in the first pages of its own first region.
//!
//! The first pages, and as few whole physical pages as hold the books: first
//! fit fills a heap from its low end, so books at the high end would stand
//! where the long free runs are, and in the way of the next region.
//!
//! What can fail is found by [`Plan::new`], which touches nothing; a kernel may
//! plan for region after region until one serves.
//!
//! Invariant: `books` and `pages` are disjoint and together the whole region;
//! the pages of `books` are never the heap's, so it cannot hand them out.

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use spanheap::{
    Backing, LockedHeap, Metadata, MetadataError, Page, PageCount, PageHeap, PageRange,
    RegionError, Residency, Window, metadata_size,
};

use crate::metadata::metadata_in;

/// Why a region is no heap. Nothing was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The region has no page left when the books are in it.
    RegionTooSmall {
        /// The pages that the books take, whole physical ones.
        books: PageCount,
        /// The region's pages.
        region: PageCount,
    },
    /// The memory cannot hold the books.
    Metadata(MetadataError),
    /// The heap cannot manage the region.
    Region(RegionError),
}

impl fmt::Display for BootstrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegionTooSmall { books, region } => write!(
                f,
                "the heap's books take {} pages of a region of {}",
                books.get(),
                region.get()
            ),
            Self::Metadata(why) => why.fmt(f),
            Self::Region(why) => why.fmt(f),
        }
    }
}

impl core::error::Error for BootstrapError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::RegionTooSmall { .. } => None,
            Self::Metadata(why) => Some(why),
            Self::Region(why) => Some(why),
        }
    }
}

impl From<MetadataError> for BootstrapError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl From<RegionError> for BootstrapError {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

/// How a region is divided: pages for the books, and pages for the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    window: Window,
    slots: u32,
    grain: u32,
    /// The bytes of the books, in the pages of `books`.
    bytes: usize,
    books: PageRange,
    pages: PageRange,
}

impl Plan {
    /// Divides `region`, for a heap over `window` with `slots` span records and
    /// a page map of one entry for `grain` pages; see [`metadata_size`].
    ///
    /// # Errors
    ///
    /// If there are no slots or too many, the region is not all in the window
    /// or ends inside a physical page, or it has no page beside the books.
    pub fn new(
        window: &Window,
        region: PageRange,
        slots: u32,
        grain: u32,
    ) -> Result<Self, BootstrapError> {
        if slots == 0 {
            return Err(MetadataError::NoSlots.into());
        }
        let size = metadata_size(window, slots, grain).ok_or(MetadataError::TooManySlots)?;
        if region.end().number() > window.pages().get() {
            return Err(RegionError::OutsideWindow.into());
        }
        let physical = window.geometry().physical_pages().get();
        if !region.end().number().is_multiple_of(physical) {
            return Err(RegionError::Unaligned.into());
        }
        let too_small = |books| BootstrapError::RegionTooSmall {
            books,
            region: region.count(),
        };
        let start = region.start();
        let end = window
            .geometry()
            .pages_for(size.bytes as u64)
            .and_then(|count| start.number().checked_add(count.get()))
            .and_then(|end| end.checked_next_multiple_of(physical))
            .map(Page::new)
            .ok_or(too_small(PageCount::new(u32::MAX)))?;
        let books = PageRange::between(start, end).ok_or(MetadataError::NoSlots)?;
        let pages = PageRange::between(end, region.end()).ok_or(too_small(books.count()))?;
        Ok(Self {
            window: *window,
            slots,
            grain,
            bytes: size.bytes,
            books,
            pages,
        })
    }

    /// Returns the pages that hold the books: the region's first ones. They are
    /// never handed out.
    #[must_use]
    pub const fn books(&self) -> PageRange {
        self.books
    }

    /// Returns the pages that are the heap's: all behind the books.
    #[must_use]
    pub const fn pages(&self) -> PageRange {
        self.pages
    }

    /// Makes the books at `memory`.
    ///
    /// # Safety
    ///
    /// Nothing else uses the `bytes` bytes there, which can be read and written
    /// for as long as `'m`.
    unsafe fn metadata<'m>(&self, memory: NonNull<u8>) -> Result<Metadata<'m>, MetadataError> {
        let first = memory.as_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the caller promises that these bytes are there and nobody
        // else's for `'m`; of what they hold, `MaybeUninit` asks nothing.
        let bytes = unsafe { slice::from_raw_parts_mut(first, self.bytes) };
        metadata_in(bytes, &self.window, self.slots, self.grain)
    }
}

/// Makes a heap of a region, with its books in the region's first pages.
///
/// `memory` is where those pages are visible: their address in the kernel's
/// direct map, or the address itself where memory is mapped one to one.
/// `residency` is that of the pages behind them, the heap's.
///
/// # Errors
///
/// If `memory` is not aligned for the books. What else could fail was found by
/// [`Plan::new`].
///
/// # Safety
///
/// * The bytes of [`plan.books()`](Plan::books) can be read and written at
///   `memory` for as long as `'m`, and nothing else uses them.
/// * Of [`plan.pages()`](Plan::pages) the caller promises what
///   [`PageHeap::add_region`] asks for.
///
/// # Examples
///
/// ```
/// use core::ptr::NonNull;
/// use spanheap::{Geometry, Page, PageCount, PageRange, Residency, Window};
/// use spanheap_bootstrap::{Plan, bootstrap};
/// # use spanheap::{Backing, Refused};
/// # struct Always;
/// # // SAFETY: commits and releases nothing, so nothing can be lost.
/// # unsafe impl Backing for Always {
/// #     fn sys_used(&self, _: PageRange) -> Result<(), Refused> { Ok(()) }
/// #     fn sys_unused(&self, _: &[PageRange]) -> usize { 0 }
/// #     fn zero(&self, _: PageRange) {}
/// # }
/// # #[derive(Clone)]
/// # #[repr(align(4096))]
/// # struct Frame([u8; 4096]);
///
/// // The machine's memory: 256 frames from 16 MiB on.
/// let mut ram = vec![Frame([0xaa; 4096]); 256];
/// let memory = NonNull::from(&mut ram[0]).cast::<u8>();
///
/// let window = Window::new(Geometry::SMALL_PAGES, 16 << 20, PageCount::new(256))?;
/// let region = PageRange::new(Page::new(0), PageCount::new(256)).ok_or("no pages")?;
/// let plan = Plan::new(&window, region, 256, 1)?;
/// // SAFETY: `ram` is not used while there is a heap.
/// let mut heap = unsafe { bootstrap(&plan, memory, Residency::Resident, Always)? };
///
/// // 256 slots of 48 bytes and 256 entries of 4: four pages.
/// assert_eq!(plan.books().count(), PageCount::new(4));
/// assert_eq!(heap.stats().idle, PageCount::new(252));
/// let span = heap.alloc(PageCount::new(252))?;
/// assert_eq!(window.address_of(span.range().start()), (16 << 20) + 4 * 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub unsafe fn bootstrap<'m, B: Backing>(
    plan: &Plan,
    memory: NonNull<u8>,
    residency: Residency,
    backing: B,
) -> Result<PageHeap<'m, B>, BootstrapError> {
    // SAFETY: the caller's first promise; the books' bytes lie in these pages.
    let metadata = unsafe { plan.metadata(memory) }?;
    let mut heap = PageHeap::new(plan.window, metadata, backing)?;
    // SAFETY: the caller's second promise.
    unsafe { heap.add_region(plan.pages, residency) }?;
    Ok(heap)
}

/// Sets up a [`LockedHeap`] that was made empty, in a `static` for example,
/// with its books in a region's first pages; otherwise like [`bootstrap`].
///
/// # Errors
///
/// If the heap was set up before, or `memory` is not aligned for the books.
///
/// # Safety
///
/// As for [`bootstrap`].
pub unsafe fn bootstrap_locked<'m, B: Backing>(
    plan: &Plan,
    memory: NonNull<u8>,
    residency: Residency,
    heap: &LockedHeap<'m, B>,
) -> Result<(), BootstrapError> {
    // Before the memory is written to: if this is the second call for it, the
    // heap's books are there.
    if heap.window().pages() != PageCount::ZERO {
        return Err(MetadataError::AlreadySetUp.into());
    }
    // SAFETY: the caller's first promise; the books' bytes lie in these pages.
    let metadata = unsafe { plan.metadata(memory) }?;
    heap.init(plan.window, metadata)?;
    // SAFETY: the caller's second promise.
    unsafe { heap.add_region(plan.pages, residency) }?;
    Ok(())
}
