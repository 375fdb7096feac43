//! A limit on resident memory, on the heaps of the policies' simulation.
//!
//! The rule, on every load and under policies that differ most: resident memory never exceeds the
//! limit, no allocation makes more calls of the backing to stay below it than are
//! documented, and nothing that lives is lost for it. A block that is refused is left
//! out, and nothing else follows from that.

use spanheap::PageCount;
use spanheap_replay::policies::{
    Churn, Driven, Ground, Kind, Limited, Load, Outcome, Preset, Prices,
};
use spanheap_replay::trace::{self, Class, Maker};

use crate::common::{self, shared, shipped};

const HUGE: u64 = 2 << 20;

/// How many calls of the backing one allocation makes at most for the limit's sake:
/// two for each commit that it tries. A page heap tries one. A shared heap tries a
/// chunk, then what the treap has, and that again once nothing is claimed any more.
const fn most_calls(driven: Driven) -> u64 {
    match driven {
        Driven::Page => 2,
        Driven::Shared => 6,
    }
}

fn played(load: &Load, driven: Driven, kind: Kind, limit: u64) -> (Outcome, Limited) {
    let ground = Ground::new(load).unwrap().limited(Some(limit));
    let outcome = ground.play(load, driven, Prices::default(), kind).unwrap();
    let limited = outcome.limited.unwrap();
    (outcome, limited)
}

/// Holds the rule to be true of a load, and returns how much was refused under each
/// policy.
fn keep_the_rule(load: &Load, limit: u64, driven: Driven, kinds: &[Kind]) -> Vec<u64> {
    let each = kinds.iter().map(|&kind| {
        let (outcome, limited) = played(load, driven, kind, limit);
        let told = format!("{}, {driven:?}, {kind:?}: {limited:?}", load.name);
        assert_eq!((outcome.wrong, outcome.refused), (0, 0), "{told}");
        assert_eq!(limited.over_bytes(), 0, "{told}");
        assert!(limited.most_calls <= most_calls(driven), "{told}");
        assert!(limited.longest_calls <= limited.most_calls, "{told}");
        limited.refused
    });
    each.collect()
}

/// A little more than a load's peak, and a good deal less.
fn limits(load: &Load) -> [u64; 2] {
    let peak = load.trace.peak_live_bytes();
    [peak / 100 * 102, peak / 10 * 7]
}

fn load(maker: Maker) -> Load {
    Load {
        name: "by hand".into(),
        trace: maker.finish("made by hand"),
        phases: Vec::new(),
    }
}

/// Three huge pages, of which the first and the last are freed; then two in a row, for
/// which there is one span only, all of it released. Then `more` pages.
fn moved(more: u32) -> Load {
    let mut maker = Maker::new(4096);
    let blocks = [512; 3].map(|pages| maker.alloc(PageCount::new(pages), Class::Movable));
    maker.pass(10);
    maker.free(blocks[0]);
    maker.free(blocks[2]);
    maker.alloc(PageCount::new(1024), Class::Movable);
    maker.pass(10);
    maker.alloc(PageCount::new(more), Class::Movable);
    maker.pass(10);
    load(maker)
}

#[test]
fn room_is_made_where_it_is_idle_and_that_is_what_is_told() {
    for driven in [Driven::Page, Driven::Shared] {
        let (outcome, limited) = played(&moved(100), driven, Kind::Never, 3 * HUGE);
        assert_eq!((outcome.wrong, outcome.refused), (0, 0), "{driven:?}");
        let expected = Limited {
            limit_bytes: 3 * HUGE,
            most_bytes: 3 * HUGE,
            // Both idle huge pages made room for the second block, and nothing is idle then.
            refused: 1,
            stalls: 1,
            longest_ns: 2 * 6_000 + 1_400,
            longest_calls: 1,
            most_calls: 1,
        };
        assert_eq!(limited, expected, "{driven:?}");
    }
}

#[test]
fn a_limit_of_nothing_refuses_everything_and_no_more() {
    for driven in [Driven::Page, Driven::Shared] {
        for load in [moved(1), random(7, 4096)] {
            for kind in Kind::all() {
                let (outcome, limited) = played(&load, driven, kind, 0);
                assert_eq!((outcome.wrong, outcome.refused), (0, 0), "{kind:?}");
                assert_eq!(limited.refused, load.trace.counts.allocs, "{kind:?}");
                assert_eq!((limited.most_bytes, limited.stalls), (0, 0), "{kind:?}");
                assert_eq!((outcome.lived, outcome.above), (0, 0), "{kind:?}");
            }
        }
    }
}

#[test]
fn a_limit_beyond_the_window_is_none() {
    let load = random(9, 4096);
    for driven in [Driven::Page, Driven::Shared] {
        for kind in Kind::all() {
            let free = Ground::new(&load).unwrap();
            let free = free.play(&load, driven, Prices::default(), kind).unwrap();
            assert_eq!(free.limited, None);
            for limit in [3 * load.trace.peak_live_bytes(), u64::MAX] {
                let (outcome, limited) = played(&load, driven, kind, limit);
                assert_eq!((limited.refused, limited.stalls), (0, 0), "{kind:?}");
                assert_eq!(outcome.above, free.above, "{kind:?}");
                assert_eq!(outcome.charges_after, free.charges_after, "{kind:?}");
            }
        }
    }
}

fn random(seed: u64, page_size: u64) -> Load {
    let random = common::random_trace(seed, page_size, 3000);
    Load {
        name: format!("random {seed}, pages of {page_size}"),
        trace: trace::read(&random.gzip()[..]).unwrap(),
        phases: Vec::new(),
    }
}

#[test]
fn the_limit_holds_on_loads_that_are_made() {
    let churn = Load::churn(&Churn {
        pages: 2048,
        ramp_ms: 20,
        pauses_ms: &[10, 100],
        each_ms: 200,
        least: 2,
    });
    let loads = [churn, random(1, 4096), random(2, 8192), random(3, 65_536)];
    for load in &loads {
        let [_, low] = limits(load);
        for limit in limits(load) {
            for driven in [Driven::Page, Driven::Shared] {
                let refused = keep_the_rule(load, limit, driven, &FEW);
                let some = limit == low;
                assert!(!some || refused.iter().all(|&refused| refused > 0));
            }
        }
    }
}

/// Policies that leave memory in very different states.
const FEW: [Kind; 4] = [
    Kind::Never,
    Kind::Always,
    Kind::Decay,
    Kind::Ours(Preset::Balanced),
];

#[test]
fn the_limit_holds_on_a_recorded_trace() {
    let load = Load::read(&shipped("compiler")).unwrap();
    for limit in limits(&load) {
        for driven in [Driven::Page, Driven::Shared] {
            keep_the_rule(&load, limit, driven, &FEW);
        }
    }
}

#[test]
fn the_limit_holds_on_a_large_trace() {
    let Some(path) = shared("files") else {
        return;
    };
    let load = Load::read(&path).unwrap();
    let [high, low] = limits(&load);
    keep_the_rule(&load, high, Driven::Page, &FEW);
    keep_the_rule(&load, low, Driven::Page, &FEW);
    // Not the low one: a shared heap looks at every page before it refuses one, and
    // there it refuses 300,000 in a window of 9 GiB.
    keep_the_rule(&load, high, Driven::Shared, &FEW);
}
