//! The backing: a reservation, how far it is committed, and how it releases.
//!
//! A page is committed by giving it access, once: `mprotect` from where the
//! last one ended to where this one ends. First fit takes low addresses first,
//! so one watermark serves, and its advance is rounded up to a huge page: one
//! call for 2 MiB costs far less than the first touch of them. The other shapes
//! were left for these reasons:
//!
//! * Access for each `sys_used`, none after each `sys_unused` (so that a touch
//!   of a released page faults) splits the mapping at every hole: the kernel
//!   allows a process 65,530 mappings and refuses the next. Here there are
//!   three, whatever was released.
//! * Access to everything at once would be charged whole where the system does
//!   not overcommit (`vm.overcommit_memory` 2) or limits data (`RLIMIT_DATA`).
//!   By watermark the charge follows the heap's use, and a refusal comes where
//!   the heap can hear it: `sys_used` answers `Refused` with the `errno`. It
//!   does not fall again: `MADV_DONTNEED` gives back memory, not the charge.
//! * `MADV_POPULATE_WRITE` would say whether there is memory *now*. It costs
//!   what touching costs, also for pages never touched.
//!
//! So where the system overcommits, and by default it does, the first touch of
//! a page can still end in the kernel's out-of-memory killer, like everywhere.
//!
//! A page is released by `MADV_DONTNEED`, not `MADV_FREE`, which leaves the
//! resident set as it is until the kernel is short. Committed again, it reads
//! as zero, and its access was never taken away, so `sys_used` of it is one
//! atomic load.
//!
//! Invariant: the bytes before `committed` are readable and writable, and those
//! before `handed` were given to the heap by `grow`; neither ever falls.

use std::num::TryFromIntError;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use spanheap::{Backing, Geometry, Growth, Page, PageCount, PageRange, Refused, Residency, Window};

use crate::error::HostedError;
use crate::options::{Batching, HostedOptions, HugePages};
use crate::release::release;
use crate::reservation::{Reservation, system_page};
use crate::rss::{RssError, Usage, usage_of};

/// Memory of this process under a heap: reserved whole, committed as it is
/// used, given back when it is idle, unmapped with the value.
///
/// The window's origin is the reservation's address, so the heap's addresses
/// are addresses of this process; [`pointer`](Self::pointer) makes pointers of
/// page ranges. They are valid while the backing lives.
#[derive(Debug)]
pub struct HostedBacking {
    reservation: Reservation,
    window: Window,
    range: PageRange,
    page: usize,
    physical: usize,
    /// A multiple of `physical`: what the watermark is rounded up to.
    commit_step: usize,
    batching: Batching,
    grow_step: Option<PageCount>,
    committed: AtomicUsize,
    handed: AtomicU32,
    last_error: Mutex<Option<HostedError>>,
}

impl HostedBacking {
    /// Reserves address space for a window of `pages` pages, rounded up to
    /// whole physical pages, with the default [options](HostedOptions).
    ///
    /// Reserving takes no memory and is not charged. The window's origin is
    /// aligned to a huge page.
    ///
    /// # Errors
    ///
    /// If a physical page is no multiple of the system's page, there are no
    /// pages or too many, or the system refuses the reservation.
    pub fn reserve(geometry: Geometry, pages: PageCount) -> Result<Self, HostedError> {
        HostedOptions::new().reserve(geometry, pages)
    }

