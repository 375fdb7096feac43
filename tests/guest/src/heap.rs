//! A heap of all the machine's memory, with its books in some of it.

use core::ptr::NonNull;

use spanheap::region::MemoryMap;
use spanheap::{Backing, Geometry, LockedHeap, PageCount, PageRange, Refused, Residency, Window};
use spanheap_bootstrap::{Plan, bootstrap_locked};

use crate::memory::BootMemory;
use crate::pointer;

/// A backing that keeps all memory.
#[derive(Debug)]
pub struct Wired(pub Window);

// SAFETY: memory is there, is mapped, and nothing takes it away.
unsafe impl Backing for Wired {
    fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
        Ok(())
    }

    fn sys_unused(&self, _: &[PageRange]) -> usize {
        0
    }

    fn zero(&self, range: PageRange) {
        let bytes = self.0.bytes_of(range);
        let at = pointer::<u8>(bytes.start);
        // SAFETY: the heap calls it for pages that are nobody else's, and all
        // are in the direct map.
        unsafe { at.write_bytes(0, (bytes.end - bytes.start) as usize) }
    }
}

/// Returns the window of all physical memory, from address 0 on.
#[must_use]
pub fn window(memory: &BootMemory, geometry: Geometry) -> Window {
    let pages = geometry.pages_for(memory.end().next_multiple_of(2 << 20));
    Window::new(geometry, 0, pages.expect("pages")).expect("a window")
}

/// Makes a heap of all the memory that is not the image's. It has a slot for
/// every `share` pages.
///
/// The direct map must be there.
pub fn heap_of<B: Backing>(
    memory: &BootMemory,
    window: Window,
    share: u32,
    backing: B,
) -> LockedHeap<'static, B> {
    let heap = LockedHeap::empty(backing);
    let map = MemoryMap::new(memory.usable(), memory.taken());
    let pages: u32 = map.ranges(&window).map(|range| range.count().get()).sum();
    let slots = (pages / share).max(1);
    let plan = map
        .ranges(&window)
        .find_map(|region| Plan::new(&window, region, slots, share.min(64)).ok())
        .expect("a region with room for the books");
    let at = window.address_of(plan.books().start());
    let at = NonNull::new(pointer::<u8>(at)).expect("not null");
    // SAFETY: the machine says that this is memory, and only the image is used.
    unsafe { bootstrap_locked(&plan, at, Residency::Resident, &heap) }.expect("a first region");
    for region in map.ranges(&window) {
        // The books' region is the heap's already.
        if !region.covers(plan.books()) {
            // SAFETY: as above.
            unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
        }
    }
    assert_eq!(
        heap.stats().sys,
        PageCount::new(pages - plan.books().count().get())
    );
    heap
}
