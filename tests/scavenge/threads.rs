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

/// Returns the most pages that ever were backed, of `backed` at first. Every page is
/// physical, and a commit names those alone that are not backed.
fn most_of(log: &[Call], backed: u32) -> u64 {
    let pages = |range: &PageRange| u64::from(range.count().get());
    let mut most = u64::from(backed);
    let _ = log.iter().fold(most, |backed, call| {
        let backed = match call {
            Call::Used {
                range,
                refused: false,
            } => backed + pages(range),
            Call::Unused { ranges, done } => {
                backed - ranges.iter().take(*done).map(pages).sum::<u64>()
            }
            _ => backed,
        };
        most = most.max(backed);
        backed
    });
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
        let backed = rig.stats().resident().get();
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
        let most = most_of(&rig.fake.take_log(), backed) * PAGE;
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
