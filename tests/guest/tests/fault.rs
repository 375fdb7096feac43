//! Released pages are unmapped, and nothing else is.
//!
//! The heap lies over the direct map. A page of it that is idle and released
//! faults when it is touched; the handler then allocates it, which maps it, and
//! the touch is tried again. So each touch here counts its own faults.

#![no_std]
#![no_main]

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spanheap::{Geometry, LockedHeap, PageCount, PageRange, ReleaseEnd, Request};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::trap::{PageFault, on_page_fault, page_faults};
use spanheap_guest::{OFFSET, case, direct_map, heap_of, kernel, pointer, window};
use spanheap_x86_64::{
    DirectMapBacking, Frames, Hook, PageTableBacking, Reserve, Stale, flush_local,
};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::paging::OffsetPageTable;

kernel!(run);

type Backing = DirectMapBacking<OffsetPageTable<'static>, Hook<fn(Stale)>, TABLES>;
type Heap = LockedHeap<'static, Backing>;

/// Page tables in reserve.
const TABLES: usize = 64;
const PAGE: u64 = 4096;
const HUGE: u32 = 512;

static HEAP: Once<Heap> = Once::new();
/// What the handler allocates when the page there is touched: an address, 0 if
/// no fault is expected, and how many pages. Relaxed all: there is one CPU.
static EXPECTED: AtomicU64 = AtomicU64::new(0);
static PAGES: AtomicU32 = AtomicU32::new(0);

fn run(memory: &BootMemory) {
    let mapper = direct_map(memory);
    let window = window(memory, Geometry::SMALL_PAGES);
    // SAFETY: there is one CPU.
    let hook = unsafe { Hook::new(flush_local as fn(Stale)) };
    // SAFETY: all memory is mapped there, and by this backing alone from now on.
    let backing = unsafe {
        PageTableBacking::over_direct_map(
            mapper,
            VirtAddr::new(OFFSET),
            window,
            Reserve::new(),
            hook,
        )
    };
    let heap = HEAP.call_once(|| heap_of(memory, window, 8, backing.expect("a backing")));
    // SAFETY: the window is of physical addresses.
    let mut frames = unsafe { Frames::new(heap) };
    assert_eq!(heap.backing().refill(&mut frames), TABLES);
    on_page_fault(allocate);

    case("a released page, touched, faults once", || touched(heap, 1));
    case("a released huge page, touched, faults once", || {
        touched(heap, HUGE)
    });
    case(
        "a released page that is allocated again does not fault",
        || reused(heap, 1),
    );
    case(
        "a released huge page that is allocated again does not fault",
        || reused(heap, HUGE),
    );
    case("every page of released memory faults", || every_page(heap));
    case(
        "released memory that is wanted zeroed is zero, and does not fault",
        || zeroed(heap),
    );
}

/// The handler: allocates what was touched.
fn allocate(fault: PageFault) -> bool {
    const NOT_PRESENT: u64 = 0;
    let expected = EXPECTED.swap(0, Ordering::Relaxed);
    let pages = PAGES.load(Ordering::Relaxed);
    let bytes = expected..expected + u64::from(pages) * PAGE;
    let Some(physical) = fault.address.checked_sub(OFFSET) else {
        return false;
    };
    if expected == 0 || !bytes.contains(&physical) || fault.code & 1 != NOT_PRESENT {
        return false;
    }
    assert!(
        fault.on_own_stack,
        "the handler runs on the stack of what faulted"
    );
    let heap = HEAP.get().expect("a heap");
    let _freed_by_address = heap
        .alloc_at(expected, PageCount::new(pages))
        .expect("it is idle");
    true
}

/// Touches a page of `bytes`, all of which the handler shall then allocate.
fn touch(bytes: &Range<u64>, at: u64) {
    EXPECTED.store(bytes.start, Ordering::Relaxed);
    PAGES.store(((bytes.end - bytes.start) / PAGE) as u32, Ordering::Relaxed);
    let before = page_faults();
    // SAFETY: it is nobody's; the handler makes it this test's.
    unsafe { pointer::<u64>(at).write_volatile(at) };
    assert_eq!(page_faults(), before + 1, "one fault at {at:#x}");
    // SAFETY: as before.
    unsafe { pointer::<u64>(at).write_volatile(!at) };
    assert_eq!(page_faults(), before + 1, "no further fault at {at:#x}");
}

