//! The heap's counters, as one value that can be printed.
//!
//! Exact, not sampled: every verb keeps them, and `check()` recounts them.

use core::fmt;

use crate::page::{Geometry, PageCount};

/// The heap's counters at one moment. Memory is counted in pages;
/// [`bytes`](Stats::bytes) converts.
///
/// `sys` = `in_use` + `idle`, and `released` ≤ `idle`; what the machine's owner
/// sees in use is [`resident`](Stats::resident).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The page sizes that the counts are in.
    pub geometry: Geometry,
    /// Managed pages.
    pub sys: PageCount,
    /// Pages handed out.
    pub in_use: PageCount,
    /// Pages free, or on their way between two states.
    pub idle: PageCount,
    /// Idle pages that the backing holds no memory for, in whole physical pages.
    pub released: PageCount,
    /// Whole huge pages inside single idle, resident spans.
    pub huge_resident: u32,
    /// Whole huge pages inside single idle, released spans.
    pub huge_released: u32,
    /// Spans in any state: the slots of the pool that are taken.
    pub spans: u32,
    /// The most slots ever taken at once.
    pub spans_peak: u32,
    /// The slots of the pool.
    pub slots: u32,
    /// Calls of `Backing::sys_used`.
    pub used_calls: u64,
    /// Pages that these committed.
    pub used_pages: u64,
    /// Calls of `Backing::sys_unused`.
    pub unused_calls: u64,
    /// Calls of `Backing::zero`.
    pub zero_calls: u64,
    /// Nodes ever inserted into the treap.
    pub treap_inserts: u64,
    /// Nodes ever removed from the treap.
    pub treap_removals: u64,
}

impl Stats {
    /// Returns the managed pages that the backing holds memory for.
    #[must_use]
    pub const fn resident(&self) -> PageCount {
        PageCount::new(self.sys.get() - self.released.get())
    }

    /// Returns a count of pages in bytes.
    #[must_use]
    pub const fn bytes(&self, count: PageCount) -> u64 {
        self.geometry.bytes(count)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |count: PageCount| self.bytes(count) >> 10;
        writeln!(f, "sys        {:>12} KiB", kib(self.sys))?;
        writeln!(f, "  in use   {:>12} KiB", kib(self.in_use))?;
        writeln!(f, "  idle     {:>12} KiB", kib(self.idle))?;
        writeln!(f, "  released {:>12} KiB of the idle", kib(self.released))?;
        writeln!(f, "resident   {:>12} KiB", kib(self.resident()))?;
        writeln!(
            f,
            "huge pages {:>12} idle and resident, {} idle and released",
            self.huge_resident, self.huge_released
        )?;
        writeln!(
            f,
            "spans      {:>12} of {} slots, {} at the peak",
            self.spans, self.slots, self.spans_peak
        )?;
        writeln!(
            f,
            "hook calls {:>12} used, {} unused, {} zero",
            self.used_calls, self.unused_calls, self.zero_calls
        )?;
        write!(
            f,
            "treap      {:>12} inserts, {} removals",
            self.treap_inserts, self.treap_removals
        )
    }
}
