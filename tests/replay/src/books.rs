//! A heap's metadata, its window, and a backing with nothing behind it.

use std::sync::atomic::{AtomicU64, Ordering};

use spanheap::{
    Backing, Geometry, HugeAge, MapEntry, Metadata, PageCount, PageRange, Refused, SharedMetadata,
    Slot, Window, front_words, metadata_size,
};

use crate::resident;

/// The memory of a heap's books, all of it written before it is used.
#[derive(Debug)]
pub struct Books {
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
    ages: Vec<HugeAge>,
    /// The front tier's, for a shared heap.
    front: Vec<AtomicU64>,
    cpus: usize,
    bytes: usize,
}

impl Books {
    /// Makes books for `slots` spans and a map of one entry for `grain` pages
    /// of the window; `None` if they are too large to be counted.
    #[must_use]
    pub fn new(window: &Window, slots: u32, grain: u32) -> Option<Self> {
        let size = metadata_size(window, slots, grain)?;
        Some(Self {
            slots: resident::table(Slot::VACANT, size.slots),
            map: resident::table(MapEntry::EMPTY, size.map_entries),
            ages: resident::table(HugeAge::UNKNOWN, size.ages),
            front: Vec::new(),
            cpus: 0,
            bytes: size.bytes,
        })
    }

    /// The same, for a heap that `cpus` CPUs share.
    #[must_use]
    pub fn shared(mut self, window: &Window, cpus: usize) -> Option<Self> {
        let words = front_words(window, cpus)?;
        self.front = (0..words).map(|_| AtomicU64::new(0)).collect();
        self.cpus = cpus;
        self.bytes = self
            .bytes
            .checked_add(words.checked_mul(size_of::<u64>())?)?;
        Some(self)
    }

    /// Makes them ready for another shared heap, and lends them to it.
    pub fn lend_shared(&mut self) -> SharedMetadata<'_> {
        self.slots.fill(Slot::VACANT);
        self.map.fill(MapEntry::EMPTY);
        self.ages.fill(HugeAge::UNKNOWN);
        for word in &self.front {
            word.store(0, Ordering::Relaxed);
        }
        let books = Metadata::new(&mut self.slots, &mut self.map).with_ages(&mut self.ages);
        SharedMetadata::new(books, &self.front, self.cpus)
    }

    /// Returns how many bytes they take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lends them to their first heap, as they were made.
    pub fn lend_new(&mut self) -> Metadata<'_> {
        Metadata::new(&mut self.slots, &mut self.map).with_ages(&mut self.ages)
    }

    /// Makes them ready for another heap, and lends them to it.
    pub fn lend(&mut self) -> Metadata<'_> {
        self.slots.fill(Slot::VACANT);
        self.map.fill(MapEntry::EMPTY);
        self.ages.fill(HugeAge::UNKNOWN);
        Metadata::new(&mut self.slots, &mut self.map).with_ages(&mut self.ages)
    }
}

/// Where the pages of a [`Nothing`] would begin.
pub const ORIGIN: u64 = 1 << 40;

/// A backing with nothing behind it: page numbers, and no memory.
///
/// Whoever allocates from a heap over it must not touch the pages.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

// SAFETY: no page of a heap over it is ever touched: the timing passes keep
// numbers only. So every promise about the contents of pages is empty.
unsafe impl Backing for Nothing {
    fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        ranges.len()
    }

    fn zero(&self, _: PageRange) {}
}

/// Returns the page sizes of a trace: its own, this system's usual physical
/// page, and the usual huge page.
#[must_use]
pub const fn geometry(page_bytes: u64, physical_bytes: u64) -> Option<Geometry> {
    match Geometry::new(page_bytes, physical_bytes, 2 << 20) {
        Ok(geometry) => Some(geometry),
        Err(_) => None,
    }
}

/// Returns a window of page numbers only.
#[must_use]
pub const fn window(geometry: Geometry, pages: PageCount) -> Option<Window> {
    match Window::new(geometry, ORIGIN, pages) {
        Ok(window) => Some(window),
        Err(_) => None,
    }
}
