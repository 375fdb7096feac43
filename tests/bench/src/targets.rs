//! What should come of it: the figures that the heap for many CPUs must reach.
//!
//! Each is a row of data: what is looked at, where, and a function from the
//! results to the figure and its bound. A figure that is a ratio is made within
//! the round.

use std::fmt;

use serde::Serialize;

use crate::adaptor::{Side, name};
use crate::figure::{Figure, Full};
use crate::results::{Place, Results, Row};

/// Which side of its bound a figure must be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It, or less.
    AtMost,
    /// It, or more.
    AtLeast,
    /// Less.
    Below,
    /// More.
    Above,
}

impl Bound {
    fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::AtMost => figure <= bound,
            Self::AtLeast => figure >= bound,
            Self::Below => figure < bound,
            Self::Above => figure > bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Above => ">",
        })
    }
}

/// Where a target applies.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In every range.
    Ranges,
    /// In a range of so many GiB.
    Gib(u32),
    /// In every trace.
    Traces,
    /// In this trace.
    Trace(&'static str),
}

impl At {
    fn is(self, place: &Place) -> bool {
        match (self, place) {
            (Self::Ranges, Place::Range(_)) | (Self::Traces, Place::Trace(_)) => true,
            (Self::Gib(gib), Place::Range(_)) => *place == Place::gib(gib),
            (Self::Trace(trace), Place::Trace(name)) => trace == name,
            _ => false,
        }
    }
}

/// The results, as seen by one target in one place.
struct View<'v> {
    results: &'v Results,
    place: &'v Place,
    ours: &'v str,
}

impl View<'_> {
    fn median(&self, figure: Figure) -> Option<f64> {
        self.results.median(self.place, figure, self.ours)
    }

    /// Ours as a part of another's, made within the rounds.
    fn of(&self, figure: Figure, other: &str) -> Option<f64> {
        self.results.ratio(self.place, figure, self.ours, other)
    }

    /// The same of the sums: for counts, which may be zero in a round.
    fn of_total(&self, figure: Figure, other: &str) -> Option<f64> {
        let total = |name| self.results.cell(self.place, figure, name)?.total();
        let (ours, others) = (total(self.ours)?, total(other)?);
        Some(if others > 0.0 {
            ours / others
        } else if ours > 0.0 {
            f64::INFINITY
        } else {
            1.0
        })
    }

    /// Another's figure, as it would be in a round in which ours is its median.
    fn others(&self, figure: Figure, other: &str) -> Option<f64> {
        Some(self.median(figure)? / self.of(figure, other)?)
    }

    fn row(&self, figure: Figure) -> Option<&Row> {
        self.results.row(self.place, figure)
    }

    /// The largest of the ratios to these peers; whoever did not finish is not
    /// among them.
    fn of_each(&self, figure: Figure, peer: impl Fn(&str) -> bool) -> Option<f64> {
        let cells = self.row(figure)?.cells.iter();
        let peers = cells.filter(|cell| cell.about.side == Side::Peer && peer(cell.about.name));
        let ratios = peers.filter_map(|cell| self.of(figure, cell.about.name));
        ratios.max_by(f64::total_cmp)
    }

    /// The least of the ratios of totals to these contenders.
    fn of_each_total(&self, figure: Figure, peers: &[&str]) -> Option<f64> {
        let ratios = peers.iter().filter_map(|peer| self.of_total(figure, peer));
        ratios.min_by(f64::total_cmp)
    }
}

/// A figure and its bound.
type Found = Option<(f64, f64)>;

