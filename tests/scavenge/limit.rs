//! The most that may be resident: a commit beyond it makes room or fails, and then
//! nothing has changed.

use spanheap::{AllocAtError, AllocError, Budget, ResizeError, SpanInfo, Stats};

use crate::common::{Heap, KINDS, Kind, PAGE, POLICY, Rig, Setup, count};

const HUGE: u64 = 512 * PAGE;

const ONE_OWNER: [Kind; 2] = [Kind::Page, Kind::Locked];

fn spans(rig: &Rig) -> Vec<SpanInfo> {
    match &rig.heap {
        Heap::Page(heap) => heap.spans().collect(),
        Heap::Locked(heap) => heap.spans().collect(),
        Heap::Shared(_) => Vec::new(),
    }
}

/// The counters, without those of what was tried.
fn counters(rig: &Rig) -> Stats {
    let mut stats = rig.stats();
    (stats.spans_peak, stats.treap_inserts, stats.treap_removals) = (0, 0, 0);
    stats
}

/// A heap of eight huge pages, all released but for those at the top that are in use.
fn released(kind: Kind, in_use: u32) -> Rig {
    let mut rig = Rig::new(Setup::of(kind), POLICY);
    if in_use > 0 {
        let _ = rig.take((8 - in_use) * 512, in_use * 512);
    }
    let _ = rig.sleep();
    rig
}

#[test]
fn a_commit_beyond_the_limit_fails_and_changes_nothing() {
    for kind in ONE_OWNER {
        for (limit, pages) in [(2 * HUGE, 1), (3 * HUGE, 513), (0, 1), (0, 6 * 512)] {
            let mut rig = released(kind, 2);
            let _ = rig.set_limit(limit);
            let (before, books) = (counters(&rig), spans(&rig));
            drop(rig.fake.take_log());
            assert_eq!(rig.alloc(pages), Err(AllocError::Limit));
            assert_eq!(counters(&rig), before, "{kind:?}");
            assert_eq!(spans(&rig), books);
            assert_eq!(rig.fake.take_log(), [], "nobody was bothered");
            rig.audit();
            // And it is a matter of the limit alone.
            let _ = rig.set_limit(u64::MAX);
            let _ = rig.alloc(pages).expect("memory");
            rig.audit();
        }
    }
}

#[test]
fn every_verb_that_commits_says_that_it_is_the_limit() {
    let mut rig = released(Kind::Page, 0);
    let address = rig.window.address_of(spanheap::Page::new(0));
    let Heap::Page(heap) = &mut rig.heap else {
        unreachable!()
    };
    let span = heap.alloc(count(3)).expect("memory");
    heap.set_limit(3 * PAGE);
    assert_eq!(heap.alloc(count(1)), Err(AllocError::Limit));
    assert_eq!(heap.grow(span, count(4)), Err(ResizeError::Limit));
    let at = heap.alloc_at(address + 100 * PAGE, count(1));
    assert_eq!(at, Err(AllocAtError::Limit));
    assert!(heap.free(span).is_ok(), "the handle is still good");
    rig.audit();
}

#[test]
fn a_shared_heap_at_its_limit_refuses_pages_runs_and_spans() {
    for pages in [1, 5, 16, 17, 600] {
        let mut rig = released(Kind::Shared, 2);
        let _ = rig.set_limit(2 * HUGE);
        let before = rig.resident();
        assert_eq!(rig.alloc(pages), Err(AllocError::Limit));
        assert_eq!(rig.resident(), before);
        rig.audit();
        let _ = rig.set_limit(u64::MAX);
        let _ = rig.alloc(pages).expect("memory");
        rig.audit();
    }
}

#[test]
fn what_fits_exactly_is_committed_and_a_page_more_is_not() {
    for kind in ONE_OWNER {
        let mut rig = released(kind, 2);
        let _ = rig.set_limit(2 * HUGE + 7 * PAGE);
        let _ = rig.alloc(7).expect("memory");
        assert_eq!(rig.resident(), 2 * HUGE + 7 * PAGE);
        assert_eq!(rig.alloc(1), Err(AllocError::Limit));
        rig.audit();
    }
}

#[test]
fn a_limit_of_less_than_a_page_is_one_of_none() {
    let mut rig = released(Kind::Page, 0);
    let _ = rig.set_limit(PAGE - 1);
    assert_eq!(rig.alloc(1), Err(AllocError::Limit));
    let _ = rig.set_limit(2 * PAGE - 1);
    let _ = rig.alloc(1).expect("memory");
    assert_eq!(rig.alloc(1), Err(AllocError::Limit));
}

