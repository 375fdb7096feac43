//! All of the machine's memory, handed out and taken back.
//!
//! Spans are kept in the memory that they are: each is a link in a list, and
//! every page of it has a stamp of its own. So nothing bounds how many there
//! are, and what is handed out twice is seen.

#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use spanheap::{AllocError, Geometry, LockedHeap, PageCount, Request, Span};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::{Wired, case, direct_map, heap_of, kernel, pointer, println, window};

kernel!(run);

type Heap = LockedHeap<'static, Wired>;

const PAGE: u64 = 4096;
const HUGE: u32 = 512;

fn run(memory: &BootMemory) {
    println!(
        "  {} MiB in {} ranges",
        memory.bytes() >> 20,
        memory.usable().len()
    );
    let _mapper = direct_map(memory);
    let window = window(memory, Geometry::SMALL_PAGES);
    // A slot for every page, since each may be a span.
    let heap = heap_of(memory, window, 1, Wired(window));

    case("the map has the machine's memory, and its holes", || {
        holes(memory, &heap)
    });
    case("all memory in single pages", || {
        all(&heap, |_| Request::pages(PageCount::new(1)), 0)
    });
    case("all memory in whole huge pages", || {
        let huge = Request::pages(PageCount::new(HUGE)).aligned(2 << 20);
        all(&heap, |_| huge.clone(), HUGE);
    });
    case("all memory in pieces of any size", || {
        let mut random = 1;
        all(&heap, |_| mixed(&mut random), 0);
    });
    case("memory that was fragmented is one piece again", || {
        one_piece(&heap)
    });
}

/// Sizes from one page to 4 MiB, the small ones more often; some aligned.
fn mixed(random: &mut u32) -> Request {
    *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let bits = *random >> 8;
    let pages = 1 + (bits >> 4) % (1 << (bits % 11));
    let request = Request::pages(PageCount::new(pages));
    if bits.is_multiple_of(7) {
        request.aligned(PAGE << (bits % 10))
    } else {
        request
    }
}

/// The heap has what the machine has, but for the image, books and edges.
fn holes(memory: &BootMemory, heap: &Heap) {
    let window = heap.window();
    let sys = heap.stats().bytes(heap.stats().sys);
    let books = u64::from(heap.stats().slots) * 64 + (4 << 20);
    assert!(sys <= memory.bytes());
    assert!(
        memory.bytes() - sys < books,
        "{} of {}",
        sys,
        memory.bytes()
    );
    let mut before = 0;
    for info in heap.spans() {
        let bytes = window.bytes_of(info.range);
        assert!(
            bytes.start >= before && bytes.start >= PAGE,
            "in order, and not page 0"
        );
        before = bytes.end;
        let inside =
            |range: &core::ops::Range<u64>| range.start <= bytes.start && bytes.end <= range.end;
        assert!(
            memory.usable().iter().any(inside),
            "{bytes:#x?} is no memory"
        );
        for taken in memory.taken() {
            assert!(
                bytes.end <= taken.start || taken.end <= bytes.start,
                "{bytes:#x?} is taken"
            );
        }
    }
    // Above 3 GiB a PC has a hole below 4 GiB, and memory behind it.
    if cfg!(target_arch = "x86_64") && memory.bytes() > 4 << 30 {
        assert!(memory.end() > memory.bytes());
        assert!(heap.span_of((4 << 30) - PAGE).is_none());
        assert!(heap.span_of(4 << 30).is_some());
    }
}

/// What the first page of a span holds.
#[repr(C)]
struct Link {
    stamp: u64,
    next: u64,
    span: MaybeUninit<Span>,
}

