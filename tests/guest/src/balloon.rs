//! A heap of all memory with a started balloon under it, and stamps for what it
//! hands out.
//!
//! Its physical page is the huge page, so that it gives back nothing smaller,
//! unless a test asks for other pieces.

use spanheap::{Geometry, LockedHeap, PageCount, Request, Span, Window};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, DirectMap, Features, Holding, Options, Pieces, Pool, SHARED_BYTES,
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

/// The balloon's books: places for the huge pages of 1 GiB, and more for smaller
/// pieces.
const PLACES: usize = 4096;

/// The machine's balloon.
pub type Device = Balloon<'static, SomeTransport<'static>, DirectMap>;

/// A heap over it.
pub type Heap = LockedHeap<'static, Device>;

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

    let _mapper = direct_map(memory);
    let window = window(memory, geometry(pieces));
    let heap = HEAP.call_once(|| heap_of(memory, window, share, without_device(window)));
    start_under(heap, heap.backing(), window, pieces);
    heap
}

/// Returns the pieces that a kernel is told to give back by its command line.
#[must_use]
pub fn pieces(memory: &BootMemory) -> Pieces {
    if memory.command_line().contains("single pages") {
        Pieces::Any
    } else {
        Pieces::WholeHugePages
    }
}

/// Returns the page sizes of a heap that gives back such pieces.
#[must_use]
pub fn geometry(pieces: Pieces) -> Geometry {
    let physical = match pieces {
        Pieces::WholeHugePages => HUGE_BYTES,
        Pieces::Any => PAGE,
    };
    Geometry::new(PAGE, physical, HUGE_BYTES).expect("a geometry")
}

/// Makes a balloon that has no device yet. The direct map must be there.
#[must_use]
pub const fn without_device(window: Window) -> Device {
    // SAFETY: all memory is mapped there, for good.
    let map = unsafe { DirectMap::new(OFFSET) };
    Balloon::new(window, map)
}

/// Starts the balloon with the machine's device, under a heap of that window. To be
/// called once.
pub fn start_under(
    heap: &'static (impl Pool + Sync),
    balloon: &'static Device,
    window: Window,
    pieces: Pieces,
) {
    static BOOKS: Mutex<[Holding; PLACES]> = Mutex::new([Holding::EMPTY; PLACES]);

    let shared = PageCount::new(SHARED_BYTES.div_ceil(PAGE) as u32);
    let shared = heap.take(Request::pages(shared)).expect("memory");
    let places: &'static mut [Holding; PLACES] = spin::MutexGuard::leak(BOOKS.lock());
    let books = BalloonMemory {
        holdings: places,
        inflated: &mut [],
    };
    let transport = device::find().expect("a balloon");
    let shared = window.address_of(shared.start());
    // SAFETY: the pages were allocated for this and are never freed, and the
    // machine has no IOMMU.
    let features =
        unsafe { balloon.start(transport, shared, books, Options::DEFAULT.pieces(pieces)) };
    let features = features.expect("a balloon that starts");
    assert!(features.contains(Features::PAGE_REPORTING), "{features:?}");
    balloon.attach(heap);
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
