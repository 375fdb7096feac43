//! Memory for the books that is not enough.

use spanheap::backing::fake::FakeBacking;
use spanheap::{
    LockedHeap, MapEntry, Metadata, MetadataError, PageHeap, Residency, Slot, StaticMetadata,
    Window, metadata_size,
};

use crate::layout::{Setup, pages, range};

/// Makes both heaps over this many slots and map entries for 256 pages.
fn made(slots: usize, entries: usize) -> [Result<(), MetadataError>; 2] {
    let window = Setup::PLAIN.window(256);
    let fake = FakeBacking::new(window);
    let memory = || (vec![Slot::VACANT; slots], vec![MapEntry::EMPTY; entries]);
    let (mut for_owned, mut for_locked) = (memory(), memory());
    let owned = Metadata::new(&mut for_owned.0, &mut for_owned.1);
    let locked = Metadata::new(&mut for_locked.0, &mut for_locked.1);
    [
        PageHeap::new(window, owned, fake.clone()).map(drop),
        LockedHeap::new(window, locked, fake).map(drop),
    ]
}

#[test]
fn a_pool_without_slots_is_refused() {
    assert_eq!(made(0, 256), [Err(MetadataError::NoSlots); 2]);
    assert_eq!(made(0, 0), [Err(MetadataError::NoSlots); 2]);
    assert_eq!(made(1, 256), [Ok(()); 2]);
}

#[test]
fn a_map_of_less_than_one_entry_for_64_pages_is_refused() {
    for entries in [0, 1, 3] {
        assert_eq!(made(16, entries), [Err(MetadataError::MapTooSmall); 2]);
    }
    // Lengths between two grains are as good as the coarser of them.
    for entries in [4, 5, 7, 8, 100, 256, 1000] {
        assert_eq!(made(16, entries), [Ok(()); 2], "{entries} entries");
    }
}

#[test]
fn what_metadata_size_says_is_enough_and_fewer_map_entries_are_not() {
    let window = Setup::PLAIN.window(1000);
    for grain in 0..100 {
        let size = metadata_size(&window, 10, grain).expect("a small window");
        let grain = grain.clamp(1, 64).next_power_of_two() as usize;
        assert_eq!(
            (size.slots, size.map_entries),
            (10, 1000_usize.div_ceil(grain))
        );
        let bytes = 10 * size_of::<Slot>() + size.map_entries * size_of::<MapEntry>();
        assert_eq!((size.bytes, size.align), (bytes, align_of::<Slot>()));
    }
    let coarsest = metadata_size(&window, 10, 64).expect("a small window");
    for (entries, expected) in [
        (coarsest.map_entries, Ok(())),
        (coarsest.map_entries - 1, Err(MetadataError::MapTooSmall)),
    ] {
        let (mut slots, mut map) = ([Slot::VACANT; 10], vec![MapEntry::EMPTY; entries]);
        let books = Metadata::new(&mut slots, &mut map);
        let made = PageHeap::new(window, books, FakeBacking::new(window));
        assert_eq!(made.map(drop), expected);
    }
}

#[test]
fn a_static_gives_its_memory_once() {
    static METADATA: StaticMetadata<4, 4> = StaticMetadata::new();
    assert!(METADATA.take().is_some());
    assert!(METADATA.take().is_none());
}

/// A locked heap of 8 pages that was never set up, and the window for it.
fn unset() -> (LockedHeap<'static, FakeBacking>, FakeBacking, Window) {
    let window = Setup::PLAIN.window(8);
    let fake = FakeBacking::new(window);
    fake.add(range(0, 8), Residency::Resident);
    (LockedHeap::empty(fake.clone()), fake, window)
}

#[test]
fn a_heap_is_not_set_up_twice() {
    let (heap, _, window) = unset();
    let books = || Setup::PLAIN.books(&window);
    assert_eq!(heap.init(window, books()), Ok(()));
    // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
    let added = unsafe { heap.add_region(range(0, 8), Residency::Resident) };
    assert_eq!(added, Ok(()));
    let span = heap.alloc(pages(3)).expect("there is room");
    let before = heap.stats();
    assert_eq!(heap.init(window, books()), Err(MetadataError::AlreadySetUp));
    // Not even for another reason first.
    let none = Metadata::new(&mut [], &mut []);
    assert_eq!(heap.init(window, none), Err(MetadataError::AlreadySetUp));
    assert_eq!(heap.stats(), before);
    assert_eq!((heap.free(span), heap.check()), (Ok(()), Ok(())));
}

#[test]
fn a_heap_that_could_not_be_set_up_can_be_with_better_memory() {
    let (heap, _, window) = unset();
    let none = Metadata::new(&mut [], &mut []);
    assert_eq!(heap.init(window, none), Err(MetadataError::NoSlots));
    let mut slots = [Slot::VACANT; 2];
    let no_map = Metadata::new(slots.as_mut_slice(), &mut []);
    let heap = {
        // Another lifetime: books that outlive only this block.
        let short = LockedHeap::empty(heap.backing().clone());
        assert_eq!(short.init(window, no_map), Err(MetadataError::MapTooSmall));
        drop(short);
        heap
    };
    assert_eq!(heap.init(window, Setup::PLAIN.books(&window)), Ok(()));
    assert_eq!(heap.check(), Ok(()));
    assert_eq!(heap.window(), window);
}