/// The stamp of a page, which no other page has.
fn stamp(address: u64) -> u64 {
    (address / PAGE).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn write(heap: &Heap, span: Span, next: u64) -> u64 {
    let bytes = heap.window().bytes_of(span.range());
    for page in bytes.clone().step_by(PAGE as usize) {
        // SAFETY: the page was handed out, and is mapped.
        unsafe { pointer::<u64>(page).write(stamp(page)) };
        // SAFETY: its last eight bytes, as above.
        unsafe { pointer::<u64>(page + PAGE - 8).write(!stamp(page)) };
    }
    let link = Link {
        stamp: stamp(bytes.start),
        next,
        span: MaybeUninit::new(span),
    };
    // SAFETY: its first bytes, as above.
    unsafe { pointer::<Link>(bytes.start).write(link) };
    bytes.start
}

fn verify(heap: &Heap, at: u64) -> Link {
    // SAFETY: the page was handed out, and is mapped.
    let link = unsafe { pointer::<Link>(at).read() };
    assert_eq!(link.stamp, stamp(at), "{at:#x} was overwritten");
    // SAFETY: the stamp says that the link was written.
    let span = unsafe { link.span.assume_init() };
    let bytes = heap.window().bytes_of(span.range());
    assert_eq!(bytes.start, at);
    for page in bytes.step_by(PAGE as usize) {
        // SAFETY: as above.
        let first = unsafe { pointer::<u64>(page).read() };
        // SAFETY: as above.
        let last = unsafe { pointer::<u64>(page + PAGE - 8).read() };
        assert_eq!(
            (first, last),
            (stamp(page), !stamp(page)),
            "{page:#x} was overwritten"
        );
    }
    link
}

/// Hands out all there is in pieces of some sizes, then takes every second one
/// back, hands out again, and takes everything back. At most `left` pages of
/// each range may be left at either end.
fn all(heap: &Heap, mut request: impl FnMut(u32) -> Request, left: u32) {
    let before = heap.stats();
    let ranges = heap.spans().count() as u32;
    let mut list = 0;
    let mut count = 0;
    let mut fill = |list: &mut u64, count: &mut u32| {
        loop {
            match heap.alloc(request(*count)) {
                Ok(span) => *list = write(heap, span, *list),
                Err(AllocError::NoRun) => break,
                Err(other) => panic!("{other}"),
            }
            *count += 1;
        }
        // What no piece of that size fits in, page by page.
        if left == 0 {
            while let Ok(span) = heap.alloc(PageCount::new(1)) {
                *list = write(heap, span, *list);
                *count += 1;
            }
        }
        let idle = heap.stats().idle.get();
        assert!(idle <= ranges * 2 * left, "{idle} pages are left");
    };
    fill(&mut list, &mut count);
    let full = heap.stats();
    heap.check().expect("sound books");

    // Every second one of the list goes, and the rest stays as it is.
    let (mut kept, mut parity) = (0, false);
    let mut at = list;
    while at != 0 {
        let link = verify(heap, at);
        // SAFETY: verified.
        let span = unsafe { link.span.assume_init() };
        if parity {
            heap.free(span).expect("in use");
            count -= 1;
        } else {
            kept = write(heap, span, kept);
        }
        parity = !parity;
        at = link.next;
    }
    heap.check().expect("sound books");
    fill(&mut kept, &mut count);
    assert_eq!(
        heap.stats().in_use.get() + heap.stats().idle.get(),
        full.sys.get()
    );

    let mut at = kept;
    let mut freed = 0;
    while at != 0 {
        let link = verify(heap, at);
        // SAFETY: verified.
        heap.free(unsafe { link.span.assume_init() })
            .expect("in use");
        freed += 1;
        at = link.next;
    }
    assert_eq!(freed, count);
    heap.check().expect("sound books");
    let after = heap.stats();
    assert_eq!(
        (
            after.sys,
            after.in_use,
            after.idle,
            after.released,
            after.spans
        ),
        (
            before.sys,
            before.in_use,
            before.idle,
            before.released,
            before.spans
        )
    );
    assert_eq!(after.huge_resident, before.huge_resident);
    println!("    {freed} spans");
}

/// Each range of the machine's memory can be handed out as one span.
fn one_piece(heap: &Heap) {
    let longest = heap
        .spans()
        .map(|info| info.range.count().get())
        .max()
        .expect("a span");
    let span = heap.alloc(PageCount::new(longest)).expect("in one piece");
    assert_eq!(span.count().get(), longest);
    heap.free(span).expect("in use");
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    assert_eq!(heap.stats().released, PageCount::ZERO);
}