#[test]
fn room_is_made_by_no_more_than_is_needed_and_a_huge_page_in_two_calls() {
    for kind in KINDS {
        for pages in [1, 17, 511, 512, 513, 1024, 1500] {
            // Low: released. High: idle and resident, at the limit.
            let mut rig = released(kind, 0);
            let low = rig.take(0, 4 * 512);
            let high = rig.take(4 * 512, 4 * 512);
            rig.free(low);
            let _ = rig.sleep();
            rig.free(high);
            let limit = 4 * HUGE;
            let _ = rig.set_limit(limit);
            assert_eq!(rig.resident(), limit);
            let calls = rig.stats().unused_calls;
            drop(rig.fake.take_log());
            let got = rig.alloc(pages).expect("there is room to be made");
            assert_eq!(got.start().number(), 0);
            rig.audit();
            assert!(rig.resident() <= limit);
            let gone: u32 = rig
                .releases()
                .iter()
                .flatten()
                .map(|range| range.count().get())
                .sum();
            // A shared heap commits a chunk for a page.
            let needed = if kind == Kind::Shared && pages <= 16 {
                512
            } else {
                pages
            };
            assert!(
                gone >= needed && gone < needed + 512,
                "{kind:?}: {gone} of {needed}"
            );
            assert!(rig.stats().unused_calls <= calls + 2);
        }
    }
}

#[test]
fn room_that_would_take_more_than_two_calls_is_not_made() {
    let setup = Setup {
        pages: 400,
        huge: 0,
        ..Setup::SMALL
    };
    let mut rig = Rig::new(setup, POLICY);
    // Low: 100 released pages. Above: every second page idle, in 150 pieces.
    let _ = rig.take(100, 300);
    let _ = rig.sleep();
    for page in 0..150 {
        free_one(&mut rig, 100 + 2 * page);
    }
    if let Heap::Page(heap) = &mut rig.heap {
        heap.set_limit(300 * PAGE);
    }
    let calls = rig.stats().unused_calls;
    assert_eq!(rig.alloc(100), Err(AllocError::Limit));
    rig.audit();
    assert_eq!(rig.stats().unused_calls, calls + 2);
    assert_eq!(rig.stats().resident(), count(300 - 64), "two batches went");
    // The next try has it easier, and the one after it succeeds.
    let _ = rig.alloc(100).expect("memory");
    assert!(rig.resident() <= 300 * PAGE);
    rig.audit();
}

fn free_one(rig: &mut Rig, page: u32) {
    let address = rig.window.address_of(spanheap::Page::new(page));
    let Heap::Page(heap) = &mut rig.heap else {
        unreachable!()
    };
    heap.free_part_at(address, count(1)).expect("in use");
}

#[test]
fn a_limit_below_what_is_in_use_refuses_commits_until_that_is_less() {
    for kind in KINDS {
        let mut rig = released(kind, 0);
        let mut used: Vec<_> = (0..8).map(|_| rig.alloc(512).expect("memory")).collect();
        let _ = rig.set_limit(5 * HUGE);
        assert_eq!(rig.resident(), 8 * HUGE, "nothing is lost");
        for range in &used {
            rig.fake.write(*range, 8);
        }
        // What is freed goes as soon as it is asked for, and is not to be had again.
        for left in (5..8).rev() {
            rig.free(used.pop().expect("eight"));
            let _ = rig.set_limit(5 * HUGE);
            assert_eq!(rig.resident(), left * HUGE);
            assert_eq!(rig.alloc(512), Err(AllocError::Limit), "{kind:?}");
        }
        rig.free(used.pop().expect("eight"));
        let _ = rig.sleep();
        let back = rig.alloc(512).expect("below the limit");
        assert_eq!(rig.resident(), 5 * HUGE);
        rig.free(back);
        rig.audit();
    }
}

#[test]
fn nothing_is_released_for_room_that_would_not_be_enough() {
    for kind in ONE_OWNER {
        let mut rig = released(kind, 4);
        // Two idle huge pages, and a limit that is five below what is in use with them.
        let idle = rig.take(2 * 512, 2 * 512);
        rig.free(idle);
        each_set_limit(&mut rig, HUGE);
        let (before, books) = (counters(&rig), spans(&rig));
        drop(rig.fake.take_log());
        assert_eq!(rig.alloc(3 * 512), Err(AllocError::Limit), "{kind:?}");
        assert_eq!((counters(&rig), spans(&rig)), (before, books));
        assert_eq!(rig.fake.take_log(), []);
    }
}

