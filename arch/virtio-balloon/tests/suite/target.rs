//! The host's target, out-of-memory, and the guest's numbers.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use spanheap::{AllocError, PageCount, PageRange, Request};
use spanheap_virtio_balloon::{Options, Pieces, PollEnd, Pool};

use crate::common::{Books, Heap, Owners, PER_HUGE, Ram, drain};
use crate::fake::{Act, Fake, MUST_TELL_HOST, OOM, REPORTING, STATS, VERSION_1};

const ALL: PageCount = PageCount::new(u32::MAX);

fn poll(heap: &Heap<'_>) -> (u32, u32, PollEnd) {
    let done = heap.backing().poll(heap, ALL);
    heap.check().unwrap();
    (done.inflated.get(), done.deflated.get(), done.end)
}

fn held(heap: &Heap<'_>, fake: &Fake) -> u32 {
    let held = heap.backing().stats().held.get();
    assert_eq!(fake.state().actual, held);
    assert_eq!(fake.state().ballooned.len() as u32, held);
    assert_eq!(heap.stats().in_use.get(), held);
    held
}

#[test]
fn the_target_is_followed_in_whole_huge_pages_up_and_down() {
    let ram = Ram::new(16);
    let fake = ram.fake(VERSION_1);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    for (target, expected) in [
        (10 * PER_HUGE, 10),
        (10 * PER_HUGE + 3, 10),
        (4 * PER_HUGE - 1, 3),
        (16 * PER_HUGE, 16),
        (0, 0),
    ] {
        fake.state().num_pages = target;
        assert_eq!(poll(&heap).2, PollEnd::Reached, "target {target}");
        assert_eq!(held(&heap, &fake), expected * PER_HUGE);
        assert_eq!(poll(&heap), (0, 0, PollEnd::Reached), "it stays there");
    }
}

#[test]
fn small_pieces_reach_the_target_to_the_page_where_no_huge_page_is_left() {
    let (ram, mut owners) = (Ram::new(4), Owners::default());
    let fake = ram.fake(VERSION_1 | REPORTING);
    let (mut books, options) = (Books::new(&ram), Options::DEFAULT.pieces(Pieces::Any));
    let (heap, started) = books.try_heap(&ram, &fake, Pieces::Any, options);
    started.unwrap();
    // A page in use in each huge page.
    for at in 0..4 {
        let address = heap.window().origin() + u64::from(at * PER_HUGE + 5) * 4096;
        owners.own(&heap, heap.alloc_at(address, PageCount::new(1)).unwrap());
    }
    fake.state().num_pages = 37;
    assert_eq!(poll(&heap), (37, 0, PollEnd::Reached));
    assert_eq!(fake.state().ballooned.len(), 37);
    owners.look(&heap);
    fake.state().num_pages = 0;
    assert_eq!(poll(&heap), (0, 37, PollEnd::Reached));
    assert_eq!(drain(&heap, &mut owners), 60);
}

#[test]
fn what_the_host_gets_is_whole_huge_pages_while_there_are_some() {
    let (ram, mut owners) = (Ram::new(4), Owners::default());
    let fake = ram.fake(VERSION_1);
    let (mut books, options) = (Books::new(&ram), Options::DEFAULT.pieces(Pieces::Any));
    let (heap, started) = books.try_heap(&ram, &fake, Pieces::Any, options);
    started.unwrap();
    // First fit is now in the middle of a huge page.
    owners.own(&heap, heap.alloc(PageCount::new(3)).unwrap());
    fake.state().num_pages = PER_HUGE;
    assert_eq!(poll(&heap), (PER_HUGE, 0, PollEnd::Reached));
    let first = heap.window().origin() / 4096 + u64::from(PER_HUGE);
    let pages = first..first + u64::from(PER_HUGE);
    assert!(fake.state().ballooned.iter().copied().eq(pages));
}

