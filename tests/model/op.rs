//! An operation as data: generated, shrunk, replayed and printed.
//!
//! Numbers in it are taken modulo what is there, so that a shrunk sequence
//! stays meaningful; wrong arguments are part of the space.

use std::ops::Range;

use proptest::prelude::*;
use spanheap::{Page, PageCount, PageRange, Residency};

use super::pair::Differs;
use super::{Ask, Heap, Outcome, PAGE, Pair, Setup, Target};

/// One operation on a pair.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Alloc(Ask),
    /// As many pages as there are in one piece, and so many more; aligned, or
    /// from a page on.
    AllocLongest {
        more: i32,
        align: Option<u64>,
        low: Option<u32>,
        zeroed: bool,
    },
    /// Exactly these pages; `skew` bytes off.
    AllocAt {
        page: u32,
        pages: u32,
        skew: u64,
    },
    /// So many spans of so many pages, then every other one freed again.
    Comb {
        pages: u32,
        teeth: u32,
    },
    Free(Target),
    /// By address, off by so many pages and bytes.
    FreeAt {
        pick: u32,
        start: i32,
        pages: i32,
        skew: u64,
    },
    /// From so many pages into the span, so many pages.
    FreePart {
        target: Target,
        from: u32,
        pages: u32,
    },
    FreePartAt {
        pick: u32,
        from: u32,
        pages: u32,
        skew: u64,
    },
    /// To so many pages less.
    Shrink {
        target: Target,
        by: u32,
    },
    /// To so many pages more.
    Grow {
        target: Target,
        by: u32,
    },
    Release {
        bytes: u64,
        calls: u32,
    },
    /// The next of the setup's late regions.
    AddLate,
    /// Any pages as a region.
    AddRegion {
        start: u32,
        pages: u32,
        residency: Residency,
    },
    /// Lets one of the next hook calls fail.
    Fault {
        nth: u32,
        done: usize,
    },
}

/// Any sequence of operations that suits a setup.
pub(crate) fn operations(setup: &Setup, most: usize) -> impl Strategy<Value = Vec<Op>> + use<> {
    prop::collection::vec(operation(setup), 1..=most)
}

fn target() -> impl Strategy<Value = Target> + Clone {
    prop_oneof![
        40 => any::<u32>().prop_map(Target::Live),
        2 => any::<u32>().prop_map(Target::Dead),
        1 => Just(Target::Foreign),
    ]
}

