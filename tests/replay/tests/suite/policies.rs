//! The policies on loads that are small enough to be worked out by hand.
//!
//! The first load is a block of 4 MiB, two whole huge pages, that lives for 100 ms
//! and then lies idle for a second. Under the second it is allocated again 100 ms
//! after it was freed.

use std::iter;

use spanheap::PageCount;
use spanheap_replay::policies::{
    Churn, Driven, Family, Ground, Kind, Load, LoadReport, Outcome, Phase, Point, Preset, Prices,
};
use spanheap_replay::trace::{self, Class, Maker};

use crate::common::{self, shipped};

/// Round numbers, so that every sum tells what it is made of.
const PRICES: Prices = Prices {
    release_huge_ns: 10_000,
    release_page_ns: 1_000,
    release_call_ns: 100,
    take_huge_ns: 500_000,
    take_page_ns: 2_000,
};

const BLOCK: u128 = 4 << 20;

fn load(maker: Maker, phases: Vec<Phase>) -> Load {
    Load {
        name: "by hand".into(),
        trace: maker.finish("made by hand"),
        phases,
    }
}

/// A block lives for 100 ms and is idle for a second.
fn idle() -> Load {
    let mut maker = Maker::new(4096);
    let block = maker.alloc(PageCount::new(1024), Class::Movable);
    maker.pass(100);
    maker.free(block);
    maker.pass(1000);
    load(maker, Vec::new())
}

/// A block lives for 100 ms, is idle for another 100 and lives for 100 again.
fn again(pages: u32) -> Load {
    let mut maker = Maker::new(4096);
    let block = maker.alloc(PageCount::new(1024), Class::Movable);
    maker.pass(100);
    maker.free(block);
    maker.pass(100);
    maker.alloc(PageCount::new(pages), Class::Movable);
    maker.pass(100);
    let phase = Phase {
        pause_ms: 100,
        from_ms: 0,
        to_ms: 300,
        cycles: 3,
    };
    load(maker, vec![phase])
}

fn played(load: &Load, driven: Driven, kind: Kind) -> Outcome {
    let outcome = Ground::new(load)
        .unwrap()
        .play(load, driven, PRICES, kind)
        .unwrap();
    assert_eq!((outcome.wrong, outcome.refused), (0, 0), "{kind:?}");
    outcome
}

#[test]
fn a_block_stays_as_long_as_the_policy_says() {
    // How long it was resident and idle until the load ended, in ms; what that cost
    // in ns; and how long after the end it was gone.
    let once = 100 + 2 * 10_000;
    let cases = [
        (Kind::Never, 1000, 0, None),
        // After the millisecond in which it was freed.
        (Kind::Always, 1, once, Some(0)),
        (Kind::Fixed(10), 10, once, Some(0)),
        (Kind::Fixed(999), 999, once, Some(0)),
        (Kind::Fixed(1500), 1000, 0, Some(500)),
        // It was in use in the cycle that ends 2 s after the first poll that saw it,
        // and not in the next: two pages go then, in two milliseconds.
        (Kind::Go, 1000, 0, Some(4002 - 1100)),
        // Noted at 150 ms. Half of it may stay a hundred steps later, but no part of
        // a huge page is released: the other half goes when nothing may stay.
        (Kind::Decay, 1000, 0, Some(150 + 200 * 50 - 1100)),
        (Kind::Linux, 1000, 0, Some(100 + 2000 - 1100)),
    ];
    let load = idle();
    for driven in [Driven::Page, Driven::Shared] {
        for (kind, idle_ms, cpu_ns, drained) in cases {
            let outcome = played(&load, driven, kind);
            assert_eq!(outcome.above, BLOCK * idle_ms, "{kind:?}");
            assert_eq!(outcome.lived, BLOCK * 100, "{kind:?}");
            assert_eq!(outcome.charges.release_ns, cpu_ns, "{kind:?}");
            assert_eq!(outcome.charges.take_ns, 0, "{kind:?}");
            assert_eq!(outcome.drained_ms, drained, "{kind:?}");
            let left = drained.map_or(BLOCK, |_| 0);
            assert_eq!(u128::from(outcome.left_bytes), left, "{kind:?}");
            let after = &outcome.charges_after;
            assert_eq!(after.released_bytes, after.whole_bytes, "{kind:?}");
        }
    }
}

#[test]
fn what_is_taken_back_is_paid_for_and_waited_for() {
    let whole = 2 * 500_000;
    let cases = [
        (Kind::Never, 1024, 100, 0),
        (Kind::Always, 1024, 1, whole),
        (Kind::Fixed(50), 1024, 50, whole),
        (Kind::Fixed(150), 1024, 100, 0),
        // Ten pages of it only.
        (Kind::Fixed(50), 10, 50, 10 * 2_000),
        // So many pages that the whole huge page is cheaper, and ten of the next.
        (Kind::Fixed(50), 522, 50, 500_000 + 10 * 2_000),
    ];
    for (kind, pages, idle_ms, take_ns) in cases {
        let load = again(pages);
        let outcome = played(&load, Driven::Page, kind);
        let kept = match take_ns {
            // What of the block is not used again stays for another 100 ms.
            0 => BLOCK - 4096 * u128::from(pages),
            _ => 0,
        };
        assert_eq!(outcome.above, BLOCK * idle_ms + kept * 100, "{kind:?}");
        assert_eq!(outcome.charges.take_ns, take_ns, "{kind:?}");
        assert_eq!(outcome.longest_stall_ns, take_ns, "{kind:?}");
        assert_eq!(outcome.stalls_ns, [take_ns], "{kind:?}");
        let taken = if take_ns > 0 {
            u64::from(pages) * 4096
        } else {
            0
        };
        assert_eq!(outcome.charges.taken_bytes, taken, "{kind:?}");
    }
}

