//! One locked heap, several threads: no page is ever two threads', and in the
//! end everything is back.
//!
//! Every thread writes its stamp into a shared array for each page it is
//! handed, and takes it out before it gives the page back; a stamp that is
//! there already is a page handed out twice. The content of the pages, in the
//! fake, is stamped too, so that a page whose memory is lost while somebody
//! owns it does not go unseen either.

mod layout;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use layout::{Kind, PAGE, Setup, Shared, count, layout_of, pages, range};
use spanheap::backing::fake::Reuse;
use spanheap::{
    AllocAtError, AllocError, Budget, FreeError, Growth, PageRange, Residency, ResizeError, Span,
};

/// How many threads allocate.
const WORKERS: u32 = 4;

/// How many steps each of them takes.
const STEPS: u32 = 30_000;

/// Marsaglia's xorshift: each thread's steps are always the same; how they
/// interleave is not.
struct Random(u64);

impl Random {
    const fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}

/// Whose each page is: 0 nobody's, otherwise a thread's number.
struct Owners(Vec<AtomicU32>);

impl Owners {
    fn new(pages: u32) -> Self {
        Self((0..pages).map(|_| AtomicU32::new(0)).collect())
    }

    // Ordering alone: what is tested is whether the heap's own lock orders two
    // owners of a page; these must not do it for it.
    fn claim(&self, range: PageRange, me: u32) {
        for page in range.pages() {
            let before = self.0[page.number() as usize].swap(me, Ordering::Relaxed);
            assert_eq!(before, 0, "page {} is handed to {me} too", page.number());
        }
    }

    fn give_up(&self, range: PageRange, me: u32) {
        for page in range.pages() {
            let before = self.0[page.number() as usize].swap(0, Ordering::Relaxed);
            assert_eq!(before, me, "page {} was {me}'s", page.number());
        }
    }
}

/// One thread that allocates.
struct Worker<'a> {
    shared: &'a Shared,
    owners: &'a Owners,
    me: u32,
    random: Random,
    live: Vec<Span>,
    /// How often each verb did what it was asked to.
    done: [u32; 7],
}

