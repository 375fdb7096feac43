//! A heap as the frame allocator of mappers: every size, every heap.

use std::sync::atomic::AtomicU64;

use spanheap::{
    AllocError, Backing, FreeError, Geometry, LockedHeap, MapEntry, Metadata, OneCpu, Page,
    PageCount, PageHeap, PageRange, Refused, Residency, SharedHeap, SharedMetadata, Slot, Window,
    front_words,
};
use spanheap_x86_64::Frames;
use x86_64::structures::paging::mapper::CleanUp;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper, Page as Virtual, PageSize, PhysFrame, Size1GiB,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

mod machine;
use machine::{FLAGS, MEMORY, Machine, Tree, lookup, range, window};

/// Memory that is always mapped, as in a kernel that gives none back.
#[derive(Debug)]
struct Always;

// SAFETY: what the tests add is resident already, and nothing is released.
unsafe impl Backing for Always {
    fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
        Ok(())
    }

    fn sys_unused(&self, _: &[PageRange]) -> usize {
        0
    }

    fn zero(&self, _: PageRange) {}
}

fn metadata() -> Metadata<'static> {
    let slots = Box::leak(vec![Slot::VACANT; 4096].into_boxed_slice());
    let map = Box::leak(vec![MapEntry::EMPTY; 1 << 14].into_boxed_slice());
    Metadata::new(slots, map)
}

/// 4 GiB of addresses; memory from 2 MiB on, and frames that are numbers from
/// 1 GiB to 3 GiB.
fn heap() -> PageHeap<'static, Always> {
    let mut heap = PageHeap::new(window(0, 1 << 20), metadata(), Always).expect("a heap");
    let memory = range(512, (MEMORY / 4096) as u32 - 512);
    for region in [memory, range(1 << 18, 2 << 18)] {
        // SAFETY: the machine uses the first 2 MiB only; what is beyond its
        // memory is never touched.
        unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
    }
    heap
}

/// Maps one page, looks it up, and unmaps it.
fn round_trip<S: PageSize>(
    tree: &mut Tree,
    at: u64,
    frames: &mut (impl FrameAllocator<S> + FrameAllocator<Size4KiB> + FrameDeallocator<S>),
) where
    Tree: Mapper<S>,
{
    let frame: PhysFrame<S> = frames.allocate_frame().expect("a frame");
    assert!(frame.start_address().is_aligned(S::SIZE));
    let page = Virtual::<S>::containing_address(VirtAddr::new(at));
    // SAFETY: the frame is the test's.
    let mapped = unsafe { tree.map_to(page, frame, FLAGS, frames) };
    let Ok(flush) = mapped else {
        panic!("not mapped yet, and tables");
    };
    flush.ignore();
    let middle = S::SIZE / 2 + 123;
    let seen = lookup(tree, VirtAddr::new(at + middle));
    assert_eq!(seen, Some((frame.start_address() + middle, S::SIZE)));
    let (unmapped, flush) = tree.unmap(page).expect("mapped");
    flush.ignore();
    assert_eq!(unmapped, frame);
    // SAFETY: it is mapped no more.
    unsafe { frames.deallocate_frame(frame) };
}

/// Everything that a tutorial's kernel does with its frame allocator.
fn tutorial<F>(frames: &mut F)
where
    F: FrameAllocator<Size4KiB> + FrameAllocator<Size2MiB> + FrameAllocator<Size1GiB>,
    F: FrameDeallocator<Size4KiB> + FrameDeallocator<Size2MiB> + FrameDeallocator<Size1GiB>,
{
    let mut machine = Machine::new();
    let mut tree = machine.tree();
    round_trip::<Size4KiB>(&mut tree, 0xffff_8000_1234_5000, frames);
    round_trip::<Size2MiB>(&mut tree, 0x5555_4000_0000, frames);
    round_trip::<Size1GiB>(&mut tree, 0x7000_0000_0000, frames);
    // SAFETY: all of the tree's tables came from here, and are its own.
    unsafe { tree.clean_up(frames) };
}

#[test]
fn every_size_is_mapped_and_comes_back_over_a_borrowed_heap() {
    let mut heap = heap();
    // SAFETY: its window is of the machine's physical addresses.
    let mut frames = unsafe { Frames::new(&mut heap) };
    tutorial(&mut frames);
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO, "tables too");
    assert_eq!(heap.stats().spans, 2, "and merged");
}

#[test]
fn every_size_is_mapped_and_comes_back_over_a_locked_heap() {
    let heap = LockedHeap::new(window(0, 1 << 20), metadata(), Always).expect("a heap");
    for region in [range(512, 2048), range(1 << 18, 2 << 18)] {
        // SAFETY: as for the borrowed one.
        unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
    }
    // SAFETY: its window is of the machine's physical addresses.
    let mut frames = unsafe { Frames::new(&heap) };
    tutorial(&mut frames);
    // Copies are the same allocator.
    let mut other = frames;
    let first: PhysFrame = frames.allocate_frame().expect("a frame");
    let second: PhysFrame = other.allocate_frame().expect("a frame");
    assert_ne!(first, second);
    // SAFETY: it is not used.
    assert_eq!(unsafe { other.free_frame(first) }, Ok(()));
    // SAFETY: as before.
    assert_eq!(unsafe { frames.free_frame(second) }, Ok(()));
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
}

