//! How a heap is looked at: its counters as text, its spans, the span of an
//! address.

use spanheap::SpanState;

use crate::layout::{PAGE, Setup, pages, range};

#[test]
fn the_counters_print_as_a_table() {
    let setup = Setup {
        huge: 8,
        ..Setup::PLAIN
    };
    setup.both("U3 r13 s16", |mut scene| {
        let text = scene.stats().to_string();
        // What the layout took to make is not the point.
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "sys                 128 KiB",
                "  in use             12 KiB",
                "  idle              116 KiB",
                "  released           64 KiB of the idle",
                "resident             64 KiB",
                "huge pages            1 idle and resident, 2 idle and released",
                "spans                 3 of 32 slots, 3 at the peak",
            ]
        );
        let _ = scene.alloc(pages(20).zeroed()).expect("over the seam");
        let stats = scene.stats();
        let hooks = format!(
            "hook calls {:>12} used, {} unused, {} zero",
            stats.used_calls, stats.unused_calls, stats.zero_calls
        );
        let treap = format!(
            "treap      {:>12} inserts, {} removals",
            stats.treap_inserts, stats.treap_removals
        );
        let text = stats.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[7..], [&hooks, &treap]);
        assert_eq!((stats.used_calls, stats.zero_calls), (1, 1));
    });
}

#[test]
fn the_counters_of_an_untouched_heap_print_as_zeroes() {
    let setup = Setup {
        spare: 8,
        ..Setup::PLAIN
    };
    setup.both("", |scene| {
        assert_eq!(
            scene.stats().to_string(),
            "sys                   0 KiB\n\
             \x20 in use              0 KiB\n\
             \x20 idle                0 KiB\n\
             \x20 released            0 KiB of the idle\n\
             resident              0 KiB\n\
             huge pages            0 idle and resident, 0 idle and released\n\
             spans                 0 of 8 slots, 0 at the peak\n\
             hook calls            0 used, 0 unused, 0 zero\n\
             treap                 0 inserts, 0 removals"
        );
    });
}

#[test]
fn spans_come_in_address_order_and_cover_every_managed_page_once() {
    for before in ["r1", "U3 r5 s8", "-3 U1 r1 -2 s4 | U2 | r9 U1 -7 s3"] {
        Setup::PLAIN.both(before, |scene| {
            let spans = scene.spans();
            for pair in spans.windows(2) {
                assert!(pair[0].range.end() <= pair[1].range.start());
            }
            let pages: u32 = spans.iter().map(|info| info.range.count().get()).sum();
            assert_eq!(pages, scene.stats().sys.get());
            scene.is(before);
        });
    }
}

#[test]
fn the_span_of_an_address_is_the_one_that_holds_its_byte() {
    for grain in [1, 4, 64] {
        let setup = Setup {
            grain,
            spare: 3,
            ..Setup::PLAIN
        };
        setup.both("-2 U3 r5 -4 s70 | U1", |scene| {
            let spans = scene.spans();
            for page in 0..scene.window().pages().get() {
                let holder = spans
                    .iter()
                    .find(|info| info.range.contains(spanheap::Page::new(page)));
                for byte in [0, 1, PAGE / 2, PAGE - 1] {
                    let found = scene.span_of(scene.address(page) + byte);
                    assert_eq!(found.as_ref(), holder, "byte {byte} of page {page}");
                }
            }
            let end = scene.address(scene.window().pages().get());
            for outside in [0, setup.origin - 1, end, end + 1, u64::MAX] {
                assert_eq!(scene.span_of(outside), None, "{outside:#x}");
            }
        });
    }
}

#[test]
fn a_span_says_its_state_and_whether_it_needs_zeroing() {
    Setup::PLAIN.both("U3 r5 s8", |scene| {
        let states: Vec<_> = scene
            .spans()
            .iter()
            .map(|info| (info.range, info.state, info.needs_zero))
            .collect();
        assert_eq!(
            states,
            [
                (range(0, 3), SpanState::InUse, true),
                (range(3, 8), SpanState::Resident, true),
                (range(8, 16), SpanState::Released, true),
            ]
        );
    });
}

#[test]
fn counts_convert_to_bytes_by_the_page_and_not_by_the_physical_page() {
    for physical in crate::layout::PHYSICAL {
        let setup = Setup {
            physical,
            ..Setup::PLAIN
        };
        setup.both("U8 r8 s8", |scene| {
            let stats = scene.stats();
            assert_eq!(stats.bytes(stats.sys), 24 * PAGE);
            assert_eq!(stats.bytes(stats.released), 8 * PAGE);
            assert_eq!(stats.bytes(stats.resident()), 16 * PAGE);
            assert_eq!(stats.geometry, scene.window().geometry());
        });
    }
}
