//! One load under one policy.
//!
//! Time is the load's own: what the policy asks to be woken for comes between
//! the load's operations, and takes none. What it costs is charged by the backing
//! ([`Priced`]) and counted beside. When the load ends, every block that still
//! lives is freed, and then time goes on for two minutes, with polls alone: how soon
//! is whatever is a whole free huge page given back, and what is left?

use spanheap::{AllocError, Budget, PageCount, PageRange, Reclaim, Stats};
use spanheap_hosted::Threads;

use super::account::{Charges, HUGE_BYTES};
use super::limit::Limited;
use super::load::{Load, Phase};
use super::policy::{MS, Policy, Scene, Since};
use super::priced::Priced;
use crate::adaptor::{Denied, PageRuns};
use crate::history::{History, Sample};
use crate::trace::{Class, Op, Remains, Seat, Trace};

/// How long it is waited for a policy to give back what is left, in milliseconds.
pub const WAIT_MS: u64 = 120_000;

/// A heap that loads are played on.
pub trait Subject: PageRuns + Reclaim {
    /// Returns the heap's counters, with all that its upper tiers hold counted
    /// as what it is.
    fn count(&self) -> Stats;
}

/// What came of a load under a policy.
#[derive(Debug)]
pub struct Outcome {
    /// Resident memory above what lived, over the load's time, in byte-milliseconds.
    pub above: u128,
    /// What lived, over the load's time, in byte-milliseconds.
    pub lived: u128,
    /// What was charged until the load ended.
    pub charges: Charges,
    /// And until the end of all.
    pub charges_after: Charges,
    /// The most that was charged within one allocation, in nanoseconds.
    pub longest_stall_ns: u64,
    /// What was charged within allocations in each of the load's phases.
    pub stalls_ns: Vec<u64>,
    /// How long after the load's end all whole free huge pages were gone, but
    /// for what the policy keeps; `None`: not within [`WAIT_MS`].
    pub drained_ms: Option<u64>,
    /// Bytes resident at the end of all.
    pub left_bytes: u64,
    /// Operations that the heap refused, but for those beyond the limit.
    pub refused: u64,
    /// Pages that were released while they lived, released twice or handed out
    /// without memory; and whether the heap counts otherwise than the backing.
    pub wrong: u64,
    /// What came of the limit on resident memory, if there was one.
    pub limited: Option<Limited>,
    /// Memory over time.
    pub history: History,
}

/// Plays `load` on the heap behind `runs`, which is new and stands on `priced`, with
/// no more than `limit` bytes resident if there is a limit.
#[must_use]
pub fn play<R: Subject>(
    load: &Load,
    mut runs: R,
    priced: &Priced,
    policy: &mut dyn Policy,
    limit: Option<u64>,
) -> Outcome {
    let trace = &load.trace;
    let end_ms = end_of(trace);
    if let Some(bytes) = limit {
        runs.set_limit(bytes);
    }
    let mut player = Player {
        runs,
        priced,
        policy,
        wake_ms: Some(0),
        now_ms: 0,
        since: Since::default(),
        blocks: vec![None; trace.seats as usize],
        remains: Remains::new(),
        sample: Mean::default(),
        outcome: Outcome {
            above: 0,
            lived: 0,
            charges: Charges::default(),
            charges_after: Charges::default(),
            longest_stall_ns: 0,
            stalls_ns: vec![0; load.phases.len()],
            drained_ms: None,
            left_bytes: 0,
            refused: 0,
            wrong: 0,
            limited: limit.map(Limited::new),
            history: History::new(end_ms),
        },
    };
    player.act_as(0);
    player.pass(0);
    let mut ticks = trace.ticks.iter().peekable();
    let mut switches = trace.switches.iter().peekable();
    for (index, &op) in trace.ops.iter().enumerate() {
        while let Some(tick) = ticks.next_if(|tick| tick.before as usize <= index) {
            player.pass(tick.at_ms);
        }
        while let Some(switch) = switches.next_if(|switch| switch.before as usize <= index) {
            player.act_as(switch.cpu);
        }
        player.operation(trace, &load.phases, op);
    }
    player.pass(end_ms);
    player.end_load();
    player.drain();
    player.finish()
}

/// Returns when a trace ends, in milliseconds.
fn end_of(trace: &Trace) -> u64 {
    let last = trace.ticks.last().map_or(0, |tick| tick.at_ms);
    last.max(trace.header.ms)
}

