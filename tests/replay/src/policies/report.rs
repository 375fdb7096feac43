//! What came of the policies, as JSON for programs; the table is in `table`.
//!
//! The JSON is these structs, field by field: names end in their unit. CPU time
//! and what was given and taken is of the load's own time; what happens after
//! its end is in `drain_ms`, `drain_cpu_ms` and `left_bytes`.

use serde::Serialize;

use super::family::{Family, Point};
use super::limit::Limited;
use super::load::{Load, Phase};
use super::play::Outcome;
use super::policy::Kind;
use super::prices::Prices;

/// What came of all loads under all policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoliciesReport {
    /// `page` or `shared`.
    pub heap: &'static str,
    /// What things cost.
    pub prices: Prices,
    /// The most bytes that may be resident, if that is limited.
    pub limit_bytes: Option<u64>,
    /// The loads.
    pub loads: Vec<LoadReport>,
}

/// What came of one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub source: String,
    /// How long it takes, in milliseconds.
    pub ms: u64,
    /// The most bytes alive at once.
    pub peak_live_bytes: u64,
    /// Whether nothing is freed before its end, so that only what comes after that
    /// tells anything.
    pub is_drain: bool,
    /// What lived, over time.
    pub live_gib_s: f64,
    /// The policies, in the order of [`Kind::all`].
    pub policies: Vec<PolicyReport>,
}

/// What came of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub policy: String,
    /// Whether it is one of the fixed delays.
    pub is_fixed: bool,
    /// Whether it is the project's own.
    pub is_ours: bool,
    /// Memory resident above what lives, over time.
    pub above_gib_s: f64,
    /// CPU time to give back.
    pub release_ms: f64,
    /// CPU time to take back.
    pub take_ms: f64,
    /// Both.
    pub cpu_ms: f64,
    /// How long after the load's end all whole free huge pages were gone, but for
    /// what the policy keeps; `null`: not within two minutes.
    pub drain_ms: Option<u64>,
    /// CPU time after the load's end.
    pub drain_cpu_ms: f64,
    /// Bytes resident after that.
    pub left_bytes: u64,
    /// The part of the released bytes that broke no huge page, since nothing of it was
    /// in use and all of it went; those after the load's end included.
    pub whole_part: Option<f64>,
    /// The most that one allocation had to wait.
    pub longest_stall_us: f64,
    /// Bytes given back.
    pub released_bytes: u64,
    /// Bytes taken back.
    pub taken_bytes: u64,
    /// What it leaves resident, as a part of what the fixed delays do for the
    /// same CPU time.
    pub of_fixed: Option<f64>,
    /// The policies that leave no more and cost no more.
    pub beaten_by: Vec<String>,
    /// The load's cycles, if it has some.
    pub cycles: Vec<CyclesReport>,
    /// Operations that the heap refused, but for those beyond the limit.
    pub refused: u64,
    /// Pages that were released while they lived, released twice or handed out
    /// without memory.
    pub wrong: u64,
    /// What came of the limit, if there is one.
    pub limit: Option<LimitReport>,
}

/// What came of a limit on resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LimitReport {
    /// The limit.
    pub limit_bytes: u64,
    /// The most that was resident.
    pub most_bytes: u64,
    /// And by how much that is more.
    pub over_bytes: u64,
    /// Blocks that were refused for it, and left out.
    pub refused: u64,
    /// Allocations that had to make room first.
    pub stalls: u64,
    /// The longest time that one took for it.
    pub longest_stall_us: f64,
    /// In how many calls of the backing that was.
    pub longest_stall_calls: u64,
    /// The most calls that one made for it.
    pub most_calls: u64,
}

/// How many of a load's cycles are done under a policy in the time that they
/// take if nothing is ever given back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CyclesReport {
    /// The pause after each.
    pub pause_ms: u64,
    /// Cycles if nothing is given back.
    pub never: u64,
    /// Cycles under the policy, whose stalls make each longer.
    pub done: f64,
}

const GIB_S: f64 = (1_u64 << 30) as f64 * 1000.0;
const MS: f64 = 1e6;

