//! A soak: four CPUs on one heap over a balloon, whose host never wants the same for
//! long.
//!
//! The host sets targets of its own accord, while all CPUs allocate, free and
//! release, and their timers' handlers allocate as well (`crowd`). One of them also
//! follows the target and polls a scavenger. The host has the memory of what is
//! released or in the balloon, so that every page whose content is lost shows
//! (`Owner`).
//!
//! In the end everything is freed, and all accounts must be as they were in the
//! beginning: the heap's, the balloon's, the host's, and one that is kept beside
//! them (`Watched`).

#![no_std]
#![no_main]

mod crowd;
mod watched;

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use spanheap::region::MemoryMap;
use spanheap::{
    Budget, PageCount, PageRange, Policy, Release, ReleaseEnd, Scavenger, SharedHeap, Window,
};
use spanheap_guest::balloon::{self, PAGE};
use spanheap_guest::host::{self, SLACK};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::processors::{self, PROCESSORS, Processors};
use spanheap_guest::{apic, case, direct_map, kernel, pointer, println, shared_heap_of, window};
use spanheap_virtio_balloon::{Health, Pieces, PollEnd};
use spin::{Mutex, Once};

use crowd::Random;
use watched::Watched;

kernel!(run);

pub(crate) type Heap = SharedHeap<'static, Watched, Processors>;

static HEAP: Once<Heap> = Once::new();
static KEEPER: Mutex<Option<Keeper>> = Mutex::new(None);
static OVER: AtomicBool = AtomicBool::new(false);

pub(crate) fn heap() -> &'static Heap {
    HEAP.get().expect("a heap")
}

fn run(memory: &BootMemory) {
    let _mapper = direct_map(memory);
    processors::start(memory);
    assert_eq!(processors::started(), PROCESSORS);
    let pieces = balloon::pieces(memory);
    let window = window(memory, balloon::geometry(pieces));
    touch(memory, window);
    let backing = Watched::new(window, balloon::without_device(window));
    let heap = shared_heap_of(memory, window, PROCESSORS, backing, Processors);
    let heap = HEAP.call_once(|| heap);
    balloon::start_under(heap, &heap.backing().balloon, window, pieces);
    apic::on_tick(tick);
    case("four CPUs work while the host changes its mind", || {
        soak(heap, memory, pieces)
    });
}

/// Writes to all memory, so that the host has it all. What is not the heap's, its
/// books for example, is then as much in the end.
fn touch(memory: &BootMemory, window: Window) {
    let map = MemoryMap::new(memory.usable(), memory.taken());
    for page in map.ranges(&window).flat_map(PageRange::pages) {
        // SAFETY: it is in the direct map, and nobody's yet.
        unsafe { pointer::<u64>(window.address_of(page)).write_volatile(0) };
    }
}

fn soak(heap: &'static Heap, memory: &BootMemory, pieces: Pieces) {
    let before = Stock::take(heap);
    if pieces == Pieces::Any {
        assert_eq!(
            before.released, before.idle,
            "all that is idle is the host's"
        );
    }
    let ms = host::wander(before.size / 4);
    *KEEPER.lock() = Some(Keeper::new(ms));
    processors::on_all(work);
    let targets = host::settle();
    let mut keeper = KEEPER.lock().take().expect("a keeper");
    keeper.settle();
    let done = crowd::conclude();
    assert_eq!(done.runs, 0, "what handlers call never waits");

    let after = Stock::take(heap);
    println!(
        "    the host has pages behind {} KiB, and had behind {}; QEMU's share is {} MiB, and was {}",
        after.backed >> 10,
        before.backed >> 10,
        after.pss >> 20,
        before.pss >> 20
    );
    assert_eq!(after.books(), before.books(), "the heap is as it was");
    assert_eq!(after.size, before.size, "the machine is as large as it was");
    // What is not the heap's was touched, all but the image's own memory.
    let image = memory.taken().iter().map(|range| range.end - range.start);
    let more = after.backed as i64 - before.backed as i64;
    let most = image.sum::<u64>() as i64;
    assert!(
        more.abs() <= most,
        "the host has {more} bytes more than it had"
    );
    let share = after.pss as i64 - before.pss as i64;
    assert!(
        share.abs() <= SLACK,
        "QEMU has {share} bytes more than it had"
    );

    let [gone, back] = [heap.backing().gone(), heap.backing().back()].map(|pages| pages * PAGE);
    assert!(targets > 0 && keeper.inflated > 0, "the host wanted memory");
    assert!(gone > 0 && back > 0, "memory went, and came back");
    println!(
        "figures: soak: {} s, {PROCESSORS} CPUs, {} M operations, {targets} targets, {} GiB released and {} GiB taken back, {} GiB put into the balloon and {} GiB of them taken out for want of memory, {} pages lost, host {:+} KiB",
        ms / 1000,
        Tenths(done.operations, 1_000_000),
        Tenths(gone, 1 << 30),
        Tenths(back, 1 << 30),
        Tenths(keeper.inflated * PAGE, 1 << 30),
        Tenths((keeper.inflated - keeper.deflated) * PAGE, 1 << 30),
        after.in_use.get() - before.in_use.get(),
        more >> 10,
    );
}

