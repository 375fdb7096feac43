//! The shared heap and its verbs.
//!
//! What nearly every call comes to is in line here: a page out of this CPU's
//! claim, a page back into its block's word. All else is in `set_up`, in `search`
//! (where pages are found) and below.
//!
//! The lock is the treap's. Whoever takes it first returns the chunks that
//! others found to be free as a whole, so that a free never waits.

use core::fmt;

use super::cpu::Cpu;
use super::front::{Bits, Front, MAX_RUN};
use super::reclaim::return_some;
use super::word::{BLOCK, CHUNK};
use crate::backing::Backing;
use crate::heap::{AllocAtError, AllocError, Books, Class, FreeError, Ledger, Request, verbs};
use crate::page::{Page, PageCount, PageRange, Window};

pub(super) const ONE: PageCount = PageCount::new(1);

/// A page heap for many CPUs.
///
/// Pages are named by range or by address alone; there are no handles. All verbs
/// may be called from any CPU, and for pages that any CPU allocated.
///
/// # Interrupts
///
/// The lock is held with interrupts off, by [`Cpu::without_interrupts`]. If that
/// is implemented, handlers may use every verb, and wait for other CPUs at most;
/// but over a backing that takes a lock of its own with interrupts on, as a balloon
/// does, only [`try_alloc`](Self::try_alloc) and the frees, which do not call it.
/// If not, handlers may use [`try_alloc`](Self::try_alloc), and
/// [`free`](Self::free) of single pages that came from it: neither waits.
///
/// # Examples
///
/// ```
/// use spanheap::{Backing, Geometry, OneCpu, PageCount, PageRange, Refused, Residency};
/// use spanheap::{Page, SharedHeap, SharedMetadata, StaticFront, StaticMetadata, Window};
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
/// static BOOKS: StaticMetadata<64, 64> = StaticMetadata::new();
/// static FRONT: StaticFront<512> = StaticFront::new();
/// static HEAP: SharedHeap<'static, Always, OneCpu> = SharedHeap::empty(Always, OneCpu);
///
/// // 16 MiB, for one CPU.
/// let window = Window::new(Geometry::SMALL_PAGES, 0x20_0000, PageCount::new(4096))?;
/// let books = BOOKS.take().zip(FRONT.take()).ok_or("taken before")?;
/// HEAP.init(window, SharedMetadata::new(books.0, books.1, 1))?;
/// let all = PageRange::new(Page::new(0), PageCount::new(4096)).ok_or("no pages")?;
/// // SAFETY: these pages are numbers only; nobody touches memory.
/// unsafe { HEAP.add_region(all, Residency::Resident)? };
///
/// let page = HEAP.alloc(PageCount::new(1))?;
/// let run = HEAP.alloc(PageCount::new(5))?;
/// HEAP.free(run)?;
/// HEAP.free_at(window.address_of(page.start()), PageCount::new(1))?;
/// assert!(HEAP.free(page).is_err(), "it is free");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedHeap<'m, B, C> {
    pub(super) books: spin::Mutex<Ledger<'m>>,
    pub(super) tier: spin::Once<Tier<'m>>,
    pub(super) backing: B,
    pub(super) cpu: C,
}

/// What the fast paths need, without the lock: in lines of its own, which whoever has
/// the lock does not write to.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tier<'m> {
    pub(super) front: Front<'m>,
    pub(super) window: Window,
}

impl<B: fmt::Debug, C: fmt::Debug> fmt::Debug for SharedHeap<'_, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the books: to print them would take the lock.
        f.debug_struct("SharedHeap")
            .field("backing", &self.backing)
            .field("cpu", &self.cpu)
            .finish_non_exhaustive()
    }
}

impl<'m, B: Backing, C: Cpu> Books<'m> for &SharedHeap<'m, B, C> {
    fn with<R>(&mut self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R {
        self.cpu.without_interrupts(|| {
            let mut books = self.books.lock();
            #[cfg(any(test, feature = "fake"))]
            let _held = crate::backing::fake::Held::new();
            if let Some(tier) = self.tier.get() {
                return_some(tier, &mut books);
            }
            step(&mut books)
        })
    }
}

