//! A heap with its books in its own first pages never hands those out.

use std::error::Error;
use std::ptr::NonNull;

use spanheap::{
    AllocAtError, AllocError, Geometry, LockedHeap, MetadataError, Page, PageCount, PageRange,
    RegionError, Residency, Window,
};
use spanheap_bootstrap::{BootstrapError, Plan, bootstrap, bootstrap_locked};

mod always;
use always::Always;

#[derive(Clone)]
#[repr(align(4096))]
struct Frame([u8; 4096]);

/// A machine of 256 frames, the first of them 2 MiB up; full of junk.
struct Ram(Vec<Frame>);

impl Ram {
    fn new() -> Self {
        Self(vec![Frame([0x5a; 4096]); 256])
    }

    /// Where the kernel sees a frame. All of them can be reached from it.
    fn at(&mut self, frame: Page) -> NonNull<u8> {
        // No reference, so that pointers from an earlier call stay good.
        let first = NonNull::new(self.0.as_mut_ptr()).expect("a vector");
        // SAFETY: there are 256 frames, and the tests name no others.
        unsafe { first.add(frame.number() as usize) }.cast()
    }
}

fn window(geometry: Geometry) -> Window {
    Window::new(geometry, 2 << 20, PageCount::new(256)).expect("a window")
}

fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), PageCount::new(pages)).expect("not empty")
}

fn plan(region: PageRange, slots: u32) -> Result<Plan, BootstrapError> {
    Plan::new(&window(Geometry::SMALL_PAGES), region, slots, 1)
}

/// The most slots of 48 bytes that fit into three pages beside a map of 256
/// entries of 4 and the record of a huge page of 12.
const FILLS_THREE: u32 = (3 * 4096 - 1024 - 12) / 48;

#[test]
fn the_books_take_the_first_pages_and_the_heap_gets_all_others() {
    for (slots, books) in [
        (1, 1),
        (63, 1),
        (64, 2),
        (FILLS_THREE, 3),
        (FILLS_THREE + 1, 4),
    ] {
        let mut ram = Ram::new();
        let plan = plan(range(16, 200), slots).expect("room");
        assert_eq!(plan.books(), range(16, books), "{slots} slots");
        assert_eq!(plan.pages(), range(16 + books, 200 - books));
        let memory = ram.at(plan.books().start());
        // SAFETY: the frames of `ram` are used by nothing else meanwhile.
        let heap = unsafe { bootstrap(&plan, memory, Residency::Resident, Always) };
        let mut heap = heap.expect("a heap");
        assert_eq!(heap.stats().sys, PageCount::new(200 - books));
        assert_eq!(heap.stats().slots, slots);
        let span = heap.alloc(PageCount::new(200 - books)).expect("all of it");
        assert_eq!(span.range(), plan.pages());
        assert_eq!(heap.alloc(PageCount::new(1)), Err(AllocError::NoRun));
        heap.free(span).expect("in use");
        heap.check().expect("sound books");
    }
}

#[test]
fn writing_to_every_page_that_is_handed_out_leaves_the_books_sound() {
    let mut ram = Ram::new();
    let plan = plan(range(0, 256), 256).expect("room");
    let memory = ram.at(plan.books().start());
    let frames = ram.at(Page::new(0)).cast::<Frame>().as_ptr();
    // SAFETY: the frames of `ram` are used by nothing but the heap and, below,
    // whoever it hands them to.
    let heap = unsafe { bootstrap(&plan, memory, Residency::Resident, Always) };
    let mut heap = heap.expect("a heap");
    let mut spans = Vec::new();
    while let Ok(span) = heap.alloc(PageCount::new(1)) {
        let frame = frames.wrapping_add(span.range().start().number() as usize);
        // SAFETY: the frame was handed out, so it is the test's.
        unsafe { frame.write(Frame([0xff; 4096])) };
        spans.push(span);
        heap.check().expect("sound books");
    }
    assert_eq!(spans.len() as u32, 256 - plan.books().count().get());
    for span in spans {
        heap.free(span).expect("in use");
    }
    heap.check().expect("sound books");
    assert_eq!(heap.stats().idle, plan.pages().count());
}

#[test]
fn the_pages_of_the_books_cannot_be_had_by_address_either() {
    let mut ram = Ram::new();
    let plan = plan(range(0, 128), 100).expect("room");
    let memory = ram.at(plan.books().start());
    // SAFETY: the frames of `ram` are used by nothing else meanwhile.
    let heap = unsafe { bootstrap(&plan, memory, Residency::Resident, Always) };
    let mut heap = heap.expect("a heap");
    for page in plan.books().pages() {
        let address = heap.window().address_of(page);
        let result = heap.alloc_at(address, PageCount::new(1));
        assert_eq!(result, Err(AllocAtError::Outside));
        assert_eq!(heap.span_of(address), None);
    }
}

