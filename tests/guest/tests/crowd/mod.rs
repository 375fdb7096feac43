//! Four CPUs at work on one heap, each with a timer whose handler allocates as
//! well: what each of them does, and what is so when all of it is over.
//!
//! Whoever has this module has `heap()` and its type, `Heap`, at its root. Pages
//! are stamped ([`Owner`]), and go from CPU to CPU to be freed. Each CPU
//! allocates until it has as much as it wants or until there is no page left, and
//! then frees until it has little left, or all of it at once; and now and then it
//! goes offline.
//!
//! Invariant: pages in a list are its owner's, and stamped so.

mod handler;
mod list;
mod owner;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spanheap::{AllocError, Class, PageCount, PageRange, Request};
use spanheap_guest::processors::PROCESSORS;
use spanheap_guest::{apic, println};
use spin::Mutex;
use x86_64::instructions::interrupts;

use crate::{Heap, heap};

pub(crate) use handler::tick;
pub(crate) use list::{List, Random};
pub(crate) use owner::Owner;

/// A timer's period, in microseconds.
const PERIOD: u32 = 100;
/// So many ranges a CPU has at the most, and so many when little is left.
pub(crate) const MOST: usize = 4096;
const LITTLE: usize = 16;

/// What each CPU has.
static LIVE: [Mutex<List<MOST>>; PROCESSORS] = [const { Mutex::new(List::EMPTY) }; PROCESSORS];
/// What each CPU is handed by the one before it, to be freed.
static INBOXES: [Mutex<List<64>>; PROCESSORS] = [const { Mutex::new(List::EMPTY) }; PROCESSORS];

/// How often a CPU found no page, and how often pages were allocated or freed.
static REFUSED: AtomicU32 = AtomicU32::new(0);
static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// Only that there is none, or none at hand, is no failure.
pub(crate) fn found_or_not(found: Result<PageRange, AllocError>) -> Option<PageRange> {
    match found {
        Err(AllocError::NoRun) => None,
        found => Some(found.unwrap_or_else(|why| panic!("{why}"))),
    }
}

fn class(number: u32) -> Class {
    [Class::Movable, Class::Unmovable][number as usize % 2]
}

/// What each CPU does, for as long as `goes_on`, which is asked before each step
/// and may do something of its own. `goal` says how many ranges it wants next.
pub(crate) fn work(
    cpu: usize,
    goal: fn(&mut Random) -> usize,
    mut goes_on: impl FnMut(&mut Random) -> bool,
) {
    // Nobody else's.
    let mut live = LIVE[cpu].lock();
    let mut worker = Worker {
        me: Owner::cpu(cpu),
        random: Random(cpu as u64 * 0x9e37_79b9 + 1),
        live: &mut live,
        grows: false,
        goal: 0,
        operations: 0,
    };
    apic::start_timer(PERIOD);
    interrupts::enable();
    while goes_on(&mut worker.random) {
        if !worker.grows && worker.live.len() < LITTLE {
            worker.grows = true;
            worker.goal = goal(&mut worker.random);
        }
        worker.step(cpu);
        worker.operations += free_inbox(cpu);
    }
    worker.free_all();
    apic::stop_timer();
    interrupts::disable();
    handler::free_all(cpu);
    // Alone: a count.
    OPERATIONS.fetch_add(worker.operations, Ordering::Relaxed);
}

struct Worker<'l> {
    me: Owner,
    random: Random,
    live: &'l mut List<MOST>,
    /// Until it has as many ranges as it wants, or there is no page; and then
    /// until little is left.
    grows: bool,
    goal: usize,
    operations: u64,
}

