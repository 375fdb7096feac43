//! Every public verb of the shared heap, called once, with anything.

use core::sync::atomic::AtomicU64;

use spanheap::region::MemoryMap;
use spanheap::{
    Budget, Class, Cpu, Metadata, OneCpu, PageCount, PageRange, Request, Residency, SharedHeap,
    SharedMetadata, StaticFront, Window,
};

use crate::{Anything, any};

/// CPUs of which the optimiser knows nothing.
pub struct Cpus;

impl Cpu for Cpus {
    fn index(&self) -> usize {
        any(0)
    }
}

/// What the verbs are given.
pub struct Given {
    address: u64,
    pages: PageCount,
    range: PageRange,
    request: Request,
    class: Class,
    budget: Budget,
    residency: Residency,
    map: MemoryMap<'static>,
}

/// Calls every verb of a heap in any state.
pub fn heap(heap: &SharedHeap<'static, Anything, Cpus>, given: &Given) {
    let (range, residency) = (|| any(given.range), || any(given.residency));
    SharedHeap::seed(any(heap), any(given.address));
    // SAFETY: the program is never run.
    let _ = any(unsafe { SharedHeap::add_region(any(heap), range(), residency()) });
    // SAFETY: the program is never run.
    let _ = any(unsafe { SharedHeap::add_memory(any(heap), any(&given.map), residency()) });

    let (address, pages) = (|| any(given.address), || any(given.pages));
    let _ = any(SharedHeap::alloc(any(heap), pages()));
    let _ = any(SharedHeap::alloc(any(heap), any(given.request.clone())));
    let _ = any(SharedHeap::try_alloc(any(heap), any(given.class)));
    let _ = any(SharedHeap::alloc_at(any(heap), address(), pages()));
    let _ = any(SharedHeap::free(any(heap), range()));
    let _ = any(SharedHeap::free_at(any(heap), address(), pages()));
    let _ = any(SharedHeap::free_part(any(heap), range()));
    let _ = any(SharedHeap::free_part_at(any(heap), address(), pages()));
    SharedHeap::offline(any(heap), any(0));

    let _ = any(SharedHeap::release(any(heap), any(given.budget)));
    let _ = any(SharedHeap::release_all(any(heap)));
    let _ = any(SharedHeap::release_inside(any(heap), any(given.budget)));
    SharedHeap::gather(any(heap));
    SharedHeap::set_limit(any(heap), any(given.address));
    SharedHeap::tick(any(heap), any(0), any(0));
    SharedHeap::catch_up(any(heap), any(0));
    let _ = any(SharedHeap::stats(any(heap)));
    let _ = any(SharedHeap::treap_stats(any(heap)));
    let _ = any(SharedHeap::check(any(heap)));
    any(SharedHeap::backing(any(heap)));
    any(SharedHeap::cpu(any(heap)));
    any(SharedHeap::window(any(heap)));
}

/// Makes what heaps are made of.
///
/// Not the heaps themselves: their set-up goes through `spin::Once`, which
/// panics if an earlier one has panicked. This one cannot, but that is not for
/// the linker to see.
pub fn made(
    window: &Window,
    metadata: Metadata<'static>,
    front: &'static [AtomicU64],
    words: &'static StaticFront<64>,
) {
    any(spanheap::front_words(any(window), any(0)));
    any(StaticFront::<64>::take(any(words)));
    any(StaticFront::<64>::new());
    any(OneCpu.index());
    any(SharedMetadata::new(any(metadata), any(front), any(0)));
    let heap = any(SharedHeap::empty(Anything, Cpus));
    let _ = any(SharedHeap::alloc(any(&heap), any(PageCount::new(1))));
    #[cfg(feature = "planted-shared")]
    any(SharedHeap::alloc(any(&heap), any(PageCount::new(1))).unwrap());
}
