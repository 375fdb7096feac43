//! Four CPUs on one heap, each with a timer whose handler allocates as well.
//!
//! Every page says whose it is, in its own first and last words: whoever is handed
//! a page that is another's sees that, and so does the other. Pages go from CPU to
//! CPU to be freed, memory becomes scarce again and again, and CPUs go offline.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spanheap::{AllocError, Class, Geometry, Page, PageCount, PageRange, Request, SharedHeap};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::processors::{self, PROCESSORS, Processors};
use spanheap_guest::{
    Wired, apic, case, direct_map, kernel, pointer, println, shared_heap_of, window,
};
use spin::{Mutex, Once};
use x86_64::instructions::interrupts;

kernel!(run);

type Heap = SharedHeap<'static, Wired, Processors>;

const PAGE: u64 = 4096;
/// The pages of a chunk, which a CPU takes at a time.
const CHUNK: usize = 512;
const ONE: PageCount = PageCount::new(1);
const STEPS: u32 = 300_000;
/// A timer's period, in microseconds.
const PERIOD: u32 = 100;

static HEAP: Once<Heap> = Once::new();
static KEPT: [Mutex<Kept>; PROCESSORS] = [const { Mutex::new(Kept::NOTHING) }; PROCESSORS];
/// What each CPU has; room for a quarter of all pages.
static LIVE: [Mutex<Live>; PROCESSORS] = [const { Mutex::new(List::EMPTY) }; PROCESSORS];
/// What each CPU is handed by the one before it, to be freed.
static INBOXES: [Mutex<List<64>>; PROCESSORS] = [const { Mutex::new(List::EMPTY) }; PROCESSORS];

type Live = List<4096>;

/// How often a CPU found no page.
static REFUSED: AtomicU32 = AtomicU32::new(0);

fn heap() -> &'static Heap {
    HEAP.get().expect("a heap")
}

