//! The balloon: the driver behind one lock, as a backing and as a follower of
//! the host's target.
//!
//! The lock is held while the device works, so that it is asked one thing at a
//! time; what most commits need (nothing) is found out without it. It is never
//! held while the heap is called, and the heap never calls with its own held,
//! so the two cannot wait for each other.
//!
//! Invariant: while `keeps_pages` is false, no page but those in use by the
//! balloon need anything done before they are used.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use spanheap::{
    Backing, Corruption, Cpu, Growth, LockedHeap, PageCount, PageRange, Refused, Request,
    SharedHeap, Stats, Window,
};

use crate::device::{Device, Features, PFN_BYTES};
use crate::driver::{Driver, Why};
use crate::fault::{Health, StartError};
use crate::machine::Machine;
use crate::options::{BalloonMemory, Options, Pieces, SHARED_BYTES};
use crate::ring::SharedMemory;
use crate::stats;
use crate::target::{Poll, PollEnd, Step};
use crate::transport::BalloonTransport;

/// [`Refused::code`]: the device may still discard these pages. It has neither
/// answered nor acknowledged its reset; once it does, they can be committed.
pub const REFUSED_STRANDED: i32 = 1;
/// [`Refused::code`]: the device was to be told first, and it is broken.
pub const REFUSED_UNTOLD: i32 = 2;

/// No page frame number names memory from here on.
const TOP: u64 = 1 << 44;

/// How many turns an allocation of another CPU is waited for: a few of them are
/// some microseconds.
const MOMENT: u32 = 100;

/// A heap, as the balloon uses it: by ranges, since not every heap has handles.
pub trait Pool {
    /// Hands out pages.
    fn take(&self, request: Request) -> Option<PageRange>;
    /// Takes back what [`take`](Self::take) handed out.
    fn give(&self, range: PageRange);
    /// Returns the counters.
    fn stats(&self) -> Stats;
}

impl<B: Backing> Pool for LockedHeap<'_, B> {
    fn take(&self, request: Request) -> Option<PageRange> {
        self.alloc(request).ok().map(|span| span.range())
    }

    fn give(&self, range: PageRange) {
        let address = self.window().address_of(range.start());
        // The pages are the balloon's own, and are given once.
        let _ = self.free_at(address, range.count());
    }

    fn stats(&self) -> Stats {
        LockedHeap::stats(self)
    }
}

impl<B: Backing, C: Cpu> Pool for SharedHeap<'_, B, C> {
    fn take(&self, request: Request) -> Option<PageRange> {
        self.alloc(request).ok()
    }

    fn give(&self, range: PageRange) {
        // As above.
        let _ = self.free(range);
    }

    fn stats(&self) -> Stats {
        SharedHeap::stats(self)
    }
}

/// The balloon's counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalloonStats {
    /// Pages in use by the balloon, because the host wanted them.
    pub held: PageCount,
    /// Idle pages that were given back by inflating, beyond what the host
    /// wanted. It is told of them all the same: its count is both.
    pub inflated: PageCount,
    /// Bytes of idle pages that a broken device may still discard.
    pub stranded_bytes: u64,
    /// Bytes of idle pages ever given back. The device said it took them; what
    /// it did with them, nobody can know.
    pub released_bytes: u64,
    /// How the device is.
    pub health: Health,
}

/// A balloon under a heap, with a virtio device behind the transport `T`.
///
/// Without a device it releases nothing, and all else works; so it can stand
/// in a `static`, under a heap that is used long before the bus is scanned.
/// Its window's addresses are guest-physical ones.
///
/// Its lock is held with interrupts on, while the device works. So a handler may
/// call of the heap over it only what calls no backing: frees, and
/// [`SharedHeap::try_alloc`].
pub struct Balloon<'m, T, M> {
    window: Window,
    machine: M,
    driver: spin::Mutex<Option<Driver<'m, T>>>,
    keeps_pages: AtomicBool,
    /// How many ask the heap for pages now, on behalf of the balloon.
    asking: AtomicU32,
    /// Alone: nothing else is locked while this is.
    pool: spin::Mutex<Option<&'static (dyn Pool + Sync)>>,
}

impl<T, M: fmt::Debug> fmt::Debug for Balloon<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the driver: to print it would take the lock.
        f.debug_struct("Balloon")
            .field("window", &self.window)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

impl<'m, T: BalloonTransport, M: Machine> Balloon<'m, T, M> {
    /// Makes a balloon without a device. The window has the heap's origin and
    /// page sizes; it may be longer than the heap's.
    #[must_use]
    pub const fn new(window: Window, machine: M) -> Self {
        Self {
            window,
            machine,
            driver: spin::Mutex::new(None),
            keeps_pages: AtomicBool::new(false),
            asking: AtomicU32::new(0),
            pool: spin::Mutex::new(None),
        }
    }

