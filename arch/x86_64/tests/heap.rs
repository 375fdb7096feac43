//! A whole heap over these backings: allocate, free, release, allocate again.

use spanheap::{
    AllocError, Budget, LockedHeap, MapEntry, Metadata, PageCount, PageHeap, ReleaseEnd, Request,
    Residency, Slot,
};
use spanheap_x86_64::{Frames, Obstacle, Reserve};
use x86_64::VirtAddr;
use x86_64::structures::paging::{FrameAllocator, Mapper, Page as Virtual, Size2MiB, Size4KiB};

mod machine;
use machine::{FLAGS, Machine, Pool, flushed, lookup, range, window};

/// 64 MiB, of which the first two are not the heap's.
const PAGES: u32 = 32 * 512;
const FIRST: u32 = 512;

fn metadata() -> Metadata<'static> {
    let slots = Box::leak(vec![Slot::VACANT; PAGES as usize].into_boxed_slice());
    let map = Box::leak(vec![MapEntry::EMPTY; PAGES as usize].into_boxed_slice());
    Metadata::new(slots, map)
}

#[test]
fn over_the_direct_map_exactly_the_released_pages_are_unmapped_at_every_step() {
    let mut machine = Machine::new();
    let window = window(0, PAGES);
    let all = 0..u64::from(PAGES) * 4096;
    let (backing, flushes) = machine.direct::<Size2MiB, 64>(all, window, 33);
    let mut heap = PageHeap::new(window, metadata(), backing).expect("a heap");
    // SAFETY: the machine's tables lie in the first 2 MiB; the rest is numbers.
    unsafe { heap.add_region(range(FIRST, PAGES - FIRST), Residency::Resident) }.expect("a region");

    let offset = machine.offset();
    let check = |heap: &PageHeap<'_, machine::DirectBacking<64>>| {
        heap.check().expect("sound books");
        let mut unmapped = 0;
        for info in heap.spans() {
            let released = info.state == spanheap::SpanState::Released;
            for page in info.range.pages() {
                let at = offset + u64::from(page.number()) * 4096;
                let seen = heap.backing().with_tables(|tree| lookup(tree, at));
                assert_eq!(seen.is_none(), released, "page {page:?}");
                unmapped += u32::from(seen.is_none());
            }
        }
        assert_eq!(heap.stats().released.get(), unmapped);
    };

    // Three rounds: a comb of small spans, some freed, all idle released.
    let mut random = 12345_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let mut spans = Vec::new();
    for round in 0..3 {
        for _ in 0..200 {
            let pages = PageCount::new(1 + next(100));
            match heap.alloc(pages) {
                Ok(span) => spans.push(span),
                Err(why) => assert_eq!(why, AllocError::NoRun),
            }
        }
        check(&heap);
        for _ in 0..150 {
            let span = spans.swap_remove(next(spans.len() as u32) as usize);
            heap.free(span).expect("in use");
        }
        flushed(&flushes);
        let release = heap.release(Budget::bytes(8 << 20));
        assert!(release.pages.get() > 0);
        assert_eq!(flushed(&flushes) as u32, release.calls, "one flush a batch");
        check(&heap);
        let release = heap.release_all();
        assert_eq!(release.end, ReleaseEnd::Drained, "round {round}");
        check(&heap);
    }
    for span in spans {
        heap.free(span).expect("in use");
    }
    let release = heap.release_all();
    assert_eq!(release.end, ReleaseEnd::Drained);
    check(&heap);
    let everything = heap
        .alloc(PageCount::new(PAGES - FIRST))
        .expect("all of it");
    check(&heap);
    assert_eq!(heap.backing().reserve_len(), 33, "no table is needed now");
    heap.free(everything).expect("in use");
}

