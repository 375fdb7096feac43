//! The free spans, ordered by address: a treap over the slots of the pool.
//!
//! A treap (Seidel and Aragon, "Randomized Search Trees", 1996) is a binary
//! search tree that random priorities keep as shallow as one built in random
//! order: about 2 ln n deep. Here the key is the span's first page, the links
//! live in the span's record, and every node keeps a [`Summary`] of each of its
//! two subtrees, so that a search reads only the nodes on its path, and a
//! repair writes only those.
//!
//! What makes this tree a heap's: a span that loses its low pages, or gains
//! those of a freed neighbour, keeps its place in the order. [`Treap::mutate`]
//! changes it where it is and repairs the summaries upward until one does not
//! change; nothing is inserted, removed or rotated.
//!
//! Knows spans and nothing else: no backing, no counters, no neighbours.
//!
//! Invariant: in order, starts ascend; no child's priority is below its
//! parent's; a node's summaries are those of its children's subtrees; `lowest`
//! is the first in order; `finger` is a node of the tree, if there is one.

mod change;
mod find;
mod summary;

#[cfg(test)]
mod tests;

use crate::span::{Kinds, Link, Pool};
pub(crate) use find::Query;
pub(crate) use summary::{Side, Summary};

/// The tree: a root, and where priorities come from.
#[derive(Debug)]
pub(crate) struct Treap {
    root: Link,
    /// The span at the lowest address: what first fit looks at first.
    lowest: Link,
    /// The span inserted last, or a node beside it: frees come in bursts, and
    /// the next place is often near.
    finger: Link,
    random: Random,
    inserts: u64,
    removals: u64,
}

impl Treap {
    /// An empty tree.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            root: None,
            lowest: None,
            finger: None,
            random: Random::new(seed),
            inserts: 0,
            removals: 0,
        }
    }

    /// Starts the priorities of later inserts anew.
    pub(crate) const fn seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Returns how many nodes were ever inserted.
    pub(crate) const fn inserts(&self) -> u64 {
        self.inserts
    }

    /// Returns how many nodes were ever removed.
    pub(crate) const fn removals(&self) -> u64 {
        self.removals
    }

    /// Returns a node at which the tree is wrong: out of order, a link that is
    /// not returned, a priority below its parent's or a stale summary.
    pub(crate) fn fault(&self, pool: &Pool<'_>) -> Link {
        let mut at = self.first(pool, Query::kinds(Kinds::ANY));
        if let Some(root) = self.root
            && pool.at(root).parent.is_some()
        {
            return Some(root);
        }
        if at != self.lowest {
            return at;
        }
        while let Some(id) = at {
            let slot = pool.at(id);
            // Where it climbs from here.
            let is_returned = match slot.parent {
                None => self.root == at,
                Some(parent) => pool.at(parent).child.contains(&at),
            };
            if !is_returned {
                return at;
            }
            for side in [Side::Low, Side::High] {
                let below = match slot.child(side) {
                    None => Summary::EMPTY,
                    Some(child) => {
                        let child = pool.at(child);
                        let in_order = match side {
                            Side::Low => child.start < slot.start,
                            Side::High => child.start > slot.start,
                        };
                        if child.parent != at || child.priority < slot.priority || !in_order {
                            return at;
                        }
                        child.subtree()
                    }
                };
                if slot.below(side) != below {
                    return at;
                }
            }
            let next = self.next(pool, id, Query::kinds(Kinds::ANY));
            if next.is_some_and(|next| pool.at(next).start < slot.end()) {
                return at;
            }
            at = next;
        }
        // The links hold, so that what climbs from a node of the tree ends at
        // its root.
        let mut top = self.finger;
        while let Some(id) = top
            && let Some(parent) = pool.at(id).parent
        {
            top = Some(parent);
        }
        if top == self.root {
            None
        } else {
            self.finger.or(self.root)
        }
    }
}

/// Marsaglia's xorshift64* ("An experimental exploration of Marsaglia's
/// xorshift generators, scrambled", Vigna 2016), of which the upper half is
/// used.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        // Zero is the one state that it never leaves.
        Self(if seed == 0 {
            0x9E37_79B9_7F4A_7C15
        } else {
            seed
        })
    }

    const fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }
}