impl<'m, B: Backing, C: Cpu> SharedHeap<'m, B, C> {
    /// Hands out pages: as many as asked, or as a [`Request`] says.
    ///
    /// Up to 16 pages lie within a block of 64. One page takes no lock, but for
    /// every 512th or so.
    ///
    /// # Errors
    ///
    /// With no other call in progress, [`NoRun`](AllocError::NoRun) only if no
    /// page is free at all; for 2 to 16 pages, if no block and, once every chunk
    /// without a page in use is back there, the treap has no run of them; for
    /// more, or with an alignment or a window, if then the treap has none.
    // In line always: of most requests it is known that they are for one page, and
    // then little is left of this.
    #[inline(always)]
    pub fn alloc(&self, request: impl Into<Request>) -> Result<PageRange, AllocError> {
        let request = request.into();
        if request.pages == ONE && request.is_plain() {
            let popped = self.pop(request.class);
            return match popped {
                Some((range, true)) => Ok(range),
                popped => self.alloc_one(request.class, popped.map(|(range, _)| range)),
            };
        }
        self.alloc_otherwise(&request)
    }

    /// Hands out a page that this CPU has claimed: what nearly every request comes
    /// to. Says whether it is backed.
    #[inline(always)]
    fn pop(&self, class: Class) -> Option<(PageRange, bool)> {
        let tier = self.tier.get()?;
        let place = tier.front.place(self.cpu.index(), group(class))?;
        let page = tier.front.pop(place)?;
        Some((range_of(page, ONE)?, !tier.front.is_released(page, 1)))
    }

    /// Hands out one page without waiting for anybody: for interrupt handlers.
    /// No lock is taken, and no backing called.
    ///
    /// # Errors
    ///
    /// [`NoRun`](AllocError::NoRun) if no chunk of this class has a page at hand,
    /// although there may be others.
    #[inline]
    pub fn try_alloc(&self, class: Class) -> Result<PageRange, AllocError> {
        let tier = self.tier.get().ok_or(AllocError::NoRun)?;
        let place = tier.front.place(self.cpu.index(), group(class));
        let place = place.ok_or(AllocError::NoRun)?;
        loop {
            match tier.front.pop(place) {
                Some(page) if tier.front.is_released(page, 1) => {
                    // To be committed, which may wait.
                    let _ = tier.front.free_page(page);
                    return Err(AllocError::NoRun);
                }
                Some(page) => return range_of(page, ONE).ok_or(AllocError::NoRun),
                None if tier.front.refill(place) => {}
                None => return Err(AllocError::NoRun),
            }
        }
    }

    /// Hands out exactly these pages, if none of them is in a chunk of the front
    /// tier; see [`PageHeap::alloc_at`](crate::PageHeap::alloc_at).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::alloc_at`](crate::PageHeap::alloc_at); pages of a chunk
    /// with a page in use are in use.
    pub fn alloc_at(&self, address: u64, pages: PageCount) -> Result<PageRange, AllocAtError> {
        let found = verbs::alloc_at(self, &self.backing, address, pages);
        match found {
            Err(AllocAtError::InUse) if self.reclaim_chunks(u32::MAX) => {
                verbs::alloc_at(self, &self.backing, address, pages)
            }
            found => found,
        }
        .map(|span| span.range())
    }

    /// Frees what was handed out: exactly that.
    ///
    /// # Errors
    ///
    /// If the pages are free, no pages of the heap, or a part of what was handed
    /// out, or more. A second free of pages that were handed out again meanwhile
    /// cannot be told from a right one.
    #[inline(always)]
    pub fn free(&self, range: PageRange) -> Result<(), FreeError> {
        let tier = self.tier.get().ok_or(FreeError::Outside)?;
        let page = range.start().number();
        if range.count() == ONE && tier.front.free_plain(page, || self.cpu.index()) {
            return Ok(());
        }
        self.free_otherwise(tier, range)
    }

    /// Frees what was handed out, by address and length.
    ///
    /// # Errors
    ///
    /// As for [`free`](Self::free), or if the address does not begin a page.
    pub fn free_at(&self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.free(self.range_at(address, pages)?)
    }

