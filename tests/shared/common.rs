//! A shared heap over a fake backing, and CPUs that a test can change.

use std::cell::Cell;

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{
    Cpu, Geometry, MapEntry, Metadata, Page, PageCount, PageRange, Residency, SharedHeap,
    SharedMetadata, Slot, Window, front_words, metadata_size,
};
use std::sync::atomic::AtomicU64;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const CHUNK: u32 = 512;

std::thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The CPU that a thread says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed;

impl Cpu for Claimed {
    fn index(&self) -> usize {
        CPU.get()
    }
}

/// Makes this thread another CPU.
pub(crate) fn become_cpu(index: usize) {
    CPU.set(index);
}

pub(crate) type Heap<'m> = SharedHeap<'m, Fake, Claimed>;

pub(crate) fn count(pages: u32) -> PageCount {
    PageCount::new(pages)
}

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), count(pages)).expect("pages")
}

/// The memory of a heap's books.
pub(crate) struct Books {
    window: Window,
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
    front: Vec<AtomicU64>,
    cpus: usize,
}

impl Books {
    /// For `pages` pages from `start` on, and `cpus` CPUs.
    pub(crate) fn new(physical: u64, start: u32, pages: u32, cpus: usize) -> Self {
        let geometry = Geometry::new(PAGE, physical, 2 << 20).expect("sizes");
        let window = Window::new(geometry, 1 << 30, count(start + pages + 100)).expect("a window");
        let size = metadata_size(&window, start + pages, 1).expect("a size");
        let words = front_words(&window, cpus).expect("a size");
        Self {
            window,
            slots: vec![Slot::VACANT; size.slots],
            map: vec![MapEntry::EMPTY; size.map_entries],
            front: (0..words).map(|_| AtomicU64::new(0)).collect(),
            cpus,
        }
    }

    /// Makes the heap, of one region.
    pub(crate) fn heap(&mut self, region: PageRange) -> (Heap<'_>, Fake) {
        let fake = Fake::new(self.window);
        let books = Metadata::new(&mut self.slots, &mut self.map);
        let metadata = SharedMetadata::new(books, &self.front, self.cpus);
        let heap = SharedHeap::new(self.window, metadata, fake.clone(), Claimed);
        let heap = heap.expect("enough memory");
        fake.add(region, Residency::Resident);
        // SAFETY: the fake has no memory to lose.
        unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
        (heap, fake)
    }
}

/// A heap of one region, `pages` pages from `start` on, for `cpus` CPUs.
pub(crate) fn heap(physical: u64, start: u32, pages: u32, cpus: usize) -> (Heap<'static>, Fake) {
    let books = Books::new(physical, start, pages, cpus);
    Box::leak(Box::new(books)).heap(range(start, pages))
}

/// Marsaglia's xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}