/// Writes all of each page. What is not mapped then is the end of the test,
/// since no fault is expected.
fn fill(bytes: Range<u64>, seed: u64) {
    for at in bytes.step_by(8) {
        // SAFETY: the pages are in use, and the test's.
        unsafe { pointer::<u64>(at).write_volatile(at ^ seed) };
    }
}

fn verify(bytes: Range<u64>, seed: u64) {
    for at in bytes.step_by(8) {
        // SAFETY: as in `fill`.
        let found = unsafe { pointer::<u64>(at).read_volatile() };
        assert_eq!(found, at ^ seed, "{at:#x} was overwritten");
    }
}

/// Three pieces in use side by side, of which the one in the middle is freed
/// and released.
struct Neighbours {
    low: Range<u64>,
    middle: Range<u64>,
    high: Range<u64>,
}

impl Neighbours {
    fn new(heap: &Heap, pages: u32) -> Self {
        let three = Request::pages(PageCount::new(3 * pages)).aligned(u64::from(pages) * PAGE);
        let span = heap.alloc(three).expect("memory");
        let all = heap.window().bytes_of(span.range());
        fill(all.clone(), 1);
        let start = span.range().pages().nth(pages as usize).expect("a middle");
        let part = PageRange::new(start, PageCount::new(pages)).expect("pages");
        let middle = heap.window().bytes_of(part);
        let _freed_by_address = heap.free_part(span, part).expect("in use");
        assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
        let (low, high) = (all.start..middle.start, middle.end..all.end);
        Self { low, middle, high }
    }

    fn verify(&self) {
        verify(self.low.clone(), 1);
        verify(self.high.clone(), 1);
    }

    fn free(self, heap: &Heap) {
        for bytes in [self.low, self.middle, self.high] {
            let pages = PageCount::new(((bytes.end - bytes.start) / PAGE) as u32);
            heap.free_at(bytes.start, pages).expect("in use");
        }
        heap.check().expect("sound books");
        assert_eq!(heap.stats().in_use, PageCount::new(TABLES as u32));
    }
}

fn touched(heap: &Heap, pages: u32) {
    let three = Neighbours::new(heap, pages);
    // In the middle of the middle one.
    touch(
        &three.middle,
        three.middle.start + u64::from(pages / 2) * PAGE,
    );
    let before = page_faults();
    fill(three.middle.clone(), 2);
    three.verify();
    verify(three.middle.clone(), 2);
    assert_eq!(page_faults(), before);
    three.free(heap);
}

fn reused(heap: &Heap, pages: u32) {
    let three = Neighbours::new(heap, pages);
    let before = page_faults();
    let count = PageCount::new(pages);
    let span = heap
        .alloc_at(three.middle.start, count)
        .expect("it is idle");
    assert_eq!(heap.window().bytes_of(span.range()), three.middle);
    fill(three.middle.clone(), 3);
    three.verify();
    verify(three.middle.clone(), 3);
    assert_eq!(page_faults(), before);
    three.free(heap);
}

fn every_page(heap: &Heap) {
    let span = heap
        .alloc(Request::pages(PageCount::new(HUGE)).aligned(2 << 20))
        .expect("memory");
    let bytes = heap.window().bytes_of(span.range());
    heap.free(span).expect("in use");
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    let before = page_faults();
    for page in bytes.clone().step_by(PAGE as usize) {
        touch(&(page..page + PAGE), page);
    }
    assert_eq!(page_faults(), before + u64::from(HUGE));
    for page in bytes.step_by(PAGE as usize) {
        heap.free_at(page, PageCount::new(1)).expect("in use");
    }
    heap.check().expect("sound books");
}

fn zeroed(heap: &Heap) {
    let pages = PageCount::new(3 * HUGE + 5);
    let span = heap.alloc(pages).expect("memory");
    fill(heap.window().bytes_of(span.range()), 4);
    heap.free(span).expect("in use");
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    assert_eq!(heap.stats().released, heap.stats().idle);
    let before = page_faults();
    let span = heap.alloc(Request::pages(pages).zeroed()).expect("memory");
    for at in heap.window().bytes_of(span.range()).step_by(8) {
        // SAFETY: the pages are in use, and the test's.
        assert_eq!(unsafe { pointer::<u64>(at).read_volatile() }, 0);
    }
    assert_eq!(page_faults(), before);
    heap.free(span).expect("in use");
    heap.check().expect("sound books");
}