    /// Frees a part of what was handed out, or all of it. What remains is freed
    /// in one part or several.
    ///
    /// # Errors
    ///
    /// As for [`free`](Self::free), but that the range may be a part.
    pub fn free_part(&self, part: PageRange) -> Result<(), FreeError> {
        let tier = self.tier.get().ok_or(FreeError::Outside)?;
        let (page, count) = (part.start().number(), part.count().get());
        let freed = tier.front.free_part(page, count);
        freed.unwrap_or_else(|| {
            let address = tier.window.address_of(part.start());
            self.locked(|ledger| ledger.free_part_at(address, part.count()))
        })
    }

    /// Frees a part of what was handed out, by address and length.
    ///
    /// # Errors
    ///
    /// As for [`free_part`](Self::free_part), or if the address does not begin a
    /// page.
    pub fn free_part_at(&self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        self.free_part(self.range_at(address, pages)?)
    }

    /// Returns the backing.
    #[must_use]
    pub const fn backing(&self) -> &B {
        &self.backing
    }

    /// Returns the CPUs.
    #[must_use]
    pub const fn cpu(&self) -> &C {
        &self.cpu
    }

    /// Returns the window.
    #[must_use]
    pub fn window(&self) -> Window {
        self.tier.get().map_or(Window::EMPTY, |tier| tier.window)
    }

    #[inline(never)]
    fn free_otherwise(&self, tier: &Tier<'m>, range: PageRange) -> Result<(), FreeError> {
        let (page, count) = (range.start().number(), range.count().get());
        let freed = match count {
            1 => tier.front.free_page(page),
            2..=MAX_RUN => tier.front.free_run(page, count),
            _ => None,
        };
        freed.unwrap_or_else(|| self.free_long(tier, range))
    }

    #[cold]
    fn free_long(&self, tier: &Tier<'m>, range: PageRange) -> Result<(), FreeError> {
        let page = range.start().number();
        if tier.front.state(page / CHUNK).is_front() {
            // Longer than anything there.
            let word = tier.front.word(Bits::Free, page / BLOCK);
            let word = word.map_or(0, |word| word.load(super::atomic::Ordering::Relaxed));
            let free = (word | tier.front.claimed_of(page / BLOCK)) >> (page % BLOCK) & 1 == 1;
            return Err(if free {
                FreeError::NotInUse
            } else {
                FreeError::WrongLength
            });
        }
        let address = tier.window.address_of(range.start());
        self.locked(|ledger| ledger.free_at(address, range.count()))
    }

    fn range_at(&self, address: u64, pages: PageCount) -> Result<PageRange, FreeError> {
        if pages.get() == 0 {
            return Err(FreeError::ZeroPages);
        }
        Ok(self.window().range_at(address, pages)?)
    }

    /// Fills what was handed out with zeroes, if that was asked for. Pages that
    /// were in chunks always need it.
    #[inline]
    pub(super) fn zeroed(&self, request: &Request, range: PageRange) -> PageRange {
        if request.zeroed {
            self.backing.zero(range);
        }
        range
    }

    /// Commits what is not backed of pages that were just claimed, or gives them
    /// back. Their chunk counts as resident already, so that the limit is only kept to
    /// if it was lowered below that.
    pub(super) fn commit(&self, tier: &Tier<'m>, range: PageRange) -> Result<(), AllocError> {
        if !tier
            .front
            .is_released(range.start().number(), range.count().get())
        {
            return Ok(());
        }
        let done = if self.locked(|ledger| ledger.is_beyond_limit()) {
            Err(AllocError::Limit)
        } else {
            self.backing.sys_used(range).map_err(AllocError::Refused)
        };
        match done {
            Ok(()) => tier.note_committed(range),
            Err(_) => {
                let _ = self.free(range);
            }
        }
        done
    }

    pub(super) fn tier(&self) -> Option<&Tier<'m>> {
        self.tier.get()
    }

    /// Does one step on the books, with the lock held.
    pub(super) fn locked<R>(&self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R {
        let mut books = self;
        books.with(step)
    }
}

impl Tier<'_> {
    pub(super) fn address(&self, chunk: u32) -> u64 {
        self.window.address_of(Page::new(chunk * CHUNK))
    }
}

/// Returns the group whose chunks a class shares.
pub(super) const fn group(class: Class) -> usize {
    match class {
        Class::Movable => 1,
        Class::Unmovable | Class::Reclaimable => 0,
    }
}

#[inline]
pub(super) fn range_of(page: u32, count: PageCount) -> Option<PageRange> {
    PageRange::new(Page::new(page), count)
}