#[test]
fn a_region_with_no_page_beside_the_books_is_too_small() {
    let books = PageCount::new(3);
    for pages in 1..=3 {
        let region = PageCount::new(pages);
        let expected = BootstrapError::RegionTooSmall { books, region };
        assert_eq!(plan(range(7, pages), FILLS_THREE), Err(expected));
    }
    let plan = plan(range(7, 4), FILLS_THREE).expect("one page is left");
    assert_eq!(plan.pages(), range(10, 1));
}

#[test]
fn what_cannot_be_planned_is_refused_with_the_reason() {
    assert_eq!(plan(range(0, 256), 0), Err(MetadataError::NoSlots.into()));
    for region in [range(0, 257), range(255, 2), range(300, 10)] {
        assert_eq!(plan(region, 10), Err(RegionError::OutsideWindow.into()));
    }
    // More bytes than the region, the window, or a page number.
    let region = PageCount::new(256);
    for slots in [1 << 16, u32::MAX] {
        match plan(range(0, 256), slots) {
            Err(BootstrapError::RegionTooSmall {
                region: seen,
                books,
            }) => {
                assert!(seen == region && books > region);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn books_end_on_a_physical_page_so_that_the_rest_can_be_released() {
    let geometry = Geometry::new(4096, 32768, 1 << 20).expect("a geometry");
    let window = window(geometry);
    let plan = Plan::new(&window, range(16, 64), 10, 1).expect("room");
    assert_eq!((plan.books(), plan.pages()), (range(16, 8), range(24, 56)));
    // From inside a physical page on, to its end.
    let plan = Plan::new(&window, range(18, 62), 10, 1).expect("room");
    assert_eq!((plan.books(), plan.pages()), (range(18, 6), range(24, 56)));
    let cut = Plan::new(&window, range(16, 63), 10, 1);
    assert_eq!(cut, Err(RegionError::Unaligned.into()));
}

#[test]
fn the_page_at_address_zero_may_hold_books() {
    let window = Window::new(Geometry::SMALL_PAGES, 0, PageCount::new(256)).expect("a window");
    let mut ram = Ram::new();
    let plan = Plan::new(&window, range(0, 256), 10, 1).expect("room");
    let memory = ram.at(Page::new(0));
    // SAFETY: the frames of `ram` are used by nothing else meanwhile.
    let heap = unsafe { bootstrap(&plan, memory, Residency::Resident, Always) };
    assert_eq!(heap.expect("a heap").stats().idle, PageCount::new(255));
}

#[test]
fn memory_that_is_not_aligned_for_the_books_is_refused() {
    let mut ram = Ram::new();
    let plan = plan(range(0, 256), 10).expect("room");
    // SAFETY: the first two frames are behind it.
    let odd = unsafe { ram.at(Page::new(0)).add(2) };
    // SAFETY: the frames of `ram` are used by nothing else meanwhile.
    let result = unsafe { bootstrap(&plan, odd, Residency::Resident, Always) };
    assert_eq!(result.map(|_| ()), Err(MetadataError::Misaligned.into()));
    assert!(
        ram.0.iter().all(|frame| frame.0 == [0x5a; 4096]),
        "nothing was written"
    );
}

#[test]
fn a_static_heap_is_set_up_once_and_not_hurt_by_a_second_time() -> Result<(), Box<dyn Error>> {
    static HEAP: LockedHeap<'static, Always> = LockedHeap::empty(Always);
    let ram = Box::leak(Box::new(Ram::new()));
    let plan = plan(range(0, 256), 64)?;
    let memory = ram.at(Page::new(0));
    // SAFETY: the frames are leaked, and used by nothing but the heap.
    unsafe { bootstrap_locked(&plan, memory, Residency::Resident, &HEAP) }?;
    let span = HEAP.alloc(PageCount::new(7))?;
    // SAFETY: as before; that the heap's books are there is what is tested.
    let again = unsafe { bootstrap_locked(&plan, memory, Residency::Resident, &HEAP) };
    assert_eq!(again, Err(MetadataError::AlreadySetUp.into()));
    HEAP.check().expect("sound books");
    assert_eq!(HEAP.stats().in_use, PageCount::new(7));
    HEAP.free(span)?;
    assert_eq!(HEAP.stats().idle, plan.pages().count());
    Ok(())
}
