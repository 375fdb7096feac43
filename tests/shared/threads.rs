//! Many CPUs at once: no page has two owners, what was written stays, and in
//! the end everything is back.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use spanheap::{AllocError, Budget, Class, PageCount, PageRange, Request};

use crate::common::{Heap, PAGE, Random, become_cpu, count, heap, range};

const WORKERS: u64 = 4;
const STEPS: u32 = 60_000;

/// Whose each page is, 0 nobody's, and what is on it. Relaxed throughout: what is
/// tested is whether the heap orders two owners of a page. What is on it is plain
/// memory, so that a thread sanitizer sees two owners whom nothing orders.
struct Owners {
    of: Vec<AtomicU64>,
    on: Vec<UnsafeCell<u64>>,
}

// SAFETY: what is on a page is its owner's, of whom there is one; that is what is
// tested.
unsafe impl Sync for Owners {}

impl Owners {
    fn new(pages: u32) -> Self {
        Self {
            of: (0..pages).map(|_| AtomicU64::new(0)).collect(),
            on: (0..pages).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn claim(&self, range: PageRange, me: u64) {
        for page in range.pages() {
            let number = page.number();
            let before = self.of[number as usize].swap(me, Ordering::Relaxed);
            assert_eq!(before, 0, "page {number} has two owners");
            // SAFETY: the page was handed out to this thread.
            unsafe { *self.on[number as usize].get() = stamp(number, me) };
        }
    }

    fn give_up(&self, range: PageRange, me: u64) {
        for page in range.pages() {
            let number = page.number();
            // SAFETY: the page is this thread's until it is freed.
            let on = unsafe { *self.on[number as usize].get() };
            assert_eq!(on, stamp(number, me), "page {number} was written");
            let before = self.of[number as usize].swap(0, Ordering::Relaxed);
            assert_eq!(before, me, "page {number}");
        }
    }
}

fn stamp(page: u32, owner: u64) -> u64 {
    owner << 32 | u64::from(page)
}

/// What one thread has handed to the next, to be freed there.
type Belt = std::sync::mpsc::Sender<PageRange>;

fn work(
    heap: &Heap<'_>,
    owners: &Owners,
    me: u64,
    belt: &Belt,
    inbox: &std::sync::mpsc::Receiver<PageRange>,
) {
    let mut random = Random(me * 0x9e37_79b9 + 1);
    let mut live = Vec::new();
    become_cpu(me as usize);
    for _ in 0..STEPS {
        // A thread that moves, or is mistaken.
        if random.below(50) == 0 {
            become_cpu(random.below(5) as usize);
        }
        match random.below(16) {
            0..=6 => {
                let pages = match random.below(12) {
                    0..=7 => 1,
                    8..=10 => 2 + random.below(15),
                    _ => 17 + random.below(300),
                };
                let class = [Class::Movable, Class::Unmovable][random.below(2) as usize];
                match heap.alloc(Request::pages(count(pages)).class(class)) {
                    Ok(range) => {
                        owners.claim(range, me);
                        live.push(range);
                    }
                    Err(AllocError::NoRun) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            7..=11 => {
                if !live.is_empty() {
                    let range: PageRange =
                        live.swap_remove(random.below(live.len() as u32) as usize);
                    owners.give_up(range, me);
                    heap.free(range).expect("in use");
                }
            }
            12 => {
                if let Some(range) = live.pop() {
                    // In whoever's name it is freed.
                    owners.give_up(range, me);
                    owners.claim(range, WORKERS + 1);
                    // Without a receiver it is freed here, below.
                    let _ = belt.send(range);
                }
            }
            13 => {
                if let Ok(range) = heap.try_alloc(Class::Movable) {
                    owners.claim(range, me);
                    live.push(range);
                }
            }
            14 => {
                let at = live.iter().position(|range| range.count().get() > 2);
                if let Some(at) = at {
                    let whole = live.swap_remove(at);
                    let (start, pages) = (whole.start().number(), whole.count().get());
                    let middle = range(start + 1, pages - 2);
                    owners.give_up(middle, me);
                    heap.free_part(middle).expect("a part");
                    live.push(range(start, 1));
                    live.push(range(start + pages - 1, 1));
                }
            }
            _ => heap.offline(random.below(5) as usize),
        }
        while let Ok(range) = inbox.try_recv() {
            owners.give_up(range, WORKERS + 1);
            heap.free(range).expect("another's, in use");
        }
    }
    for range in live {
        owners.give_up(range, me);
        heap.free(range).expect("in use");
    }
}

#[test]
fn no_page_has_two_owners_and_in_the_end_everything_is_back() {
    let pages = 6 * 512 + 100;
    let (heap, _fake) = heap(PAGE, 400, pages, 4);
    let owners = Owners::new(400 + pages);
    let done = AtomicBool::new(false);
    let mut inboxes = Vec::new();
    let mut belts = Vec::new();
    for _ in 0..WORKERS {
        let (belt, inbox) = std::sync::mpsc::channel();
        belts.push(belt);
        inboxes.push(inbox);
    }
    let rest = thread::scope(|scope| {
        // Two, who find the same pages.
        let (heap, done) = (&heap, &done);
        let release = move |seed| {
            let mut random = Random(seed);
            while !done.load(Ordering::Relaxed) {
                match random.below(4) {
                    0 => {
                        let _ = heap.release_inside(Budget::bytes(64 * PAGE));
                    }
                    1 => {
                        let _ = heap.stats();
                    }
                    _ => {
                        let _ = heap.release(Budget::bytes(u64::from(random.below(600)) * PAGE));
                    }
                }
                thread::yield_now();
            }
        };
        let releasers = [77, 78].map(|seed| scope.spawn(move || release(seed)));
        let workers: Vec<_> = inboxes
            .into_iter()
            .enumerate()
            .map(|(number, inbox)| {
                let belt = belts[(number + 1) % WORKERS as usize].clone();
                let owners = &owners;
                scope.spawn(move || {
                    work(heap, owners, number as u64 + 1, &belt, &inbox);
                    inbox
                })
            })
            .collect();
        drop(belts);
        let inboxes: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().expect("it did not fail"))
            .collect();
        done.store(true, Ordering::Relaxed);
        for releaser in releasers {
            releaser.join().expect("it did not fail");
        }
        inboxes
    });
    for range in rest.iter().flat_map(|inbox| inbox.try_iter()) {
        owners.give_up(range, WORKERS + 1);
        heap.free(range).expect("in use");
    }
    assert!(
        owners
            .of
            .iter()
            .all(|owner| owner.load(Ordering::Relaxed) == 0)
    );
    heap.check().expect("sound books");
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    let _ = heap.release_all();
    assert_eq!(heap.stats().released.get(), pages);
    let all = heap.alloc(count(pages)).expect("one piece again");
    heap.free(all).expect("in use");
}
