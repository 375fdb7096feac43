//! Four CPUs on one heap, each with a timer whose handler allocates as well.
//!
//! Pages are stamped and go from CPU to CPU to be freed, memory becomes scarce
//! again and again, and CPUs go offline: see `crowd`.

#![no_std]
#![no_main]

mod crowd;

use core::sync::atomic::{AtomicU32, Ordering};

use spanheap::{AllocError, Class, Geometry, PageCount, PageRange, Request, SharedHeap};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::processors::{self, PROCESSORS, Processors};
use spanheap_guest::{Wired, apic, case, direct_map, kernel, println, shared_heap_of, window};
use spin::{Mutex, Once};

use crowd::{List, Owner};

kernel!(run);

pub(crate) type Heap = SharedHeap<'static, Wired, Processors>;

/// The pages of a chunk, which a CPU takes at a time.
const CHUNK: usize = 512;
const ONE: PageCount = PageCount::new(1);
const STEPS: u32 = 300_000;

static HEAP: Once<Heap> = Once::new();

pub(crate) fn heap() -> &'static Heap {
    HEAP.get().expect("a heap")
}

fn run(memory: &BootMemory) {
    let _mapper = direct_map(memory);
    case("four CPUs start", || four_start(memory));
    let window = window(memory, Geometry::SMALL_PAGES);
    let heap = shared_heap_of(memory, window, PROCESSORS, Wired(window), Processors);
    let heap = HEAP.call_once(|| heap);
    let longest = crowd::longest(heap);
    let pages = heap.stats().sys.get();
    println!("  {pages} pages, {} of them side by side", longest.get());
    apic::on_tick(tick);

    case("no page has two owners while interrupts allocate", || {
        processors::on_all(work);
        let done = crowd::conclude();
        assert!(done.runs > 0, "the handlers allocate runs");
        assert!(done.refused > 0, "memory was never scarce");
        assert!(done.operations > u64::from(STEPS), "CPUs are at work");
    });
    case("in the end everything is back", || {
        everything_is_back(heap, longest)
    });
    case(
        "a CPU that goes offline leaves its pages to the others",
        || {
            offline(heap);
            everything_is_back(heap, longest);
        },
    );
}

fn four_start(memory: &BootMemory) {
    static SEEN: AtomicU32 = AtomicU32::new(0);

    processors::start(memory);
    assert_eq!(processors::started(), PROCESSORS);
    processors::on_all(|number| {
        assert_eq!(number, processors::number());
        // Alone: what is waited for orders it.
        SEEN.fetch_add(1 << (8 * number), Ordering::Relaxed);
    });
    assert_eq!(
        SEEN.load(Ordering::Relaxed),
        0x0101_0101,
        "each of them once"
    );
}

fn work(cpu: usize) {
    let mut steps = 0..STEPS;
    crowd::work(cpu, |_| crowd::MOST, |_| steps.next().is_some());
}

/// Mostly a page by what never waits, but sometimes a run by what takes locks.
fn tick() {
    crowd::tick(|tick, class| match tick.is_multiple_of(5) {
        true => heap().alloc(Request::pages(PageCount::new(2 + tick % 15)).class(class)),
        false => heap().try_alloc(class),
    });
}

/// Nothing is in use, and memory is as whole as it was.
fn everything_is_back(heap: &Heap, longest: PageCount) {
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    let all = heap.alloc(longest).expect("one piece again");
    heap.free(all).expect("in use");
    heap.check().expect("sound books");
}

/// One CPU has a chunk, of which another gets nothing until that goes offline,
/// and then all that is free.
fn offline(heap: &Heap) {
    const AWAY: usize = PROCESSORS - 1;
    static ITS: Mutex<Option<PageRange>> = Mutex::new(None);

    // For what cannot be, all that is idle goes back: no CPU has any.
    let too_long = heap.alloc(PageCount::new(u32::MAX));
    assert_eq!(too_long, Err(AllocError::NoRun));
    processors::on_all(|cpu| {
        if cpu == AWAY {
            let page = crate::heap().alloc(Request::pages(ONE).class(Class::Movable));
            let page = page.expect("memory");
            Owner::cpu(cpu).claim(page);
            *ITS.lock() = Some(page);
        }
    });
    let its = ITS.lock().take().expect("a page");
    let none = heap.try_alloc(Class::Movable);
    assert_eq!(none, Err(AllocError::NoRun), "nothing of another's");
    processors::on_all(|cpu| {
        if cpu == AWAY {
            crate::heap().offline(cpu);
        }
    });

    let me = Owner::cpu(0);
    let mut pages = List::<CHUNK>::EMPTY;
    while let Ok(page) = heap.try_alloc(Class::Movable) {
        me.claim(page);
        let chunk = |range: PageRange| range.start().number() / CHUNK as u32;
        assert_eq!(chunk(page), chunk(its), "what the other has left");
        assert!(pages.push(page), "no more than there are");
    }
    assert_eq!(pages.len(), CHUNK - 1, "all but the page in use");
    while let Some(page) = pages.pop() {
        me.free(page);
    }
    Owner::cpu(AWAY).free(its);
}
