//! A hook that calls the heap again: the books are whole while a hook runs,
//! what it works on is nobody's, and whatever the hook changed, the call that
//! it interrupted ends well.

mod layout;

use std::sync::{Arc, Mutex};

use layout::{Kind, PAGE, Setup, Shared, count, layout_of, pages, range};
use spanheap::backing::fake::{Call, FAULT_CODE, FakeBacking, Reuse};
use spanheap::{
    AllocError, Budget, Growth, LockedHeap, Refused, ReleaseEnd, Residency, ResizeError,
};

const REFUSED: Refused = Refused { code: FAULT_CODE };

type Heap = LockedHeap<'static, FakeBacking>;

/// Makes a locked heap in this layout.
fn heap_in(setup: Setup, layout: &str) -> Shared {
    setup.scene(Kind::Locked, layout).share()
}

/// Runs `inside` in the next hook call, once. Returns the layout that it found.
fn in_hook(
    shared: &Shared,
    mut inside: impl FnMut(&'static Heap, &Call) + Send + 'static,
) -> Arc<Mutex<Option<String>>> {
    let found = Arc::new(Mutex::new(None));
    let (seen, heap) = (Arc::clone(&found), shared.heap);
    shared.fake.on_call(move |call| {
        let mut seen = seen.lock().expect("no test fails in two places");
        if seen.is_none() {
            *seen = Some(layout_of(heap));
            assert_eq!(heap.check(), Ok(()), "while a hook runs");
            inside(heap, call);
            assert_eq!(heap.check(), Ok(()), "after what the hook did");
        }
    });
    found
}

/// Fails unless the hook was called and found this layout, and the heap is in
/// that one now.
#[track_caller]
fn ended(shared: &Shared, found: &Arc<Mutex<Option<String>>>, inside: &str, after: &str) {
    shared.fake.no_callback();
    let found = found.lock().expect("no test fails in two places").take();
    assert_eq!(found.as_deref(), Some(inside), "inside the hook");
    assert_eq!(layout_of(shared.heap), after, "after the call");
    assert_eq!(shared.heap.check(), Ok(()));
}

#[test]
fn pages_that_are_being_committed_are_nobodys_and_count_as_they_did() {
    let shared = heap_in(Setup::PLAIN, "s8");
    let before = shared.heap.stats();
    let found = in_hook(&shared, move |heap, _| {
        let stats = heap.stats();
        assert_eq!(
            (stats.in_use, stats.idle, stats.released),
            (before.in_use, before.idle, before.released)
        );
        let span = heap.alloc(pages(2)).expect("behind what is detached");
        assert_eq!(span.range(), range(3, 5));
    });
    let span = shared.heap.alloc(pages(3)).expect("there is room");
    assert_eq!(span.range(), range(0, 3));
    ended(&shared, &found, "D3 s5", "U3 U2 s3");
}

#[test]
fn detached_pages_cannot_be_taken_freed_or_grown_into() {
    let shared = heap_in(Setup::PLAIN, "U2 s4");
    let span = shared.held(0);
    let found = in_hook(&shared, move |heap, _| {
        let at = |page: u64| heap.window().origin() + page * PAGE;
        assert!(heap.alloc(pages(2)).is_err());
        assert!(heap.alloc_at(at(2), count(1)).is_err());
        assert!(heap.free_at(at(2), count(3)).is_err());
        assert!(heap.free_part_at(at(3), count(1)).is_err());
        assert_eq!(heap.grow(span, count(3)), Err(ResizeError::NoRoom));
        assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    });
    let _ = shared.heap.alloc(pages(3)).expect("there is room");
    ended(&shared, &found, "U2 D3 s1", "U2 U3 s1");
}

#[test]
fn what_a_commit_does_not_need_rejoins_the_released_remainder_if_that_is_there() {
    let setup = Setup::physical(8);
    for (take, inside, after, released) in [
        // Nobody touches the remainder, or only the end of it.
        (0, "D8 s16", "U3 s21", 16),
        // It is taken, as far as this: what is left over is resident then.
        (8, "D8 s16", "U3 r5 U8 s8", 8),
        (16, "D8 s16", "U3 r5 U16", 0),
    ] {
        let shared = heap_in(setup, "s24");
        let found = in_hook(&shared, move |heap, _| {
            if take > 0 {
                let _ = heap.alloc(pages(take)).expect("the remainder is free");
            }
        });
        let _ = shared.heap.alloc(pages(3)).expect("there is room");
        ended(&shared, &found, inside, after);
        assert_eq!(shared.heap.stats().released.get(), released);
    }
}

#[test]
fn a_refused_commit_merges_with_whatever_is_beside_it_by_then() {
    for (setup, before, inside, hook, after) in [
        // The hook does nothing, takes the remainder, frees the neighbour.
        (Setup::PLAIN, "U2 s6", "U2 D3 s3", Act::Nothing, "U2 s6"),
        (Setup::PLAIN, "U2 s6", "U2 D3 s3", Act::Take(3), "U2 s3 U3"),
        (Setup::PLAIN, "U2 s6", "U2 D3 s3", Act::Free, "r2 s6"),
        // Physical pages of 8: the neighbour's border lies inside one, which is
        // backed for it; without the remainder these pages are no released span.
        (
            Setup::physical(8),
            "U11 s13",
            "U11 D5 s8",
            Act::Nothing,
            "U11 s13",
        ),
        (
            Setup::physical(8),
            "U11 s21",
            "U11 D5 s16",
            Act::Take(16),
            "U11 r5 U16",
        ),
        (
            Setup::physical(8),
            "U11 s21",
            "U11 D5 s16",
            Act::Free,
            "r16 s16",
        ),
    ] {
        let shared = heap_in(setup, before);
        let held = shared.held(0);
        let found = in_hook(&shared, move |heap, _| hook.perform(heap, held));
        // One commit is refused: that of the call which the hook interrupts.
        shared.fake.fail_nth(0, 0);
        let refused = shared.heap.alloc(pages(3));
        assert_eq!(refused, Err(AllocError::Refused(REFUSED)), "{before}");
        ended(&shared, &found, inside, after);
    }
}

/// What a hook does to the heap.
#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Take(u32),
    Free,
}

