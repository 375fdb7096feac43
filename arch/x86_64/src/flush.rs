//! What is stale after a batch, and the hook that makes every CPU forget it.
//!
//! One call for a batch, however many ranges it had, because telling another
//! CPU costs far more than what it is told. Only who runs the CPUs can do that,
//! so it is a hook; `flush_local` is what each of them then does.
//!
//! The hook is called with none of this crate's locks held. A CPU that waits
//! there for the others must still answer them, if two may do it at once and
//! interrupts are off.

use core::fmt;

use spanheap::Corruption;
use x86_64::VirtAddr;

/// Virtual addresses of which translations, or tables on the way to them, may
/// be cached that are no longer right.
///
/// The smallest range that holds all that changed. Most of it may not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    start: u64,
    end: u64,
}

impl Stale {
    /// Nothing.
    pub(crate) const NONE: Self = Self {
        start: u64::MAX,
        end: 0,
    };

    /// Widens it to hold `start..end`, too.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        self.start = self.start.min(start);
        self.end = self.end.max(end);
    }

    /// Returns whether there is anything to forget.
    pub(crate) const fn is_some(self) -> bool {
        self.start < self.end
    }

    /// Returns the first address; it begins a page of 4 KiB.
    #[must_use]
    pub const fn start(self) -> VirtAddr {
        VirtAddr::new_truncate(self.start)
    }

    /// Returns how many pages of 4 KiB from there on.
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.end.saturating_sub(self.start) / 4096
    }

    /// Returns whether the byte at `address` is in it.
    #[must_use]
    pub const fn contains(self, address: VirtAddr) -> bool {
        self.start <= address.as_u64() && address.as_u64() < self.end
    }
}

impl fmt::Debug for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

/// Makes every CPU forget translations.
///
/// # Safety
///
/// When `flush` returns, no CPU that uses the tables has a translation of an
/// address in `stale` cached that it loaded before the call, nor an entry of a
/// higher table on the way to it.
pub unsafe trait Shootdown {
    /// Makes every CPU forget what it has cached of `stale`.
    fn flush(&self, stale: Stale);

    /// What happens when the heap's metadata was overwritten: see
    /// [`Backing::corrupted`](spanheap::Backing::corrupted), of which this is
    /// the kernel's part. The default panics with the numbers.
    fn corrupted(what: Corruption) -> !
    where
        Self: Sized,
    {
        panic!("the heap's metadata was overwritten: {what:?}")
    }
}

/// A function or closure as a [`Shootdown`].
#[derive(Clone, Copy)]
pub struct Hook<F>(F);

impl<F: Fn(Stale)> Hook<F> {
    /// Makes a hook that calls `flush`.
    ///
    /// # Safety
    ///
    /// `flush` does what [`Shootdown`] promises. `flush_local` does, if no
    /// other CPU uses the tables.
    pub const unsafe fn new(flush: F) -> Self {
        Self(flush)
    }
}

// SAFETY: whoever made the hook promised it of the function.
unsafe impl<F: Fn(Stale)> Shootdown for Hook<F> {
    fn flush(&self, stale: Stale) {
        (self.0)(stale);
    }
}

impl<F> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// Makes this CPU forget what it has cached of `stale`: page by page if it is
/// short, else everything, global pages included.
///
/// Interrupts are the caller's: a handler that changes CR4 meanwhile loses its
/// change.
#[cfg(feature = "instructions")]
pub fn flush_local(stale: Stale) {
    use x86_64::instructions::tlb;
    use x86_64::registers::control::{Cr4, Cr4Flags};

    /// From about here on it is cheaper to load anew what is still needed.
    const PAGE_BY_PAGE: u64 = 32;

    let cr4 = Cr4::read();
    // With process contexts, one page is forgotten in the current one alone.
    if stale.pages() <= PAGE_BY_PAGE && !cr4.contains(Cr4Flags::PCID) {
        for page in 0..stale.pages() {
            tlb::flush(VirtAddr::new_truncate(stale.start + page * 4096));
        }
        return;
    }
    // To change this bit, in either direction, empties everything: global
    // pages and all contexts. To reload CR3 would leave both.
    // SAFETY: whether global pages are honoured changes what is cached and
    // nothing else.
    unsafe { Cr4::write(cr4 ^ Cr4Flags::PAGE_GLOBAL) };
    // SAFETY: this is what it was.
    unsafe { Cr4::write(cr4) };
}
