//! Ranges of pages cut into what a descriptor can hold.
//!
//! A descriptor's length has 32 bits. A piece is at most 1 GiB: whole huge
//! pages, and long enough that cutting costs nothing.
//!
//! Invariant: the pieces of a range are in order, without a gap, and only the
//! last one of each range says that it is.

use core::ops::Range;

use spanheap::{PageRange, Window};

/// The most bytes in one piece.
const MOST: u64 = 1 << 30;

/// Some bytes of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which of the ranges.
    pub(crate) range: usize,
    /// Guest-physical addresses.
    pub(crate) bytes: Range<u64>,
    /// Whether the range ends here.
    pub(crate) last: bool,
}

/// The pieces of some ranges, in order.
pub(crate) struct Cuts<'r> {
    ranges: &'r [PageRange],
    window: Window,
    index: usize,
    /// The bytes of the range at `index` that are done.
    done: u64,
}

impl<'r> Cuts<'r> {
    pub(crate) const fn new(window: Window, ranges: &'r [PageRange]) -> Self {
        Self {
            ranges,
            window,
            index: 0,
            done: 0,
        }
    }
}

impl Iterator for Cuts<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let whole = self.window.bytes_of(*self.ranges.get(self.index)?);
        let start = whole.start + self.done;
        let end = whole.end.min(start + MOST);
        let piece = Piece {
            range: self.index,
            bytes: start..end,
            last: end == whole.end,
        };
        if piece.last {
            (self.index, self.done) = (self.index + 1, 0);
        } else {
            self.done += MOST;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use spanheap::{Geometry, Page, PageCount};

    use super::*;

    #[test]
    fn pieces_are_whole_ranges_unless_a_range_is_longer_than_a_piece() {
        let window = Window::new(Geometry::SMALL_PAGES, 0x20_0000, PageCount::new(1 << 20))
            .expect("a window");
        let range =
            |start, pages| PageRange::new(Page::new(start), PageCount::new(pages)).expect("pages");
        let ranges = [range(512, 512), range(2048, (1 << 19) + 512)];
        let pieces: Vec<Piece> = Cuts::new(window, &ranges).collect();
        let gib = 1_u64 << 30;
        let second = 0x20_0000 + 2048 * 4096;
        let expected = [
            (0, 0x40_0000..0x60_0000, true),
            (1, second..second + gib, false),
            (1, second + gib..second + 2 * gib, false),
            (1, second + 2 * gib..second + 2 * gib + 0x20_0000, true),
        ];
        let expected: Vec<Piece> = expected
            .into_iter()
            .map(|(range, bytes, last)| Piece { range, bytes, last })
            .collect();
        assert_eq!(pieces, expected);
    }
}