impl Act {
    fn perform(self, heap: &'static Heap, held: spanheap::Span) {
        match self {
            Self::Nothing => {}
            Self::Take(count) => assert!(heap.alloc(pages(count)).is_ok()),
            Self::Free => assert_eq!(heap.free(held), Ok(())),
        }
    }
}

#[test]
fn pages_that_share_a_physical_page_with_detached_ones_are_not_released() {
    // Were they, and the commit refused, nothing would back what lies between.
    for refuse in [false, true] {
        let shared = heap_in(Setup::physical(8), "U11 s21");
        let held = shared.held(0);
        let found = in_hook(&shared, move |heap, _| {
            assert_eq!(heap.free(held), Ok(()));
            let release = heap.release_all();
            assert_eq!((release.calls, release.end), (0, ReleaseEnd::Budget));
        });
        if refuse {
            shared.fake.fail_nth(0, 0);
        }
        let span = shared
            .heap
            .alloc_at(shared.heap.window().origin() + 11 * PAGE, count(2));
        assert_eq!(span.is_err(), refuse);
        let after = if refuse { "r16 s16" } else { "r11 U2 s19" };
        ended(&shared, &found, "U11 D5 s16", after);
        assert!(shared.heap.release_all().pages.get() > 0, "now they are");
    }
}