/// A row of the table.
struct Target {
    what: &'static str,
    figure: Figure,
    at: At,
    bound: Bound,
    find: fn(&View<'_>, Figure) -> Found,
}

const fn target(
    figure: Figure,
    what: &'static str,
    at: At,
    bound: Bound,
    find: fn(&View<'_>, Figure) -> Found,
) -> Target {
    Target {
        what,
        figure,
        at,
        bound,
        find,
    }
}

const OF_BARE: &str = "of a bare pair";
const OF_BITMAP: &str = "of the locked bitmap";
const OF_BUDDY: &str = "of the buddy";
const OF_BUDDY_LOCKED: &str = "of the locked buddy";

fn bare(view: &View<'_>, figure: Figure, bound: f64) -> Found {
    Some((view.of(figure, name::BARE)?, bound))
}

fn bitmap(view: &View<'_>, figure: Figure, bound: f64) -> Found {
    Some((view.of(figure, name::BITMAP_LOCKED)?, bound))
}

fn buddy(view: &View<'_>, figure: Figure, bound: f64) -> Found {
    Some((view.of(figure, name::BUDDY)?, bound))
}

fn buddy_locked(view: &View<'_>, figure: Figure, bound: f64) -> Found {
    Some((view.of(figure, name::BUDDY_LOCKED)?, bound))
}

fn refusals(view: &View<'_>, figure: Figure) -> Found {
    Some((view.of_total(figure, name::FIRST_FIT)?, 1.02))
}

/// How much of the range the books may take: 0.02 %, and as much for the slots.
const METADATA: f64 = 0.0004;

const M70: Figure = Figure::Mixed(Full(70));
const HUGE70: Figure = Figure::MixedHuge(Full(70));

use At::{Gib, Ranges, Trace, Traces};
use Bound::{Above, AtLeast, AtMost, Below};
use Figure as F;

/// All targets, in the order of the works.
const TARGETS: &[Target] = &[
    target(F::Pair, OF_BARE, Ranges, AtMost, |v, f| bare(v, f, 0.8)),
    target(F::Pair, OF_BITMAP, Ranges, AtMost, |v, f| bitmap(v, f, 0.6)),
    target(F::Lifo, OF_BARE, Ranges, AtMost, |v, f| bare(v, f, 0.8)),
    target(F::Lifo, OF_BITMAP, Ranges, AtMost, |v, f| bitmap(v, f, 0.6)),
    target(F::Stack, OF_BARE, Ranges, AtMost, |v, f| bare(v, f, 1.1)),
    target(F::Stack, OF_BITMAP, Ranges, AtMost, |v, f| {
        bitmap(v, f, 1.0)
    }),
    target(F::Fill, OF_BITMAP, Ranges, AtMost, |v, f| {
        bitmap(v, f, 0.85)
    }),
    target(F::RandomFree, OF_BUDDY_LOCKED, Ranges, AtMost, |v, f| {
        buddy_locked(v, f, 0.06)
    }),
    target(
        F::Random,
        "ns: 20, or 1.3 bare pairs",
        Ranges,
        AtMost,
        |v, f| Some((v.median(f)?, (1.3 * v.others(f, name::BARE)?).max(20.0))),
    ),
    target(F::TurnedRandom, OF_BARE, Ranges, AtMost, |v, f| {
        bare(v, f, 2.3)
    }),
    target(M70, "ns", Gib(1), AtMost, |v, f| Some((v.median(f)?, 90.0))),
    target(M70, "ns", Gib(16), AtMost, |v, f| {
        Some((v.median(f)?, 110.0))
    }),
    target(M70, "of our own treap", Gib(16), AtMost, |v, f| {
        Some((v.of(f, name::PAGE_HEAP)?, 0.5))
    }),
    target(
        M70,
        "of every peer that neither rounds nor is offset",
        Ranges,
        Below,
        |v, f| {
            let exact = [name::BITMAP, name::FREE_LIST, name::FIRST_FIT];
            Some((v.of_each(f, |peer| exact.contains(&peer))?, 1.0))
        },
    ),
    target(
        F::MixedRefused(Full(70)),
        "requests",
        Ranges,
        AtMost,
        |v, f| Some((v.results.cell(v.place, f, v.ours)?.total()?, 0.0)),
    ),
    target(
        F::MixedWaste(Full(70)),
        "per cent",
        Ranges,
        AtMost,
        |v, f| Some((v.median(f)?, 0.0)),
    ),
    target(HUGE70, "of a first fit's", Ranges, AtLeast, |v, f| {
        Some((v.of_total(f, name::FIRST_FIT)?, 0.97))
    }),
    target(
        HUGE70,
        "of every peer's that is no first fit",
        Ranges,
        Above,
        |v, f| {
            let others = [name::BUDDY, name::AX_BUDDY, name::OFFSET];
            Some((v.of_each_total(f, &others)?, 1.0))
        },
    ),
    target(
        F::MixedRefused(Full(90)),
        "of a first fit's",
        Ranges,
        AtMost,
        refusals,
    ),
    target(
        F::MixedRefused(Full(97)),
        "of a first fit's",
        Ranges,
        AtMost,
        refusals,
    ),
    target(F::Huge, "ns", Ranges, AtMost, |v, f| {
        Some((v.median(f)?, 250.0))
    }),
    target(
        F::PairTwo,
        "pairs in a time, of one thread's",
        Ranges,
        AtLeast,
        |v, f| {
            let one = v.results.cell(v.place, F::Pair, v.ours)?;
            let two = v.results.cell(v.place, f, v.ours)?;
            Some((2.0 * one.ratio(two)?, 2.0))
        },
    ),
    target(F::RandomTwo, OF_BUDDY_LOCKED, Ranges, AtMost, |v, f| {
        buddy_locked(v, f, 0.2)
    }),
    target(F::Pass, "of every peer", Ranges, Below, |v, f| {
        Some((v.of_each(f, |_| true)?, 1.0))
    }),
    target(F::SetUp, "ns", Ranges, AtMost, |v, f| {
        Some((v.median(f)?, 20_000.0))
    }),
    target(F::Books, "of the range's bytes", Ranges, AtMost, |v, f| {
        let Place::Range(pages) = v.place else {
            return None;
        };
        Some((v.median(f)? / (f64::from(*pages) * 4096.0), METADATA))
    }),
    target(F::Event, OF_BUDDY, Trace("build"), AtMost, |v, f| {
        buddy(v, f, 0.2)
    }),
    target(F::Event, OF_BUDDY, Trace("redis"), AtMost, |v, f| {
        buddy(v, f, 0.25)
    }),
    target(F::Event, OF_BUDDY, Trace("files"), AtMost, |v, f| {
        buddy(v, f, 0.3)
    }),
    target(F::Event, OF_BUDDY, Trace("compiler"), AtMost, |v, f| {
        buddy(v, f, 0.55)
    }),
    target(
        F::EventP9999,
        "ns: 1000, or twice the buddy's",
        Traces,
        AtMost,
        |v, f| Some((v.median(f)?, (2.0 * v.others(f, name::BUDDY)?).max(1000.0))),
    ),
    target(F::EventHugeTime, OF_BUDDY, Traces, AtLeast, |v, f| {
        buddy(v, f, 0.995)
    }),
    target(F::EventHugeTime, OF_BUDDY, Trace("files"), Above, |v, f| {
        buddy(v, f, 1.0)
    }),
    target(
        F::EventHugeTime,
        OF_BUDDY,
        Trace("compiler"),
        Above,
        |v, f| buddy(v, f, 1.0),
    ),
    target(
        F::EventHugeEnd,
        OF_BUDDY,
        Trace("redis"),
        AtLeast,
        |v, f| buddy(v, f, 1.5),
    ),
    target(
        F::EventHugeEnd,
        OF_BUDDY,
        Trace("files"),
        AtLeast,
        |v, f| buddy(v, f, 1.1),
    ),
];

/// Whether a target was reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was looked at.
    pub figure: Figure,
    /// Where.
    pub place: String,
    /// In what measure.
    pub what: &'static str,
    /// What came of it, if it was measured.
    pub found: Option<f64>,
    /// On which side of the bound it must be.
    pub side: Bound,
    /// The bound.
    pub bound: Option<f64>,
    /// Whether it is there.
    pub holds: Option<bool>,
}

/// Holds one of our heaps against the targets; nothing if it is not among the
/// results.
#[must_use]
pub fn verdicts(results: &Results, ours: &str) -> Option<Vec<Verdict>> {
    let mut cells = results.rows.iter().flat_map(|row| &row.cells);
    cells.find(|cell| cell.about.name == ours)?;
    let rows = TARGETS.iter().flat_map(|target| {
        let measured = |row: &&Row| row.figure == target.figure && target.at.is(&row.place);
        let rows = results.rows.iter().filter(measured);
        rows.map(move |row| (target, row))
    });
    let verdict = |(target, row): (&Target, &Row)| {
        let view = View {
            results,
            place: &row.place,
            ours,
        };
        let found = (target.find)(&view, target.figure);
        Verdict {
            figure: target.figure,
            place: row.place.to_string(),
            what: target.what,
            found: found.map(|(figure, _)| figure),
            side: target.bound,
            bound: found.map(|(_, bound)| bound),
            holds: found.map(|(figure, bound)| target.bound.holds(figure, bound)),
        }
    };
    Some(rows.map(verdict).collect())
}

/// The verdicts on one heap, shown by `Display`.
#[derive(Debug)]
pub struct Targets<'r>(pub &'r Results, pub &'r str);

impl fmt::Display for Targets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(verdicts) = verdicts(self.0, self.1) else {
            return writeln!(f, "Targets: no {} yet", self.1);
        };
        writeln!(f, "Targets of {}", self.1)?;
        for verdict in verdicts {
            let title = format!("{}, {}", verdict.figure, verdict.place);
            write!(f, "{title:36}{:50}", verdict.what)?;
            match (verdict.found, verdict.bound, verdict.holds) {
                (Some(found), Some(bound), Some(holds)) => {
                    let word = if holds { "holds" } else { "DOES NOT HOLD" };
                    let (found, bound) = (number(found), number(bound));
                    let bound = format!("{} {bound}", verdict.side);
                    writeln!(f, "{found:>10}{bound:>14}  {word}")?;
                }
                _ => writeln!(f, "{:>10}", "not measured")?,
            }
        }
        Ok(())
    }
}

fn number(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".into(),
        _ if value < 0.01 => format!("{value:.5}"),
        _ if value < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}
