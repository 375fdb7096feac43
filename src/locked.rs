//! The page heap behind one spin lock: the simple choice for many CPUs.
//!
//! The same verbs as [`PageHeap`](crate::PageHeap), on `&self`. The lock is
//! held for one half of a verb at a time, and never while the backing is
//! called: a commit that takes a millisecond keeps nobody waiting, and a
//! backing may call the heap again.
//!
//! Interrupts are the caller's: a handler that calls the heap while the CPU it
//! interrupted holds the lock waits for ever.

use core::fmt;

use crate::backing::{Backing, Residency};
use crate::heap::{
    AllocAtError, AllocError, Books, Budget, FreeError, Inconsistency, Ledger, RegionError,
    Release, Request, ResizeError, Rest, Stats, verbs,
};
use crate::page::{Page, PageCount, PageRange, Window};
use crate::region::MemoryMap;
use crate::span::{Metadata, MetadataError, Span, SpanInfo};

/// A page heap that any CPU may use, behind one spin lock.
///
/// # Examples
///
/// In a `static`, empty until the memory map is known:
///
/// ```
/// use spanheap::{Backing, Geometry, LockedHeap, PageCount, PageRange, Refused};
/// use spanheap::{Page, Residency, StaticMetadata, Window};
///
/// /// Memory that is always there.
/// struct Always;
///
/// // SAFETY: commits and releases nothing, so nothing can be lost.
/// unsafe impl Backing for Always {
///     fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
///         Ok(())
///     }
///     fn sys_unused(&self, _: &[PageRange]) -> usize {
///         0
///     }
///     fn zero(&self, _: PageRange) {}
/// }
///
/// static METADATA: StaticMetadata<64, 16> = StaticMetadata::new();
/// static HEAP: LockedHeap<'static, Always> = LockedHeap::empty(Always);
///
/// let window = Window::new(Geometry::SMALL_PAGES, 0x20_0000, PageCount::new(1024))?;
/// HEAP.init(window, METADATA.take().ok_or("taken before")?)?;
/// let all = PageRange::new(Page::new(0), PageCount::new(1024)).ok_or("no pages")?;
/// // SAFETY: these pages are numbers only; nobody touches memory.
/// unsafe { HEAP.add_region(all, Residency::Resident)? };
///
/// let span = HEAP.alloc(PageCount::new(3))?;
/// HEAP.free(span)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LockedHeap<'m, B> {
    books: spin::Mutex<Ledger<'m>>,
    backing: B,
}

impl<B: fmt::Debug> fmt::Debug for LockedHeap<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the books: to print them would take the lock.
        f.debug_struct("LockedHeap")
            .field("backing", &self.backing)
            .finish_non_exhaustive()
    }
}

impl<'m, B: Backing> Books<'m> for &LockedHeap<'m, B> {
    #[inline]
    fn with<R>(&mut self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R {
        let mut books = self.books.lock();
        #[cfg(any(test, feature = "fake"))]
        let _held = crate::backing::fake::Held::new();
        step(&mut books)
    }
}

impl<'m, B: Backing> LockedHeap<'m, B> {
    /// Makes a heap for a `static`: it refuses every request until
    /// [`init`](Self::init) gives it a window and memory for its books.
    #[must_use]
    pub const fn empty(backing: B) -> Self {
        Self {
            books: spin::Mutex::new(Ledger::empty(B::corrupted)),
            backing,
        }
    }

