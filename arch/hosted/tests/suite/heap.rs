//! Both heaps over real memory: what is resident is what the books say.

use std::thread;

use spanheap::{
    Budget, Geometry, LockedHeap, PageCount, PageHeap, ReleaseEnd, Request, Residency, Span,
};
use spanheap_hosted::{Batching, HostedBacking, HostedOptions};

use crate::common::{BOTH, Books, is_zero, resident, spoiled, stamp};

/// 1 GiB.
const WINDOW: PageCount = PageCount::new(1 << 18);

fn reserve(batching: Batching) -> HostedBacking {
    HostedOptions::new()
        .batching(batching)
        .growing_by(WINDOW)
        .reserve(Geometry::SMALL_PAGES, WINDOW)
        .expect("address space")
}

/// A generator of numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(end)) as u32
    }
}

#[test]
fn what_is_resident_is_what_is_in_use_after_everything_idle_was_released() {
    for batching in BOTH {
        let backing = reserve(batching);
        let mut books = Books::of(&backing.window());
        let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).unwrap();
        let mut numbers = Numbers(11);
        let mut spans = Vec::new();
        // 256 MiB, in spans of 1 to 64 pages.
        while heap.stats().in_use < PageCount::new(1 << 16) {
            let span = heap.alloc(PageCount::new(numbers.below(64) + 1)).unwrap();
            stamp(heap.backing(), span.range(), 1);
            spans.push(span);
        }
        let full = resident(heap.backing());
        assert_eq!(full, heap.stats().bytes(heap.stats().in_use));
        let (kept, freed): (Vec<Span>, Vec<Span>) =
            spans.into_iter().partition(|_| numbers.below(3) == 0);
        for span in freed {
            heap.free(span).unwrap();
        }
        assert_eq!(resident(heap.backing()), full, "idle, and still here");

        let release = heap.release_all();
        assert_eq!(release.end, ReleaseEnd::Drained);
        let stats = heap.stats();
        assert_eq!(full - resident(heap.backing()), stats.bytes(release.pages));
        assert_eq!(resident(heap.backing()), stats.bytes(stats.in_use));
        assert_eq!(stats.resident(), stats.in_use);
        for span in kept {
            assert_eq!(spoiled(heap.backing(), span.range(), 1), 0);
            heap.free(span).unwrap();
        }
        heap.check().unwrap();
        let _ = heap.release_all();
        assert_eq!(resident(heap.backing()), 0);
    }
}

#[test]
fn a_budget_releases_so_much_and_no_more() {
    let backing = reserve(Batching::Vectored);
    let mut books = Books::of(&backing.window());
    let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).unwrap();
    let span = heap.alloc(PageCount::new(1 << 13)).unwrap();
    stamp(heap.backing(), span.range(), 2);
    heap.free(span).unwrap();
    let before = resident(heap.backing());
    let release = heap.release(Budget::bytes(10 << 20));
    assert_eq!(release.pages, PageCount::new(10 << 8));
    assert_eq!(before - resident(heap.backing()), 10 << 20);
}

#[test]
fn a_zeroed_request_reads_as_zero_and_only_what_needs_it_is_cleared() {
    let backing = reserve(Batching::Vectored);
    let mut books = Books::of(&backing.window());
    let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).unwrap();
    let zeroed = Request::pages(PageCount::new(64)).zeroed();
    let used = |heap: &mut PageHeap<'_, HostedBacking>| {
        let span = heap.alloc(zeroed.clone()).unwrap();
        assert!(is_zero(heap.backing(), span.range()));
        stamp(heap.backing(), span.range(), 3);
        heap.free(span).unwrap();
        heap.stats().zero_calls
    };
    assert_eq!(used(&mut heap), 0, "never touched before");
    assert_eq!(used(&mut heap), 1, "stamped before");
    let _ = heap.release_all();
    assert_eq!(used(&mut heap), 1, "released meanwhile");
}