/// Sets the limit, and gives nothing back for it.
fn each_set_limit(rig: &mut Rig, bytes: u64) {
    use spanheap::Reclaim;
    rig.heap.set_limit(bytes);
}

#[test]
fn resident_memory_is_handed_out_whatever_the_limit() {
    for kind in KINDS {
        let mut rig = Rig::new(Setup::of(kind), POLICY);
        match &mut rig.heap {
            Heap::Page(heap) => heap.set_limit(0),
            Heap::Locked(heap) => heap.set_limit(0),
            Heap::Shared(heap) => heap.set_limit(0),
        }
        let mut got = Vec::new();
        for pages in [1, 5, 700, 1, 512, 30] {
            got.push(rig.alloc(pages).expect("it is backed"));
        }
        got.into_iter().for_each(|range| rig.free(range));
        rig.audit();
        assert_eq!(rig.stats().unused_calls, 0);
    }
}

#[test]
fn a_backing_that_keeps_what_it_has_makes_no_room_and_loses_nothing() {
    for kind in KINDS {
        let mut rig = released(kind, 0);
        let low = rig.take(0, 2 * 512);
        let high = rig.take(6 * 512, 2 * 512);
        rig.free(low);
        let _ = rig.sleep();
        rig.free(high);
        let _ = rig.set_limit(2 * HUGE);
        let before = counters(&rig).resident();
        rig.fake.fail_always();
        assert_eq!(rig.alloc(600), Err(AllocError::Limit), "{kind:?}");
        rig.audit();
        assert_eq!(rig.stats().resident(), before);
        rig.fake.recover();
        let _ = rig.alloc(600).expect("memory");
        rig.audit();
        assert!(rig.resident() <= 2 * HUGE);
        // And one that makes room, and then refuses to commit.
        let _ = rig.alloc(400);
        rig.fake.fail_nth(1, 0);
        let _ = rig.alloc(512);
        rig.audit();
        assert!(rig.resident() <= 2 * HUGE);
    }
}

#[test]
fn pages_smaller_than_a_physical_page_count_as_one() {
    for physical in [4, 16, 512] {
        let setup = Setup {
            physical: physical * PAGE,
            ..Setup::of(Kind::Page)
        };
        let mut rig = Rig::new(setup, POLICY);
        let _ = rig.sleep();
        assert_eq!(rig.resident(), 0);
        let _ = rig.set_limit(physical * PAGE - 1);
        assert_eq!(rig.alloc(1), Err(AllocError::Limit));
        let _ = rig.set_limit(physical * PAGE);
        let first = rig.alloc(1).expect("memory");
        rig.audit();
        assert_eq!(rig.resident(), physical * PAGE);
        // The rest of that physical page is backed, and as good as any.
        let second = rig.alloc(1).expect("it is backed");
        assert_eq!(rig.alloc(physical as u32), Err(AllocError::Limit));
        rig.audit();
        rig.free(first);
        rig.free(second);
        rig.audit();
        assert!(rig.resident() <= physical * PAGE);
    }
}

#[test]
fn what_was_released_inside_of_chunks_is_not_committed_beyond_a_lower_limit() {
    let mut rig = Rig::new(Setup::of(Kind::Shared), POLICY);
    // One page in use in each chunk, and the rest of it given back.
    let pages: Vec<_> = (0..8 * 512)
        .map(|_| rig.alloc(1).expect("memory"))
        .collect();
    for page in pages
        .iter()
        .filter(|page| !page.start().number().is_multiple_of(512))
    {
        rig.free(*page);
    }
    let _ = rig.set_limit(2 * HUGE);
    assert_eq!(rig.resident(), 2 * HUGE);
    let mut got = Vec::new();
    while let Ok(page) = rig.alloc(1) {
        got.push(page);
    }
    assert_eq!(rig.alloc(3), Err(AllocError::Limit));
    assert!(rig.resident() <= 2 * HUGE);
    rig.audit();
    let _ = rig.set_limit(u64::MAX);
    assert!(rig.alloc(3).is_ok() && rig.alloc(1).is_ok());
    rig.audit();
}