impl Worker<'_> {
    fn step(&mut self, cpu: usize) {
        let allocations = if self.grows { 40 } else { 16 };
        match self.random.below(64) {
            step if step < allocations => {
                let grew = self.allocate();
                if self.grows && !(grew && self.live.len() < self.goal) {
                    self.shrink();
                }
            }
            ..57 => {
                if let Some(range) = self.live.take(&mut self.random) {
                    self.free(range);
                }
            }
            57..63 => {
                if let Some(range) = self.live.take(&mut self.random) {
                    self.operations += pass_on(self.me, range, &INBOXES[(cpu + 1) % PROCESSORS]);
                }
            }
            _ => heap().offline(cpu),
        }
    }

    /// It has enough: all of it goes at once, or little by little.
    fn shrink(&mut self) {
        self.grows = false;
        if self.random.below(4) == 0 {
            self.free_all();
        }
    }

    fn free_all(&mut self) {
        while let Some(range) = self.live.pop() {
            self.free(range);
        }
    }

    fn free(&mut self, range: PageRange) {
        self.me.free(range);
        self.operations += 1;
    }

    /// Says no if there is no page, or no room for what was found.
    fn allocate(&mut self) -> bool {
        let random = &mut self.random;
        let (pages, aligned) = match random.below(24) {
            0..16 => (1, false),
            16..22 => (2 + random.below(15), false),
            22 => (17 + random.below(284), false),
            _ => (1 << random.below(10), true),
        };
        let request = Request::pages(PageCount::new(pages)).class(class(random.below(2)));
        let request = if aligned {
            request.aligned(u64::from(pages) << 12)
        } else {
            request
        };
        let Some(range) = found_or_not(heap().alloc(request)) else {
            let none = pages == 1 && !aligned;
            // Alone: a count.
            REFUSED.fetch_add(u32::from(none), Ordering::Relaxed);
            return !none;
        };
        assert_eq!(range.count().get(), pages);
        let at = range.start().number();
        assert!(!aligned || at.is_multiple_of(pages), "{range:?} is askew");
        self.me.claim(range);
        self.operations += 1;
        let has_room = self.live.push(range);
        if !has_room {
            self.free(range);
        }
        has_room
    }
}

/// Hands pages to another CPU; or frees them, if that has enough to do. Returns
/// how many ranges were freed.
fn pass_on(me: Owner, range: PageRange, inbox: &Mutex<List<64>>) -> u64 {
    me.give_up(range);
    Owner::ON_ITS_WAY.claim(range);
    let has_room = inbox.lock().push(range);
    if !has_room {
        Owner::ON_ITS_WAY.free(range);
    }
    u64::from(!has_room)
}

/// Returns how many ranges there were.
fn free_inbox(cpu: usize) -> u64 {
    // Not locked while it is freed.
    let next = || INBOXES[cpu].lock().pop();
    let mut count = 0;
    while let Some(range) = next() {
        Owner::ON_ITS_WAY.free(range);
        count += 1;
    }
    count
}

/// What all CPUs have done.
pub(crate) struct Done {
    /// How often pages were allocated or freed, by CPUs and handlers.
    pub(crate) operations: u64,
    /// How many runs handlers have allocated.
    pub(crate) runs: u32,
    /// How often there was no page.
    pub(crate) refused: u32,
}

/// Frees what is left when all have ended, and says what they have done.
pub(crate) fn conclude() -> Done {
    for cpu in 0..PROCESSORS {
        // What it was handed when it had ended.
        free_inbox(cpu);
    }
    let mut done = Done {
        operations: OPERATIONS.load(Ordering::Relaxed),
        runs: 0,
        refused: REFUSED.load(Ordering::Relaxed),
    };
    handler::each(|cpu, kept| {
        let handler::Kept {
            ticks,
            singles,
            runs,
            freed,
            ..
        } = *kept;
        println!(
            "    CPU {cpu}: {ticks} ticks, {singles} pages and {runs} runs allocated in them, {freed} freed"
        );
        assert!(ticks > 100, "the timer ticks");
        assert!(singles > 0 && freed > 0, "the handler allocates");
        done.operations += u64::from(singles + runs) + u64::from(freed);
        done.runs += runs;
    });
    let Done {
        operations,
        refused,
        ..
    } = done;
    println!("    {operations} operations; {refused} times there was no page");
    done
}

/// Returns the longest run that can be handed out.
pub(crate) fn longest(heap: &Heap) -> PageCount {
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
