//! A shared heap over a balloon: it has no handles, and pages of its own that no
//! huge page can be made of.

use std::sync::atomic::AtomicU64;

use spanheap::{
    AllocError, MapEntry, Metadata, OneCpu, PageCount, Residency, SharedHeap, SharedMetadata, Slot,
    front_words,
};
use spanheap_virtio_balloon::{Balloon, BalloonMemory, Holding, Options, Pieces, PollEnd};

use crate::common::{PER_HUGE, Patient, Ram, range};
use crate::fake::{Fake, OOM, REPORTING, VERSION_1};

/// Two chunks of 512 pages.
const PAGES: u32 = 1024;

type Heap = SharedHeap<'static, Balloon<'static, Fake, Patient>, OneCpu>;

/// A heap that has its balloon started and attached, for good.
fn attached(ram: &'static Ram, fake: &Fake) -> &'static Heap {
    let window = ram.window(Pieces::WholeHugePages);
    let slots = vec![Slot::VACANT; PAGES as usize + 1].leak();
    let map = vec![MapEntry::EMPTY; PAGES as usize / 16].leak();
    let words = front_words(&window, 1).expect("a size");
    let front: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let metadata = SharedMetadata::new(Metadata::new(slots, map), front.leak(), 1);
    let balloon = Balloon::new(window, Patient::new(ram, fake));
    let heap = SharedHeap::new(window, metadata, balloon, OneCpu).expect("books");
    let heap: &'static Heap = Box::leak(Box::new(heap));
    // SAFETY: the arena is the heap's, and is all there.
    unsafe { heap.add_region(range(0, PAGES), Residency::Resident) }.expect("a region");
    let memory = BalloonMemory {
        holdings: vec![Holding::EMPTY; PAGES as usize].leak(),
        inflated: &mut [],
    };
    // SAFETY: the arena has so many bytes there, used by nothing else; the device
    // sees the same addresses.
    let started = unsafe {
        heap.backing()
            .start(fake.clone(), ram.shared(), memory, Options::DEFAULT)
    };
    started.expect("a device that starts");
    heap.backing().attach(heap);
    heap
}

#[test]
fn a_shared_heap_follows_the_target_and_takes_its_last_pages_from_the_balloon() {
    let ram = Box::leak(Box::new(Ram::new(PAGES / PER_HUGE)));
    let fake = ram.fake(VERSION_1 | OOM | REPORTING);
    let heap = attached(ram, &fake);
    fake.state().num_pages = 40 * PER_HUGE;
    let poll = |budget| heap.backing().poll(heap, PageCount::new(budget));
    assert_eq!(poll(PAGES).end, PollEnd::Reached);
    assert_eq!(heap.backing().stats().held.get(), 40 * PER_HUGE);
    assert_eq!(heap.stats().in_use.get(), 40 * PER_HUGE);

    let one = PageCount::new(1);
    let pages: Vec<_> = (0..PAGES)
        .map(|_| heap.alloc(one).expect("out of the balloon"))
        .collect();
    assert_eq!(heap.alloc(one), Err(AllocError::NoRun));
    assert_eq!(heap.backing().stats().held, PageCount::ZERO);
    assert!(fake.state().ballooned.is_empty());
    heap.check().expect("sound books");

    pages
        .into_iter()
        .for_each(|page| heap.free(page).expect("in use"));
    // The same target is not followed again; another one is.
    assert_eq!(poll(PAGES).inflated, PageCount::ZERO);
    fake.state().num_pages = 63 * PER_HUGE;
    assert_eq!(poll(PAGES).end, PollEnd::Reached);
    assert_eq!(heap.backing().stats().held.get(), 63 * PER_HUGE);
    fake.state().num_pages = 0;
    assert_eq!(poll(PAGES).end, PollEnd::Reached);
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    let all = heap.alloc(PageCount::new(PAGES)).expect("one piece again");
    heap.free(all).expect("in use");
    heap.check().expect("sound books");
}
