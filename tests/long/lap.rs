//! One heap, from its first call to its last, and the quiet points between.
//!
//! At a quiet point nobody else calls: the books are checked, and the heap's counters
//! must be the workers' account and the backing's. In the end all is freed and released,
//! the counters are those of the start, and each region is one piece again.

use std::sync::Mutex;
use std::thread;

use spanheap::{Budget, Stats, Window};

use crate::backing::CheckedBacking;
use crate::keeper::Keeper;
use crate::random::Random;
use crate::setup::{REGIONS, pages};
use crate::tally::Tally;
use crate::verbs::Verbs;
use crate::worker::{Scene, Worker};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lap {
    pub(crate) operations: u64,
    /// Quiet points come after so many.
    pub(crate) between: u64,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) checks: u64,
    /// Pages that are not to be had any more.
    pub(crate) lost: u32,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.checks += other.checks;
        self.lost += other.lost;
    }
}

impl Lap {
    /// Runs it with a worker for each way to the heap, of which there is one for each
    /// thread.
    pub(crate) fn run<V: Verbs>(
        self,
        mut heaps: Vec<V>,
        window: Window,
        backing: &CheckedBacking,
    ) -> Outcome {
        let first = &mut heaps[0];
        REGIONS.into_iter().for_each(|region| first.add(region));
        let _ = first.release(Budget::ALL);
        let start = first.exact();
        assert_eq!(start.released, start.sys);

        let scene = Scene {
            backing,
            window,
            keeper: Mutex::new(Keeper::new(Random::new(self.seed, 0))),
            belts: heaps.iter().map(|_| Mutex::default()).collect(),
        };
        let workers = heaps.into_iter().enumerate();
        let mut workers: Vec<_> = workers
            .map(|(me, heap)| Worker::new(heap, &scene, me, Random::new(self.seed, 1 + me as u64)))
            .collect();
        let mut outcome = Outcome::default();
        let rounds = (self.operations / self.between).max(1);
        backing.set_refuses(true);
        for round in 0..rounds {
            let steps = share(self.operations, rounds, round);
            let crowd = workers.len().min(2 + (round % 3) as usize);
            // Who is not needed keeps nothing.
            workers.iter_mut().skip(crowd).for_each(Worker::drain);
            thread::scope(|scope| {
                for (me, worker) in workers.iter_mut().enumerate().take(crowd) {
                    let steps = share(steps, crowd as u64, me as u64);
                    scope.spawn(move || worker.work(steps, crowd));
                }
            });
            audit(&mut workers, backing);
            outcome.checks += 1;
        }

        backing.set_refuses(false);
        workers.iter_mut().for_each(Worker::drain);
        let heap = &mut workers[0].heap;
        heap.set_limit(u64::MAX);
        heap.gather();
        let _ = heap.release(Budget::ALL);
        audit(&mut workers, backing);
        outcome.checks += 1;
        let heap = &mut workers[0].heap;
        assert_eq!(still(heap.exact()), still(start), "as it was");
        let mut found = 0;
        for region in REGIONS {
            let at = window.address_of(region.start());
            found += heap
                .alloc_at(at, region.count())
                .map_or(0, |_| region.count().get());
        }
        outcome.lost = pages() - found;
        workers
            .iter()
            .for_each(|worker| outcome.tally.add(&worker.tally));
        assert_eq!(outcome.tally.calls(), self.operations);
        outcome
    }
}

/// The one numbered `index` of so many nearly equal parts.
const fn share(all: u64, parts: u64, index: u64) -> u64 {
    all * (index + 1) / parts - all * index / parts
}

/// Compares all accounts, while nobody calls.
fn audit<V: Verbs>(workers: &mut [Worker<'_, V>], backing: &CheckedBacking) {
    workers.iter_mut().for_each(Worker::receive);
    let kept: u32 = workers.iter().map(Worker::kept).sum();
    let heap = &workers[0].heap;
    assert_eq!(heap.check(), Ok(()));
    let stats = heap.exact();
    assert_eq!(stats.sys.get(), pages());
    assert_eq!((stats.in_use.get(), backing.owned()), (kept, kept));
    assert_eq!(stats.idle.get(), pages() - kept);
    assert_eq!(stats.resident().get(), backing.resident());
    // The front tier's own are not counted.
    let calls = stats.used_calls + stats.unused_calls + stats.zero_calls;
    assert!(!V::HANDLES || calls == backing.calls(), "{stats}");
}

/// The counters without those that only grow.
const fn still(mut stats: Stats) -> Stats {
    stats.spans_peak = 0;
    stats.used_calls = 0;
    stats.used_pages = 0;
    stats.unused_calls = 0;
    stats.zero_calls = 0;
    stats.treap_inserts = 0;
    stats.treap_removals = 0;
    stats
}