    pub(crate) fn with(
        options: HostedOptions,
        geometry: Geometry,
        pages: PageCount,
    ) -> Result<Self, HostedError> {
        let system = system_page() as u64;
        if !geometry.physical_bytes().is_multiple_of(system) {
            return Err(HostedError::PhysicalPage {
                physical: geometry.physical_bytes(),
                system,
            });
        }
        let huge = geometry.huge_pages().map_or(0, |huge| geometry.bytes(huge));
        let page = bytes(geometry.page_bytes())?;
        let physical = bytes(geometry.physical_bytes())?;
        let align = page.max(physical).max(bytes(huge)?);
        let unit = geometry.physical_pages().get();
        let pages = pages
            .get()
            .checked_next_multiple_of(unit)
            .map(PageCount::new)
            .ok_or(HostedError::TooLarge)?;
        // An empty window is the window's error, not the kernel's.
        Window::new(geometry, 0, pages)?;
        let len = geometry.page_bytes().checked_mul(u64::from(pages.get()));
        let len = bytes(len.ok_or(HostedError::TooLarge)?)?;
        let reservation = Reservation::new(len, align)?;
        let window = Window::new(geometry, reservation.origin() as u64, pages)?;
        let range = PageRange::new(Page::new(0), pages).ok_or(HostedError::TooLarge)?;
        match options.huge_pages {
            HugePages::Inherit => {}
            HugePages::Advise => reservation.advise_huge(true)?,
            HugePages::Never => match reservation.advise_huge(false) {
                // The answer of a kernel that has none.
                Err(why) if why.errno == libc::EINVAL => {}
                other => other?,
            },
        }
        let batching = match options.batching {
            // Nothing was touched yet, so there is nothing to lose.
            Batching::Vectored => {
                let first = 0..system_page();
                match reservation.discard_many(std::slice::from_ref(&first)) {
                    Ok(done) if done > 0 => Batching::Vectored,
                    _ => Batching::Loop,
                }
            }
            Batching::Loop => Batching::Loop,
        };
        Ok(Self {
            reservation,
            window,
            range,
            page,
            physical,
            commit_step: align,
            batching,
            grow_step: options.step,
            committed: AtomicUsize::new(0),
            handed: AtomicU32::new(0),
            last_error: Mutex::new(None),
        })
    }

    /// Returns the window to make the heap with.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Returns all pages: the region to add to the heap, as
    /// [`Residency::Released`], unless it [grows](HostedOptions::growing_by)
    /// by itself.
    #[must_use]
    pub const fn range(&self) -> PageRange {
        self.range
    }

    /// Returns how several ranges are released: what was asked for, or
    /// [`Batching::Loop`] where the system has nothing better.
    #[must_use]
    pub const fn batching(&self) -> Batching {
        self.batching
    }

    /// Returns a pointer to the bytes of `range`; `None` if they are not all
    /// in the window.
    ///
    /// The bytes of a span in use can be read and written through it until the
    /// span is freed. To make a reference is to promise that nobody frees the
    /// span, or calls [`Backing::sys_unused`] with it, while that lives.
    #[must_use]
    pub fn pointer(&self, range: PageRange) -> Option<NonNull<[u8]>> {
        let bytes = self.offsets(range)?;
        let at = NonNull::new(self.reservation.pointer(&bytes)?)?;
        Some(NonNull::slice_from_raw_parts(at, bytes.len()))
    }

    /// Makes `range` readable and writable; keeps what it holds.
    ///
    /// The heap does it for what it hands out. By hand it is needed before a
    /// region is added as [`Residency::Resident`], and commits what lies before
    /// the range, too.
    ///
    /// # Errors
    ///
    /// If `range` is not all in the window, or the system has no memory for it
    /// by its rules (`RLIMIT_DATA`, strict overcommit).
    pub fn commit(&self, range: PageRange) -> Result<(), HostedError> {
        let bytes = self.offsets(range).ok_or(HostedError::OutsideWindow)?;
        // Acquire: whoever stored it had made the call before; see below.
        let from = self.committed.load(Ordering::Acquire);
        if bytes.end <= from {
            return Ok(());
        }
        let least = bytes.end.next_multiple_of(self.physical);
        let whole = bytes.end.next_multiple_of(self.commit_step);
        let mut to = whole.min(self.reservation.addresses().len());
        if let Err(why) = self.reservation.commit(from..to) {
            if least == to {
                return Err(why.into());
            }
            to = least;
            self.reservation.commit(from..to)?;
        }
        // Release: for the load above. Two threads may both have committed
        // from `from` on; each did up to its own end, so the higher one holds.
        self.committed.fetch_max(to, Ordering::Release);
        Ok(())
    }