#[test]
fn the_rest_of_a_span_keeps_its_contents_when_a_part_is_freed_and_released() {
    for batching in BOTH {
        let backing = reserve(batching);
        let mut books = Books::of(&backing.window());
        let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).unwrap();
        let span = heap.alloc(PageCount::new(96)).unwrap();
        stamp(heap.backing(), span.range(), 4);
        let part = crate::common::range(span.range().start().number() + 32, 40);
        let rest = heap.free_part(span, part).unwrap();
        assert_eq!(heap.release_all().pages, PageCount::new(40));
        assert_eq!(resident(heap.backing()), 56 * 4096);
        for rest in [rest.low.unwrap(), rest.high.unwrap()] {
            assert_eq!(spoiled(heap.backing(), rest.range(), 4), 0);
        }
        let again = heap.alloc(PageCount::new(40)).unwrap();
        assert_eq!(again.range(), part);
        assert!(is_zero(heap.backing(), part));
    }
}

#[test]
fn a_region_can_be_added_by_hand() {
    let backing = HostedBacking::reserve(Geometry::SMALL_PAGES, WINDOW).unwrap();
    let mut books = Books::of(&backing.window());
    let all = backing.range();
    let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).unwrap();
    // SAFETY: the reservation is the heap's alone, which owns the backing.
    unsafe { heap.add_region(all, Residency::Released) }.unwrap();
    assert_eq!(heap.stats().released, WINDOW);
    let span = heap.alloc(PageCount::new(3)).unwrap();
    stamp(heap.backing(), span.range(), 5);
    let address = heap.window().address_of(span.range().start());
    let pointer = heap.backing().pointer(span.range()).unwrap();
    assert_eq!(address, pointer.as_ptr().cast::<u8>().addr() as u64);
    heap.free_at(address, PageCount::new(3)).unwrap();
}

#[test]
fn threads_share_a_locked_heap_and_lose_nothing() {
    const THREADS: u32 = 4;
    for batching in BOTH {
        let backing = reserve(batching);
        let mut books = Books::of(&backing.window());
        let heap = LockedHeap::new(backing.window(), books.metadata(), backing).unwrap();
        // The heap grows here and not below, where it could grow for one thread
        // and refuse another that looks before the region is added.
        let first = heap.alloc(PageCount::new(1)).unwrap();
        heap.free(first).unwrap();
        let kept: Vec<Vec<Span>> = thread::scope(|scope| {
            let work = |seed: u32| {
                let heap = &heap;
                move || churn(heap, u64::from(seed))
            };
            let threads: Vec<_> = (1..=THREADS).map(|seed| scope.spawn(work(seed))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        heap.check().unwrap();
        let _ = heap.release_all();
        let stats = heap.stats();
        assert_eq!(resident(heap.backing()), stats.bytes(stats.in_use));
        for (seed, spans) in (1..).zip(kept) {
            for span in spans {
                assert_eq!(spoiled(heap.backing(), span.range(), seed), 0);
                heap.free(span).unwrap();
            }
        }
        let _ = heap.release_all();
        assert_eq!(resident(heap.backing()), 0);
        heap.check().unwrap();
    }
}

/// Allocates, stamps, checks, frees and releases; returns what it still holds.
fn churn(heap: &LockedHeap<'_, HostedBacking>, seed: u64) -> Vec<Span> {
    let mut numbers = Numbers(seed);
    let mut spans: Vec<Span> = Vec::new();
    for step in 0..3000 {
        if spans.len() < 40 || numbers.below(2) == 0 {
            let span = heap.alloc(PageCount::new(numbers.below(20) + 1)).unwrap();
            stamp(heap.backing(), span.range(), seed);
            spans.push(span);
        } else {
            let span = spans.swap_remove(numbers.below(spans.len() as u32) as usize);
            assert_eq!(spoiled(heap.backing(), span.range(), seed), 0);
            heap.free(span).unwrap();
        }
        if step % 50 == 0 {
            let _ = heap.release(Budget::bytes(1 << 20));
        }
    }
    spans
}