/// How many CPUs a simulated heap knows: those of a trace, but for absurd ones.
#[must_use]
pub(super) fn cpus(trace: &Trace) -> usize {
    let highest = trace.switches.iter().map(|switch| switch.cpu).max();
    1 + highest.unwrap_or(0).min(MOST_CPUS - 1) as usize
}

const MOST_CPUS: u32 = 64;

/// A block that lives: where it is, and whether a part of it was freed.
#[derive(Clone, Copy)]
struct Placed<B> {
    block: B,
    range: PageRange,
    parted: bool,
}

/// What is sampled: the mean since the last sample, so that what comes and goes
/// faster than samples are taken is seen for what it is.
#[derive(Default)]
struct Mean {
    ms: u128,
    live: u128,
    idle: u128,
}

impl Mean {
    fn add(&mut self, ms: u128, live: u64, idle: u64) {
        self.ms += ms;
        self.live += ms * u128::from(live);
        self.idle += ms * u128::from(idle);
    }

    /// Returns the mean, and begins the next. If most of the time was one level, that
    /// is what is returned.
    fn end(&mut self, last_ms: u128, live: u64, idle: u64) -> (u64, u64) {
        let Self {
            ms,
            live: lived,
            idle: idled,
        } = std::mem::take(self);
        if last_ms * 2 > ms {
            return (live, idle);
        }
        ((lived / ms.max(1)) as u64, (idled / ms.max(1)) as u64)
    }
}

struct Player<'p, R: PageRuns> {
    runs: R,
    priced: &'p Priced,
    policy: &'p mut dyn Policy,
    wake_ms: Option<u64>,
    now_ms: u64,
    since: Since,
    blocks: Vec<Option<Placed<R::Block>>>,
    remains: Remains,
    sample: Mean,
    outcome: Outcome,
}

