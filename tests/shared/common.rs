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

pub(crate) type Heap = SharedHeap<'static, Fake, Claimed>;

pub(crate) fn count(pages: u32) -> PageCount {
    PageCount::new(pages)
}

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), count(pages)).expect("pages")
}

/// A heap of one region, `pages` pages from `start` on, for `cpus` CPUs.
pub(crate) fn heap(physical: u64, start: u32, pages: u32, cpus: usize) -> (Heap, Fake) {
    let geometry = Geometry::new(PAGE, physical, 2 << 20).expect("sizes");
    let window = Window::new(geometry, 1 << 30, count(start + pages + 100)).expect("a window");
    let fake = Fake::new(window);
    let size = metadata_size(&window, start + pages, 1).expect("a size");
    let books = Metadata::new(
        vec![Slot::VACANT; size.slots].leak(),
        vec![MapEntry::EMPTY; size.map_entries].leak(),
    );
    let words = front_words(&window, cpus).expect("a size");
    let front: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let metadata = SharedMetadata::new(books, front.leak(), cpus);
    let heap = SharedHeap::new(window, metadata, fake.clone(), Claimed).expect("enough memory");
    let all = range(start, pages);
    fake.add(all, Residency::Resident);
    // SAFETY: the fake has no memory to lose.
    unsafe { heap.add_region(all, Residency::Resident) }.expect("a region");
    (heap, fake)
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
