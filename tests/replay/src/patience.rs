//! When idle memory has been idle long enough to be given back.
//!
//! A heap does not know the age of its idle pages. But if at every moment of
//! the last second at least so many bytes lay idle and resident, then so many
//! have surely not been needed for a second. So at the end of each interval of
//! trace time the least that was idle during it is given back, and nothing
//! more: a burst that frees and takes again within the interval costs nothing.
//!
//! Invariant: the low-water mark is no more than what was idle and resident at
//! any moment since the interval began.

use spanheap::PageCount;

/// Watches idle memory, interval by interval.
#[derive(Clone, Debug)]
pub struct Patience {
    interval_ms: u64,
    /// When the interval ends.
    until_ms: u64,
    low: PageCount,
}

impl Patience {
    /// Waits for `interval_ms` (at least one) from time 0 on, when nothing is
    /// idle and resident.
    #[must_use]
    pub fn new(interval_ms: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        Self {
            interval_ms,
            until_ms: interval_ms,
            low: PageCount::ZERO,
        }
    }

    /// Notes how much is idle and resident now.
    pub fn observe(&mut self, idle: PageCount) {
        self.low = self.low.min(idle);
    }

    /// Lets time pass to `now_ms`, `idle` pages being idle and resident all
    /// along, and returns how many are due to be given back. What the caller
    /// then has left it notes with [`begin`](Self::begin).
    pub fn pass(&mut self, now_ms: u64, idle: PageCount) -> Option<PageCount> {
        if now_ms < self.until_ms {
            return None;
        }
        let past = now_ms - self.until_ms;
        let begun = past - past % self.interval_ms;
        // Everything that is idle was so for a whole interval if one went by
        // after the mark was set.
        let due = if begun > 0 { idle } else { self.low };
        self.until_ms = self
            .until_ms
            .saturating_add(begun)
            .saturating_add(self.interval_ms);
        Some(due)
    }

    /// Begins the next interval with `idle` pages idle and resident.
    pub fn begin(&mut self, idle: PageCount) {
        self.low = idle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pages(count: u32) -> PageCount {
        PageCount::new(count)
    }

    #[test]
    fn only_what_was_idle_all_along_is_due() {
        let mut patience = Patience::new(100);
        assert_eq!(patience.pass(99, pages(50)), None);
        assert_eq!(patience.pass(100, pages(50)), Some(pages(0)));
        patience.begin(pages(50));
        for idle in [60, 20, 70] {
            patience.observe(pages(idle));
        }
        assert_eq!(patience.pass(199, pages(70)), None);
        assert_eq!(patience.pass(200, pages(70)), Some(pages(20)));
    }

    #[test]
    fn a_gap_of_a_whole_interval_makes_everything_due_at_once() {
        let mut patience = Patience::new(100);
        assert_eq!(patience.pass(199, pages(9)), Some(pages(0)));
        patience.begin(pages(9));
        assert_eq!(patience.pass(300, pages(9)), Some(pages(9)));
        patience.begin(pages(9));
        assert_eq!(patience.pass(399, pages(9)), None);
        assert_eq!(patience.pass(u64::MAX, pages(9)), Some(pages(9)));
    }

    #[test]
    fn an_interval_of_nothing_counts_as_a_millisecond() {
        let mut patience = Patience::new(0);
        assert_eq!(patience.pass(0, pages(5)), None);
        assert!(patience.pass(1, pages(5)).is_some());
    }
}
