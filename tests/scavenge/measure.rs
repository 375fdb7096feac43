//! Measuring what releasing and taking back cost, by a clock that is moved by hand.

use std::cell::Cell;

use spanheap::backing::fake::FakeBacking;
use spanheap::{Costs, Geometry, Page, PageCount, Refused, Residency, Window};

use crate::common::range;

const HUGE: u32 = 512;

fn fake() -> (Window, FakeBacking) {
    let window = Window::new(Geometry::SMALL_PAGES, 1 << 30, PageCount::new(4 * HUGE));
    let window = window.expect("a window");
    let fake = FakeBacking::new(window);
    fake.add(range(0, 4 * HUGE), Residency::Resident);
    (window, fake)
}

#[test]
fn the_median_counts_for_two_mebibytes() {
    let (window, fake) = fake();
    let pages = range(HUGE, 2 * HUGE);
    // Five rounds of three looks; two rounds are slow.
    let waits = [10, 700, 3, 9000, 800, 4, 10, 700, 2, 8000, 5, 1, 10, 900, 0];
    let (at, now) = (Cell::new(0), Cell::new(1_000_000));
    let clock = || {
        let seen = now.get();
        now.set(seen + waits.get(at.get()).copied().unwrap_or(0));
        at.set(at.get() + 1);
        seen
    };
    let costs = Costs::measure(&fake, &window, pages, clock).expect("memory");
    assert_eq!(
        costs,
        Costs {
            release_ns: 5,
            take_back_ns: 350,
        }
    );
    assert!(pages.pages().all(|page| fake.is_committed(page)));
}

#[test]
fn a_backing_that_refuses_is_no_measure_and_memory_that_can_be_had_is_back() {
    let (window, fake) = fake();
    let pages = range(0, HUGE);
    for nth in 0..10 {
        fake.fail_nth(nth, 0);
        let measured = Costs::measure(&fake, &window, pages, || 7);
        assert!(fake.has_failed());
        // To release is refused with nothing to say; to commit is tried once more.
        let released = nth % 2 == 0;
        assert_eq!(measured.is_err(), released, "call {nth}");
        assert!(fake.is_committed(Page::new(0)), "call {nth}");
        fake.recover();
    }
    fake.fail_always();
    let measured = Costs::measure(&fake, &window, pages, || 7);
    assert_eq!(measured, Err(Refused { code: 0 }));
}
