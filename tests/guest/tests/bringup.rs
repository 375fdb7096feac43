//! A kernel's first steps on `spanheap`: frames, page tables, `alloc`.
//!
//! What tutorials do, with the page heap where they have an allocator of their
//! own: the crate's mapper takes its tables from it, and a heap for `alloc` is
//! fed with its spans, and grows when it is full. When the machine's memory is
//! at an end, that is an error, and the kernel goes on.

#![no_std]
#![no_main]

extern crate alloc;

mod kernel_heap;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Debug;

use spanheap::{AllocError, Geometry, LockedHeap, PageCount};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::{OFFSET, Wired, case, direct_map, heap_of, kernel, println, window};
use spanheap_x86_64::Frames;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::CleanUp;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper, OffsetPageTable, Page, PageSize, PageTableFlags,
    PhysFrame, Size1GiB, Size2MiB, Size4KiB,
};

use kernel_heap::ALLOCATOR;

kernel!(run);

/// The machine's memory, by pages.
pub(crate) type Heap = LockedHeap<'static, Wired>;

static HEAP: Once<Heap> = Once::new();

/// An address that nothing is mapped at, and nothing near it.
const ELSEWHERE: u64 = 0xffff_a000_0000_0000;

fn run(memory: &BootMemory) {
    let mut mapper = direct_map(memory);
    let window = window(memory, Geometry::SMALL_PAGES);
    let heap = HEAP.call_once(|| heap_of(memory, window, 8, Wired(window)));

    case("frames of 4 KiB are mapped, used and given back", || {
        // Two tables above the one that maps the page, and that one.
        frames::<Size4KiB>(heap, &mut mapper, 3);
    });
    case("frames of 2 MiB are mapped, used and given back", || {
        frames::<Size2MiB>(heap, &mut mapper, 2);
    });
    case("frames of 1 GiB are mapped, used and given back", || {
        frames::<Size1GiB>(heap, &mut mapper, 1);
    });

    ALLOCATOR.set_up(heap, mapper);
    case(
        "a vector and a tree grow, and the heap under them with them",
        collections,
    );
    case("memory at an end is an error", || out_of_memory(heap));
    case("after that there is memory again", collections);
    heap.check().expect("sound books");
}

/// Maps two frames side by side, uses them there, and takes all of it back.
fn frames<S: PageSize + Debug>(heap: &Heap, mapper: &mut OffsetPageTable<'static>, tables: u32)
where
    OffsetPageTable<'static>: Mapper<S>,
{
    let before = heap.stats();
    // SAFETY: the window is of physical addresses.
    let mut frames = unsafe { Frames::new(heap) };
    let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
    let pages = [0, 1]
        .map(|number| Page::<S>::containing_address(VirtAddr::new(ELSEWHERE + number * S::SIZE)));
    let mut mapped = 0;
    for page in pages {
        let frame: Option<PhysFrame<S>> = frames.allocate_frame();
        let Some(frame) = frame else { break };
        assert!(frame.start_address().is_aligned(S::SIZE));
        // SAFETY: the frame is this test's, and nothing is mapped there.
        let new = unsafe { mapper.map_to(page, frame, flags, &mut frames) };
        new.expect("tables").flush();
        mapped += 1;
    }
    // Of the machine's 3 GiB, at least one is a whole one.
    assert!(mapped == 2 || (mapped == 1 && S::SIZE == Size1GiB::SIZE));
    let frame_pages = (S::SIZE / Size4KiB::SIZE) as u32;
    let grown = heap.stats().in_use.get() - before.in_use.get();
    assert_eq!(grown, mapped as u32 * frame_pages + tables);

    // The ends and the middle, seen there and in the direct map.
    for page in &pages[..mapped] {
        for at in [0, S::SIZE / 2, S::SIZE - 8] {
            let there = (page.start_address() + at).as_mut_ptr::<u64>();
            // SAFETY: the page is mapped, and this test's.
            unsafe { there.write_volatile(at ^ page.start_address().as_u64()) };
        }
    }
    for page in &pages[..mapped] {
        let (frame, flush) = mapper.unmap(*page).expect("mapped");
        flush.flush();
        for at in [0, S::SIZE / 2, S::SIZE - 8] {
            let here = VirtAddr::new(OFFSET + frame.start_address().as_u64() + at);
            // SAFETY: the frame is in the direct map, and this test's.
            let found = unsafe { here.as_ptr::<u64>().read_volatile() };
            assert_eq!(found, at ^ page.start_address().as_u64());
        }
        // SAFETY: it is mapped nowhere else.
        unsafe { frames.deallocate_frame(frame) };
    }
    let all = Page::range_inclusive(
        Page::containing_address(VirtAddr::new(ELSEWHERE)),
        Page::containing_address(VirtAddr::new(ELSEWHERE + 2 * S::SIZE - 1)),
    );
    // SAFETY: the tables on the way there are the heap's frames, and empty.
    unsafe { mapper.clean_up_addr_range(all, &mut frames) };
    let after = heap.stats();
    assert_eq!((after.in_use, after.spans), (before.in_use, before.spans));
    heap.check().expect("sound books");
}

fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *random >> 33
}

fn collections() {
    let mut numbers = Vec::new();
    for number in 0..3_000_000_u64 {
        numbers.push(number.wrapping_mul(number));
    }
    for (number, square) in (0..).zip(&numbers) {
        let number: u64 = number;
        assert_eq!(*square, number.wrapping_mul(number));
    }

    // Strings of their own, put in and taken out in no order.
    let mut tree = BTreeMap::new();
    let mut random = 1;
    for _ in 0..20_000 {
        let key = next(&mut random);
        tree.insert(key, Box::new(key.to_string()));
        if key.is_multiple_of(3) {
            let other = next(&mut random);
            let found = tree.range(other..).next().map(|(key, _)| *key);
            if let Some(key) = found {
                assert_eq!(*tree.remove(&key).expect("it was found"), key.to_string());
            }
        }
    }
    assert!(tree.len() > 10_000);
    assert!(tree.iter().all(|(key, text)| **text == key.to_string()));
    assert!(tree.keys().is_sorted());
    println!("    {} KiB mapped for it", ALLOCATOR.size() >> 10);
}

fn out_of_memory(heap: &Heap) {
    const PIECE: usize = 4 << 20;

    assert_eq!(heap.alloc(PageCount::new(u32::MAX)), Err(AllocError::NoRun));
    let mut too_much = Vec::<u8>::new();
    assert!(too_much.try_reserve_exact(1 << 40).is_err());

    let mut pieces: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if pieces.try_reserve(1).is_err() || piece.try_reserve_exact(PIECE).is_err() {
            break;
        }
        piece.push(pieces.len() as u8);
        pieces.push(piece);
    }
    // Less than a piece is left for anyone.
    println!(
        "    {} pieces of 4 MiB, {} pages left",
        pieces.len(),
        heap.stats().idle.get()
    );
    assert!(pieces.len() > 100);
    assert!(heap.stats().bytes(heap.stats().idle) < PIECE as u64);
    for (number, piece) in pieces.iter().enumerate() {
        assert_eq!(piece[0], number as u8);
    }
}