#[test]
fn every_size_is_mapped_and_comes_back_over_a_shared_heap() {
    let window = window(0, 1 << 20);
    let words = front_words(&window, 1).expect("a size");
    let front: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let metadata = SharedMetadata::new(metadata(), front.leak(), 1);
    let heap = SharedHeap::new(window, metadata, Always, OneCpu).expect("a heap");
    for region in [range(512, 2048), range(1 << 18, 2 << 18)] {
        // SAFETY: as for the borrowed one.
        unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
    }
    // SAFETY: its window is of the machine's physical addresses.
    let mut frames = unsafe { Frames::new(&heap) };
    tutorial(&mut frames);
    let small: PhysFrame = frames.allocate_frame().expect("a frame");
    // SAFETY: it is not used.
    assert_eq!(unsafe { frames.free_frame(small) }, Ok(()));
    // SAFETY: as before.
    let again = unsafe { frames.free_frame(small) };
    assert_eq!(again, Err(FreeError::NotInUse));
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO, "tables too");
    assert!(frames.alloc_frame::<Size1GiB>().is_ok());
}

#[test]
fn each_size_is_handed_out_until_none_is_left_and_then_refused() {
    let mut heap = heap();
    // SAFETY: the frames are numbers here.
    let mut frames = unsafe { Frames::new(&mut heap) };
    let giant = |frames: &mut Frames<&mut PageHeap<'_, Always>>| frames.alloc_frame::<Size1GiB>();
    for gib in [1, 2] {
        let frame = giant(&mut frames).expect("a giant frame");
        assert_eq!(frame.start_address().as_u64(), gib << 30);
    }
    assert_eq!(giant(&mut frames), Err(AllocError::NoRun));
    assert_eq!(
        FrameAllocator::<Size1GiB>::allocate_frame(&mut frames),
        None
    );
    for mib in (2..16).step_by(2) {
        let frame = frames.alloc_frame::<Size2MiB>().expect("a large frame");
        assert_eq!(frame.start_address().as_u64(), mib << 20);
    }
    assert_eq!(frames.alloc_frame::<Size2MiB>(), Err(AllocError::NoRun));
    assert_eq!(frames.alloc_frame::<Size4KiB>(), Err(AllocError::NoRun));
}

#[test]
fn a_large_frame_can_come_back_in_small_ones() {
    let mut heap = heap();
    // SAFETY: the frames are numbers here.
    let mut frames = unsafe { Frames::new(&mut heap) };
    let large = frames.alloc_frame::<Size2MiB>().expect("a frame");
    for index in (0..512).rev() {
        let part = large.start_address() + index * 4096_u64;
        let part = PhysFrame::<Size4KiB>::containing_address(part);
        // SAFETY: the frame is not used.
        assert_eq!(unsafe { frames.free_frame(part) }, Ok(()));
    }
    heap.check().expect("sound books");
    assert_eq!(
        (heap.stats().in_use, heap.stats().spans),
        (PageCount::ZERO, 2)
    );
}

#[test]
fn a_frame_that_was_never_handed_out_is_left_alone_and_the_checked_verb_says_so() {
    let mut heap = heap();
    // SAFETY: the frames are numbers here.
    let mut frames = unsafe { Frames::new(&mut heap) };
    let small = frames.alloc_frame::<Size4KiB>().expect("a frame");
    let at = |address: u64| PhysFrame::<Size4KiB>::containing_address(PhysAddr::new(address));
    for (frame, why) in [
        (at(0x1000), FreeError::Outside),
        (at(5 << 30), FreeError::Outside),
        (at(4 << 20), FreeError::NotInUse),
    ] {
        // SAFETY: nothing uses a frame that is a number.
        assert_eq!(unsafe { frames.free_frame(frame) }, Err(why));
        // SAFETY: as before.
        unsafe { frames.deallocate_frame(frame) };
    }
    // Larger than what was handed out there.
    let large = PhysFrame::<Size2MiB>::containing_address(small.start_address());
    // SAFETY: as before.
    assert!(unsafe { frames.free_frame(large) }.is_err());
    // SAFETY: as before.
    assert_eq!(unsafe { frames.free_frame(small) }, Ok(()));
    // SAFETY: as before.
    let again = unsafe { frames.free_frame(small) };
    assert_eq!(again, Err(FreeError::NotInUse));
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
}

#[test]
fn a_frame_smaller_than_the_heaps_pages_is_refused_and_a_larger_one_is_not() {
    let geometry = Geometry::new(1 << 14, 1 << 14, 2 << 20).expect("a geometry");
    let window = Window::new(geometry, 0, PageCount::new(1 << 14)).expect("a window");
    let mut heap = PageHeap::new(window, metadata(), Always).expect("a heap");
    let region = PageRange::new(Page::new(1), PageCount::new(1 << 12)).expect("pages");
    // SAFETY: the frames are numbers here.
    unsafe { heap.add_region(region, Residency::Resident) }.expect("a region");
    // SAFETY: as before.
    let mut frames = unsafe { Frames::new(&mut heap) };
    assert_eq!(frames.alloc_frame::<Size4KiB>(), Err(AllocError::ZeroPages));
    let small = PhysFrame::<Size4KiB>::containing_address(PhysAddr::new(1 << 14));
    // SAFETY: as before.
    let again = unsafe { frames.free_frame(small) };
    assert_eq!(again, Err(FreeError::ZeroPages));
    let large = frames.alloc_frame::<Size2MiB>().expect("a frame");
    assert_eq!(large.start_address(), PhysAddr::new(2 << 20));
    // SAFETY: as before.
    assert_eq!(unsafe { frames.free_frame(large) }, Ok(()));
}
