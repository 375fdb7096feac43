//! The pass with memory, on whichever heap was asked for.

use spanheap::{LockedHeap, PageHeap, Residency, SharedHeap};
use spanheap_hosted::{HostedBacking, Threads};

use crate::adaptor::{ByAddress, ByHandle, Heap, OverHeap};
use crate::books::Books;
use crate::crowd;
use crate::error::Error;
use crate::live::{Live, Memory};
use crate::options::{FreeBy, HeapKind, Options};
use crate::pass::{self, Ground, Outcome};
use crate::trace::Trace;

/// Runs the pass with memory, on the heap that was asked for.
pub(crate) fn witness(
    options: &Options,
    trace: &Trace,
    backing: HostedBacking,
    books: &mut Books,
    ground: &mut Ground<'_>,
) -> Result<Outcome, Error> {
    let window = backing.window();
    let range = backing.range();
    let base = backing.pointer(range).ok_or(Error::Window {
        pages: u64::from(range.count().get()),
    })?;
    // SAFETY: the pages are the reservation's, which lives as long as the heap
    // that owns it: past the last use of this value, below. Nobody else makes
    // pointers into it, and the heap commits what it hands out.
    let memory = unsafe { Memory::new(base.as_ptr().cast(), window.pages(), window.geometry()) };
    let live = Live::new(memory, trace.seats);
    match options.heap {
        HeapKind::Page => {
            let metadata = books.lend();
            let mut heap = PageHeap::new(window, metadata, backing).map_err(Error::Metadata)?;
            // SAFETY: the whole reservation, added once; nobody else uses it.
            unsafe { heap.add_region(range, Residency::Released) }.map_err(Error::Region)?;
            by(options.free, heap, trace, live, ground)
        }
        HeapKind::Locked => {
            let metadata = books.lend();
            let heap = LockedHeap::new(window, metadata, backing).map_err(Error::Metadata)?;
            // SAFETY: the whole reservation, added once; nobody else uses it.
            unsafe { heap.add_region(range, Residency::Released) }.map_err(Error::Region)?;
            by(options.free, heap, trace, live, ground)
        }
        HeapKind::Shared => {
            let heap = SharedHeap::new(window, books.lend_shared(), backing, Threads);
            let heap = heap.map_err(Error::Metadata)?;
            // SAFETY: the whole reservation, added once; nobody else uses it.
            unsafe { heap.add_region(range, Residency::Released) }.map_err(Error::Region)?;
            let threads = options.threads.into();
            crowd::run(trace, &heap, live, threads, ground).map_err(Error::Rss)
        }
    }
}

fn by<H: Heap>(
    free: FreeBy,
    heap: H,
    trace: &Trace,
    live: Live<'_>,
    ground: &mut Ground<'_>,
) -> Result<Outcome, Error> {
    fn go(
        mut runs: impl OverHeap,
        trace: &Trace,
        live: Live<'_>,
        ground: &mut Ground<'_>,
    ) -> Result<Outcome, Error> {
        pass::run(trace, &mut runs, live, ground).map_err(Error::Rss)
    }
    match free {
        FreeBy::Handle => go(ByHandle::new(heap), trace, live, ground),
        FreeBy::Address => go(ByAddress::new(heap), trace, live, ground),
    }
}
