//! What a chunk is: the treap's, or the front tier's, whose, and in which lists.
//!
//! One word for each chunk, and the truth: lists are hints, and whoever meets
//! one that disagrees takes it out of the list. A state is changed before its
//! hint is set.
//!
//! ```text
//!              open                leave: pages are free
//!   treap's ──────────► owned ─────────────────────────► ready
//!      ▲                  │ ▲                              │
//!      │                  │ └──────────────────────────────┘ claim
//!      │                  │ leave: few are free        ▲
//!      │                  └────────────────────► quiet ┘ frees
//!      └──────────── return: all pages are free, nobody owns it
//! ```

/// A chunk's state. All zeroes: it is the treap's.
///
/// ```text
///  63..32    31..16   15..8    4      3    2     1     0
/// ┌─────────┬────────┬───────┬────────┬────┬─────┬─────┬─────┐
/// │ owner   │ returns│ group │released│runs│ready│owned│front│
/// └─────────┴────────┴───────┴────────┴────┴─────┴─────┴─────┘
/// ```
///
/// Returns are counted, modulo 2^16, so that a chunk that was opened again is told
/// from one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

const FRONT: u64 = 1;
const OWNED: u64 = 1 << 1;
const READY: u64 = 1 << 2;
/// A bit of a state: runs were handed out of the chunk since it was opened.
pub(super) const RUNS: u64 = 1 << 3;
/// A bit of a state: pages of the chunk were released since it was opened.
pub(super) const RELEASED: u64 = 1 << 4;
const GROUP: u32 = 8;
const RETURNS: u32 = 16;
const OWNER: u32 = 32;
/// The owner of a chunk that is on its way back to the treap.
pub(super) const NOBODY: u32 = u32::MAX;

impl State {
    /// The treap's.
    pub(super) const TREAP: Self = Self(0);

    /// The front tier's, and owned by the place `owner`; it was the treap's.
    pub(super) const fn opened(self, group: usize, owner: u32) -> Self {
        Self(self.returns() | FRONT | OWNED | (group as u64) << GROUP | (owner as u64) << OWNER)
    }

    /// The treap's again.
    pub(super) const fn closed(self) -> Self {
        let returns = (self.returns() >> RETURNS) as u16;
        Self((returns.wrapping_add(1) as u64) << RETURNS)
    }

    const fn returns(self) -> u64 {
        self.0 & (u16::MAX as u64) << RETURNS
    }

    /// Returns whether the front tier hands out its pages.
    #[inline]
    pub(super) const fn is_front(self) -> bool {
        self.0 & FRONT != 0
    }

    /// Returns the place that owns it.
    #[inline]
    pub(super) const fn owner(self) -> Option<u32> {
        if self.0 & OWNED == 0 {
            None
        } else {
            Some((self.0 >> OWNER) as u32)
        }
    }

    /// Returns whether a CPU may claim it, for pages of `group`.
    pub(super) const fn is_ready(self, group: usize) -> bool {
        self.0 & (FRONT | OWNED | READY) == FRONT | READY && self.group() == group
    }

    /// Returns whether it is listed for any CPU to claim.
    #[inline]
    pub(super) const fn is_listed(self) -> bool {
        self.0 & READY != 0
    }

    /// Returns whether runs were handed out of it.
    #[inline]
    pub(super) const fn has_runs(self) -> bool {
        self.0 & RUNS != 0
    }

    /// Returns whether pages of it were released, and may be so still.
    #[inline]
    pub(super) const fn may_be_released(self) -> bool {
        self.0 & RELEASED != 0
    }

    /// Returns the group whose pages it holds.
    pub(super) const fn group(self) -> usize {
        (self.0 >> GROUP) as u8 as usize
    }

    /// The same, owned and in no list; `None` if it is owned, or the treap's.
    pub(super) const fn claimed(self, owner: u32) -> Option<Self> {
        if self.0 & (FRONT | OWNED) == FRONT {
            Some(Self(self.0 & !READY | OWNED | (owner as u64) << OWNER))
        } else {
            None
        }
    }

    /// The same, owned by nobody.
    pub(super) const fn left(self) -> Self {
        Self(self.0 & !OWNED & !((u32::MAX as u64) << OWNER))
    }

    /// The same, for any CPU to claim; `None` if it is already, or owned, or the
    /// treap's.
    pub(super) const fn listed(self) -> Option<Self> {
        if self.0 & (FRONT | OWNED | READY) == FRONT {
            Some(Self(self.0 | READY))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_owned_once_and_listed_only_while_nobody_owns_it() {
        let owned = State::TREAP.opened(1, 7);
        assert_eq!((owned.owner(), owned.group()), (Some(7), 1));
        assert_eq!(owned.claimed(8), None);
        assert_eq!(owned.listed(), None);
        let quiet = owned.left();
        assert_eq!((quiet.owner(), quiet.group()), (None, 1));
        let ready = quiet.listed().expect("nobody owns it");
        assert!(ready.is_ready(1) && !ready.is_ready(0) && ready.listed().is_none());
        let again = State(ready.0 | RUNS | RELEASED);
        let again = again.claimed(NOBODY).expect("it is ready");
        assert_eq!(again.owner(), Some(NOBODY));
        assert!(!again.is_ready(1) && again.has_runs() && again.may_be_released());
        assert!(again.left().may_be_released() && !again.closed().may_be_released());
        assert_eq!(State::TREAP.claimed(0), None);
        assert_eq!(State::TREAP.listed(), None);
    }

    #[test]
    fn a_chunk_that_was_returned_is_told_from_one_that_was_not() {
        let mut state = State::TREAP;
        for _ in 0..1 << 16 {
            let next = state.opened(1, 3).closed();
            assert!(!next.is_front() && next != state);
            assert_eq!(next.opened(1, 3).owner(), Some(3));
            state = next;
        }
        assert_eq!(state, State::TREAP, "modulo 2^16");
    }
}