fn run(memory: &BootMemory) {
    let _mapper = direct_map(memory);
    case("four CPUs start", || four_start(memory));
    let window = window(memory, Geometry::SMALL_PAGES);
    let heap = shared_heap_of(memory, window, PROCESSORS, Wired(window), Processors);
    let heap = HEAP.call_once(|| heap);
    let longest = longest(heap);
    let pages = heap.stats().sys.get();
    println!("  {pages} pages, {} of them side by side", longest.get());
    apic::on_tick(tick);

    case("no page has two owners while interrupts allocate", || {
        processors::on_all(work);
        say_what_was_done();
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

/// Whose a page can be: a CPU's, its handler's, or nobody's but on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner(u64);

impl Owner {
    const NOBODY: Self = Self(0);
    const ON_ITS_WAY: Self = Self(0xff);

    fn cpu(number: usize) -> Self {
        Self(1 + number as u64)
    }

    fn handler(number: usize) -> Self {
        Self(0x81 + number as u64)
    }

    /// Returns what the first word of a page of this owner's is, and of no other
    /// page or owner.
    fn stamp(self, page: Page) -> u64 {
        let number = u64::from(page.number()) + 1;
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0xff | self.0
    }

    /// Takes pages that were handed out, which shall be nobody's.
    fn claim(self, range: PageRange) {
        for page in range.pages() {
            let [first, last] = words(page);
            // Relaxed throughout: what is tested is whether the heap orders two
            // owners of a page.
            let before = first.swap(self.stamp(page), Ordering::Relaxed);
            let whose = Self(before & 0xff);
            assert!(
                whose == Self::NOBODY || before != whose.stamp(page),
                "page {} is {whose:x?}'s and {self:x?}'s",
                page.number()
            );
            last.store(!self.stamp(page), Ordering::Relaxed);
        }
    }

    /// Gives up pages, which shall still be as they were left.
    fn give_up(self, range: PageRange) {
        for page in range.pages() {
            let [first, last] = words(page);
            let stamp = self.stamp(page);
            let found = last.load(Ordering::Relaxed);
            assert_eq!(found, !stamp, "page {} was overwritten", page.number());
            let before = first.swap(Self::NOBODY.stamp(page), Ordering::Relaxed);
            assert_eq!(before, stamp, "page {} was overwritten", page.number());
        }
    }

    fn free(self, range: PageRange) {
        self.give_up(range);
        let freed = heap().free(range);
        freed.unwrap_or_else(|why| panic!("{range:?} of {self:x?}, in use: {why}"));
    }
}

/// Returns the first word of a page, and the last.
fn words(page: Page) -> [&'static AtomicU64; 2] {
    let at = heap().window().address_of(page);
    [at, at + PAGE - 8].map(|at| {
        // SAFETY: all memory is mapped there for good, words are aligned, and all
        // that are used are used as atomics.
        unsafe { AtomicU64::from_ptr(pointer(at)) }
    })
}

/// Some ranges.
struct List<const N: usize> {
    ranges: [Option<PageRange>; N],
    len: usize,
}

impl<const N: usize> List<N> {
    const EMPTY: Self = Self {
        ranges: [None; N],
        len: 0,
    };

    /// Says no if it is full.
    fn push(&mut self, range: PageRange) -> bool {
        let Some(free) = self.ranges.get_mut(self.len) else {
            return false;
        };
        *free = Some(range);
        self.len += 1;
        true
    }

    fn pop(&mut self) -> Option<PageRange> {
        self.len = self.len.checked_sub(1)?;
        self.ranges[self.len].take()
    }

    /// Takes any of them out.
    fn take(&mut self, random: &mut Random) -> Option<PageRange> {
        if self.len > 0 {
            let at = random.below(self.len as u32) as usize;
            self.ranges.swap(at, self.len - 1);
        }
        self.pop()
    }
}

/// What a CPU's handler has, and has done. Locked by the handler, and with the
/// CPU's interrupts off.
struct Kept {
    ranges: [Option<PageRange>; 8],
    ticks: u32,
    singles: u32,
    runs: u32,
    freed: u32,
}

impl Kept {
    const NOTHING: Self = Self {
        ranges: [None; 8],
        ticks: 0,
        singles: 0,
        runs: 0,
        freed: 0,
    };
}

/// The handler: frees the oldest that it has, and allocates. Mostly a page by what
/// never waits, but sometimes a run by what takes locks.
fn tick() {
    let cpu = processors::number();
    let me = Owner::handler(cpu);
    let mut kept = KEPT[cpu].lock();
    kept.ticks += 1;
    let (tick, at) = (kept.ticks, kept.ticks as usize % kept.ranges.len());
    if let Some(range) = kept.ranges[at].take() {
        me.free(range);
        kept.freed += 1;
    }
    let class = class(tick / 2);
    let found = if tick.is_multiple_of(5) {
        let run = heap().alloc(Request::pages(PageCount::new(2 + tick % 15)).class(class));
        kept.runs += u32::from(run.is_ok());
        run
    } else {
        let single = heap().try_alloc(class);
        kept.singles += u32::from(single.is_ok());
        single
    };
    kept.ranges[at] = found_or_not(found);
    if let Some(range) = kept.ranges[at] {
        me.claim(range);
    }
}

/// Only that there is none, or none at hand, is no failure.
fn found_or_not(found: Result<PageRange, AllocError>) -> Option<PageRange> {
    match found {
        Err(AllocError::NoRun) => None,
        found => Some(found.unwrap_or_else(|why| panic!("{why}"))),
    }
}

fn class(number: u32) -> Class {
    [Class::Movable, Class::Unmovable][number as usize % 2]
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}

/// What each CPU does.
fn work(cpu: usize) {
    let me = Owner::cpu(cpu);
    let mut random = Random(cpu as u64 * 0x9e37_79b9 + 1);
    // Nobody else's.
    let mut live = LIVE[cpu].lock();
    // Until there is no more, and then until little is left.
    let mut grows = true;
    apic::start_timer(PERIOD);
    interrupts::enable();
    for _ in 0..STEPS {
        let allocations = if grows { 40 } else { 16 };
        match random.below(64) {
            step if step < allocations => grows &= allocate(me, &mut random, &mut live),
            ..57 => {
                if let Some(range) = live.take(&mut random) {
                    me.free(range);
                }
                grows |= live.len < 16;
            }
            57..63 => {
                if let Some(range) = live.take(&mut random) {
                    pass_on(me, range, &INBOXES[(cpu + 1) % PROCESSORS]);
                }
            }
            _ => heap().offline(cpu),
        }
        free_inbox(cpu);
    }
    while let Some(range) = live.pop() {
        me.free(range);
    }
    apic::stop_timer();
    interrupts::disable();
    let mut kept = KEPT[cpu].lock();
    for range in kept.ranges.iter_mut().filter_map(Option::take) {
        Owner::handler(cpu).free(range);
    }
}

/// Allocates for `me`. Says no if there is no page, or no room for it.
fn allocate(me: Owner, random: &mut Random, live: &mut Live) -> bool {
    let pages = match random.below(12) {
        0..8 => 1,
        8..11 => 2 + random.below(15),
        _ => 17 + random.below(284),
    };
    let request = Request::pages(PageCount::new(pages)).class(class(random.below(2)));
    let Some(range) = found_or_not(heap().alloc(request)) else {
        // Alone: a count.
        REFUSED.fetch_add(u32::from(pages == 1), Ordering::Relaxed);
        return pages > 1;
    };
    assert_eq!(range.count().get(), pages);
    me.claim(range);
    let has_room = live.push(range);
    if !has_room {
        me.free(range);
    }
    has_room
}

/// Hands pages to another CPU; or frees them, if that has enough to do.
fn pass_on(me: Owner, range: PageRange, inbox: &Mutex<List<64>>) {
    me.give_up(range);
    Owner::ON_ITS_WAY.claim(range);
    let has_room = inbox.lock().push(range);
    if !has_room {
        Owner::ON_ITS_WAY.free(range);
    }
}

fn free_inbox(cpu: usize) {
    loop {
        // Not locked while it is freed.
        let next = INBOXES[cpu].lock().pop();
        let Some(range) = next else {
            return;
        };
        Owner::ON_ITS_WAY.free(range);
    }
}

fn say_what_was_done() {
    for (cpu, kept) in KEPT.iter().enumerate() {
        // What it was handed when it had ended.
        free_inbox(cpu);
        let Kept {
            ticks,
            singles,
            runs,
            freed,
            ..
        } = *kept.lock();
        println!(
            "    CPU {cpu}: {STEPS} steps; {ticks} ticks, {singles} pages and {runs} runs allocated in them, {freed} freed"
        );
        assert!(ticks > 100, "the timer ticks");
        assert!(
            singles > 0 && runs > 0 && freed > 0,
            "the handler allocates"
        );
    }
    let refused = REFUSED.load(Ordering::Relaxed);
    println!("    {refused} times there was no page");
    assert!(refused > 0, "memory was never scarce");
}

/// Returns the longest run that can be handed out.
fn longest(heap: &Heap) -> PageCount {
    let (mut fits, mut too_long) = (0, heap.stats().idle.get() + 1);
    while too_long - fits > 1 {
        let middle = fits.midpoint(too_long);
        match found_or_not(heap.alloc(PageCount::new(middle))) {
            Some(range) => {
                heap.free(range).expect("in use");
                fits = middle;
            }
            None => too_long = middle,
        }
    }
    PageCount::new(fits)
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
    assert_eq!(pages.len, CHUNK - 1, "all but the page in use");
    while let Some(page) = pages.pop() {
        me.free(page);
    }
    Owner::cpu(AWAY).free(its);
}