#[test]
fn a_place_that_another_poll_takes_first_is_not_taken_twice() {
    let ram = Box::leak(Box::new(Ram::new(8)));
    let fake = ram.fake(VERSION_1);
    let books = Box::leak(Box::new(Books::new(ram)));
    books.holdings.truncate(1);
    let heap = Box::leak(Box::new(books.heap(ram, &fake, Options::DEFAULT)));
    let heap: &'static Heap<'static> = heap;
    fake.state().num_pages = 2 * PER_HUGE;
    let crowd = Crowd {
        heap,
        taking: Mutex::new(Some(move || {
            assert_eq!(poll(heap), (PER_HUGE, 0, PollEnd::NoRoom));
        })),
        giving: Mutex::new(None::<fn()>),
    };
    let done = heap.backing().poll(&crowd, ALL);
    assert_eq!(
        (done.inflated, done.end),
        (PageCount::ZERO, PollEnd::NoRoom)
    );
    assert_eq!(held(heap, &fake), PER_HUGE);
}

#[test]
fn pages_for_a_device_that_breaks_meanwhile_go_back_to_the_heap() {
    let (heap, fake) = attached(VERSION_1 | MUST_TELL_HOST | REPORTING);
    fake.state().num_pages = 2 * PER_HUGE;
    let lie = fake.clone();
    let crowd = Crowd {
        heap,
        taking: Mutex::new(Some(move || {
            lie.state().script = [Act::Id(3)].into();
            assert_eq!(heap.release_all().pages, PageCount::ZERO);
        })),
        giving: Mutex::new(None::<fn()>),
    };
    let done = heap.backing().poll(&crowd, ALL);
    assert!(matches!(done.end, PollEnd::Broken(_)));
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    assert_eq!(drain(heap, &mut Owners::default()), 8 * PER_HUGE);
}

#[test]
fn an_absurd_target_takes_what_the_limit_the_places_and_the_budget_allow() {
    let ram = Ram::new(16);
    let limit = PageCount::new(6 * PER_HUGE + 1);
    for (options, places, expected, end) in [
        (Options::DEFAULT, 99, 16, PollEnd::NoPages),
        (Options::DEFAULT, 5, 5, PollEnd::NoRoom),
        (Options::DEFAULT.limit(limit), 99, 6, PollEnd::Reached),
    ] {
        let fake = ram.fake(VERSION_1);
        let mut books = Books::new(&ram);
        books.holdings.truncate(places);
        let heap = books.heap(&ram, &fake, options);
        fake.state().num_pages = u32::MAX;
        // In steps of a budget, which is never passed.
        let budget = PageCount::new(3 * PER_HUGE - 1);
        let end = loop {
            let done = heap.backing().poll(&heap, budget);
            assert!(done.inflated <= budget, "{done:?}");
            if done.end != PollEnd::Budget {
                assert_eq!(done.end, end);
                break done.end;
            }
        };
        assert_eq!(held(&heap, &fake), expected * PER_HUGE, "{end:?}");
        fake.state().num_pages = 0;
        while heap.backing().poll(&heap, budget).end == PollEnd::Budget {}
        assert_eq!(held(&heap, &fake), 0);
        assert_eq!(drain(&heap, &mut Owners::default()), 16 * PER_HUGE);
    }
}