impl<R: Subject> Player<'_, R> {
    fn act_as(&mut self, cpu: u32) {
        Threads::act_as((cpu % MOST_CPUS) as usize);
        self.runs.run_on(cpu);
    }

    fn operation(&mut self, trace: &Trace, phases: &[Phase], op: Op) {
        let done = match op {
            Op::Alloc { seat, pages, class } => self.alloc(phases, seat, pages, class),
            Op::Free { seat } => match self.blocks[seat.index()].take() {
                Some(placed) => self.free(placed),
                None => true,
            },
            Op::FreePart { seat, part } => self.free_part(seat, trace.part(part)),
        };
        self.outcome.refused += u64::from(!done);
    }

    fn alloc(&mut self, phases: &[Phase], seat: Seat, pages: PageCount, class: Class) -> bool {
        let before = self.priced.charges();
        let block = self.runs.alloc_for(pages, class);
        let after = self.priced.charges();
        let stall = after.ns() - before.ns();
        if stall > 0 {
            self.note_stall(phases, stall);
        }
        let mut excused = false;
        if let Some(limited) = &mut self.outcome.limited {
            limited.note(&before, &after);
            excused = matches!(block, Err(Denied::Alloc(AllocError::Limit)));
            limited.refused += u64::from(excused);
        }
        let placed = block.ok().and_then(|block| self.place(block, pages));
        self.blocks[seat.index()] = placed;
        placed.is_some() || excused
    }

    fn place(&mut self, block: R::Block, pages: PageCount) -> Option<Placed<R::Block>> {
        let range = PageRange::new(self.runs.start(block), pages)?;
        self.priced.hand_out(range);
        let peak = &mut self.since.peak_live_bytes;
        *peak = self.priced.live_bytes().max(*peak);
        Some(Placed {
            block,
            range,
            parted: false,
        })
    }

    fn free(&mut self, placed: Placed<R::Block>) -> bool {
        self.note_freed(placed.range);
        self.runs.free(placed.block).is_ok()
    }

    fn free_part(&mut self, seat: Seat, part: PageRange) -> bool {
        let Some(placed) = &mut self.blocks[seat.index()] else {
            return true;
        };
        if !placed.parted {
            placed.parted = true;
            self.remains.begin(seat, placed.range.count());
        }
        let placed = *placed;
        if self.remains.take(seat, part).is_err() {
            return false;
        }
        if self.remains.is_gone(seat) {
            self.blocks[seat.index()] = None;
        }
        let first = placed.range.start().number() + part.start().number();
        if let Some(range) = PageRange::new(spanheap::Page::new(first), part.count()) {
            self.note_freed(range);
        }
        self.runs.free_part(placed.block, part).is_ok()
    }

    fn note_freed(&mut self, range: PageRange) {
        let before = self.priced.emptied();
        self.priced.take_in(range);
        self.since.emptied += self.priced.emptied() - before;
        self.since.frees += 1;
    }

    fn note_stall(&mut self, phases: &[Phase], stall: u64) {
        let longest = &mut self.outcome.longest_stall_ns;
        *longest = stall.max(*longest);
        let now = self.now_ms;
        let phase = phases
            .iter()
            .position(|phase| (phase.from_ms..phase.to_ms).contains(&now));
        if let Some(sum) = phase.and_then(|phase| self.outcome.stalls_ns.get_mut(phase)) {
            *sum += stall;
        }
    }

    /// Lets time pass to `to_ms`, and asks the policy whenever it wants it.
    fn pass(&mut self, to_ms: u64) {
        while let Some(wake_ms) = self.wake_ms.filter(|&wake_ms| wake_ms <= to_ms) {
            self.elapse(wake_ms);
            self.poll();
        }
        self.elapse(to_ms);
    }

    fn poll(&mut self) {
        let mut scene = Scene {
            heap: &mut self.runs,
            since: self.since,
            priced: self.priced,
        };
        let now_ns = self.now_ms.saturating_mul(MS);
        let next = self.policy.poll(now_ns, &mut scene);
        self.wake_ms = next.map(|next| next.div_ceil(MS).max(self.now_ms + 1));
        self.since = Since {
            peak_live_bytes: self.priced.live_bytes(),
            ..Since::default()
        };
    }

    /// Lets time pass with everything as it is.
    fn elapse(&mut self, to_ms: u64) {
        let passed = u128::from(to_ms.saturating_sub(self.now_ms));
        if passed == 0 {
            return;
        }
        let (live, resident) = (self.priced.live_bytes(), self.priced.resident_bytes());
        let idle = resident.saturating_sub(live);
        self.outcome.above += u128::from(idle) * passed;
        self.outcome.lived += u128::from(live) * passed;
        self.sample.add(passed, live, idle);
        let history = &mut self.outcome.history;
        if history.is_due(to_ms) {
            let (live, idle) = self.sample.end(passed, live, idle);
            let sample = Sample {
                at_ms: to_ms,
                live,
                idle,
                ..Sample::default()
            };
            history.take(to_ms, sample);
        } else {
            history.pass(to_ms);
        }
        self.now_ms = to_ms;
    }

    /// Ends what is counted of the load, and frees what still lives.
    fn end_load(&mut self) {
        self.outcome.charges = self.priced.charges();
        for index in 0..self.blocks.len() {
            let Some(placed) = self.blocks[index] else {
                continue;
            };
            let seat = Seat::new(index as u32);
            let done = if placed.parted {
                let parts: Vec<_> = self.remains.of(seat).collect();
                parts.iter().all(|&part| self.free_part(seat, part))
            } else {
                self.free(placed)
            };
            self.outcome.refused += u64::from(!done);
            self.blocks[index] = None;
        }
    }

    /// Asks the policy alone, and notes when all that is a whole free huge page
    /// was gone.
    fn drain(&mut self) {
        let (above, lived) = (self.outcome.above, self.outcome.lived);
        let (begun, end) = (self.now_ms, self.now_ms.saturating_add(WAIT_MS));
        // What was freed but is not yet where the heap releases from.
        let _ = self.runs.release(Budget::bytes(0));
        let mut seen = self.priced.resident_bytes();
        let mut whole = self.whole_bytes();
        loop {
            if self.priced.resident_bytes() != seen {
                seen = self.priced.resident_bytes();
                whole = self.whole_bytes();
            }
            if whole <= self.policy.floor_bytes() {
                let after = self.now_ms - begun;
                self.outcome.drained_ms.get_or_insert(after);
            }
            match self.wake_ms.filter(|&wake_ms| wake_ms <= end) {
                Some(wake_ms) => self.pass(wake_ms),
                None => break,
            }
        }
        (self.outcome.above, self.outcome.lived) = (above, lived);
    }

    /// Returns the bytes in whole huge pages that the heap could release.
    fn whole_bytes(&self) -> u64 {
        u64::from(self.runs.treap_stats().huge_resident) * HUGE_BYTES
    }

    fn finish(mut self) -> Outcome {
        self.outcome.charges_after = self.priced.charges();
        self.outcome.left_bytes = self.priced.resident_bytes();
        if let Some(limited) = &mut self.outcome.limited {
            limited.most_bytes = self.priced.most_resident_bytes();
        }
        let stats = self.runs.count();
        let differs = stats.bytes(stats.resident()) != self.priced.resident_bytes();
        self.outcome.wrong = self.priced.wrong() + u64::from(differs);
        self.act_as(0);
        self.outcome
    }
}
