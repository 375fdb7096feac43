//! A heap of all the machine's memory, with its books in some of it.

use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::AtomicU64;

use spanheap::region::MemoryMap;
use spanheap::{
    Backing, Cpu, Geometry, LockedHeap, PageCount, PageRange, Refused, Residency, SharedHeap,
    SharedMetadata, Window, front_words, metadata_size,
};
use spanheap_bootstrap::{Plan, bootstrap_locked, metadata_in};

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

/// Makes a heap for `cpus` CPUs of all the memory that is not the image's. It has
/// a slot for every page.
///
/// The direct map must be there.
pub fn shared_heap_of<B: Backing, C: Cpu>(
    memory: &BootMemory,
    window: Window,
    cpus: usize,
    backing: B,
    cpu: C,
) -> SharedHeap<'static, B, C> {
    let map = MemoryMap::new(memory.usable(), memory.taken());
    let pages: u32 = map.ranges(&window).map(|range| range.count().get()).sum();
    let size = metadata_size(&window, pages, 1).expect("a size");
    let words = front_words(&window, cpus).expect("a size");
    // The words first, so that they are aligned.
    let bytes = size_of::<AtomicU64>() * words + size.bytes;
    let books = window.geometry().pages_for(bytes as u64).expect("a size");
    // What is left of the region is whole physical pages as well.
    let unit = window.geometry().physical_pages().get();
    let books = PageCount::new(books.get().next_multiple_of(unit));
    let has_room = |region: &PageRange| region.count() > books;
    let region = map
        .ranges(&window)
        .find(has_room)
        .expect("room for the books");

    let at = pointer::<AtomicU64>(window.address_of(region.start()));
    // SAFETY: the machine says that this is memory, and only the image is used.
    unsafe { at.write_bytes(0, words) };
    // SAFETY: they are zero, and no page of the books is the heap's.
    let front = unsafe { slice::from_raw_parts(at, words) };
    // SAFETY: as above; they lie behind the words.
    let bytes = unsafe { slice::from_raw_parts_mut(at.wrapping_add(words).cast(), size.bytes) };
    let metadata = metadata_in(bytes, &window, pages, 1).expect("enough memory");
    let metadata = SharedMetadata::new(metadata, front, cpus);
    let heap = SharedHeap::new(window, metadata, backing, cpu).expect("enough memory");
    for range in map.ranges(&window) {
        let start = if range == region {
            range.pages().nth(books.get() as usize).expect("has room")
        } else {
            range.start()
        };
        let rest = PageRange::between(start, range.end()).expect("pages");
        // SAFETY: as above, and the books are not in it.
        unsafe { heap.add_region(rest, Residency::Resident) }.expect("a region");
    }
    assert_eq!(heap.stats().sys, PageCount::new(pages - books.get()));
    heap
}
