//! What a CPU has claimed and not handed out: some pages of half a block, and
//! the chunk it owns.
//!
//! Both in one word, and that word is changed by compare-and-swap alone. So an
//! interrupt, a migration or a drain between a load and its swap is seen: with
//! the place kept apart from the bits, fresh halves look alike, and the swap
//! would succeed with the wrong place.
//!
//! Claimed pages are kept here and not in the block's word because an
//! allocation then touches this word and a free the other one: neither waits for
//! the other's atomic.

use super::word::{BLOCK, CHUNK};

/// Pages of half a block.
pub(super) const HALF: u32 = BLOCK / 2;

/// A CPU's claim. All zeroes: it owns nothing.
///
/// ```text
///  63    62       61..32                31..0
/// ┌────┬────────┬─────────────────────┬──────────────────────┐
/// │owns│released│ the half's number   │ its claimed pages    │
/// └────┴────────┴─────────────────────┴──────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hoard(pub(super) u64);

const OWNS: u64 = 1 << 63;
const RELEASED: u64 = 1 << 62;
const NUMBER: u32 = 32;

// A half's number fits: there are fewer than 2^32 pages.
const _: () = assert!((u32::MAX / HALF) < 1 << 30);

impl Hoard {
    /// Owns nothing.
    pub(super) const EMPTY: Self = Self(0);

    /// Claims the pages `bits` of a half, and owns its chunk. `released` says
    /// that some of them may have to be committed.
    pub(super) const fn new(half: u32, bits: u32, released: bool) -> Self {
        let released = if released { RELEASED } else { 0 };
        Self(OWNS | released | (half as u64) << NUMBER | bits as u64)
    }

    /// Returns the first claimed page, and what is left without it.
    #[inline]
    pub(super) const fn pop(self) -> Option<(u32, Self)> {
        let bits = self.0 as u32;
        if bits == 0 {
            return None;
        }
        let page = self.half() * HALF + bits.trailing_zeros();
        // The lowest bit of all is the lowest of these.
        Some((page, Self(self.0 & (self.0 - 1))))
    }

    /// Returns the number of the half that the pages are of.
    #[inline]
    pub(super) const fn half(self) -> u32 {
        (self.0 >> NUMBER) as u32 & ((1 << 30) - 1)
    }

    /// Returns which pages of the half are claimed.
    #[inline]
    pub(super) const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Returns whether some of the pages may have to be committed.
    #[inline]
    pub(super) const fn may_be_released(self) -> bool {
        self.0 & RELEASED != 0
    }

    /// Returns the chunk that is owned.
    #[inline]
    pub(super) const fn chunk(self) -> Option<u32> {
        if self.0 & OWNS == 0 {
            None
        } else {
            Some(self.half() / (CHUNK / HALF))
        }
    }

    /// Returns the claimed pages as bits of their block's word.
    #[inline]
    pub(super) const fn in_block(self) -> u64 {
        (self.bits() as u64) << (HALF * (self.half() % 2))
    }

    /// Returns whether `page` is claimed here.
    #[inline]
    pub(super) const fn holds(self, page: u32) -> bool {
        self.half() == page / HALF && self.bits() >> (page % HALF) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_out_in_order_and_the_chunk_stays_owned() {
        let half = 0x3ff_fff1;
        let mut hoard = Hoard::new(half, 0x8000_0009, false);
        for bit in [0, 3, 31] {
            assert!(hoard.holds(half * 32 + bit));
            let (page, rest) = hoard.pop().expect("a page");
            assert_eq!(page, half * 32 + bit);
            assert!(!rest.holds(page));
            hoard = rest;
        }
        assert_eq!(hoard.pop(), None);
        assert_eq!(hoard.chunk(), Some(half / 16));
        assert_eq!((Hoard::EMPTY.pop(), Hoard::EMPTY.chunk()), (None, None));
    }

    #[test]
    fn the_upper_half_is_the_upper_half_of_the_word() {
        let hoard = Hoard::new(7, 0b101, true);
        assert_eq!(hoard.in_block(), 0b101 << 32);
        assert!(hoard.may_be_released());
        assert!(!hoard.holds(7 * 32 + 1));
        assert!(!hoard.holds(6 * 32));
    }
}
