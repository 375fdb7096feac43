//! The last pages of a heap: whoever has claimed them, they are handed out before
//! a request is refused.

use spanheap::{AllocError, Budget, Class, Request};

use crate::common::{PAGE, become_cpu, count, heap};

const CPUS: usize = 4;

/// All of them claim pages of both groups of chunks.
fn claims(pages: u32) -> (crate::common::Heap<'static>, u32) {
    let (heap, _fake) = heap(PAGE, 512, pages, CPUS);
    let mut taken = 0;
    for cpu in 0..CPUS {
        become_cpu(cpu);
        for class in [Class::Movable, Class::Unmovable] {
            heap.alloc(Request::pages(count(1)).class(class))
                .expect("memory");
            taken += 1;
        }
    }
    become_cpu(0);
    (heap, taken)
}

#[test]
fn one_cpu_is_handed_out_every_page_that_the_others_have_claimed() {
    for pages in [8 * 512, 8 * 512 + 77, 5 * 512] {
        let (heap, mut taken) = claims(pages);
        while taken < pages {
            heap.alloc(count(1))
                .unwrap_or_else(|why| panic!("{why}, with {} pages left", pages - taken));
            taken += 1;
        }
        assert_eq!(heap.alloc(count(1)), Err(AllocError::NoRun));
        assert_eq!(heap.stats().idle, count(0));
        heap.check().expect("sound books");
    }
}

#[test]
fn a_run_and_a_span_are_made_of_what_the_others_have_claimed_and_gave_up() {
    // Every chunk is one CPU's; nothing but one page of each is in use.
    let (heap, _) = claims(8 * 512);
    heap.alloc(count(16)).expect("a run of another's block");
    assert_eq!(heap.alloc(count(600)), Err(AllocError::NoRun));
    for chunk in 1..=8 {
        for page in 0..2 {
            // Whichever of them it is.
            let _ = heap.free(crate::common::range(chunk * 512 + page, 1));
        }
    }
    heap.check().expect("sound books");
    heap.alloc(count(600)).expect("of two chunks or more");
}

#[test]
fn a_cpu_that_goes_offline_leaves_what_it_had_to_the_others() {
    let (heap, taken) = claims(8 * 512);
    assert!(heap.try_alloc(Class::Movable).is_ok(), "its own");
    for cpu in 1..CPUS {
        heap.offline(cpu);
    }
    // Without a lock, and so from listed chunks only.
    let mut more = 0;
    while heap.try_alloc(Class::Movable).is_ok() {
        more += 1;
    }
    let left = 4 * 512 - taken / 2 - 1;
    assert!(more > left - 4 * 8 * 8, "{more} of {left}");
    heap.check().expect("sound books");
}

#[test]
fn a_chunk_that_was_released_in_part_is_a_span_as_soon_as_nothing_of_it_is_in_use() {
    // The only whole chunk.
    let (heap, _fake) = heap(PAGE, 282, 862, CPUS);
    let page = heap.alloc(count(1)).expect("memory");
    let inside = heap.release_inside(Budget::bytes(64 * PAGE));
    assert_eq!(inside.pages, count(64));
    heap.free(page).expect("in use");
    heap.alloc(count(326)).expect("of the chunk");
    heap.check().expect("sound books");
}
