//! What a limit on resident memory does to a load.
//!
//! A commit that would exceed the limit makes room first, or fails. So three things
//! are told: whether resident memory kept to the limit, which blocks were refused
//! for it, and how long an allocation had to wait until there was room. That wait is
//! what was charged for releases within the allocation: nothing else releases there.
//! What it cost to take memory back is not the limit's doing.
//!
//! Invariant: a stall has one call at least, and none has more than the most.

use super::account::Charges;

/// What came of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The most bytes that may be resident.
    pub limit_bytes: u64,
    /// The most that were.
    pub most_bytes: u64,
    /// Blocks that were refused for the limit; they are left out of the load.
    pub refused: u64,
    /// Allocations that had to make room, in vain or not.
    pub stalls: u64,
    /// The longest time that one took for it, in nanoseconds.
    pub longest_ns: u64,
    /// In how many calls of the backing that was.
    pub longest_calls: u64,
    /// The most calls that one made for it.
    pub most_calls: u64,
}

impl Limited {
    /// Nothing was allocated yet.
    pub(super) const fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            most_bytes: 0,
            refused: 0,
            stalls: 0,
            longest_ns: 0,
            longest_calls: 0,
            most_calls: 0,
        }
    }

    /// Notes what was charged before an allocation, and after it.
    pub(super) fn note(&mut self, before: &Charges, after: &Charges) {
        let calls = after.release_calls - before.release_calls;
        if calls == 0 {
            return;
        }
        let ns = after.release_ns - before.release_ns;
        self.stalls += 1;
        self.most_calls = calls.max(self.most_calls);
        // Of two that took as long, the one with more calls.
        (self.longest_ns, self.longest_calls) =
            (ns, calls).max((self.longest_ns, self.longest_calls));
    }

    /// Returns by how many bytes resident memory exceeded the limit, at most.
    #[must_use]
    pub const fn over_bytes(&self) -> u64 {
        self.most_bytes.saturating_sub(self.limit_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stall_need_not_be_the_one_with_most_calls() {
        let mut limited = Limited::new(1 << 20);
        let mut charges = Charges::default();
        for (ns, calls, taken) in [(0, 0, 900), (70, 2, 0), (100, 1, 5), (100, 1, 0)] {
            let before = charges;
            charges.release_ns += ns;
            charges.release_calls += calls;
            charges.take_ns += taken;
            limited.note(&before, &charges);
        }
        assert_eq!((limited.stalls, limited.most_calls), (3, 2));
        assert_eq!((limited.longest_ns, limited.longest_calls), (100, 1));
        limited.most_bytes = (1 << 20) + 7;
        assert_eq!(limited.over_bytes(), 7);
    }
}