/// Over a balloon, a handler must not wait.
fn tick() {
    crowd::tick(|_, class| heap().try_alloc(class));
}

/// What each CPU does.
fn work(cpu: usize) {
    let mut step = 0_u32;
    // Mostly so much that there is something for the host.
    let goal = |random: &mut Random| match random.below(24) {
        0 => crowd::MOST,
        _ => random.below(512) as usize,
    };
    crowd::work(cpu, goal, |random| {
        step = step.wrapping_add(1);
        if step.is_multiple_of(512) {
            give_back(random);
        }
        if cpu == 0 && step.is_multiple_of(64) {
            let mut keeper = KEEPER.lock();
            let goes_on = keeper.as_mut().expect("a keeper").look();
            // Alone: it orders nothing, as below.
            OVER.store(!goes_on, Ordering::Relaxed);
        }
        !OVER.load(Ordering::Relaxed)
    });
}

/// Sometimes releases some of what is idle, or all of it, in every way there is.
fn give_back(random: &mut Random) {
    let bytes = u64::from(random.below(16)) << 20;
    let release = match random.below(16) {
        0..4 => heap().release(Budget::bytes(bytes)),
        4..8 => heap().release_inside(Budget::bytes(bytes).calls(32)),
        8 => heap().release_all(),
        _ => return,
    };
    done(release);
}

/// The balloon takes whatever it is given.
fn done(release: Release) {
    let Release { end, .. } = release;
    assert_ne!(end, ReleaseEnd::Refused, "{release:?}");
}

/// Who follows the host's target, and releases what is due.
struct Keeper {
    scavenger: Scavenger,
    /// When the scavenger is to be polled, in nanoseconds.
    next: u64,
    /// When this ends, in milliseconds.
    end: u64,
    /// Pages that went into the balloon, and that came out of it because the host
    /// wanted that. Others come out for want of memory.
    inflated: u64,
    deflated: u64,
}

impl Keeper {
    /// At most so many pages go into the balloon or out of it at once: 32 MiB.
    const STEP: PageCount = PageCount::new(8192);

    const fn new(end: u64) -> Self {
        Self {
            scavenger: Scavenger::new(Policy::EAGER),
            next: 0,
            end,
            inflated: 0,
            deflated: 0,
        }
    }

    /// Does what is due. Says no in the end.
    fn look(&mut self) -> bool {
        let ms = host::wandered();
        self.follow();
        let now = ms * 1_000_000;
        if self.next <= now {
            self.next = self.scavenger.poll(&mut heap(), now);
        }
        ms < self.end
    }

    /// Goes some way to the target; says whether there was any left to go.
    fn follow(&mut self) -> bool {
        let poll = heap().backing().balloon.poll(heap(), Self::STEP);
        if let PollEnd::Broken(why) = poll.end {
            panic!("the device is broken: {why:?}");
        }
        self.inflated += u64::from(poll.inflated.get());
        self.deflated += u64::from(poll.deflated.get());
        poll.end != PollEnd::Reached
    }

    /// Goes all the way to a target that stays.
    fn settle(&mut self) {
        let reached = (0..1000).any(|_| !self.follow());
        assert!(reached, "{:?}", heap().backing().balloon.stats());
    }
}

/// What there is when all that is idle is the host's.
struct Stock {
    sys: PageCount,
    in_use: PageCount,
    idle: PageCount,
    released: PageCount,
    longest: PageCount,
    /// How large the host thinks the machine is, in bytes; what of its memory it has
    /// pages behind; and QEMU's share of its memory.
    size: u64,
    backed: u64,
    pss: u64,
}

impl Stock {
    /// Takes stock, while nothing else is done, and compares all accounts.
    fn take(heap: &Heap) -> Self {
        let longest = crowd::longest(heap);
        assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
        let inside = heap.release_inside(Budget::ALL);
        assert_eq!(inside.end, ReleaseEnd::Drained);
        heap.check().expect("sound books");
        let (stats, watched) = (heap.stats(), heap.backing());
        assert_eq!(watched.released(), u64::from(stats.released.get()));
        assert_eq!(watched.released(), watched.gone() - watched.back());
        let balloon = watched.balloon.stats();
        assert_eq!(balloon.health, Health::Working);
        assert_eq!(balloon.released_bytes, watched.gone() * PAGE);
        assert_eq!(balloon.held, PageCount::ZERO);
        assert_eq!(balloon.inflated, PageCount::ZERO);
        assert_eq!(balloon.stranded_bytes, 0);
        Self {
            sys: stats.sys,
            in_use: stats.in_use,
            idle: stats.idle,
            released: stats.released,
            longest,
            size: host::size(),
            backed: host::backed(),
            pss: host::memory().pss,
        }
    }

    /// The heap's part of it.
    const fn books(&self) -> [PageCount; 5] {
        [
            self.sys,
            self.in_use,
            self.idle,
            self.released,
            self.longest,
        ]
    }
}

/// A quotient with one digit behind the point.
struct Tenths(u64, u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 * 10 / self.1;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}
