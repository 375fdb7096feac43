//! The page heap against the naive model of the suites, over the fake backing.
//!
//! The setup is any: physical pages larger or smaller than pages, huge pages or none,
//! memory that comes back zeroed or scribbled over, regions with gaps, few slots. The
//! operations are those of the suites, every verb with right and wrong arguments, and
//! refusals of the backing. After each the model, the heap and the fake must agree.

use std::ops::Range;

use spanheap::Residency;
use spanheap::backing::fake::Reuse;

use crate::input::Input;
use crate::model::{Ask, Locked, Op, Owned, PAGE, Pair, Setup, Target, picture, range};
use crate::model::{Kind, Outcome};

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_locked = input.below(4) == 0;
    let setup = setup(&mut input);
    if is_locked {
        play::<Locked>(&setup, input);
    } else {
        play::<Owned>(&setup, input);
    }
}

fn play<K: Kind>(setup: &Setup, mut input: Input<'_>) {
    let mut books = setup.books();
    let pair = Pair::<K::Heap<'_>>::new(setup, &mut books);
    let mut pair = pair.unwrap_or_else(|differs| panic!("{differs}\n{setup:?}"));
    let mut late = setup.late.clone();
    while input.has_more() {
        let op = operation(setup, &mut input);
        let before = pair.model.clone();
        let done: Result<Outcome, _> = op.apply(&mut pair, &mut late);
        if let Err(differs) = done {
            panic!(
                "{differs}\n{setup:?}\n[{}]\n    {op:?}\n[{}] (the model)",
                picture(&before),
                picture(&pair.model)
            );
        }
    }
    if let Err(differs) = pair.finish() {
        panic!(
            "{differs}\n{setup:?}\nin the end [{}]",
            picture(&pair.model)
        );
    }
}

fn residency(input: &mut Input<'_>) -> Residency {
    input.pick(&[Residency::Resident, Residency::Released])
}

fn setup(input: &mut Input<'_>) -> Setup {
    let physical = (PAGE / 2) << input.below(5);
    let huge = match input.below(4) {
        0 => 0,
        shift => (PAGE << (2 * shift)).max(physical),
    };
    let at_zero = input.percent(10);
    let unit = (physical / PAGE).max(1) as u32;
    let mut setup = Setup {
        physical,
        huge,
        origin: match at_zero {
            true => 0,
            false => (1 << 30) + 3 * physical.max(huge).max(PAGE),
        },
        grain: 1 << input.below(7),
        reuse: input.pick(&[Reuse::Scribbles, Reuse::Zeroes]),
        regions: Vec::new(),
        ..Setup::plain(1, Residency::Resident)
    };
    let mut page = if at_zero { unit } else { 0 };
    for _ in 0..input.up_to(4) {
        let start = page + input.pick(&[0, 0, 1, 3]) * unit;
        page = start + input.up_to((80 / unit).max(3)) * unit;
        let region = (range(start, page), residency(input));
        match input.below(6) {
            0 => setup.late.push(region),
            1 => setup.offers.push(region),
            _ => setup.regions.push(region),
        }
    }
    setup.pages = page + 1;
    let slots = match input.below(4) {
        0 => input.up_to(12),
        1 => input.up_to(40),
        _ => u32::MAX,
    };
    setup.slots = slots
        .min(setup.pages)
        .max(setup.regions.len() as u32)
        .max(1);
    setup
}

fn target(input: &mut Input<'_>) -> Target {
    match input.below(32) {
        30 => Target::Dead(input.below(64)),
        31 => Target::Foreign,
        _ => Target::Live(input.below(64)),
    }
}

/// A length: mostly short, sometimes wrong.
fn length(setup: &Setup, input: &mut Input<'_>) -> u32 {
    match input.below(16) {
        0..=6 => input.up_to(4),
        7..=11 => input.up_to(20),
        12..=14 => input.up_to(setup.pages),
        _ => input.pick(&[0, u32::MAX, setup.pages, setup.pages + 1]),
    }
}

/// So many bytes off a page: mostly none.
fn skew(input: &mut Input<'_>) -> u64 {
    match input.percent(5) {
        true => u64::from(input.below(PAGE as u32)),
        false => 0,
    }
}

fn off(input: &mut Input<'_>) -> i32 {
    match input.percent(5) {
        true => input.pick(&[-3, -2, -1, 1, 2, 3]),
        false => 0,
    }
}

fn within(setup: &Setup, input: &mut Input<'_>) -> Range<u64> {
    let address = |input: &mut Input<'_>| {
        let page = u64::from(input.below(setup.pages + 2));
        setup.origin + page * PAGE + skew(input)
    };
    match input.below(8) {
        0 => 0..address(input),
        1 => address(input)..u64::MAX,
        2 => input.number()..input.number(),
        _ => address(input)..address(input),
    }
}

fn ask(setup: &Setup, input: &mut Input<'_>) -> Ask {
    let pages = length(setup, input);
    let kind = input.below(8);
    Ask {
        pages,
        align: match kind {
            5 | 7 => Some((PAGE / 4) << input.below(10)),
            4 if input.percent(10) => Some(input.number()),
            _ => None,
        },
        within: (kind >= 6).then(|| within(setup, input)),
        zeroed: input.below(4) == 0,
    }
}

fn operation(setup: &Setup, input: &mut Input<'_>) -> Op {
    match input.below(64) {
        0..=17 => Op::Alloc(ask(setup, input)),
        18..=21 => Op::AllocLongest {
            more: input.pick(&[0, -1, -2, -3, 1]),
            align: input.percent(30).then(|| PAGE << input.below(3)),
            low: input.percent(30).then(|| input.below(setup.pages)),
            zeroed: input.any(),
        },
        22..=25 => Op::AllocAt {
            page: input.below(setup.pages + 2),
            pages: length(setup, input),
            skew: skew(input),
        },
        26 => Op::Comb {
            pages: input.up_to(2),
            teeth: input.up_to(setup.pages / 4 + 1),
        },
        27..=37 => Op::Free(target(input)),
        38..=40 => Op::FreeAt {
            pick: input.below(64),
            start: off(input),
            pages: off(input),
            skew: skew(input),
        },
        41..=44 => Op::FreePart {
            target: target(input),
            from: input.below(16),
            pages: length(setup, input),
        },
        45 | 46 => Op::FreePartAt {
            pick: input.below(64),
            from: input.below(16),
            pages: length(setup, input),
            skew: skew(input),
        },
        47 | 48 => Op::Shrink {
            target: target(input),
            by: length(setup, input),
        },
        49..=51 => Op::Grow {
            target: target(input),
            by: length(setup, input),
        },
        52..=58 => Op::Release {
            bytes: match input.below(4) {
                0 => u64::MAX,
                1 => input.number(),
                _ => u64::from(input.below(setup.pages + 1)) * PAGE,
            },
            calls: input.pick(&[u32::MAX, 0, 1, 2]),
        },
        59 => Op::AddLate,
        60 => Op::AddRegion {
            start: input.below(setup.pages + 1),
            pages: length(setup, input),
            residency: residency(input),
        },
        _ => Op::Fault {
            nth: input.below(3),
            done: input.below(3) as usize,
        },
    }
}
