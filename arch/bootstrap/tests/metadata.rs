//! Raw memory is books, or is refused before a byte of it is written.

use std::mem::MaybeUninit;

use spanheap::{
    Geometry, Metadata, MetadataError, Page, PageCount, PageHeap, PageRange, Residency, Window,
    metadata_size,
};
use spanheap_bootstrap::metadata_in;

mod always;
use always::Always;

const PAGES: PageCount = PageCount::new(300);

fn window() -> Window {
    Window::new(Geometry::SMALL_PAGES, 2 << 20, PAGES).expect("a window")
}

/// Memory full of junk, so that what is not written shows.
struct Junk(Vec<u64>);

impl Junk {
    fn of(bytes: usize) -> Self {
        Self(vec![0xa5a5_a5a5_a5a5_a5a5; bytes.div_ceil(8) + 1])
    }

    /// `len` bytes, `offset` bytes behind an address that is aligned for all.
    fn bytes(&mut self, offset: usize, len: usize) -> &mut [MaybeUninit<u8>] {
        // SAFETY: numbers are bytes, and every byte is a `MaybeUninit` one; what
        // is written through it is bytes of plain numbers again.
        let (_, bytes, _) = unsafe { self.0.align_to_mut::<MaybeUninit<u8>>() };
        &mut bytes[offset..offset + len]
    }

    fn is_untouched(&self) -> bool {
        self.0.iter().all(|&word| word == 0xa5a5_a5a5_a5a5_a5a5)
    }
}

fn bytes(slots: u32, grain: u32) -> usize {
    metadata_size(&window(), slots, grain)
        .expect("a size")
        .bytes
}

fn works(metadata: Metadata<'_>) {
    let mut heap = PageHeap::new(window(), metadata, Always).expect("books");
    let all = PageRange::new(Page::new(0), PAGES).expect("pages");
    // SAFETY: these pages are numbers only; nobody touches memory.
    unsafe { heap.add_region(all, Residency::Resident) }.expect("a region");
    let spans: Vec<_> = (0..6)
        .map(|_| heap.alloc(PageCount::new(50)).expect("room"))
        .collect();
    heap.check().expect("sound books");
    for span in spans {
        heap.free(span).expect("in use");
    }
    heap.check().expect("sound books");
}

#[test]
fn memory_of_exactly_the_size_serves_and_of_one_byte_less_is_refused() {
    for grain in [1, 4, 64] {
        let exact = bytes(20, grain);
        let mut junk = Junk::of(exact);
        let short = metadata_in(junk.bytes(0, exact - 1), &window(), 20, grain);
        assert_eq!(short.unwrap_err(), MetadataError::TooSmall);
        assert!(junk.is_untouched());
        works(metadata_in(junk.bytes(0, exact), &window(), 20, grain).expect("books"));
    }
}

#[test]
fn only_as_much_as_is_needed_is_written() {
    let exact = bytes(20, 16);
    let mut junk = Junk::of(exact + 64);
    let metadata = metadata_in(junk.bytes(0, exact + 64), &window(), 20, 16);
    works(metadata.expect("books"));
    // SAFETY: `Junk` was written whole, before and since, with plain numbers.
    let behind = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() };
    assert!(
        junk.bytes(exact, 64)
            .iter()
            .all(|byte| behind(byte) == 0xa5)
    );
}

#[test]
fn memory_that_is_not_aligned_is_refused_at_every_offset_but_the_aligned_ones() {
    let exact = bytes(20, 16);
    let align = metadata_size(&window(), 20, 16).expect("a size").align;
    assert!(align > 1);
    let mut junk = Junk::of(exact + 16);
    for offset in (0..16).filter(|offset| offset % align != 0) {
        let result = metadata_in(junk.bytes(offset, exact), &window(), 20, 16);
        assert_eq!(
            result.unwrap_err(),
            MetadataError::Misaligned,
            "offset {offset}"
        );
        assert!(junk.is_untouched());
    }
    for offset in (0..16).step_by(align) {
        works(metadata_in(junk.bytes(offset, exact), &window(), 20, 16).expect("books"));
    }
}

#[test]
fn a_pool_without_slots_is_refused() {
    let mut junk = Junk::of(4096);
    let result = metadata_in(junk.bytes(0, 4096), &window(), 0, 16);
    assert_eq!(result.unwrap_err(), MetadataError::NoSlots);
    assert!(junk.is_untouched());
}

#[test]
fn empty_memory_is_refused() {
    let result = metadata_in(Junk::of(8).bytes(0, 0), &window(), 1, 64).map(|_| ());
    assert_eq!(result, Err(MetadataError::TooSmall));
}

#[test]
fn junk_that_was_there_before_is_not_taken_for_spans() {
    let exact = bytes(8, 1);
    let mut junk = Junk::of(exact);
    let metadata = metadata_in(junk.bytes(0, exact), &window(), 8, 1).expect("books");
    let heap = PageHeap::new(window(), metadata, Always).expect("books");
    assert_eq!(heap.spans().count(), 0);
    assert_eq!(heap.stats().spans, 0);
    heap.check().expect("sound books");
}