impl PoliciesReport {
    /// Returns whether the heap did all that it was asked for, and kept its word. What
    /// it refused because of a limit it was asked to refuse.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let mut policies = self.loads.iter().flat_map(|load| &load.policies);
        policies.all(|policy| policy.refused == 0 && policy.wrong == 0)
    }
}

impl LoadReport {
    /// Puts together what came of a load under each policy.
    #[must_use]
    pub fn new(load: &Load, outcomes: &[(Kind, Outcome)]) -> Self {
        let trace = &load.trace;
        let family = family(outcomes);
        let policies = outcomes.iter().map(|(kind, outcome)| {
            let mut report = PolicyReport::new(*kind, outcome, &load.phases);
            let point = point(outcome);
            if !kind.is_fixed() {
                report.of_fixed = family.ratio(&point);
            }
            let better = outcomes
                .iter()
                .filter(|other| self::point(&other.1).beats(&point));
            report.beaten_by = better.map(|(kind, _)| kind.name()).collect();
            report
        });
        Self {
            name: load.name.clone(),
            source: trace.header.source.clone(),
            ms: trace.header.ms,
            peak_live_bytes: trace.peak_live_bytes(),
            is_drain: load.is_drain(),
            live_gib_s: outcomes
                .first()
                .map_or(0.0, |(_, outcome)| outcome.lived as f64 / GIB_S),
            policies: policies.collect(),
        }
    }
}

/// Returns what a policy cost, and what it left.
#[must_use]
pub(super) fn point(outcome: &Outcome) -> Point {
    let charges = &outcome.charges;
    Point {
        cpu_ms: (charges.release_ns + charges.take_ns) as f64 / MS,
        above: outcome.above as f64 / GIB_S,
    }
}

/// Returns the fixed delays, and never.
#[must_use]
pub(super) fn family(outcomes: &[(Kind, Outcome)]) -> Family {
    let of_it = |kind: Kind| kind.is_fixed() || kind == Kind::Never;
    let points = outcomes.iter().filter(|(kind, _)| of_it(*kind));
    Family::new(points.map(|(_, outcome)| point(outcome)))
}

impl PolicyReport {
    fn new(kind: Kind, outcome: &Outcome, phases: &[Phase]) -> Self {
        let (charges, after) = (&outcome.charges, &outcome.charges_after);
        let point = point(outcome);
        let whole = after.whole_bytes as f64 / after.released_bytes as f64;
        let cycles = phases
            .iter()
            .zip(&outcome.stalls_ns)
            .map(|(phase, &stalls)| {
                let ms = (phase.to_ms - phase.from_ms) as f64;
                CyclesReport {
                    pause_ms: phase.pause_ms,
                    never: phase.cycles,
                    done: phase.cycles as f64 * ms / (ms + stalls as f64 / MS),
                }
            });
        Self {
            policy: kind.name(),
            is_fixed: kind.is_fixed(),
            is_ours: kind.is_ours(),
            above_gib_s: point.above,
            release_ms: charges.release_ns as f64 / MS,
            take_ms: charges.take_ns as f64 / MS,
            cpu_ms: point.cpu_ms,
            drain_ms: outcome.drained_ms,
            drain_cpu_ms: (after.release_ns + after.take_ns) as f64 / MS - point.cpu_ms,
            left_bytes: outcome.left_bytes,
            whole_part: (after.released_bytes > 0).then_some(whole),
            longest_stall_us: outcome.longest_stall_ns as f64 / 1000.0,
            released_bytes: charges.released_bytes,
            taken_bytes: charges.taken_bytes,
            of_fixed: None,
            beaten_by: Vec::new(),
            cycles: cycles.collect(),
            refused: outcome.refused,
            wrong: outcome.wrong,
            limit: outcome.limited.as_ref().map(LimitReport::new),
        }
    }
}

impl LimitReport {
    const fn new(limited: &Limited) -> Self {
        Self {
            limit_bytes: limited.limit_bytes,
            most_bytes: limited.most_bytes,
            over_bytes: limited.over_bytes(),
            refused: limited.refused,
            stalls: limited.stalls,
            longest_stall_us: limited.longest_ns as f64 / 1000.0,
            longest_stall_calls: limited.longest_calls,
            most_calls: limited.most_calls,
        }
    }
}
