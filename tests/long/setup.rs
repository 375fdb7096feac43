//! What the heaps are made of: three regions with a gap, two of which touch, and
//! books that are ample or scarce.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;

use spanheap::{
    Cpu, Geometry, HugeAge, MapEntry, Metadata, Page, PageCount, PageRange, SharedMetadata, Slot,
    Window, front_words, metadata_size,
};

pub(crate) const PAGE: u64 = 4096;

/// The window's pages.
pub(crate) const WINDOW: u32 = 40 * 512;

/// Most of it; none of them begins and ends with a chunk of the shared heap.
pub(crate) const REGIONS: [PageRange; 3] = [
    range(260, 12_800),
    range(12_800, 16_384),
    range(17_000, 20_480),
];

/// CPUs that a shared heap knows.
const CPUS: usize = 4;

pub(crate) const fn range(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).expect("pages")
}

/// How many pages a heap has.
pub(crate) fn pages() -> u32 {
    REGIONS.iter().map(|region| region.count().get()).sum()
}

/// One of two kinds of machines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Pages of a physical page.
    pub(crate) physical: u32,
    /// Whether released memory reads as zero.
    pub(crate) zeroes: bool,
    slots: u32,
    grain: u32,
}

impl Setup {
    /// The same with a part of the slots, where fewer spans are made.
    pub(crate) const fn slots_over(self, part: u32) -> Self {
        Self {
            slots: self.slots / part,
            ..self
        }
    }
}

/// Pages that are physical ones, with a slot for each; and larger physical pages,
/// with slots that run out.
pub(crate) const SETUPS: [Setup; 2] = [
    Setup {
        physical: 1,
        zeroes: false,
        slots: WINDOW,
        grain: 1,
    },
    Setup {
        physical: 4,
        zeroes: true,
        slots: WINDOW / 12,
        grain: 64,
    },
];

/// The memory of a heap's books.
pub(crate) struct Books {
    pub(crate) window: Window,
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
    ages: Vec<HugeAge>,
    front: Vec<AtomicU64>,
}

impl Books {
    pub(crate) fn new(setup: &Setup) -> Self {
        let physical = u64::from(setup.physical) * PAGE;
        let geometry = Geometry::new(PAGE, physical, 2 << 20).expect("sizes");
        let window = Window::new(geometry, 1 << 30, PageCount::new(WINDOW)).expect("a window");
        let size = metadata_size(&window, setup.slots, setup.grain).expect("a size");
        let words = front_words(&window, CPUS).expect("a size");
        Self {
            window,
            slots: vec![Slot::VACANT; size.slots],
            map: vec![MapEntry::EMPTY; size.map_entries],
            ages: vec![HugeAge::UNKNOWN; size.ages],
            front: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn lend(&mut self) -> Metadata<'_> {
        Metadata::new(&mut self.slots, &mut self.map).with_ages(&mut self.ages)
    }

    pub(crate) fn lend_shared(&mut self) -> SharedMetadata<'_> {
        let books = Metadata::new(&mut self.slots, &mut self.map).with_ages(&mut self.ages);
        SharedMetadata::new(books, &self.front, CPUS)
    }
}

std::thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The CPU that a thread says it is: now this one, now that, or one too many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed;

impl Claimed {
    /// How many different answers there are.
    pub(crate) const ANSWERS: u32 = CPUS as u32 + 1;

    pub(crate) fn become_cpu(index: u32) {
        CPU.set(index as usize);
    }
}

impl Cpu for Claimed {
    fn index(&self) -> usize {
        CPU.get()
    }
}
