//! Time, as a scavenger sees it: the caller's clock, of which nothing is believed.
//!
//! It may stand still, jump or go backwards. What counts is the time that passed
//! between two calls; if the clock went back, none did.

/// The most time that is believed to pass between two calls: 12 days. The ages of
/// huge pages wrap after 49.
const MOST_NS: u64 = (1 << 30) * 1_000_000;

/// The caller's clock, and the time that passed by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What the caller said last.
    said: Option<u64>,
    /// Nanoseconds that passed since the first call.
    passed: u64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            said: None,
            passed: 0,
        }
    }

    /// Returns the time that passed until `now`.
    pub(super) fn advance(&mut self, now: u64) -> u64 {
        let since = self.said.replace(now).unwrap_or(now);
        let passed = now.saturating_sub(since).min(MOST_NS);
        self.passed = self.passed.wrapping_add(passed);
        passed
    }

    /// Returns all the time that passed, which wraps after five centuries.
    pub(super) const fn passed(&self) -> u64 {
        self.passed
    }
}

/// Returns nanoseconds as milliseconds on a clock that wraps.
pub(super) const fn wrapping_ms(ns: u64) -> u32 {
    (ns / 1_000_000) as u32
}

/// Returns a length of time in milliseconds: at most a quarter of that clock.
pub(super) const fn ms(ns: u64) -> u32 {
    let ms = ns.div_ceil(1_000_000);
    if ms > (u32::MAX / 4) as u64 {
        u32::MAX / 4
    } else {
        ms as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_that_passes_forwards_counts() {
        let mut clock = Clock::new();
        assert_eq!(clock.advance(5_000), 0, "the first call begins");
        assert_eq!(clock.advance(6_000), 1_000);
        assert_eq!(clock.advance(6_000), 0);
        assert_eq!(clock.advance(10), 0, "backwards");
        assert_eq!(clock.advance(30), 20);
        assert_eq!(clock.advance(u64::MAX), MOST_NS);
        assert_eq!(clock.passed(), 1_020 + MOST_NS);
    }

    #[test]
    fn lengths_are_rounded_up_and_do_not_wrap() {
        assert_eq!(ms(1), 1);
        assert_eq!(ms(2_000_000), 2);
        assert_eq!(ms(u64::MAX), u32::MAX / 4);
    }
}
