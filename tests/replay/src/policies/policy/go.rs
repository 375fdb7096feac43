//! The background scavenger of Go 1.13.
//!
//! It keeps a tenth more than the last garbage collection left in use, and gives
//! back what is above that, at most 1 % of one CPU long. A page is taken to cost
//! 10 µs whatever its size, so that one page goes in a millisecond, huge ones
//! first; when there is nothing to release it sleeps, each time twice as long.
//!
//! There is no garbage collector here to say when a cycle ends. A cycle ends
//! when demand has doubled since the last one did, as Go's default has it, or
//! after two seconds, which is about how often a program that allocates collects;
//! and what was in use is the most that lived during the cycle. Go's sysmon
//! forces a collection only every two minutes when nothing allocates: with that,
//! nothing would ever be returned after a load has ended.
//!
//! Go's goal is scaled by the ratio of the next cycle's goal to the last one's,
//! which is taken as one.

use spanheap::Budget;

use super::super::account::HUGE_BYTES;
use super::{MS, Policy, Scene};

/// What a page is taken to cost, at 1 % of a CPU: one of any size in so long.
const PACE_NS: u64 = MS;
/// The longest cycle.
const CYCLE_NS: u64 = 2000 * MS;
/// The longest sleep.
const SLEEP_NS: u64 = 1000 * MS;

/// Go's scavenger.
#[derive(Debug)]
pub(super) struct Go {
    /// When the cycle began, and what lived then.
    begun_ns: u64,
    begun_live: u64,
    /// The most that lived since.
    peak: u64,
    /// What is kept. All of it, until the first cycle has ended.
    goal: u64,
    sleep_ns: u64,
    wake_ns: u64,
}

impl Default for Go {
    fn default() -> Self {
        Self {
            begun_ns: 0,
            begun_live: 0,
            peak: 0,
            goal: u64::MAX,
            sleep_ns: PACE_NS,
            wake_ns: 0,
        }
    }
}

impl Go {
    /// Ends the cycle, if that is due.
    fn cycle(&mut self, now_ns: u64, scene: &Scene<'_>) {
        self.peak = self.peak.max(scene.since.peak_live_bytes);
        let live = scene.live_bytes();
        let doubled = live > 0 && live >= self.begun_live.saturating_mul(2);
        if !doubled && now_ns - self.begun_ns < CYCLE_NS {
            return;
        }
        self.goal = self.peak + self.peak / 10;
        self.peak = live;
        self.begun_ns = now_ns;
        self.begun_live = live;
        self.sleep_ns = PACE_NS;
        self.wake_ns = now_ns;
    }
}

impl Policy for Go {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        self.cycle(now_ns, scene);
        if now_ns >= self.wake_ns {
            let work = scene.resident_bytes().saturating_sub(self.goal);
            let stats = (work > 0).then(|| scene.heap.treap_stats());
            let released = stats.is_some_and(|stats| {
                let huge = work >= HUGE_BYTES && stats.huge_resident > 0;
                let page = stats.geometry.page_bytes();
                let bytes = if huge { HUGE_BYTES } else { page };
                scene.heap.release(Budget::bytes(bytes)).pages.get() > 0
            });
            self.sleep_ns = match released {
                true => PACE_NS,
                false => (self.sleep_ns * 2).min(SLEEP_NS),
            };
            self.wake_ns = now_ns + self.sleep_ns;
        }
        Some(now_ns + PACE_NS)
    }
}
