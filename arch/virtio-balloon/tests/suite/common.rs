//! A guest for the tests: memory, a heap, a balloon, and owners who notice.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use spanheap::{
    Geometry, LockedHeap, MapEntry, Metadata, Page, PageCount, PageRange, Residency, Slot, Span,
    Window,
};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, DirectMap, Features, Holding, Machine, Options, Pieces, SHARED_BYTES,
    StartError,
};

use super::fake::Fake;

/// Huge pages of 64 KiB, so that a test has many in little memory.
pub(crate) const HUGE: u64 = 64 << 10;
pub(crate) const PER_HUGE: u32 = (HUGE / 4096) as u32;
/// Where the guest's memory begins.
pub(crate) const ORIGIN: u64 = 0x4000_0000;
/// How many turns a device has to answer.
pub(crate) const PATIENCE: u32 = 8;

pub(crate) type Heap<'a> = LockedHeap<'a, Balloon<'a, Fake, Patient>>;

/// Memory of a guest: `huge` huge pages, and behind them what is shared.
pub(crate) struct Ram {
    at: *mut u8,
    layout: Layout,
    pub(crate) huge: u32,
}

impl Ram {
    pub(crate) fn new(huge: u32) -> Self {
        let bytes = u64::from(huge) * HUGE + SHARED_BYTES;
        let layout = Layout::from_size_align(bytes as usize, HUGE as usize).expect("a layout");
        // SAFETY: the layout is not empty.
        let at = unsafe { alloc_zeroed(layout) };
        assert!(!at.is_null());
        Self { at, layout, huge }
    }

    /// Where the guest sees physical address 0.
    pub(crate) fn offset(&self) -> u64 {
        (self.at.expose_provenance() as u64).wrapping_sub(ORIGIN)
    }

    pub(crate) fn shared(&self) -> u64 {
        ORIGIN + u64::from(self.huge) * HUGE
    }

    pub(crate) fn fake(&self, offered: u64) -> Fake {
        Fake::new(ORIGIN..self.shared(), self.offset(), offered)
    }

    pub(crate) fn window(&self, pieces: Pieces) -> Window {
        let physical = match pieces {
            Pieces::WholeHugePages => HUGE,
            Pieces::Any => 4096,
        };
        let geometry = Geometry::new(4096, physical, HUGE).expect("a geometry");
        Window::new(geometry, ORIGIN, PageCount::new(self.huge * PER_HUGE)).expect("a window")
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: it was allocated so, and the heap over it is gone.
        unsafe { dealloc(self.at, self.layout) }
    }
}

/// A direct map whose patience is short, and in whose time the device works.
pub(crate) struct Patient {
    map: DirectMap,
    fake: Fake,
}

impl Patient {
    pub(crate) fn new(ram: &Ram, fake: &Fake) -> Self {
        // SAFETY: the arena is all there is, and outlives the heap.
        let map = unsafe { DirectMap::new(ram.offset()) };
        Self {
            map,
            fake: fake.clone(),
        }
    }
}

// SAFETY: as for the direct map.
unsafe impl Machine for Patient {
    fn pointer(&self, physical: u64) -> *mut u8 {
        self.map.pointer(physical)
    }

    fn wait(&self, turn: u32) -> bool {
        self.fake.turn();
        turn < PATIENCE
    }
}

/// The books of one heap and one balloon.
pub(crate) struct Books {
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) bits: Vec<u64>,
}

impl Books {
    pub(crate) fn new(ram: &Ram) -> Self {
        let pages = (ram.huge * PER_HUGE) as usize;
        Self {
            slots: vec![Slot::VACANT; pages + 1],
            map: vec![MapEntry::EMPTY; pages.div_ceil(16)],
            holdings: vec![Holding::EMPTY; pages],
            bits: vec![0; pages.div_ceil(64)],
        }
    }

    /// Makes a heap of all of the RAM, with a balloon that is started.
    pub(crate) fn heap<'a>(&'a mut self, ram: &Ram, fake: &Fake, options: Options) -> Heap<'a> {
        let (heap, started) = self.try_heap(ram, fake, Pieces::WholeHugePages, options);
        started.expect("a device that starts");
        heap
    }

    pub(crate) fn try_heap<'a>(
        &'a mut self,
        ram: &Ram,
        fake: &Fake,
        pieces: Pieces,
        options: Options,
    ) -> (Heap<'a>, Result<Features, StartError>) {
        let window = ram.window(pieces);
        let balloon = Balloon::new(window, Patient::new(ram, fake));
        let metadata = Metadata::new(&mut self.slots, &mut self.map);
        let heap = LockedHeap::new(window, metadata, balloon).expect("books");
        let all = range(0, ram.huge * PER_HUGE);
        // SAFETY: the arena is the heap's, and is all there.
        unsafe { heap.add_region(all, Residency::Resident) }.expect("a region");
        let memory = BalloonMemory {
            holdings: &mut self.holdings,
            inflated: &mut self.bits,
        };
        // SAFETY: the arena has so many bytes there, used by nothing else; the
        // device sees the same addresses.
        let started = unsafe {
            heap.backing()
                .start(fake.clone(), ram.shared(), memory, options)
        };
        (heap, started)
    }
}

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), PageCount::new(pages)).expect("pages")
}

/// Owners of spans, who write to every page and look at all of them again.
#[derive(Default)]
pub(crate) struct Owners {
    pub(crate) spans: Vec<(Span, u64)>,
    stamps: u64,
}

impl Owners {
    /// Takes what an allocation gave, and writes to it.
    pub(crate) fn own(&mut self, heap: &Heap<'_>, span: Span) {
        self.stamps += 1;
        for at in words(heap, span.range()) {
            // SAFETY: the span is ours, and nothing has a reference into it.
            unsafe { at.write_volatile(self.stamps) }
        }
        self.spans.push((span, self.stamps));
    }

    /// Frees the span at an index.
    pub(crate) fn free(&mut self, heap: &Heap<'_>, index: usize) {
        let (span, _) = self.spans.swap_remove(index);
        heap.free(span).expect("a span in use");
    }

    /// Looks at every page of every span.
    pub(crate) fn look(&self, heap: &Heap<'_>) {
        for (span, stamp) in &self.spans {
            for at in words(heap, span.range()) {
                // SAFETY: as for the write.
                let found = unsafe { at.read_volatile() };
                assert_eq!(found, *stamp, "a page of {:?}", span.range());
            }
        }
    }
}

/// The first and the last word of each page.
pub(crate) fn words(heap: &Heap<'_>, range: PageRange) -> impl Iterator<Item = *mut u64> {
    let bytes = heap.window().bytes_of(range);
    let at = |physical| heap.backing().machine().pointer(physical).cast::<u64>();
    let both = bytes.step_by(4096).flat_map(|page| [page, page + 4088]);
    both.map(at).collect::<Vec<_>>().into_iter()
}

/// Takes all that the heap has, page by page, and gives it back; returns how
/// many pages that were.
pub(crate) fn drain(heap: &Heap<'_>, owners: &mut Owners) -> u32 {
    let before = owners.spans.len();
    while let Ok(span) = heap.alloc(PageCount::new(1)) {
        owners.own(heap, span);
    }
    owners.look(heap);
    let pages = owners.spans.len() - before;
    while owners.spans.len() > before {
        owners.free(heap, before);
    }
    heap.check().expect("books in order");
    pages as u32
}