#[test]
fn over_a_window_the_frames_follow_what_is_resident() {
    let mut machine = Machine::new();
    let window = window(0xffff_c000_0000_0000, PAGES);
    let pool = Pool::new(1 << 30, 8 * 512);
    let (backing, _) = machine.window::<64>(pool.clone(), window, 40);
    let mut heap = PageHeap::new(window, metadata(), backing).expect("a heap");
    // SAFETY: nothing else uses these addresses, and nothing touches them.
    unsafe { heap.add_region(range(0, PAGES), Residency::Released) }.expect("a region");

    // More addresses than frames: the pool's end is an error, and takes nothing.
    let mut spans = Vec::new();
    let refused = loop {
        match heap.alloc(PageCount::new(300)) {
            Ok(span) => spans.push(span),
            Err(AllocError::Refused(refused)) => break refused,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(Obstacle::of(refused), Some(Obstacle::NoFrame));
    assert_eq!(spans.len(), 8 * 512 / 300);
    assert_eq!(pool.out(), spans.len() * 300);
    heap.check().expect("sound books");

    for span in spans.drain(..).step_by(2) {
        heap.free(span).expect("in use");
    }
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    assert_eq!(pool.out() as u32, heap.stats().resident().get());
    assert_eq!(pool.out() as u32, heap.stats().in_use.get());
    let huge = Request::pages(PageCount::new(512)).aligned(2 << 20);
    let huge = heap.alloc(huge).expect("frames again");
    assert_eq!(pool.out() as u32, heap.stats().resident().get());
    heap.free(huge).expect("in use");
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    assert_eq!(pool.out() as u32, heap.stats().in_use.get());
    heap.check().expect("sound books");
}

#[test]
fn a_heap_maps_other_pages_with_its_own_frames_and_its_own_mapper() {
    let mut machine = Machine::new();
    let window = window(0, PAGES);
    let (backing, _) = machine.direct::<Size2MiB, 8>(0..64 << 20, window, 0);
    let heap = LockedHeap::new(window, metadata(), backing).expect("a heap");
    // SAFETY: the machine's tables lie in the first 2 MiB.
    unsafe { heap.add_region(range(FIRST, 3 * 512), Residency::Resident) }.expect("a region");
    // SAFETY: the heap's window is of physical addresses.
    let mut frames = unsafe { Frames::new(&heap) };
    // The heap fills the reserve of the backing below it.
    assert_eq!(heap.backing().refill(&mut frames), 8);
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);

    // What a mapper needs is taken before the lock is.
    let frame = FrameAllocator::<Size4KiB>::allocate_frame(&mut frames).expect("a frame");
    let mut tables = Reserve::<3>::new();
    assert_eq!(tables.fill(&mut frames), 3);
    let at = VirtAddr::new(0xffff_e000_0000_0000);
    let page = Virtual::<Size4KiB>::containing_address(at);
    let seen = heap.backing().with_tables(|tree| {
        // SAFETY: the frame is the test's.
        let mapped = unsafe { tree.map_to(page, frame, FLAGS, &mut tables) };
        mapped.expect("three tables are enough").ignore();
        lookup(tree, at)
    });
    assert_eq!(seen, Some((frame.start_address(), 4096)));
    assert!(tables.is_empty());
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::new(8 + 1 + 3));
}

#[test]
fn many_threads_commit_and_release_at_once_and_nothing_is_lost() {
    let mut machine = Machine::new();
    let window = window(0x7000_0000_0000, PAGES);
    let pool = Pool::new(1 << 30, u64::from(PAGES));
    let (backing, _) = machine.window::<64>(pool.clone(), window, 40);
    let heap = LockedHeap::new(window, metadata(), backing).expect("a heap");
    // SAFETY: nothing else uses these addresses, and nothing touches them.
    unsafe { heap.add_region(range(0, PAGES), Residency::Released) }.expect("a region");
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let heap = &heap;
            scope.spawn(move || {
                for turn in 0..300_u32 {
                    let pages = 1 + (turn * 7 + thread * 131) % 700;
                    let span = heap.alloc(PageCount::new(pages)).expect("room for all");
                    for page in span.range().pages() {
                        let at = VirtAddr::new(0x7000_0000_0000 + u64::from(page.number()) * 4096);
                        let seen = heap.backing().with_tables(|tree| lookup(tree, at));
                        assert!(seen.is_some(), "page {page:?} is in use");
                    }
                    heap.free(span).expect("in use");
                    if turn % 3 == thread % 3 {
                        let _ = heap.release(Budget::bytes(2 << 20));
                    }
                }
            });
        }
    });
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    heap.check().expect("sound books");
    assert_eq!(pool.out(), 0);
    // Two stay: those on the way from the top.
    assert_eq!(heap.backing().reserve_len(), 38);
}