impl Worker<'_> {
    fn stamp(&self) -> u64 {
        u64::from(self.me) << 32 | 0x57A3
    }

    /// Pages that were handed out: nobody else's, and there.
    fn receive(&self, range: PageRange) {
        self.owners.claim(range, self.me);
        self.shared.fake.write(range, self.stamp());
    }

    /// Pages that are about to be given back: still as they were written.
    fn give_up(&self, range: PageRange) {
        for page in range.pages() {
            let content = self.shared.fake.read(page);
            assert_eq!(content, Some(self.stamp()), "page {}", page.number());
        }
        self.owners.give_up(range, self.me);
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=3 => self.alloc(),
            4 => self.alloc_at(),
            5 | 6 => self.free(),
            7 => self.free_at(),
            8 => self.free_part(),
            9 => self.shrink(),
            10 => self.grow(),
            _ => {
                let bytes = u64::from(self.random.below(40)) * PAGE;
                let _ = self.shared.heap.release(Budget::bytes(bytes));
            }
        }
    }

    fn alloc(&mut self) {
        let request = pages(1 + self.random.below(9));
        let zeroed = self.random.below(4) == 0;
        let request = match self.random.below(4) {
            0 => request.aligned(PAGE << self.random.below(5)),
            _ => request,
        };
        let request = if zeroed { request.zeroed() } else { request };
        match self.shared.heap.alloc(request) {
            Ok(span) => {
                for page in span.range().pages().filter(|_| zeroed) {
                    assert_eq!(self.shared.fake.read(page), Some(0));
                }
                self.done[0] += 1;
                self.receive(span.range());
                self.live.push(span);
            }
            Err(AllocError::NoRun | AllocError::NoSlot | AllocError::Refused(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn alloc_at(&mut self) {
        let window = self.shared.heap.window();
        let page = self.random.below(window.pages().get());
        let address = window.origin() + u64::from(page) * PAGE;
        let pages = count(1 + self.random.below(6));
        match self.shared.heap.alloc_at(address, pages) {
            Ok(span) => {
                self.done[1] += 1;
                self.receive(span.range());
                self.live.push(span);
            }
            Err(
                AllocAtError::InUse
                | AllocAtError::Outside
                | AllocAtError::NoSlot
                | AllocAtError::Refused(_),
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn any(&mut self) -> Option<Span> {
        let at = self.random.below(self.live.len().max(1) as u32) as usize;
        (at < self.live.len()).then(|| self.live.swap_remove(at))
    }

    fn free(&mut self) {
        let Some(span) = self.any() else { return };
        self.give_up(span.range());
        self.done[2] += 1;
        assert_eq!(self.shared.heap.free(span), Ok(()));
        assert_eq!(self.shared.heap.free(span), Err(FreeError::Stale));
    }

    fn free_at(&mut self) {
        let Some(span) = self.any() else { return };
        self.give_up(span.range());
        let address = self.shared.heap.window().address_of(span.range().start());
        let freed = self.shared.heap.free_at(address, span.count());
        assert_eq!(freed, Ok(()));
        self.done[3] += 1;
    }

    fn free_part(&mut self) {
        let Some(span) = self.any() else { return };
        let (start, len) = (span.range().start().number(), span.count().get());
        let from = self.random.below(len);
        let to = from + 1 + self.random.below(len - from);
        let part = range(start + from, start + to);
        self.give_up(part);
        match self.shared.heap.free_part(span, part) {
            Ok(rest) => {
                self.done[4] += 1;
                self.live
                    .extend([rest.low, rest.high].into_iter().flatten());
            }
            Err(FreeError::NoSlot) => {
                self.receive(part);
                self.live.push(span);
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn shrink(&mut self) {
        let Some(span) = self.any() else { return };
        let to = 1 + self.random.below(span.count().get());
        let start = span.range().start().number();
        let tail = PageRange::between(spanheap::Page::new(start + to), span.range().end());
        if let Some(tail) = tail {
            self.give_up(tail);
        }
        match self.shared.heap.shrink(span, count(to)) {
            Ok(span) => {
                self.done[5] += 1;
                self.live.push(span);
            }
            Err(ResizeError::NoSlot) => {
                if let Some(tail) = tail {
                    self.receive(tail);
                }
                self.live.push(span);
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn grow(&mut self) {
        let Some(span) = self.any() else { return };
        let to = span.count().get() + 1 + self.random.below(4);
        match self.shared.heap.grow(span, count(to)) {
            Ok(grown) => {
                self.done[6] += 1;
                let start = span.range().start().number();
                assert_eq!(grown.range(), range(start, start + to));
                self.receive(range(start + span.count().get(), start + to));
                self.live.push(grown);
            }
            Err(ResizeError::NoRoom | ResizeError::NoSlot | ResizeError::Refused(_)) => {
                self.live.push(span);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Runs the workers on a heap in this layout, all of it idle and released, with
/// a thread alongside that releases, refuses hook calls and checks the books;
/// and the heap may grow by the offers.
fn run(setup: Setup, layout: &str, offers: &[(u32, u32)]) {
    let shared = setup.scene(Kind::Locked, layout).share();
    let (heap, fake) = (shared.heap, &shared.fake);
    let before = heap.stats();
    assert_eq!(before.released, before.sys);
    for &(start, end) in offers {
        fake.offer(Growth {
            range: range(start, end),
            residency: Residency::Released,
        });
    }
    let owners = Owners::new(heap.window().pages().get());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (1..=WORKERS)
            .map(|me| {
                let mut worker = Worker {
                    shared: &shared,
                    owners: &owners,
                    me,
                    random: Random(u64::from(me) * 0x9E37_79B9),
                    live: Vec::new(),
                    done: [0; 7],
                };
                scope.spawn(move || {
                    for _ in 0..STEPS {
                        worker.step();
                    }
                    while !worker.live.is_empty() {
                        worker.free();
                    }
                    worker.done
                })
            })
            .collect();
        let alongside = scope.spawn(|| {
            let mut random = Random(77);
            // Ordering alone: only that it is seen some time matters.
            while !done.load(Ordering::Relaxed) {
                let bytes = u64::from(random.below(100)) * PAGE;
                let _ = heap.release(Budget::bytes(bytes).calls(2));
                if random.below(4) == 0 {
                    fake.fail_nth(random.below(4), random.below(32) as usize);
                }
                assert_eq!(heap.check(), Ok(()), "{}", layout_of(heap));
                thread::yield_now();
            }
        });
        let ends: Vec<_> = workers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        alongside.join().expect("the one alongside");
        // Threads that never get anywhere would prove nothing.
        let done: Vec<_> = ends.into_iter().map(|end| end.expect("a worker")).collect();
        for verb in 0..7 {
            let times: u32 = done.iter().map(|done| done[verb]).sum();
            assert!(times > 100, "{done:?}");
        }
    });

    fake.recover();
    assert_eq!(heap.check(), Ok(()));
    let _ = heap.release_all();
    assert_eq!(heap.check(), Ok(()));
    let (after, log) = (heap.stats(), fake.take_log());
    let grown: u32 = offers.iter().map(|(start, end)| end - start).sum();
    assert!(after.sys.get() - before.sys.get() <= grown);
    assert_eq!((after.in_use, after.idle), (before.in_use, after.sys));
    assert_eq!(after.released, after.sys, "{}", layout_of(heap));
    if offers.is_empty() {
        assert_eq!(layout_of(heap), layout.replace("| ", ""));
        assert_eq!(after.sys, before.sys);
        assert_eq!(after.huge_released, before.huge_released);
        assert_eq!(after.spans, before.spans, "every slot came back");
    }
    let hooks = after.used_calls + after.unused_calls + after.zero_calls;
    let counted = hooks - before.used_calls - before.unused_calls - before.zero_calls;
    let grows = log
        .iter()
        .filter(|call| matches!(call, spanheap::backing::fake::Call::Grow { .. }))
        .count();
    assert_eq!(counted, (log.len() - grows) as u64);
}

#[test]
fn four_threads_and_one_that_releases_leave_the_heap_as_it_was() {
    run(Setup::PLAIN, "s64 | s64", &[]);
}

#[test]
fn the_same_with_huge_pages_and_released_memory_that_reads_as_zero() {
    let setup = Setup {
        huge: 8,
        reuse: Reuse::Zeroes,
        grain: 16,
        ..Setup::PLAIN
    };
    run(setup, "s96 -8 s32", &[]);
}

#[test]
fn the_same_with_physical_pages_of_eight_pages() {
    for reuse in [Reuse::Zeroes, Reuse::Scribbles] {
        let setup = Setup {
            huge: 16,
            reuse,
            grain: 4,
            ..Setup::physical(8)
        };
        run(setup, "s64 | s64", &[]);
    }
}

#[test]
fn the_same_with_physical_pages_of_two_pages_and_few_slots() {
    let setup = Setup {
        slots: Some(24),
        grain: 64,
        ..Setup::physical(2)
    };
    run(setup, "s128", &[]);
}

#[test]
fn the_same_with_a_heap_that_grows() {
    let setup = Setup {
        spare: 64,
        ..Setup::physical(2)
    };
    run(setup, "s32", &[(64, 80), (32, 40), (88, 96), (40, 64)]);
}
