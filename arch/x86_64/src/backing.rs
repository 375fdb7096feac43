//! The backing, over any source of frames: check, lock, change, flush, settle.
//!
//! A batch is one pass under the lock, one flush without it, and one pass under
//! the lock again, for what had to wait for the flush. Between the passes the
//! pages belong to nobody but the batch: its caller promised that nobody touches
//! them, and their entries are not empty, so that no other batch unhooks their
//! tables. Without the lock, because the CPU that is to answer the flush may be
//! waiting for this very lock with interrupts off.
//!
//! Invariant: the lock is held while tables are read or written, and at no
//! other time.

use core::fmt;
use core::ops::Range;

use spanheap::{Backing, Corruption, PageRange, Refused, Window};
use x86_64::VirtAddr;
use x86_64::structures::paging::page_table::PageTableFlags;
use x86_64::structures::paging::{FrameAllocator, Size4KiB};

use crate::entry::Level;
use crate::error::{Obstacle, SetUpError};
use crate::flush::{Shootdown, Stale};
use crate::fold::{Folded, Retired};
use crate::physical;
use crate::reserve::Reserve;
use crate::space::{Source, Space};
use crate::tables::Tables;

/// What a page is mapped with that never was before: for the kernel, writable.
const FLAGS: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// Maps a heap's pages as it commits and releases them.
///
/// Made [over the direct map](Self::over_direct_map), where released frames are
/// unmapped and kept, or [over a window](Self::over_window) of virtual
/// addresses, where they are given back.
///
/// `T` is the kernel's mapper, `F` the hook that makes CPUs forget what they
/// have cached, `S` where frames come from, and `N` how many page-table frames
/// the [`Reserve`] can hold.
pub struct PageTableBacking<T, F, S, const N: usize> {
    space: spin::Mutex<Space<T, S, N>>,
    shootdown: F,
    window: Window,
    /// Virtual address less window address.
    offset: u64,
    /// A physical page in bytes.
    unit: u64,
}

impl<T, F, S, const N: usize> fmt::Debug for PageTableBacking<T, F, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the tables: to print them would take the lock.
        f.debug_struct("PageTableBacking")
            .field("window", &self.window)
            .field("offset", &format_args!("{:#x}", self.offset))
            .finish_non_exhaustive()
    }
}

impl<T: Tables, F: Shootdown, S: Source, const N: usize> PageTableBacking<T, F, S, N> {
    /// Makes a backing; the promises are those of the two that are public.
    pub(crate) fn with_source(
        tables: T,
        source: S,
        reserve: Reserve<N>,
        shootdown: F,
        window: Window,
        offset: u64,
    ) -> Result<Self, SetUpError> {
        let geometry = window.geometry();
        let unit = geometry.physical_bytes();
        if unit < Level::One.bytes() {
            return Err(SetUpError::PhysicalPage);
        }
        if !offset.is_multiple_of(Level::Two.bytes()) {
            return Err(SetUpError::UnalignedOffset);
        }
        // No overflow: a window's end is a `u64`.
        let bytes = geometry.bytes(window.pages());
        let last = |start: u64| start.checked_add(bytes - 1);
        let virt = window.origin().checked_add(offset);
        let ends = virt.and_then(|first| Some((first, last(first)?)));
        let (first, last) = ends.ok_or(SetUpError::NoSuchAddress)?;
        let canonical = |address| VirtAddr::try_new(address).is_ok();
        // One half or the other: the hole between has no addresses.
        if !canonical(first) || !canonical(last) || first >> 63 != last >> 63 {
            return Err(SetUpError::NoSuchAddress);
        }
        // The range's end is a number, too.
        if last == u64::MAX {
            return Err(SetUpError::NoSuchAddress);
        }
        Ok(Self {
            space: spin::Mutex::new(Space {
                tables,
                source,
                reserve,
                flags: FLAGS,
            }),
            shootdown,
            window,
            offset,
            unit,
        })
    }

    /// Maps pages that never were mapped before with these flags, instead of as
    /// writable and the kernel's. Others come back with what they had.
    #[must_use]
    pub fn with_flags(mut self, flags: PageTableFlags) -> Self {
        self.space.get_mut().flags = flags | PageTableFlags::PRESENT;
        self
    }

