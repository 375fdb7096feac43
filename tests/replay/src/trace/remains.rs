//! What remains of blocks of which a part was freed.
//!
//! Such blocks are rare, so that a sorted map of their pieces is small however
//! long the trace is; and a map, because a block may be freed in as many
//! parts as it has pages, in any order.
//!
//! Invariant: the pieces of one block are disjoint, and never adjacent: what
//! lies between two of them was freed.

use std::collections::BTreeMap;

use spanheap::{Page, PageCount, PageRange};

use super::Seat;

/// The pieces that remain, each as pages counted from its block's first.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// From the block and a piece's first page to the page after its last.
    pieces: BTreeMap<(Seat, u32), u32>,
}

/// Some of the pages were freed before, or never were the block's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotThere;

impl Remains {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pieces: BTreeMap::new(),
        }
    }

    /// Begins to keep count of a block that is still whole.
    pub fn begin(&mut self, seat: Seat, pages: PageCount) {
        self.pieces.insert((seat, 0), pages.get());
    }

    /// Takes `part` away, and returns how many pieces there are more, or fewer,
    /// than before.
    ///
    /// # Errors
    ///
    /// If not all of `part` is still there. Nothing has changed.
    pub fn take(&mut self, seat: Seat, part: PageRange) -> Result<i32, NotThere> {
        let (start, end) = (part.start().number(), part.end().number());
        let (&(_, piece), &piece_end) = self
            .pieces
            .range((seat, 0)..=(seat, start))
            .next_back()
            .ok_or(NotThere)?;
        if piece_end < end {
            return Err(NotThere);
        }
        self.pieces.remove(&(seat, piece));
        let mut more = -1;
        if piece < start {
            self.pieces.insert((seat, piece), start);
            more += 1;
        }
        if end < piece_end {
            self.pieces.insert((seat, end), piece_end);
            more += 1;
        }
        Ok(more)
    }

    /// Returns what remains of a block, in order.
    pub fn of(&self, seat: Seat) -> impl Iterator<Item = PageRange> {
        self.pieces
            .range((seat, 0)..=(seat, u32::MAX))
            .filter_map(|(&(_, start), &end)| PageRange::between(Page::new(start), Page::new(end)))
    }

    /// Returns whether nothing remains of a block.
    #[must_use]
    pub fn is_gone(&self, seat: Seat) -> bool {
        self.of(seat).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: Seat = Seat::new(7);

    fn range(start: u32, end: u32) -> PageRange {
        PageRange::between(Page::new(start), Page::new(end)).unwrap()
    }

    fn of_sixteen() -> Remains {
        let mut remains = Remains::new();
        remains.begin(SEAT, PageCount::new(16));
        // Neighbours in the table, which must never be mistaken for it.
        remains.begin(Seat::new(6), PageCount::new(64));
        remains.begin(Seat::new(8), PageCount::new(64));
        remains
    }

    #[test]
    fn a_part_from_the_middle_leaves_two_pieces() {
        let mut remains = of_sixteen();
        assert_eq!(remains.take(SEAT, range(4, 8)), Ok(1));
        assert_eq!(
            remains.of(SEAT).collect::<Vec<_>>(),
            [range(0, 4), range(8, 16)]
        );
    }

    #[test]
    fn the_last_part_leaves_nothing() {
        let mut remains = of_sixteen();
        assert_eq!(remains.take(SEAT, range(0, 4)), Ok(0));
        assert_eq!(remains.take(SEAT, range(12, 16)), Ok(0));
        assert!(!remains.is_gone(SEAT));
        assert_eq!(remains.take(SEAT, range(4, 12)), Ok(-1));
        assert!(remains.is_gone(SEAT));
        assert!(!remains.is_gone(Seat::new(6)));
    }

    #[test]
    fn pages_that_are_gone_or_never_were_there_are_refused_and_nothing_changes() {
        let mut remains = of_sixteen();
        remains.take(SEAT, range(4, 8)).unwrap();
        let before = remains.of(SEAT).collect::<Vec<_>>();
        for (start, end) in [(4, 8), (3, 5), (7, 9), (0, 16), (15, 17), (16, 17), (5, 6)] {
            assert_eq!(
                remains.take(SEAT, range(start, end)),
                Err(NotThere),
                "{start}..{end}"
            );
        }
        assert_eq!(remains.of(SEAT).collect::<Vec<_>>(), before);
    }
}