fn operation(setup: &Setup) -> impl Strategy<Value = Op> + use<> {
    let window = setup.pages;
    let bytes = u64::from(window) * PAGE;
    let big = (setup.huge / PAGE).max(setup.physical / PAGE).clamp(4, 300) as u32;
    let size = prop_oneof![
        8 => 1..=4_u32,
        4 => 1..=12_u32,
        2 => 1..=2 * big,
        1 => 1..=window,
    ];
    let wild = prop_oneof![Just(0_u32), Just(u32::MAX), 1..=window + 2];
    let any_size = prop_oneof![30 => size.clone(), 1 => wild];
    let skew = prop_oneof![20 => Just(0_u64), 1 => 1..PAGE];
    let small = prop_oneof![20 => Just(0_i32), 1 => -3..=3_i32];
    let residency = prop_oneof![Just(Residency::Resident), Just(Residency::Released)];

    let align = prop_oneof![
        20 => (10..=18_u32).prop_map(|shift| 1_u64 << shift),
        1 => Just(1_u64 << 63),
        1 => prop_oneof![Just(0_u64), Just(3 * PAGE)],
    ];
    let origin = setup.origin;
    let within = prop_oneof![
        20 => (0..bytes, 1..=bytes).prop_map(move |(from, length)| {
            origin + from..(origin + from).saturating_add(length)
        }),
        2 => (0..=bytes).prop_map(move |to| 0..origin + to),
        2 => (0..=bytes).prop_map(move |from| origin + from..u64::MAX),
        1 => Just(5..5_u64),
        1 => Just(Range { start: 7 * PAGE, end: PAGE }),
    ];
    let ask = (
        any_size.clone(),
        prop::option::weighted(0.3, align),
        prop::option::weighted(0.2, within),
        prop::bool::weighted(0.3),
    );
    let alloc = ask.prop_map(|(pages, align, within, zeroed)| {
        Op::Alloc(Ask {
            pages,
            align,
            within,
            zeroed,
        })
    });
    let budget = prop_oneof![
        4 => (0..=window).prop_map(|pages| u64::from(pages) * PAGE),
        2 => 0..=bytes,
        2 => Just(u64::MAX),
    ];
    let calls = prop_oneof![1 => 0..3_u32, 3 => Just(u32::MAX)];

    prop_oneof![
        24 => alloc,
        5 => (
            -3..=1_i32,
            prop::option::weighted(0.3, (12..=14_u32).prop_map(|shift| 1_u64 << shift)),
            prop::option::weighted(0.3, 1..=window / 4 + 1),
            prop::bool::weighted(0.2)
        )
            .prop_map(|(more, align, low, zeroed)| Op::AllocLongest { more, align, low, zeroed }),
        6 => (0..window + 2, any_size.clone(), skew.clone())
            .prop_map(|(page, pages, skew)| Op::AllocAt { page, pages, skew }),
        1 => (1..=2_u32, 1..=window / 4 + 1)
            .prop_map(|(pages, teeth)| Op::Comb { pages, teeth }),
        14 => target().prop_map(Op::Free),
        4 => (any::<u32>(), small.clone(), small, skew.clone())
            .prop_map(|(pick, start, pages, skew)| Op::FreeAt { pick, start, pages, skew }),
        7 => (target(), 0..16_u32, any_size.clone())
            .prop_map(|(target, from, pages)| Op::FreePart { target, from, pages }),
        4 => (any::<u32>(), 0..16_u32, any_size.clone(), skew)
            .prop_map(|(pick, from, pages, skew)| Op::FreePartAt { pick, from, pages, skew }),
        5 => (target(), any_size.clone()).prop_map(|(target, by)| Op::Shrink { target, by }),
        7 => (target(), any_size).prop_map(|(target, by)| Op::Grow { target, by }),
        14 => (budget, calls).prop_map(|(bytes, calls)| Op::Release { bytes, calls }),
        1 => Just(Op::AddLate),
        1 => (0..window, size, residency)
            .prop_map(|(start, pages, residency)| Op::AddRegion { start, pages, residency }),
        3 => (0..3_u32, 0..3_usize).prop_map(|(nth, done)| Op::Fault { nth, done }),
    ]
}

impl Op {
    /// The operation with its size fixed, if that depends on what is free.
    pub(crate) fn fixed<H>(&self, pair: &Pair<H>) -> Self {
        match *self {
            Self::AllocLongest {
                more,
                align,
                low,
                zeroed,
            } => {
                let window = *pair.model.window();
                let from = |low| window.address_of(Page::new(low));
                Self::Alloc(Ask {
                    pages: pair.model.longest().saturating_add_signed(more),
                    align,
                    within: low.map(|low| from(low)..u64::MAX),
                    zeroed,
                })
            }
            _ => self.clone(),
        }
    }

    /// Runs the operation on a pair.
    pub(crate) fn apply<'m, H: Heap<'m>>(
        &self,
        pair: &mut Pair<H>,
        late: &mut Vec<(PageRange, Residency)>,
    ) -> Result<Outcome, Differs> {
        let window = *pair.model.window();
        let address = |page: u32| window.address_of(Page::new(page));
        match *self {
            Self::Alloc(ref ask) => pair.alloc(ask),
            Self::AllocLongest { .. } => self.fixed(pair).apply(pair, late),
            Self::AllocAt { page, pages, skew } => pair.alloc_at(address(page) + skew, pages),
            Self::Comb { pages, teeth } => comb(pair, pages, teeth),
            Self::Free(target) => pair.free(target),
            Self::FreeAt {
                pick,
                start,
                pages,
                skew,
            } => {
                let Some(live) = pair.live_at(pick) else {
                    return Ok(Outcome::Skipped);
                };
                let start = live.range.start().number().saturating_add_signed(start);
                let pages = live.range.count().get().saturating_add_signed(pages);
                pair.free_at(address(start) + skew, pages)
            }
            Self::FreePart {
                target,
                from,
                pages,
            } => {
                let Some(part) = part_of(pair, target, from, pages) else {
                    return Ok(Outcome::Skipped);
                };
                pair.free_part(target, part)
            }
            Self::FreePartAt {
                pick,
                from,
                pages,
                skew,
            } => {
                let target = Target::Live(pick);
                match part_of(pair, target, from, pages) {
                    Some(part) => {
                        let at = window.address_of(part.start()) + skew;
                        pair.free_part_at(at, part.count().get())
                    }
                    None => pair.free_part_at(address(from) + skew, pages),
                }
            }
            Self::Shrink { target, by } => {
                let pages = pages_of(pair, target);
                pair.shrink(target, if by > pages { by } else { pages - by })
            }
            Self::Grow { target, by } => {
                let pages = pages_of(pair, target);
                pair.grow(target, pages.checked_add(by).unwrap_or(by & 3))
            }
            Self::Release { bytes, calls } => pair.release(bytes, calls),
            Self::AddLate => match late.pop() {
                Some((range, residency)) => pair.add_region(range, residency),
                None => Ok(Outcome::Skipped),
            },
            Self::AddRegion {
                start,
                pages,
                residency,
            } => match PageRange::new(Page::new(start), PageCount::new(pages)) {
                Some(range) => pair.add_region(range, residency),
                None => Ok(Outcome::Skipped),
            },
            Self::Fault { nth, done } => {
                pair.fake.fail_nth(nth, done);
                Ok(Outcome::Done)
            }
        }
    }
}