    /// Resets the device behind `transport`, sets it up, and uses it from now
    /// on. Returns the features that were negotiated.
    ///
    /// `shared` is the guest-physical address of [`SHARED_BYTES`] bytes of
    /// memory, pages of the heap for example, from a multiple of 4096 on.
    ///
    /// # Errors
    ///
    /// If the window or the shared memory does not fit the device, or it is no
    /// balloon, is not set up as the specification says, or was started before.
    ///
    /// # Safety
    ///
    /// * The machine shows the shared memory, as [`Machine`] says, and nothing
    ///   else uses it for as long as `'m`, or ever if the device may still act.
    /// * The addresses of the window, and `shared`, are those that the device
    ///   uses for the same memory: it is behind no IOMMU.
    pub unsafe fn start(
        &self,
        transport: T,
        shared: u64,
        memory: BalloonMemory<'m>,
        options: Options,
    ) -> Result<Features, StartError> {
        let transport = core::mem::ManuallyDrop::new(transport);
        let mut slot = self.driver.lock();
        if slot.is_some() {
            return Err(StartError::AlreadyStarted);
        }
        let geometry = self.window.geometry();
        if !geometry.physical_bytes().is_multiple_of(PFN_BYTES) {
            return Err(StartError::PhysicalPage);
        }
        let whole = geometry
            .huge_pages()
            .is_none_or(|huge| huge == geometry.physical_pages());
        if !whole && options.pieces == Pieces::WholeHugePages {
            return Err(StartError::SmallPieces);
        }
        let end = u64::from(self.window.pages().get()) * geometry.page_bytes();
        if self.window.origin() + end > TOP {
            return Err(StartError::WindowTooHigh);
        }
        if !shared.is_multiple_of(PFN_BYTES) || shared > TOP - SHARED_BYTES {
            return Err(StartError::SharedMemory);
        }
        let at = self.machine.pointer(shared).cast::<SharedMemory>();
        if at.is_null() || !at.is_aligned() {
            return Err(StartError::SharedMemory);
        }
        // SAFETY: the caller promises that so many bytes are there, and that
        // nothing else uses them.
        unsafe { at.write_bytes(0, 1) };
        // SAFETY: as above, for `'m`; it was just checked to be aligned, and
        // zeroes are valid atomics.
        let memory_shared: &'m SharedMemory = unsafe { &*at };
        let device = Device::start(
            core::mem::ManuallyDrop::into_inner(transport),
            memory_shared,
            shared,
            options.poison,
            &self.machine,
        )?;
        let features = device.features();
        let (bits, places) = (memory.inflated, memory.holdings);
        *slot = Some(Driver::new(device, self.window, options, bits, places));
        Ok(features)
    }

    /// Says which heap pages are given back to when it has none left, if the
    /// host allows that ([`Features::DEFLATE_ON_OOM`]). The first one counts.
    pub fn attach(&self, pool: &'static (dyn Pool + Sync)) {
        self.pool.lock().get_or_insert(pool);
    }

    /// Does what the host asked for, with at most `budget` pages: inflates or
    /// deflates towards its target, with pages of `pool`, and sends it the
    /// pool's numbers. To be called now and then, and not by an interrupt
    /// handler.
    pub fn poll<P: Pool + ?Sized>(&self, pool: &P, budget: PageCount) -> Poll {
        let numbers = stats::encode(&pool.stats());
        let (mut inflated, mut deflated) = (0_u32, 0_u32);
        // A device that lies here is broken then, and the first step says so.
        let _ = self.with(|driver| driver.device.send_stats(&self.machine, &numbers));
        let end = loop {
            let left = budget
                .get()
                .saturating_sub(inflated)
                .saturating_sub(deflated);
            match self.with(|driver| driver.plan(&self.machine, left)) {
                None => break PollEnd::NotStarted,
                Some(Step::Stop(end)) => break end,
                Some(Step::Inflate(mut sizes)) => {
                    let found = self.ask(|| sizes.find_map(|request| pool.take(request)));
                    let Some(range) = found else {
                        break PollEnd::NoPages;
                    };
                    match self.with(|driver| driver.inflate(&self.machine, range)) {
                        Some(true) => inflated += range.count().get(),
                        _ => pool.give(range),
                    }
                }
                Some(Step::Deflate) => {
                    // Nothing came out: the device broke, and the plan says so.
                    if let Some(range) = self.deflate() {
                        deflated = deflated.saturating_add(range.count().get());
                        pool.give(range);
                    }
                }
            }
        };
        Poll {
            inflated: PageCount::new(inflated),
            deflated: PageCount::new(deflated),
            end,
        }
    }

