//! The limit while many allocate at once: never more is backed than it says.
//!
//! The fake logs its calls in the order in which it answers them, and so knows the
//! most that ever was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use spanheap::backing::fake::Call;
use spanheap::{AllocError, PageRange, Policy, Scavenger};

use crate::common::{Heap, Kind, MS, PAGE, POLICY, Random, Rig, Setup, count};

const WORKERS: u64 = 3;
const STEPS: u32 = 4_000;
const LIMIT: u64 = 5 * 512 * PAGE;

/// Returns the most pages that ever were backed, of none at first. Every page is
/// physical; a commit may name pages that are backed already.
fn most_of(log: &[Call], pages: u32) -> u64 {
    let mut backed = vec![false; pages as usize];
    let (mut now, mut most) = (0, 0);
    for call in log {
        let (ranges, back): (&[PageRange], bool) = match call {
            Call::Used {
                range,
                refused: false,
            } => (std::slice::from_ref(range), true),
            Call::Unused { ranges, done } => (&ranges[..*done], false),
            _ => continue,
        };
        for page in ranges.iter().flat_map(|range| range.pages()) {
            let before = std::mem::replace(&mut backed[page.number() as usize], back);
            now = now + u64::from(back) - u64::from(before);
        }
        most = most.max(now);
    }
    most
}

/// Allocates and frees, now these and now those pages; returns how often it was the
/// limit.
fn work(
    seed: u64,
    alloc: impl Fn(u32) -> Result<PageRange, AllocError>,
    free: impl Fn(PageRange),
) -> u32 {
    let mut random = Random(seed * 0x9e37_79b9 + 1);
    let (mut used, mut refused) = (Vec::new(), 0);
    for _ in 0..STEPS {
        if random.below(2) == 0 {
            let pages = match random.below(8) {
                0..=4 => 1,
                5 | 6 => 1 + random.below(40),
                _ => 1 + random.below(900),
            };
            match alloc(pages) {
                Ok(range) => used.push(range),
                Err(AllocError::Limit) => refused += 1,
                Err(AllocError::NoRun) => {}
                Err(other) => panic!("{other}"),
            }
        } else if !used.is_empty() {
            free(used.swap_remove(random.below(used.len() as u32) as usize));
        }
        if used.len() > 60 {
            used.drain(..).for_each(&free);
        }
    }
    used.into_iter().for_each(free);
    refused
}

#[test]
fn with_threads_on_it_no_heap_has_more_memory_than_its_limit() {
    for kind in [Kind::Locked, Kind::Shared] {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        let _ = rig.sleep();
        let _ = rig.set_limit(LIMIT);
        drop(rig.fake.take_log());
        assert_eq!(rig.resident(), 0);
        let done = AtomicBool::new(false);
        let window = rig.window;
        let refused: u32 = thread::scope(|scope| {
            let scavenging = scope.spawn(|| match rig.heap {
                Heap::Page(_) => unreachable!(),
                Heap::Locked(mut heap) => scavenge(&mut heap, &done),
                Heap::Shared(mut heap) => scavenge(&mut heap, &done),
            });
            let workers: Vec<_> = (0..WORKERS)
                .map(|seed| {
                    let heap = &rig.heap;
                    scope.spawn(move || match *heap {
                        Heap::Page(_) => unreachable!(),
                        Heap::Locked(heap) => work(
                            seed,
                            |pages| heap.alloc(count(pages)).map(|span| span.range()),
                            |range| {
                                let address = window.address_of(range.start());
                                heap.free_at(address, range.count()).expect("in use");
                            },
                        ),
                        Heap::Shared(heap) => work(
                            seed,
                            |pages| heap.alloc(count(pages)),
                            |range| heap.free(range).expect("in use"),
                        ),
                    })
                })
                .collect();
            let refused = workers
                .into_iter()
                .map(|worker| worker.join().expect("it did not fail"));
            let refused = refused.sum();
            done.store(true, Ordering::Relaxed);
            scavenging.join().expect("it did not fail");
            refused
        });
        rig.audit();
        let most = most_of(&rig.fake.take_log(), window.pages().get()) * PAGE;
        assert!(most <= LIMIT, "{kind:?}: {} pages", most / PAGE);
        assert!(most > LIMIT / 2, "{kind:?}: it was not tried");
        assert!(refused > 0, "{kind:?}: it was never the limit");
        let _ = rig.sleep();
        assert_eq!(rig.stats().in_use, count(0));
        assert_eq!(rig.resident(), 0);
    }
}

/// Polls by a clock of its own, and asks for something now and then.
fn scavenge(heap: &mut impl spanheap::Reclaim, done: &AtomicBool) {
    let mut scavenger = Scavenger::new(Policy {
        young_ns: 2 * MS,
        deadline_ns: 20 * MS,
        ..POLICY
    });
    let mut now = 0;
    let mut polls = 0;
    // Alone.
    while !done.load(Ordering::Relaxed) {
        now = scavenger.poll(heap, now);
        polls += 1;
        if polls % 16 == 0 {
            let _ = scavenger.reclaim(heap, now, 20 * PAGE);
        }
        thread::yield_now();
    }
}