#[test]
fn what_is_idle_in_a_cpus_chunks_makes_room_for_a_span() {
    let mut rig = Rig::new(Setup::of(Kind::Shared), POLICY);
    let high = rig.take(512, 7 * 512);
    let page = rig.alloc(1).expect("memory");
    assert_eq!(page.start().number(), 0, "a chunk is opened below");
    rig.free(high);
    let _ = rig.reclaim(7 * HUGE);
    rig.free(page);
    // The chunk is free as a whole, and the CPU's.
    match rig.heap {
        Heap::Shared(heap) => heap.set_limit(HUGE),
        _ => unreachable!(),
    };
    let _ = rig.alloc(512).expect("there is room to be made");
    assert!(rig.resident() <= HUGE);
    rig.audit();
}

#[test]
fn a_commit_that_was_refused_counts_no_longer() {
    for kind in ONE_OWNER {
        let mut rig = released(kind, 0);
        let _ = rig.set_limit(3 * PAGE);
        for _ in 0..10 {
            rig.fake.fail_nth(0, 0);
            assert!(matches!(rig.alloc(2), Err(AllocError::Refused(_))));
        }
        let _ = rig.alloc(3).expect("as much as the limit says");
        rig.audit();
    }
}

#[test]
fn what_is_being_committed_counts_already() {
    let mut rig = released(Kind::Locked, 0);
    let Heap::Locked(heap) = rig.heap else {
        unreachable!()
    };
    heap.set_limit(8 * PAGE);
    // While the backing commits five pages, somebody else asks for four, and for three.
    let (answers, seen) = std::sync::mpsc::channel();
    rig.fake.on_call(move |_| {
        for pages in [4, 3] {
            let answer = heap.alloc(count(pages)).map(|span| span.range().count());
            answers.send(answer).expect("it is looked at below");
        }
    });
    let _ = rig.alloc(5).expect("memory");
    rig.fake.no_callback();
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen, [Err(AllocError::Limit), Ok(count(3))]);
    assert_eq!(rig.resident(), 8 * PAGE);
    rig.audit();
}

/// A shared heap with one chunk at its bottom of which no page is in use, every other
/// page is released, and which fills the limit; behind it nothing is backed.
fn riddled() -> Rig {
    let mut rig = Rig::new(Setup::of(Kind::Shared), POLICY);
    let _ = rig.sleep();
    let mut pages: Vec<_> = (0..512).map(|_| rig.alloc(1).expect("memory")).collect();
    pages.sort_by_key(|page| page.start().number());
    let (even, odd): (Vec<_>, Vec<_>) = pages
        .into_iter()
        .partition(|page| page.start().number().is_multiple_of(2));
    even.into_iter().for_each(|page| rig.free(page));
    let Heap::Shared(heap) = rig.heap else {
        unreachable!()
    };
    let done = heap.release_inside(Budget::bytes(256 * PAGE));
    assert_eq!(done.pages, count(256), "each by itself");
    odd.into_iter().for_each(|page| rig.free(page));
    heap.set_limit(HUGE);
    rig.audit();
    rig
}

#[test]
fn what_is_left_of_a_riddled_chunk_makes_room_step_by_step() {
    let mut rig = riddled();
    let mut tries = 0;
    loop {
        drop(rig.fake.take_log());
        let got = rig.alloc(512);
        let calls = rig.releases().len();
        assert!(calls <= 6, "{calls} calls for one allocation");
        rig.audit();
        tries += 1;
        match got {
            Ok(_) => break,
            Err(why) => assert_eq!(why, AllocError::Limit),
        }
        assert!(tries < 10, "it comes to nothing");
    }
    assert!(rig.resident() <= HUGE);
    // 256 pages, each by itself, in batches of 32, two for each try.
    assert_eq!(tries, 4);
}

#[test]
fn a_single_page_or_a_run_out_of_a_riddled_chunk_makes_no_call_for_room() {
    for pages in [1, 5] {
        let mut rig = riddled();
        drop(rig.fake.take_log());
        let _ = rig.alloc(pages).expect("its chunk counts already");
        assert_eq!(rig.releases().len(), 0);
        rig.audit();
    }
}

#[test]
fn a_riddled_chunk_serves_what_nothing_else_can_at_the_first_try() {
    let mut rig = riddled();
    let Heap::Shared(heap) = rig.heap else {
        unreachable!()
    };
    heap.set_limit(u64::MAX);
    let _ = rig.take(512, 7 * 512);
    let all = rig.alloc(512).expect("no page of it is in use");
    assert_eq!(all.start().number(), 0);
    rig.audit();
}