#[test]
fn a_heap_without_pages_takes_them_from_the_balloon_if_the_host_allows_it() {
    for allowed in [true, false] {
        let (heap, fake) = attached(VERSION_1 | if allowed { OOM } else { 0 });
        fake.state().num_pages = 6 * PER_HUGE;
        assert_eq!(poll(heap).2, PollEnd::Reached);
        let mut owners = Owners::default();
        owners.own(heap, heap.alloc(PageCount::new(2 * PER_HUGE)).unwrap());
        // Three huge pages in one run: more than one piece of the balloon.
        let wanted = heap.alloc(PageCount::new(3 * PER_HUGE));
        if !allowed {
            assert_eq!(wanted.unwrap_err(), AllocError::NoRun);
            assert_eq!(heap.backing().stats().held.get(), 6 * PER_HUGE);
            continue;
        }
        owners.own(heap, wanted.unwrap());
        assert_eq!(heap.backing().stats().held.get(), 3 * PER_HUGE);
        // The host still wants six; it is not given what the guest needed.
        owners.free(heap, 1);
        assert_eq!(poll(heap), (0, 0, PollEnd::Reached));
        fake.state().num_pages = 5 * PER_HUGE;
        assert_eq!(poll(heap), (2 * PER_HUGE, 0, PollEnd::Reached));
        // More than there is: all of the balloon, and then an error.
        let refused = heap.alloc(PageCount::new(7 * PER_HUGE));
        assert_eq!(refused.unwrap_err(), AllocError::NoRun);
        assert_eq!(heap.backing().stats().held, PageCount::ZERO);
        owners.look(heap);
        assert_eq!(drain(heap, &mut owners), 6 * PER_HUGE);
    }
}

/// A heap of eight huge pages that has its balloon attached, for good.
fn attached(offered: u64) -> (&'static Heap<'static>, Fake) {
    let ram = Box::leak(Box::new(Ram::new(8)));
    let fake = ram.fake(offered);
    let books = Box::leak(Box::new(Books::new(ram)));
    let heap = Box::leak(Box::new(books.heap(ram, &fake, Options::DEFAULT)));
    let heap: &'static Heap<'static> = heap;
    heap.backing().attach(heap);
    (heap, fake)
}

/// A heap as the balloon sees it, and what happens meanwhile on another CPU: in
/// the first request, or before the first pages come back.
struct Crowd<T, G> {
    heap: &'static Heap<'static>,
    taking: Mutex<Option<T>>,
    giving: Mutex<Option<G>>,
}

impl<T: FnOnce(), G: FnOnce()> Pool for Crowd<T, G> {
    fn take(&self, request: Request) -> Option<PageRange> {
        if let Some(taking) = self.taking.lock().unwrap().take() {
            taking();
        }
        self.heap.take(request)
    }

    fn give(&self, range: PageRange) {
        if let Some(giving) = self.giving.lock().unwrap().take() {
            giving();
        }
        self.heap.give(range);
    }

    fn stats(&self) -> spanheap::Stats {
        self.heap.stats()
    }
}

#[test]
fn two_cpus_that_are_out_of_memory_at_once_are_both_relieved() {
    let (heap, fake) = attached(VERSION_1 | OOM);
    fake.state().num_pages = 8 * PER_HUGE;
    assert_eq!(poll(heap).2, PollEnd::Reached);
    let other = move || {
        let wanted = move || heap.alloc(PageCount::new(3 * PER_HUGE));
        let found = thread::spawn(wanted).join().expect("no panic");
        assert_eq!(found.map(|span| span.count().get()), Ok(3 * PER_HUGE));
    };
    let crowd = Crowd {
        heap,
        taking: Mutex::new(None::<fn()>),
        giving: Mutex::new(Some(other)),
    };
    let freed = heap.backing().relieve(&crowd, PageCount::new(2 * PER_HUGE));
    // The first of them is not beside the next: those are the other's.
    assert_eq!(freed.get(), 3 * PER_HUGE);
    assert!(
        crowd.giving.lock().unwrap().is_none(),
        "the other was there"
    );
    heap.check().unwrap();
}