/// Hands out spans one behind the other, and frees every other one.
fn comb<'m, H: Heap<'m>>(pair: &mut Pair<H>, pages: u32, teeth: u32) -> Result<Outcome, Differs> {
    let first = pair.live.len() as u32;
    let mut outcome = Outcome::Done;
    for _ in 0..teeth {
        match pair.alloc(&Ask::pages(pages))? {
            Outcome::Done | Outcome::Joined => {}
            refused => {
                outcome = refused;
                break;
            }
        }
    }
    // From the last one down: the last takes the place of one that is freed.
    let last = pair.live.len() as u32;
    for tooth in (first..last).rev().step_by(2) {
        pair.free(Target::Live(tooth))?;
    }
    Ok(outcome)
}

fn pages_of<H>(pair: &Pair<H>, target: Target) -> u32 {
    match target {
        Target::Live(pick) | Target::Dead(pick) => pair
            .live
            .get(pick as usize % pair.live.len().max(1))
            .map_or(1, |live| live.range.count().get()),
        Target::Foreign => 1,
    }
}

/// So many pages from so many into a span in use: mostly inside it.
fn part_of<H>(pair: &Pair<H>, target: Target, from: u32, pages: u32) -> Option<PageRange> {
    let Target::Live(pick) = target else {
        return PageRange::new(Page::new(from), PageCount::new(pages));
    };
    let live = pair.live.get(pick as usize % pair.live.len().max(1))?;
    let length = live.range.count().get();
    let from = from % length;
    // An odd length that does not fit is left as it is: it must be refused.
    let pages = match pages {
        0 => return None,
        _ if pages <= length - from || pages % 8 == 7 => pages,
        _ => pages % (length - from) + 1,
    };
    let start = live.range.start().number() + from;
    PageRange::new(Page::new(start), PageCount::new(pages))
}

impl Op {
    /// The verb, for counts of what a suite has seen.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Alloc(Ask { zeroed: true, .. }) | Self::AllocLongest { zeroed: true, .. } => {
                "alloc zeroed"
            }
            Self::Alloc(Ask {
                within: Some(_), ..
            })
            | Self::AllocLongest { low: Some(_), .. } => "alloc within",
            Self::Alloc(Ask { align: Some(_), .. }) | Self::AllocLongest { align: Some(_), .. } => {
                "alloc aligned"
            }
            Self::Alloc(_) | Self::AllocLongest { .. } => "alloc",
            Self::AllocAt { .. } => "alloc_at",
            Self::Comb { .. } => "comb",
            Self::Free(_) => "free",
            Self::FreeAt { .. } => "free_at",
            Self::FreePart { .. } => "free_part",
            Self::FreePartAt { .. } => "free_part_at",
            Self::Shrink { .. } => "shrink",
            Self::Grow { .. } => "grow",
            Self::Release { .. } => "release",
            Self::AddLate | Self::AddRegion { .. } => "add_region",
            Self::Fault { .. } => "fault",
        }
    }
}