    /// Returns why a hook last did not do what it was asked; `None` if none
    /// ever failed.
    #[must_use]
    pub fn last_error(&self) -> Option<HostedError> {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is resident of this reservation by the kernel's count,
    /// whatever the rest of the process does.
    ///
    /// For tests and measurements: it reads `/proc/self/smaps`, which takes
    /// milliseconds in a process with many mappings.
    ///
    /// # Errors
    ///
    /// If `/proc` is not mounted, or not Linux's.
    pub fn usage(&self) -> Result<Usage, RssError> {
        usage_of(&self.reservation.addresses())
    }

    /// Returns where in the reservation the pages lie; `None` if they are not
    /// all in the window.
    fn offsets(&self, range: PageRange) -> Option<Range<usize>> {
        let number = |page: Page| page.number() as usize * self.page;
        self.range
            .covers(range)
            .then(|| number(range.start())..number(range.end()))
    }

    /// Returns the whole physical pages among these.
    fn offsets_inside(&self, range: PageRange) -> Range<usize> {
        let Some(bytes) = self.offsets(range) else {
            return 0..0;
        };
        let start = bytes.start.next_multiple_of(self.physical);
        let end = bytes.end - bytes.end % self.physical;
        start.min(end)..end
    }

    fn note(&self, error: HostedError) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

// SAFETY: what the heap relies on holds for the whole life of this value:
// * `sys_used` answers `Ok` only for pages before the watermark, which are
//   readable and writable; nothing ever takes that away again;
// * `sys_unused` discards whole physical pages inside of what it was given,
//   `zero` writes to what it was given, and `commit` changes no byte;
// * private anonymous memory reads as zero after `MADV_DONTNEED`, and before
//   its first touch;
// * `grow` gives each page away once, all of them the reservation's own.
unsafe impl Backing for HostedBacking {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        self.commit(range).map_err(|why| {
            self.note(why);
            Refused {
                code: match why {
                    HostedError::Call(why) => why.errno,
                    _ => libc::EFAULT,
                },
            }
        })
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let ours = |range: &&PageRange| self.range.covers(**range);
        let inside = ranges.iter().take_while(ours).count();
        let (done, why) = release(
            &self.reservation,
            self.batching,
            &ranges[..inside],
            |range| self.offsets_inside(range),
        );
        match why {
            Some(why) => self.note(why.into()),
            None if inside < ranges.len() => self.note(HostedError::OutsideWindow),
            None => {}
        }
        done
    }

    fn zero(&self, range: PageRange) {
        let Some(bytes) = self.offsets(range) else {
            return;
        };
        // Acquire: with the store in `commit`. What lies behind is not
        // committed, so nobody wrote to it: it reads as zero already.
        if bytes.end <= self.committed.load(Ordering::Acquire) {
            // SAFETY: the bytes are committed; that they are nobody else's is
            // what the caller of this hook, the heap, promises.
            unsafe { self.reservation.zero(bytes) }
        }
    }

    fn zeroes_released(&self) -> bool {
        true
    }

    fn grow(&self, pages: PageCount) -> Option<Growth> {
        let step = self.grow_step?.max(pages).max(PageCount::new(1));
        let geometry = self.window.geometry();
        let unit = geometry.huge_pages().unwrap_or(PageCount::new(1));
        let unit = unit.max(geometry.physical_pages()).get();
        let total = self.window.pages().get();
        let next = |start: u32| {
            let rest = total - start;
            let count = step.get().checked_next_multiple_of(unit).unwrap_or(rest);
            (rest > 0 && pages.get() <= rest).then(|| start + count.min(rest))
        };
        // Relaxed, alone: the counter guards no memory, it only gives every
        // page to one caller.
        let start = self
            .handed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .ok()?;
        Some(Growth {
            range: PageRange::between(Page::new(start), Page::new(next(start)?))?,
            residency: Residency::Released,
        })
    }
}

/// Returns a size in bytes as this machine counts them.
fn bytes(size: u64) -> Result<usize, HostedError> {
    usize::try_from(size).map_err(|_: TryFromIntError| HostedError::TooLarge)
}
