//! Every public verb of the heaps, called once, with anything.
//!
//! A verb that is missing here fails `tests/no_panic.rs`, which reads the names
//! in `src/heap/` and `src/locked.rs`.

use core::fmt::{self, Write};

use spanheap::region::MemoryMap;
use spanheap::{
    Budget, Class, Geometry, Hold, LockedHeap, Metadata, Page, PageCount, PageHeap, PageRange,
    Request, Residency, Span, StaticMetadata, Stats, Window, metadata_size,
};

use crate::{Anything, any};

/// What the verbs are given.
pub struct Given {
    address: u64,
    bytes: u64,
    pages: PageCount,
    page: Page,
    range: PageRange,
    span: Span,
    request: Request,
    budget: Budget,
    hold: Hold,
    residency: Residency,
    window: Window,
    map: MemoryMap<'static>,
}

/// Calls every verb that both heaps have.
macro_rules! call_verbs {
    ($Heap:ident, $heap:expr, $given:expr) => {{
        $Heap::seed(any($heap), any($given.bytes));
        let (range, residency) = (|| any($given.range), || any($given.residency));
        // SAFETY: the program is never run.
        let _ = any(unsafe { $Heap::add_region(any($heap), range(), residency()) });
        // SAFETY: the program is never run.
        let _ = any(unsafe { $Heap::add_memory(any($heap), any(&$given.map), residency()) });

        let (span, pages) = (|| any($given.span), || any($given.pages));
        let _ = any($Heap::alloc(any($heap), pages()));
        let _ = any($Heap::alloc(any($heap), any($given.request.clone())));
        let _ = any($Heap::free(any($heap), span()));
        let _ = any($Heap::free_part(any($heap), span(), range()));
        let _ = any($Heap::shrink(any($heap), span(), pages()));
        let _ = any($Heap::grow(any($heap), span(), pages()));

        let address = || any($given.address);
        let _ = any($Heap::alloc_at(any($heap), address(), pages()));
        let _ = any($Heap::free_at(any($heap), address(), pages()));
        let _ = any($Heap::free_part_at(any($heap), address(), pages()));
        let _ = any($Heap::span_of(any($heap), address()));

        let _ = any($Heap::release(any($heap), any($given.budget)));
        let _ = any($Heap::release_all(any($heap)));
        $Heap::tick(any($heap), any($given.pages).get(), any(0));
        $Heap::catch_up(any($heap), any(0));
        $Heap::set_limit(any($heap), any($given.bytes));
        let _ = any($Heap::stats(any($heap)));
        let _ = any($Heap::check(any($heap)));
        any($Heap::backing(any($heap)));
        any($Heap::window(any($heap)));
        for info in $Heap::spans(any($heap)) {
            any(info);
        }
    }};
}

/// Every verb of a [`PageHeap`].
pub fn page_heap(heap: &mut PageHeap<'static, Anything>, given: &Given) {
    call_verbs!(PageHeap, &mut *heap, given);
    #[cfg(feature = "planted")]
    any(heap.span_of(any(given.address)).unwrap());
}

/// Every verb of a [`LockedHeap`].
pub fn locked_heap(heap: &LockedHeap<'static, Anything>, given: &Given) {
    call_verbs!(LockedHeap, heap, given);
}

/// Making heaps.
pub fn made(metadata: fn() -> Metadata<'static>, given: &Given) {
    let window = || any(given.window);
    let _ = any(PageHeap::new(window(), metadata(), Anything));
    let _ = any(LockedHeap::new(window(), metadata(), Anything));
    let heap = any(LockedHeap::empty(Anything));
    let _ = any(LockedHeap::init(&heap, window(), metadata()));
}

/// Taking memory for a heap's books.
pub fn metadata(memory: &'static StaticMetadata<64, 64>, window: &Window, given: &Given) {
    any(memory.take());
    let (slots, grain) = (any(given.pages).get(), any(given.pages).get());
    any(metadata_size(window, slots, grain));
    any(Hold::fixed(slots, grain));
}

/// The values that requests and answers are made of.
pub fn values(given: &Given, stats: &Stats) {
    let bytes = || any(given.bytes);
    let _ = any(Geometry::new(bytes(), bytes(), bytes()));
    let window = any(&given.window);
    let geometry = any(window.geometry());
    let _ = any(Window::new(geometry, any(given.address), any(given.pages)));
    let _ = any(window.page_at(any(given.address)));
    let _ = any(window.range_at(any(given.address), any(given.pages)));
    any(window.address_of(any(given.page)));
    any(window.bytes_of(any(given.range)));
    any((geometry.page_bytes(), geometry.physical_bytes()));
    any((geometry.physical_pages(), geometry.huge_pages()));
    any(geometry.bytes(any(given.pages)));
    any(geometry.pages_for(bytes()));

    let range = || any(given.range);
    any(PageRange::new(any(given.page), any(given.pages)));
    any(PageRange::between(any(given.page), any(given.page)));
    any((range().covers(range()), range().contains(any(given.page))));
    any(range().intersection(range()));
    for page in range().pages() {
        any(page);
    }

    let request = Request::pages(any(given.pages)).aligned(bytes());
    any(request
        .within(bytes()..bytes())
        .class(Class::Movable)
        .zeroed());
    any(Budget::bytes(bytes())
        .calls(any(given.pages).get())
        .held(any(given.hold))
        .leftovers());
    let stats = any(stats);
    any((stats.resident(), stats.bytes(any(given.pages))));
    let _ = write!(Screen, "{stats}");
}

/// Where a kernel prints.
struct Screen;

impl Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        any(text);
        any(Ok(()))
    }
}

/// The sweep over a boot memory map.
pub fn memory_map(map: &MemoryMap<'static>, window: &Window) {
    for range in any(map).ranges(any(window)) {
        any(range);
    }
}
