//! Searching the treap: first fit, and walks over the spans that a query names.
//!
//! First fit is one descent, and so is its refusal. A walk goes strictly in
//! address order and skips every subtree whose summary says that nothing in it
//! can serve; if a query asks for one property, each step is one descent.
//!
//! A position is a slot's number. It stays good while other nodes come and go.

use super::{Side, Summary, Treap};
use crate::span::{Kinds, Link, Pool, SlotId};

/// Which spans a walk visits: of one of these kinds, and at least this long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) pages: u32,
    pub(crate) kinds: Kinds,
}

impl Query {
    /// Spans of these kinds, of any length.
    pub(crate) const fn kinds(kinds: Kinds) -> Self {
        Self { pages: 0, kinds }
    }

    /// Returns whether something so summarised may serve.
    #[inline]
    fn admits(self, summary: Summary) -> bool {
        summary.longest >= self.pages && summary.kinds.intersects(self.kinds)
    }
}

/// Where a walk stands with the node it is at.
enum Stage {
    /// Nothing of its subtree was seen.
    Enter,
    /// Everything on the near side was seen.
    Visit,
    /// It was seen itself.
    Leave,
}

impl Treap {
    /// Returns the lowest span of at least `pages` pages.
    #[inline]
    ///
    /// Most requests are for so little that the lowest span of all serves.
    pub(crate) fn first_fit(&self, pool: &Pool<'_>, pages: u32) -> Link {
        let lowest = self.lowest?;
        if pool.at(lowest).len >= pages {
            return Some(lowest);
        }
        let mut at = self.root?;
        loop {
            let slot = pool.at(at);
            if slot.below(Side::Low).longest >= pages {
                at = slot.child(Side::Low)?;
            } else if slot.len >= pages {
                return Some(at);
            } else if slot.below(Side::High).longest >= pages {
                at = slot.child(Side::High)?;
            } else {
                return None;
            }
        }
    }

    /// Returns whether no span of the tree is below `id`, which is in it.
    #[inline]
    pub(crate) fn is_lowest(&self, id: SlotId) -> bool {
        self.lowest == Some(id)
    }

    /// Returns the last span that starts at or before `page`.
    pub(crate) fn floor(&self, pool: &Pool<'_>, page: u32) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(id) = at {
            let slot = pool.at(id);
            if slot.start <= page {
                best = at;
                at = slot.child(Side::High);
            } else {
                at = slot.child(Side::Low);
            }
        }
        best
    }

    /// Returns the lowest span that the query admits.
    pub(crate) fn first(&self, pool: &Pool<'_>, query: Query) -> Link {
        Self::walk(pool, self.root?, Stage::Enter, query, Side::High)
    }

    /// Returns the lowest span that the query admits and that ends behind `page`.
    pub(crate) fn first_from(&self, pool: &Pool<'_>, page: u32, query: Query) -> Link {
        match self.floor(pool, page) {
            Some(id) if pool.at(id).end() > page => {
                Self::walk(pool, id, Stage::Visit, query, Side::High)
            }
            Some(id) => self.next(pool, id, query),
            None => self.first(pool, query),
        }
    }

    /// Returns the highest span that the query admits and that starts before `page`.
    pub(crate) fn last_before(&self, pool: &Pool<'_>, page: u32, query: Query) -> Link {
        let id = self.floor(pool, page.checked_sub(1)?)?;
        Self::walk(pool, id, Stage::Visit, query, Side::Low)
    }

    /// Returns the lowest span above `id` that the query admits.
    pub(crate) fn next(&self, pool: &Pool<'_>, id: SlotId, query: Query) -> Link {
        Self::walk(pool, id, Stage::Leave, query, Side::High)
    }

    /// Walks toward `far` until the query admits a node's own span.
    fn walk(pool: &Pool<'_>, from: SlotId, from_stage: Stage, query: Query, far: Side) -> Link {
        let near = far.other();
        let (mut at, mut stage) = (from, from_stage);
        loop {
            let slot = pool.at(at);
            stage = match stage {
                Stage::Enter => match slot.child(near) {
                    Some(child) if query.admits(slot.below(near)) => {
                        at = child;
                        Stage::Enter
                    }
                    _ => Stage::Visit,
                },
                Stage::Visit if query.admits(slot.own()) => return Some(at),
                Stage::Visit => Stage::Leave,
                Stage::Leave => match slot.child(far) {
                    Some(child) if query.admits(slot.below(far)) => {
                        at = child;
                        Stage::Enter
                    }
                    _ => {
                        at = Self::ascend(pool, at, near)?;
                        Stage::Visit
                    }
                },
            };
        }
    }

    /// Climbs from `id` to the first node of which it is below on the side `near`.
    fn ascend(pool: &Pool<'_>, id: SlotId, near: Side) -> Link {
        let mut at = id;
        loop {
            let parent = pool.at(at).parent?;
            if pool.at(parent).side_of(at) == near {
                return Some(parent);
            }
            at = parent;
        }
    }
}

#[cfg(test)]
impl Treap {
    /// Returns the highest span that the query admits.
    pub(super) fn last(&self, pool: &Pool<'_>, query: Query) -> Link {
        Self::walk(pool, self.root?, Stage::Enter, query, Side::Low)
    }

    /// Returns the highest span below `id` that the query admits.
    pub(super) fn prev(&self, pool: &Pool<'_>, id: SlotId, query: Query) -> Link {
        Self::walk(pool, id, Stage::Leave, query, Side::Low)
    }
}