    /// Returns the heap's window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Calls `work` with the mapper, under the lock: the way to map other pages
    /// with the same mapper.
    ///
    /// Nothing in `work` may call this backing, or a heap over it: the lock is
    /// taken. Frames for new tables come from something that was filled before,
    /// a [`Reserve`] of three for each page.
    pub fn with_tables<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.space.lock().tables)
    }

    /// Returns how many page-table frames are in reserve.
    #[must_use]
    pub fn reserve_len(&self) -> usize {
        self.space.lock().reserve.len()
    }

    /// Fills the reserve from an allocator, and returns how many frames it took.
    /// The allocator is called without the lock, and may be a heap over this
    /// backing.
    pub fn refill(&self, frames: &mut impl FrameAllocator<Size4KiB>) -> usize {
        let mut taken = 0;
        while self.space.lock().reserve.promise() {
            let frame = frames.allocate_frame();
            let mut space = self.space.lock();
            match frame {
                Some(frame) => space.reserve.redeem(frame),
                None => {
                    space.reserve.renounce();
                    break;
                }
            }
            taken += 1;
        }
        taken
    }

    /// Unhooks the tables that changed ranges no longer need, has all that is
    /// stale forgotten, and puts tables by and gives frames back.
    ///
    /// One flush; another one for more tables than go in a round, and for one
    /// that two CPUs emptied at a time, so that neither saw it at first.
    fn settle<'a>(
        &'a self,
        mut space: Guard<'a, T, S, N>,
        ranges: impl Iterator<Item = Range<u64>> + Clone,
        mut stale: Stale,
    ) {
        let mut retired = Retired::new();
        let mine = |at: u64| ranges.clone().any(|range| range.contains(&at));
        loop {
            let full = ranges
                .clone()
                .any(|range| space.fold(&range, mine, &mut retired, &mut stale) == Folded::Full);
            drop(space);
            if !stale.is_some() {
                return;
            }
            self.shootdown.flush(stale);
            stale = Stale::NONE;
            space = self.space.lock();
            space.redeem(&mut retired);
            if !full {
                for range in ranges.clone() {
                    space.reap(&range);
                }
            }
        }
    }

    /// Returns the virtual addresses of a range, in whole physical pages, all of
    /// which are the window's; no addresses, if none is whole.
    fn virt(&self, range: PageRange, rounded: Rounded) -> Result<Range<u64>, Obstacle> {
        let Range { start, end } = self.window.bytes_of(range);
        let down = |address: u64| address & !(self.unit - 1);
        let up = |address: u64| down(address.saturating_add(self.unit - 1));
        let (mut from, to) = match rounded {
            Rounded::Exactly => (start, end),
            Rounded::Outward => (down(start), up(end)),
            Rounded::Inward => (up(start), down(end)),
        };
        let last = self.window.origin() + self.window.geometry().bytes(self.window.pages());
        // A window may end inside of a physical page, which others share then.
        if range.end().number() > self.window.pages().get() || to > last {
            return Err(Obstacle::OutsideWindow);
        }
        from = from.min(to);
        // No overflow: seen to at set-up, for all that is inside.
        Ok(from + self.offset..to + self.offset)
    }
}

// SAFETY: on the promises of whoever made the backing, that nothing else maps,
// unmaps or uses these addresses and frames:
// * `sys_used` answers `Ok` once every page of the range is mapped, writable, to
//   a frame that is its own; nothing but `sys_unused` takes it away;
// * a release takes away whole physical pages inside of what it was given, a
//   split or a join leaves every translation as it was, and `zero` writes to
//   what it was given. What a page holds that stays mapped is not touched;
// * released memory is not said to be zero.
unsafe impl<T: Tables, F: Shootdown, S: Source, const N: usize> Backing
    for PageTableBacking<T, F, S, N>
{
    /// The code of a refusal is an [`Obstacle`].
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        let range = self.virt(range, Rounded::Outward)?;
        let mut space = self.space.lock();
        let staged = space.stage(&range);
        match staged {
            Ok(()) => space.commit(&range),
            // What was staged was never mapped, so it is in no cache.
            Err(_) => space.reap(&range),
        }
        self.settle(space, core::iter::once(range), Stale::NONE);
        Ok(staged?)
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let virt = |range: &PageRange| self.virt(*range, Rounded::Inward).ok();
        let mut stale = Stale::NONE;
        let mut space = self.space.lock();
        let mut done = 0;
        for range in ranges.iter().map_while(virt) {
            if space.prepare(&range).is_err() {
                break;
            }
            space.hold(&range, &mut stale);
            done += 1;
        }
        self.settle(space, ranges.iter().map_while(virt).take(done), stale);
        done
    }

    fn zero(&self, range: PageRange) {
        if let Ok(bytes) = self.virt(range, Rounded::Exactly) {
            // SAFETY: the heap's promise: the range is resident, so it is mapped
            // and writable, and the caller's, so nothing else uses it.
            unsafe { physical::zero(bytes) };
        }
    }

    fn corrupted(what: Corruption) -> ! {
        F::corrupted(what)
    }
}

type Guard<'a, T, S, const N: usize> = spin::MutexGuard<'a, Space<T, S, N>>;

/// To which side a range is rounded to whole physical pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounded {
    Exactly,
    Inward,
    Outward,
}