    /// Makes a heap without regions, which can manage pages of `window`.
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::new`](crate::PageHeap::new).
    pub fn new(window: Window, metadata: Metadata<'m>, backing: B) -> Result<Self, MetadataError> {
        let heap = Self::empty(backing);
        heap.init(window, metadata)?;
        Ok(heap)
    }

    /// Gives a heap made by [`empty`](Self::empty) its window and the memory
    /// for its books.
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::new`](crate::PageHeap::new), or if the heap was set
    /// up before.
    pub fn init(&self, window: Window, metadata: Metadata<'m>) -> Result<(), MetadataError> {
        let zeroes = self.backing.zeroes_released();
        self.locked(|ledger| ledger.init(window, metadata, zeroes, B::corrupted))
    }

    /// Seeds the treap's priorities; see [`PageHeap::seed`](crate::PageHeap::seed).
    pub fn seed(&self, seed: u64) {
        self.locked(|ledger| ledger.seed(seed));
    }

    /// Adds a region; see [`PageHeap::add_region`](crate::PageHeap::add_region).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::add_region`](crate::PageHeap::add_region).
    ///
    /// # Safety
    ///
    /// As for [`PageHeap::add_region`](crate::PageHeap::add_region).
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_region(
        &self,
        range: PageRange,
        residency: Residency,
    ) -> Result<(), RegionError> {
        self.locked(|ledger| ledger.add_region(range, residency))
    }

    /// Adds a boot memory map; see [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    ///
    /// # Safety
    ///
    /// As for [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_memory(
        &self,
        map: &MemoryMap<'_>,
        residency: Residency,
    ) -> Result<PageCount, RegionError> {
        self.locked(|ledger| ledger.add_memory(map, residency))
    }

    /// Hands out pages; see [`PageHeap::alloc`](crate::PageHeap::alloc).
    ///
    /// Pages that another CPU's call has detached at the moment, or is about to
    /// add, count as not free.
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::alloc`](crate::PageHeap::alloc).
    pub fn alloc(&self, request: impl Into<Request>) -> Result<Span, AllocError> {
        verbs::alloc(self, &self.backing, &request.into())
    }

    /// Hands out exactly these pages; see [`PageHeap::alloc_at`](crate::PageHeap::alloc_at).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::alloc_at`](crate::PageHeap::alloc_at).
    pub fn alloc_at(&self, address: u64, pages: PageCount) -> Result<Span, AllocAtError> {
        verbs::alloc_at(self, &self.backing, address, pages)
    }

    /// Frees a span; see [`PageHeap::free`](crate::PageHeap::free).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::free`](crate::PageHeap::free).
    pub fn free(&self, span: Span) -> Result<(), FreeError> {
        self.locked(|ledger| ledger.free_handle(span))
    }

    /// Frees a span by address and length; see
    /// [`PageHeap::free_at`](crate::PageHeap::free_at).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::free_at`](crate::PageHeap::free_at).
    pub fn free_at(&self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.locked(|ledger| ledger.free_at(address, pages))
    }

    /// Frees a part of a span; see [`PageHeap::free_part`](crate::PageHeap::free_part).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::free_part`](crate::PageHeap::free_part).
    pub fn free_part(&self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        self.locked(|ledger| ledger.free_part(span, part))
    }

    /// Frees a part of a span by address; see
    /// [`PageHeap::free_part_at`](crate::PageHeap::free_part_at).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::free_part_at`](crate::PageHeap::free_part_at).
    pub fn free_part_at(&self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.locked(|ledger| ledger.free_part_at(address, pages))
    }

    /// Shrinks a span; see [`PageHeap::shrink`](crate::PageHeap::shrink).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::shrink`](crate::PageHeap::shrink).
    pub fn shrink(&self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        self.locked(|ledger| ledger.shrink(span, pages))
    }

    /// Grows a span in place; see [`PageHeap::grow`](crate::PageHeap::grow).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::grow`](crate::PageHeap::grow).
    pub fn grow(&self, span: Span, pages: PageCount) -> Result<Span, ResizeError> {
        verbs::grow(self, &self.backing, span, pages)
    }

    /// Gives idle memory back; see [`PageHeap::release`](crate::PageHeap::release).
    /// The lock is free between its batches, and while the backing works.
    pub fn release(&self, budget: Budget) -> Release {
        verbs::release(self, &self.backing, budget)
    }

    /// Sets the clock by which huge pages age; see
    /// [`PageHeap::tick`](crate::PageHeap::tick).
    pub fn tick(&self, now: u32, until: u32) {
        self.locked(|ledger| ledger.tick(now, until));
    }

    /// Sets the same clock to a time later than expected; see
    /// [`PageHeap::catch_up`](crate::PageHeap::catch_up). The lock is free now and then.
    pub fn catch_up(&self, ms: u32) {
        verbs::catch_up(self, ms);
    }

    /// Sets the most bytes that may be resident; see
    /// [`PageHeap::set_limit`](crate::PageHeap::set_limit).
    pub fn set_limit(&self, bytes: u64) {
        self.locked(|ledger| ledger.set_limit(bytes));
    }

    /// Gives all idle memory back.
    pub fn release_all(&self) -> Release {
        self.release(Budget::ALL)
    }

    /// Returns the heap's counters, all of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.locked(|ledger| ledger.stats())
    }

    /// Returns all spans, in address order. The lock is taken anew for each, so
    /// that what changes meanwhile may be seen or missed.
    pub fn spans(&self) -> impl Iterator<Item = SpanInfo> {
        let mut from = Page::new(0);
        core::iter::from_fn(move || {
            let info = self.locked(|ledger| ledger.span_from(from))?;
            from = info.range.end();
            Some(info)
        })
    }

    /// Returns the span that holds the byte at `address`, if it is managed.
    #[must_use]
    pub fn span_of(&self, address: u64) -> Option<SpanInfo> {
        self.locked(|ledger| ledger.span_of(address))
    }

    /// Checks the books; see [`PageHeap::check`](crate::PageHeap::check).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::check`](crate::PageHeap::check).
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.locked(|ledger| ledger.check())
    }

    /// Returns the backing.
    #[must_use]
    pub const fn backing(&self) -> &B {
        &self.backing
    }

    /// Returns the window.
    #[must_use]
    pub fn window(&self) -> Window {
        self.locked(|ledger| *ledger.window())
    }

    /// Does one step on the books, with the lock held.
    fn locked<R>(&self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R {
        let mut books = self;
        books.with(step)
    }
}
