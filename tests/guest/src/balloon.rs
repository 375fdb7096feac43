//! A heap of all memory with a started balloon under it, and stamps for what it
//! hands out.
//!
//! Its physical page is the huge page, so that it gives back nothing smaller,
//! unless a test asks for other pieces.

use spanheap::{Geometry, LockedHeap, PageCount, Span};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, DirectMap, Features, Holding, Options, Pieces, SHARED_BYTES,
    SomeTransport,
};
use spin::{Mutex, Once};

use crate::device;
use crate::heap::{heap_of, window};
use crate::memory::BootMemory;
use crate::{OFFSET, direct_map, pointer};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a huge page.
pub const HUGE_BYTES: u64 = 2 << 20;
/// Pages of a huge page.
pub const HUGE: u32 = 512;

/// A heap over a balloon.
pub type Heap = LockedHeap<'static, Balloon<'static, SomeTransport<'static>, DirectMap>>;

/// Maps all memory, makes a heap of it, and starts the balloon. To be called
/// once.
#[must_use]
pub fn start(memory: &BootMemory) -> &'static Heap {
    start_with(memory, Pieces::WholeHugePages, 16)
}

/// As [`start`], for a heap that gives back such pieces, and that has a slot for
/// every `share` pages.
#[must_use]
pub fn start_with(memory: &BootMemory, pieces: Pieces, share: u32) -> &'static Heap {
    static HEAP: Once<Heap> = Once::new();
    /// The balloon's books: a place for each huge page of 1 GiB.
    static PLACES: Mutex<[Holding; 512]> = Mutex::new([Holding::EMPTY; 512]);

    let _mapper = direct_map(memory);
    let physical = match pieces {
        Pieces::WholeHugePages => HUGE_BYTES,
        Pieces::Any => PAGE,
    };
    let geometry = Geometry::new(PAGE, physical, HUGE_BYTES).expect("a geometry");
    let window = window(memory, geometry);
    // SAFETY: all memory is mapped there, for good.
    let map = unsafe { DirectMap::new(OFFSET) };
    let heap = HEAP.call_once(|| heap_of(memory, window, share, Balloon::new(window, map)));
    let shared = PageCount::new(SHARED_BYTES.div_ceil(PAGE) as u32);
    let shared = heap.alloc(shared).expect("memory");
    let places: &'static mut [Holding; 512] = spin::MutexGuard::leak(PLACES.lock());
    let books = BalloonMemory {
        holdings: places,
        inflated: &mut [],
    };
    let transport = device::find().expect("a balloon");
    let shared = window.address_of(shared.range().start());
    // SAFETY: the pages were allocated for this and are never freed, and the
    // machine has no IOMMU.
    let features = unsafe {
        heap.backing()
            .start(transport, shared, books, Options::DEFAULT.pieces(pieces))
    };
    let features = features.expect("a balloon that starts");
    assert!(features.contains(Features::PAGE_REPORTING), "{features:?}");
    heap.backing().attach(heap);
    heap
}

/// Writes something to every page of a span, which `seed` makes different.
pub fn fill(heap: &Heap, span: &Span, seed: u64) {
    for page in heap.window().bytes_of(span.range()).step_by(PAGE as usize) {
        for at in [page, page + PAGE - 8] {
            // SAFETY: the pages are in use, and the test's.
            unsafe { pointer::<u64>(at).write_volatile(at ^ seed) };
        }
    }
}

/// Panics unless every page of a span holds what [`fill`] wrote.
pub fn verify(heap: &Heap, span: &Span, seed: u64) {
    for page in heap.window().bytes_of(span.range()).step_by(PAGE as usize) {
        for at in [page, page + PAGE - 8] {
            // SAFETY: as in `fill`.
            let found = unsafe { pointer::<u64>(at).read_volatile() };
            assert_eq!(found, at ^ seed, "{at:#x} was overwritten");
        }
    }
}
