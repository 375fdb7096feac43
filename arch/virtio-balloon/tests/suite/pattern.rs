//! Kernels that keep a pattern in free pages find it there again, whichever way
//! the pages went.

use spanheap::{PageCount, PageRange};
use spanheap_virtio_balloon::{Machine, Options, Pieces, PollEnd};

use crate::common::{Books, Heap, PER_HUGE, Ram, range};
use crate::fake::{Act, OOM, POISON, REPORTING, VERSION_1};

const PATTERN: u32 = 0xaabb_ccdd;

/// All words of a range.
fn words(heap: &Heap<'_>, range: PageRange) -> impl Iterator<Item = *mut u32> {
    let bytes = heap.window().bytes_of(range);
    let at = |physical| heap.backing().machine().pointer(physical).cast();
    let words: Vec<_> = bytes.step_by(4).map(at).collect();
    words.into_iter()
}

/// The kernel's part: all memory is free, and has the pattern.
fn fill(heap: &Heap<'_>, huge: u32) {
    for at in words(heap, range(0, huge * PER_HUGE)) {
        // SAFETY: nothing is in use yet, and the arena is there.
        unsafe { at.write_volatile(PATTERN) }
    }
}

/// Takes all there is, looks at it, and gives it back.
fn look(heap: &Heap<'_>) -> u32 {
    let mut spans = Vec::new();
    while let Ok(span) = heap.alloc(PageCount::new(1)) {
        for at in words(heap, span.range()) {
            // SAFETY: the page was just handed out.
            let found = unsafe { at.read_volatile() };
            assert_eq!(found, PATTERN, "in {:?}", span.range());
        }
        spans.push(span);
    }
    let pages = spans.len();
    for span in spans {
        heap.free(span).unwrap();
    }
    pages as u32
}

#[test]
fn the_pattern_is_in_every_page_that_comes_back() {
    for offered in [0, POISON, REPORTING, REPORTING | POISON] {
        for pieces in [Pieces::WholeHugePages, Pieces::Any] {
            let ram = Ram::new(8);
            let fake = ram.fake(VERSION_1 | OOM | offered);
            let mut books = Books::new(&ram);
            let options = Options::DEFAULT.poison(PATTERN).pieces(pieces);
            let (heap, started) = books.try_heap(&ram, &fake, pieces, options);
            started.unwrap();
            fill(&heap, 8);
            let balloon = heap.backing();
            // Idle pages, reported or inflated.
            assert_eq!(heap.release_all().pages, PageCount::new(8 * PER_HUGE));
            assert_eq!(look(&heap), 8 * PER_HUGE);
            // Pages that the host wants, and then does not.
            fake.state().num_pages = 3 * PER_HUGE;
            let all = PageCount::new(u32::MAX);
            assert_eq!(balloon.poll(&heap, all).end, PollEnd::Reached);
            fake.state().num_pages = 2 * PER_HUGE;
            assert_eq!(balloon.poll(&heap, all).end, PollEnd::Reached);
            assert_eq!(look(&heap), 6 * PER_HUGE);
            // And those that the guest needs more.
            let _ = balloon.relieve(&heap, PageCount::new(8 * PER_HUGE));
            assert_eq!(look(&heap), 8 * PER_HUGE, "{offered:x}");
        }
    }
}

#[test]
fn the_pattern_is_in_the_pages_of_a_device_that_broke() {
    for act in [Act::Id(7), Act::Sleep] {
        // On its way into the balloon, of an idle page and of one that is held.
        for wanted in [0, PER_HUGE] {
            let ram = Ram::new(4);
            let fake = ram.fake(VERSION_1 | POISON);
            let mut books = Books::new(&ram);
            let heap = books.heap(&ram, &fake, Options::DEFAULT.poison(PATTERN));
            fill(&heap, 4);
            fake.state().script = [act].into();
            fake.state().num_pages = wanted;
            let _ = heap.backing().poll(&heap, PageCount::new(99));
            let _ = heap.release_all();
            assert_eq!(look(&heap), 4 * PER_HUGE);
        }
        // On its way out.
        let ram = Ram::new(4);
        let fake = ram.fake(VERSION_1 | POISON);
        let mut books = Books::new(&ram);
        let heap = books.heap(&ram, &fake, Options::DEFAULT.poison(PATTERN));
        fill(&heap, 4);
        fake.state().num_pages = 2 * PER_HUGE;
        let _ = heap.backing().poll(&heap, PageCount::new(99));
        fake.state().script = [act].into();
        fake.state().num_pages = 0;
        let _ = heap.backing().poll(&heap, PageCount::new(99));
        assert_eq!(look(&heap), 4 * PER_HUGE);
    }
}