#[test]
fn pages_that_are_being_released_are_nobodys_and_what_is_freed_meanwhile_stays() {
    let shared = heap_in(Setup::PLAIN, "r4 U2 r2");
    let held = shared.held(4);
    let found = in_hook(&shared, move |heap, call| {
        assert!(matches!(call, Call::Unused { ranges, .. } if ranges.len() == 2));
        assert_eq!(heap.stats().released.get(), 0, "not before it is done");
        assert_eq!(heap.alloc(pages(1)), Err(AllocError::NoRun));
        assert_eq!(heap.free(held), Ok(()));
    });
    let release = shared.heap.release_all();
    assert_eq!((release.pages.get(), release.end), (6, ReleaseEnd::Drained));
    ended(&shared, &found, "D4 U2 D2", "s4 r2 s2");
}

#[test]
fn a_release_within_a_release_takes_what_is_left() {
    let shared = heap_in(Setup::HUGE, "r16 U1 r5");
    let found = in_hook(&shared, |heap, _| {
        let release = heap.release_all();
        assert_eq!(
            (release.pages.get(), release.end),
            (13, ReleaseEnd::Drained)
        );
    });
    let release = shared.heap.release(Budget::bytes(8 * PAGE));
    assert_eq!(release.pages.get(), 8);
    ended(&shared, &found, "r8 D8 U1 r5", "s16 U1 s5");
}

