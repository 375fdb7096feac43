//! The timing rounds: ours by handle, the peer, ours by address, nothing.
//!
//! Every pass gets a fresh allocator. Ours share one set of tables, which are
//! cleared in between and so are as warm as the peer's recycled tree nodes.

use spanheap::{LockedHeap, PageHeap, Residency, SharedHeap};
use spanheap_hosted::Threads;

use crate::adaptor::{Buddy, ByAddress, ByHandle, Null};
use crate::books::{Books, Nothing};
use crate::error::Error;
use crate::options::{FreeBy, HeapKind, Options, Peer};
use crate::plan::Plan;
use crate::timing::{Lap, Laps, lap};
use crate::trace::Trace;

/// The laps of all contenders.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) by_handle: Laps,
    pub(crate) by_address: Laps,
    pub(crate) peer: Laps,
    pub(crate) null: Laps,
}

/// The most passes in a round.
pub(crate) const CONTENDERS: u32 = 4;

/// Runs the rounds, and one before them to warm up; `passed` hears of each
/// pass that is done.
pub(crate) fn rounds(
    options: &Options,
    trace: &Trace,
    plan: &Plan,
    books: &mut Books,
    mut passed: impl FnMut(),
) -> Result<Times, Error> {
    let (_, range) = plan.numbers()?;
    let mut times = Times::default();
    if options.rounds == 0 {
        return Ok(times);
    }
    for _ in 0..=options.rounds {
        let mut ours = |free| {
            let lap = ours(options.heap, free, trace, plan, books);
            passed();
            lap
        };
        if options.heap != HeapKind::Shared {
            times.by_handle.push(ours(FreeBy::Handle)?);
        }
        if let Some(Peer::Buddy) = options.peer {
            times.peer.push(lap(trace, Buddy::new(range)));
        }
        times.by_address.push(ours(FreeBy::Address)?);
        passed();
        times.null.push(lap(trace, Null::default()));
        passed();
    }
    for laps in [
        &mut times.by_handle,
        &mut times.by_address,
        &mut times.peer,
        &mut times.null,
    ] {
        laps.forget_first();
    }
    Ok(times)
}

/// Times one pass of a heap of ours over page numbers only.
fn ours(
    heap: HeapKind,
    free: FreeBy,
    trace: &Trace,
    plan: &Plan,
    books: &mut Books,
) -> Result<Lap, Error> {
    let (window, range) = plan.numbers()?;
    Ok(match heap {
        HeapKind::Page => {
            let metadata = books.lend();
            let mut heap = PageHeap::new(window, metadata, Nothing).map_err(Error::Metadata)?;
            // SAFETY: numbers of no memory; nobody touches anything.
            unsafe { heap.add_region(range, Residency::Resident) }.map_err(Error::Region)?;
            match free {
                FreeBy::Handle => lap(trace, ByHandle::new(heap)),
                FreeBy::Address => lap(trace, ByAddress::new(heap)),
            }
        }
        HeapKind::Locked => {
            let metadata = books.lend();
            let heap = LockedHeap::new(window, metadata, Nothing).map_err(Error::Metadata)?;
            // SAFETY: numbers of no memory; nobody touches anything.
            unsafe { heap.add_region(range, Residency::Resident) }.map_err(Error::Region)?;
            match free {
                FreeBy::Handle => lap(trace, ByHandle::new(heap)),
                FreeBy::Address => lap(trace, ByAddress::new(heap)),
            }
        }
        HeapKind::Shared => {
            let heap = SharedHeap::new(window, books.lend_shared(), Nothing, Threads);
            let heap = heap.map_err(Error::Metadata)?;
            // SAFETY: numbers of no memory; nobody touches anything.
            unsafe { heap.add_region(range, Residency::Resident) }.map_err(Error::Region)?;
            lap(trace, &heap)
        }
    })
}
