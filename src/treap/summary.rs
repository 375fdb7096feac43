//! What a node knows of the spans below it: the longest, and which kinds occur.
//!
//! A node keeps the summaries of its two subtrees, not its own. So a descent
//! decides at a node without looking at its children, and a repair that climbs
//! looks at no sibling.

use crate::span::{Kinds, Link, Slot, SlotId};

/// The lower or the higher addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Low,
    High,
}

impl Side {
    /// Returns the other side.
    #[inline]
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }

    /// Returns 0 or 1; masked, so that no bounds check remains.
    #[inline]
    const fn index(self) -> usize {
        self as usize & 1
    }
}

/// The longest span of a subtree, in pages, and the kinds that occur in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) longest: u32,
    pub(crate) kinds: Kinds,
}

impl Summary {
    /// The summary of no spans.
    pub(crate) const EMPTY: Self = Self {
        longest: 0,
        kinds: Kinds::empty(),
    };

    /// Returns the summary of both sets of spans.
    #[inline]
    pub(crate) const fn join(self, other: Self) -> Self {
        Self {
            longest: if self.longest > other.longest {
                self.longest
            } else {
                other.longest
            },
            kinds: self.kinds.union(other.kinds),
        }
    }
}

/// The treap's part of a record.
impl Slot {
    /// Returns the node below on one side.
    #[inline]
    pub(super) const fn child(&self, side: Side) -> Link {
        self.child[side.index()]
    }

    /// Returns the side that `child`, which is a node right below, is on.
    #[inline]
    pub(super) fn side_of(&self, child: SlotId) -> Side {
        if self.child(Side::Low) == Some(child) {
            Side::Low
        } else {
            Side::High
        }
    }

    /// Sets the node below on one side, with its subtree's summary.
    #[inline]
    pub(super) const fn set_child(&mut self, side: Side, child: Link, below: Summary) {
        self.child[side.index()] = child;
        self.set_below(side, below);
    }

    /// Returns the summary of the subtree on one side.
    #[inline]
    pub(super) const fn below(&self, side: Side) -> Summary {
        Summary {
            longest: self.longest[side.index()],
            kinds: self.below[side.index()],
        }
    }

    /// Sets the summary of the subtree on one side.
    #[inline]
    pub(super) const fn set_below(&mut self, side: Side, below: Summary) {
        self.longest[side.index()] = below.longest;
        self.below[side.index()] = below.kinds;
    }

    /// Returns the summary of this span alone.
    #[inline]
    pub(super) const fn own(&self) -> Summary {
        Summary {
            longest: self.len,
            kinds: self.kinds,
        }
    }

    /// Returns the summary of this span and all below.
    #[inline]
    pub(super) const fn subtree(&self) -> Summary {
        self.own()
            .join(self.below(Side::Low))
            .join(self.below(Side::High))
    }
}