#[test]
fn a_span_freed_or_resized_while_it_grows_does_not_grow() {
    type Change = fn(&'static Heap, spanheap::Span);
    let changes: [(Change, &str); 4] = [
        (|heap, span| assert!(heap.free(span).is_ok()), "r5 s1"),
        (
            |heap, span| assert!(heap.shrink(span, count(1)).is_ok()),
            "U1 r4 s1",
        ),
        (
            |heap, span| assert!(heap.free_part(span, range(0, 1)).is_ok()),
            "r1 U1 r3 s1",
        ),
        (
            // Freed and handed out again: another span, though the same pages.
            |heap, span| {
                assert!(heap.free(span).is_ok());
                assert!(heap.alloc(pages(2)).is_ok());
            },
            "U2 r3 s1",
        ),
    ];
    for (change, after) in changes {
        let shared = heap_in(Setup::PLAIN, "U2 s4");
        let span = shared.held(0);
        let found = in_hook(&shared, move |heap, _| change(heap, span));
        let grown = shared.heap.grow(span, count(5));
        assert_eq!(grown, Err(ResizeError::Stale));
        ended(&shared, &found, "U2 D3 s1", after);
    }
}

#[test]
fn a_span_that_is_left_alone_grows() {
    let shared = heap_in(Setup::PLAIN, "U2 s4");
    let found = in_hook(&shared, |heap, _| {
        let _ = heap.alloc(pages(1)).expect("the page behind");
    });
    let grown = shared.heap.grow(shared.held(0), count(5));
    assert_eq!(grown.map(|span| span.range()), Ok(range(0, 5)));
    ended(&shared, &found, "U2 D3 s1", "U5 U1");
}

#[test]
fn pages_are_handed_out_already_while_they_are_zeroed() {
    let shared = heap_in(Setup::PLAIN, "r8");
    let found = in_hook(&shared, |heap, call| {
        assert_eq!(*call, Call::Zero(range(0, 3)));
        let span = heap.alloc(pages(2).zeroed()).expect("there is room");
        heap.free(span).expect("it is in use");
    });
    let _ = shared.heap.alloc(pages(3).zeroed()).expect("there is room");
    ended(&shared, &found, "U3 r5", "U3 r5");
}

#[test]
fn memory_freed_while_the_backing_grows_serves_the_request() {
    let setup = Setup {
        spare: 8,
        ..Setup::PLAIN
    };
    let shared = heap_in(setup, "U8");
    shared.fake.offer(Growth {
        range: range(8, 16),
        residency: Residency::Resident,
    });
    let held = shared.held(0);
    let found = in_hook(&shared, move |heap, _| {
        assert_eq!(heap.free(held), Ok(()));
    });
    let span = shared.heap.alloc(pages(5)).expect("two regions are idle");
    assert_eq!(span.range(), range(0, 5), "the lowest serves");
    ended(&shared, &found, "U8", "U5 r3 r8");
}

#[test]
fn memory_freed_while_the_backing_does_not_grow_serves_the_request_too() {
    let shared = heap_in(Setup::PLAIN, "U8");
    let held = shared.held(0);
    let found = in_hook(&shared, move |heap, _| {
        assert_eq!(heap.free(held), Ok(()));
    });
    let span = shared.heap.alloc(pages(5)).expect("something was freed");
    assert_eq!(span.range(), range(0, 5));
    ended(&shared, &found, "U8", "U5 r3");
}

#[test]
fn a_remainder_that_was_cleaned_meanwhile_is_dirty_with_what_rejoins_it() {
    // Physical pages of 8 pages, over a backing that zeroes. Pages 3 to 7 hold
    // what was written to them: their physical page is backed for pages 0 to 2.
    let setup = Setup {
        reuse: Reuse::Zeroes,
        ..Setup::physical(8)
    };
    let mut scene = setup.scene(Kind::Locked, "U3 U21");
    scene.free(scene.held(3)).expect("it is in use");
    let _ = scene.release_all();
    scene.is("U3 s21");
    assert_eq!(scene.read(5), Some(5));
    let shared = scene.share();
    let _ = shared.fake.take_log();

    let found = in_hook(&shared, |heap, _| {
        // All that remains is used, freed and released: now it reads as zero.
        let span = heap.alloc(pages(16)).expect("the remainder");
        assert_eq!(heap.free(span), Ok(()));
        assert_eq!(heap.release_all().pages.get(), 16);
    });
    let _ = shared.heap.alloc(pages(2)).expect("there is room");
    ended(&shared, &found, "U3 D5 s16", "U3 U2 s19");

    let span = shared
        .heap
        .alloc(pages(19).zeroed())
        .expect("all that is left");
    for page in span.range().pages() {
        assert_eq!(shared.fake.read(page), Some(0), "page {}", page.number());
    }
}

#[test]
fn slots_for_every_outcome_are_kept_while_a_hook_runs() {
    // Physical pages of 8: two pages out of the middle one detach all of it,
    // and what is below and above them may need a slot each.
    let setup = Setup {
        slots: Some(5),
        ..Setup::physical(8)
    };
    let shared = heap_in(setup, "s24");
    let found = in_hook(&shared, |heap, _| {
        assert_eq!(heap.alloc(pages(1)), Err(AllocError::NoSlot));
        assert_eq!(heap.release(Budget::bytes(PAGE)).end, ReleaseEnd::Drained);
        // Whole spans need none; then nothing is left to rejoin.
        for _ in 0..2 {
            let _ = heap.alloc(pages(8)).expect("an exact fit");
        }
    });
    let at = shared.heap.window().origin() + 11 * PAGE;
    let span = shared.heap.alloc_at(at, count(2)).expect("slots were kept");
    ended(&shared, &found, "s8 D8 s8", "U8 r3 U2 r3 U8");
    assert_eq!(shared.heap.free(span), Ok(()));
    assert_eq!(layout_of(shared.heap), "U8 r8 U8");
}

#[test]
fn the_slot_of_a_region_is_kept_while_the_backing_grows() {
    let setup = Setup {
        slots: Some(2),
        spare: 8,
        ..Setup::PLAIN
    };
    let shared = heap_in(setup, "U8");
    shared.fake.offer(Growth {
        range: range(8, 16),
        residency: Residency::Resident,
    });
    let held = shared.held(0);
    let found = in_hook(&shared, move |heap, _| {
        assert_eq!(heap.shrink(held, count(4)), Err(ResizeError::NoSlot));
    });
    let span = shared.heap.alloc(pages(8)).expect("it fits exactly");
    assert_eq!(span.range(), range(8, 16));
    ended(&shared, &found, "U8", "U8 U8");
}