    /// Gives pages of the balloon back to `pool`, against the host's wish,
    /// until it can hand out a run of `pages` or the balloon is empty; returns
    /// how many that were. None, unless the host allows it.
    ///
    /// The next [`poll`](Self::poll) does not take them away again, before the
    /// host asks for another target.
    pub fn relieve<P: Pool + ?Sized>(&self, pool: &P, pages: PageCount) -> PageCount {
        let mut freed = 0_u32;
        let allowed = self.with(|driver| driver.may_relieve());
        if allowed == Some(true) {
            while let Some(range) = self.deflate() {
                freed = freed.saturating_add(range.count().get());
                pool.give(range);
                if freed >= pages.get()
                    && let Some(found) = self.ask(|| pool.take(Request::pages(pages)))
                {
                    pool.give(found);
                    break;
                }
            }
            self.with(|driver| driver.remember_relief(&self.machine));
        }
        PageCount::new(freed)
    }

    /// Returns the balloon's counters.
    pub fn stats(&self) -> BalloonStats {
        let pages = |count: u64| PageCount::new(u32::try_from(count).unwrap_or(u32::MAX));
        let started = self.with(|driver| BalloonStats {
            held: pages(driver.held.pages()),
            inflated: pages(driver.inflated.pages()),
            stranded_bytes: driver.stranded_bytes(),
            released_bytes: driver.released_bytes,
            health: driver.device.health(),
        });
        started.unwrap_or(BalloonStats {
            held: PageCount::ZERO,
            inflated: PageCount::ZERO,
            stranded_bytes: 0,
            released_bytes: 0,
            health: Health::NotStarted,
        })
    }

    /// Returns the machine.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    fn deflate(&self) -> Option<PageRange> {
        self.with(|driver| driver.deflate(&self.machine)).flatten()
    }

    /// Does one step with the driver, if there is a device.
    fn with<R>(&self, step: impl FnOnce(&mut Driver<'m, T>) -> R) -> Option<R> {
        self.driver.lock().as_mut().map(step)
    }

    /// Asks the heap for pages. It may have none, and then asks the balloon,
    /// which is to have none for this.
    fn ask<R>(&self, question: impl FnOnce() -> R) -> R {
        // Alone: it orders nothing, and only says that somebody is here.
        self.asking.fetch_add(1, Ordering::Relaxed);
        let answer = question();
        self.asking.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// Returns whether nobody asks the heap for the balloon.
    ///
    /// Whoever does may be this very call, further up the stack, which goes on
    /// only when this returns; but another CPU is done with it in a moment.
    fn nobody_asks(&self) -> bool {
        for turn in 0..MOMENT {
            if self.asking.load(Ordering::Relaxed) == 0 {
                return true;
            }
            if !self.machine.wait(turn) {
                break;
            }
        }
        false
    }
}

// SAFETY: what the heap relies on holds for as long as `Machine` and `start`
// were promised to:
// * memory that was reported, inflated or neither is there for whoever touches
//   it: the host brings it back. What a device may still discard, or must be
//   told of and cannot, `sys_used` refuses;
// * the device is given pages of `sys_unused`'s ranges and of spans that are the
//   balloon's own, and those it may discard until they are committed again;
// * `zeroes_released` is false: what a page holds then is the host's choice.
unsafe impl<T: BalloonTransport, M: Machine> Backing for Balloon<'_, T, M> {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        // Relaxed: whoever commits a page has it from the heap, whose lock was
        // taken after the release that stored this.
        if !self.keeps_pages.load(Ordering::Relaxed) {
            return Ok(());
        }
        let used = self.with(|driver| {
            let used = driver.used(&self.machine, range);
            self.keeps_pages
                .store(driver.keeps_pages(), Ordering::Relaxed);
            used
        });
        match used {
            None | Some(Ok(())) => Ok(()),
            Some(Err(Why::Stranded)) => Err(Refused {
                code: REFUSED_STRANDED,
            }),
            Some(Err(Why::Untold)) => Err(Refused {
                code: REFUSED_UNTOLD,
            }),
        }
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let done = self.with(|driver| {
            let done = driver.unused(&self.machine, ranges);
            self.keeps_pages
                .store(driver.keeps_pages(), Ordering::Relaxed);
            done
        });
        done.unwrap_or(0)
    }

    fn zero(&self, range: PageRange) {
        let bytes = self.window.bytes_of(range);
        let at = self.machine.pointer(bytes.start);
        // SAFETY: the heap calls it for pages that are committed and nobody
        // else's; whoever made the machine promised that they are there.
        unsafe { at.write_bytes(0, (bytes.end - bytes.start) as usize) }
    }

    fn grow(&self, pages: PageCount) -> Option<Growth> {
        // No new memory, but some of the old: the heap looks again.
        let pool = *self.pool.lock();
        if let Some(pool) = pool
            && self.nobody_asks()
        {
            self.relieve(pool, pages);
        }
        None
    }

    fn corrupted(what: Corruption) -> ! {
        M::corrupted(what)
    }
}
