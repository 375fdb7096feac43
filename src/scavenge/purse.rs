//! What may be spent: a token bucket of CPU time.
//!
//! It fills by a share of the time that passes and holds as much as it costs to
//! drain the heap once and to take all of it back. What is released is paid for
//! when it is released, what is taken back when it is: so there may be debt, and
//! while there is, nothing is spent.

/// Nanoseconds of CPU time that are there to be spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    /// Less than nothing: debt.
    tokens: i64,
    /// Whether it was ever filled.
    filled: bool,
}

impl Purse {
    /// An empty one, which is filled when it is first used.
    pub(super) const fn new() -> Self {
        Self {
            tokens: 0,
            filled: false,
        }
    }

    /// Lets `passed` nanoseconds pass, at `share` millionths; `room` is the most
    /// that it holds.
    pub(super) fn fill(&mut self, passed: u64, share: u32, room: u64) {
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        if !self.filled && room > 0 {
            self.filled = true;
            self.tokens = room;
        }
        let earned = u128::from(passed) * u128::from(share) / 1_000_000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(earned).min(room);
    }

    /// Spends, whether it is there or not.
    pub(super) fn spend(&mut self, ns: u64) {
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_sub(ns);
    }

    /// Returns what is there.
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.tokens).unwrap_or(0)
    }

    /// Returns how much more dear everything is than when it is full: `ns`, times
    /// the room, by what is left.
    pub(super) fn dear(&self, ns: u64, room: u64) -> u64 {
        let left = self.left().max(1);
        let dear = u128::from(ns) * u128::from(room.max(left)) / u128::from(left);
        u64::try_from(dear).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_by_its_share_and_no_further_than_its_room() {
        let mut purse = Purse::new();
        purse.fill(0, 10_000, 500);
        assert_eq!(purse.left(), 500, "full at first");
        purse.spend(400);
        purse.fill(10_000, 10_000, 500);
        assert_eq!(purse.left(), 200);
        purse.fill(u64::MAX, u32::MAX, 500);
        assert_eq!(purse.left(), 500);
    }

    #[test]
    fn a_debt_is_paid_off_before_there_is_anything() {
        let mut purse = Purse::new();
        purse.fill(0, 10_000, 100);
        purse.spend(300);
        assert_eq!(purse.left(), 0);
        purse.fill(20_000, 10_000, 100);
        assert_eq!(purse.left(), 0);
        purse.fill(100, 10_000, 100);
        assert_eq!(purse.left(), 1);
        purse.spend(u64::MAX);
        purse.spend(u64::MAX);
        assert_eq!(purse.left(), 0);
    }

    #[test]
    fn everything_is_dearer_when_there_is_less() {
        let mut purse = Purse::new();
        purse.fill(0, 10_000, 100);
        assert_eq!(purse.dear(7, 100), 7);
        purse.spend(75);
        assert_eq!(purse.dear(7, 100), 28);
        purse.spend(75);
        assert_eq!(
            purse.dear(7, 100),
            700,
            "a debt is no less than next to nothing"
        );
        assert_eq!(purse.dear(u64::MAX, u64::MAX), u64::MAX);
    }
}