#[test]
fn the_first_touch_costs_nothing_under_any_policy() {
    let mut maker = Maker::new(4096);
    for _ in 0..100 {
        maker.alloc(PageCount::new(100), Class::Movable);
        maker.pass(10);
    }
    let load = load(maker, Vec::new());
    for kind in Kind::all() {
        let outcome = played(&load, Driven::Shared, kind);
        assert_eq!(outcome.charges.take_ns, 0, "{kind:?}");
        assert_eq!(outcome.longest_stall_ns, 0, "{kind:?}");
    }
}

#[test]
fn pieces_of_huge_pages_go_where_a_policy_takes_them() {
    // Two blocks of 100 pages, of which the first is freed.
    let mut maker = Maker::new(4096);
    let block = maker.alloc(PageCount::new(100), Class::Movable);
    maker.alloc(PageCount::new(100), Class::Movable);
    maker.pass(100);
    maker.free(block);
    maker.pass(20_000);
    let load = load(maker, Vec::new());
    for (kind, gone) in [
        (Kind::Never, 0),
        (Kind::Always, 100),
        (Kind::Fixed(10), 0),
        (Kind::Go, 100 - 10),
        (Kind::Decay, 100),
        (Kind::Linux, 0),
    ] {
        let outcome = played(&load, Driven::Page, kind);
        assert_eq!(outcome.charges.released_bytes, gone * 4096, "{kind:?}");
        assert_eq!(outcome.charges.whole_bytes, 0, "{kind:?}");
    }
}

#[test]
fn no_policy_releases_what_lives() {
    for page_size in [4096, 8192, 65_536] {
        let random = common::random_trace(page_size, page_size, 3000);
        let trace = trace::read(&random.gzip()[..]).unwrap();
        let load = Load {
            name: "random".into(),
            trace,
            phases: Vec::new(),
        };
        for driven in [Driven::Page, Driven::Shared] {
            for kind in Kind::all() {
                let outcome = played(&load, driven, kind);
                let after = &outcome.charges_after;
                assert!(after.taken_bytes <= after.released_bytes, "{kind:?}");
                assert!(after.whole_bytes <= after.released_bytes, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_recorded_trace_is_in_order_under_every_policy() {
    let load = Load::read(&shipped("compiler")).unwrap();
    let never = played(&load, Driven::Shared, Kind::Never);
    let always = played(&load, Driven::Shared, Kind::Always);
    assert!(always.above < never.above);
    for kind in [
        Kind::Go,
        Kind::Decay,
        Kind::Linux,
        Kind::Ours(Preset::Balanced),
    ] {
        let outcome = played(&load, Driven::Shared, kind);
        assert_eq!(outcome.lived, never.lived, "{kind:?}");
        assert!(outcome.above < never.above, "{kind:?}");
        assert!(outcome.charges.released_bytes > 0, "{kind:?}");
    }
}

#[test]
fn the_same_load_comes_to_the_same() {
    let load = Load::churn(&Churn {
        pages: 4096,
        ramp_ms: 20,
        pauses_ms: &[10, 100],
        each_ms: 300,
        least: 3,
    });
    let told = |kind| {
        let outcome = played(&load, Driven::Shared, kind);
        (outcome.above, outcome.charges, outcome.stalls_ns)
    };
    for kind in Kind::all() {
        assert_eq!(told(kind), told(kind), "{kind:?}");
    }
}

#[test]
fn a_report_says_who_is_better_and_how_many_cycles_are_done() {
    let load = again(1024);
    let kinds = [Kind::Never, Kind::Always, Kind::Fixed(50), Kind::Fixed(80)];
    let outcomes: Vec<_> = kinds
        .into_iter()
        .map(|kind| (kind, played(&load, Driven::Page, kind)))
        .collect();
    let report = LoadReport::new(&load, &outcomes);
    let of = |kind: Kind| {
        let name = kind.name();
        let found = report.policies.iter().find(|policy| policy.policy == name);
        found.unwrap()
    };
    // All of the others cost the same, and always leaves least.
    assert!(of(Kind::Always).beaten_by.is_empty());
    assert!(of(Kind::Never).beaten_by.is_empty());
    let better: Vec<_> = [Kind::Always, Kind::Fixed(50)].map(Kind::name).into();
    assert_eq!(of(Kind::Fixed(80)).beaten_by, better);
    // Of the fixed delays the one that leaves less counts.
    let ratio = of(Kind::Always).of_fixed.unwrap();
    assert!((ratio - 1.0 / 50.0).abs() < 1e-9, "{ratio}");
    let cycles = of(Kind::Always).cycles[0];
    assert_eq!((cycles.pause_ms, cycles.never), (100, 3));
    assert!((cycles.done - 3.0 * 300.0 / 301.0).abs() < 1e-9);
    assert_eq!(of(Kind::Never).cycles[0].done, 3.0);
    let never = of(Kind::Never);
    assert!((never.above_gib_s - 4.0 / 1024.0 * 0.1).abs() < 1e-9);
    assert!((of(Kind::Always).cpu_ms - (1.0 + 0.0201)).abs() < 1e-9);
}

#[test]
fn the_family_is_a_line_from_never_to_its_dearest() {
    let points = [(8.0, 1.0), (0.0, 9.0), (4.0, 5.0)];
    let points = points.map(|(cpu_ms, above)| Point { cpu_ms, above });
    let family = Family::new(points);
    let steps = iter::successors(Some(0.0), |cpu_ms| Some(cpu_ms + 0.5));
    let line: Vec<_> = steps.take(20).filter_map(|cpu| family.at(cpu)).collect();
    assert_eq!(line.len(), 20);
    assert!(line.is_sorted_by(|cheap, dear| cheap >= dear));
}