#[test]
fn a_cpu_that_is_out_of_memory_waits_until_the_balloon_has_its_pages() {
    let (heap, fake) = attached(VERSION_1 | OOM);
    fake.state().num_pages = 7 * PER_HUGE;
    assert_eq!(poll(heap).2, PollEnd::Reached);
    let (waits, other_waits) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    fake.state().in_a_turn = Some(Box::new(move || {
        waits.send(()).expect("a poll");
        may_go_on.recv().expect("an end of it");
    }));
    let (tell, other) = mpsc::channel();
    let taking = move || {
        let wanted = move || heap.alloc(PageCount::new(2 * PER_HUGE));
        tell.send(thread::spawn(wanted)).expect("a test");
        // It does not wait if it should not: then this must end, and fail.
        let seen = other_waits.recv_timeout(Duration::from_secs(20));
        seen.expect("the other waits");
    };
    let crowd = Crowd {
        heap,
        taking: Mutex::new(Some(taking)),
        giving: Mutex::new(None::<fn()>),
    };
    fake.state().num_pages = 8 * PER_HUGE;
    assert_eq!(heap.backing().poll(&crowd, ALL).end, PollEnd::Reached);
    assert_eq!(heap.backing().stats().held.get(), 8 * PER_HUGE);
    go_on.send(()).expect("the other waits");
    let found = other.recv().expect("it was started").join();
    let found = found.expect("no panic").map(|span| span.count().get());
    assert_eq!(found, Ok(2 * PER_HUGE));
    heap.check().unwrap();
}

#[test]
fn a_target_that_is_never_the_same_twice_ends_with_the_budget() {
    let ram = Ram::new(16);
    let fake = ram.fake(VERSION_1);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    fake.state().restless = true;
    let budget = PageCount::new(100 * PER_HUGE);
    let done = heap.backing().poll(&heap, budget);
    assert_eq!(done.end, PollEnd::Budget);
    assert_eq!(done.inflated.get() + done.deflated.get(), budget.get());
    fake.state().restless = false;
    fake.state().num_pages = 0;
    assert_eq!(poll(&heap).2, PollEnd::Reached);
    assert_eq!(drain(&heap, &mut Owners::default()), 16 * PER_HUGE);
}

#[test]
fn what_must_be_told_to_a_dead_host_is_kept_and_all_else_comes_back() {
    for must_tell in [true, false] {
        let ram = Ram::new(8);
        let fake = ram.fake(VERSION_1 | if must_tell { MUST_TELL_HOST } else { 0 });
        let mut books = Books::new(&ram);
        let heap = books.heap(&ram, &fake, Options::DEFAULT);
        fake.state().num_pages = 5 * PER_HUGE;
        assert_eq!(poll(&heap).2, PollEnd::Reached);
        fake.state().num_pages = 0;
        fake.state().script = [Act::Sleep].into();
        let (_, deflated, end) = poll(&heap);
        assert!(matches!(end, PollEnd::Broken(_)));
        let kept = if must_tell { 5 } else { 0 };
        assert_eq!(deflated, (5 - kept) * PER_HUGE);
        assert_eq!(heap.stats().in_use.get(), kept * PER_HUGE);
        assert_eq!(drain(&heap, &mut Owners::default()), (8 - kept) * PER_HUGE);
    }
}

#[test]
fn the_host_gets_the_heap_s_numbers_whenever_it_asks() {
    let (ram, mut owners) = (Ram::new(8), Owners::default());
    let fake = ram.fake(VERSION_1 | STATS | REPORTING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    for used in [0_u64, 100, 101] {
        while owners.spans.len() < used as usize {
            owners.own(&heap, heap.alloc(PageCount::new(1)).unwrap());
        }
        // The buffer that is with the device is of the poll before.
        let _ = fake.take_stats();
        assert_eq!(poll(&heap), (0, 0, PollEnd::Reached));
        let bytes = fake.take_stats();
        let (total, idle) = (8 * 65536, 8 * 65536 - used * 4096);
        let mut expected = Vec::new();
        for (tag, value) in [(4_u16, idle), (5, total), (6, idle)] {
            expected.extend(tag.to_le_bytes());
            expected.extend(value.to_le_bytes());
        }
        assert_eq!(bytes, expected, "{used} pages in use");
    }
}
