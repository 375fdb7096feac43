//! What it costs to give memory back and to take it back.
//!
//! Four prices, and one for each call. They are as `replay calibrate` measured
//! them on a machine whose kernel backs the heap with huge pages; on another
//! they are what it says there, and each is an option of `replay policies`.
//!
//! A part of a huge page costs its pages' price, up to the price of the whole:
//! whoever finds the parts dearer would give back, or touch, the whole.

use serde::Serialize;

/// Pages of 4 KiB in a huge page of 2 MiB: what the prices are for.
pub const FRAMES: u32 = 512;

/// Prices, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// To release a whole huge page of 2 MiB.
    pub release_huge_ns: u64,
    /// To release a page of 4 KiB.
    pub release_page_ns: u64,
    /// One call that releases, whatever it releases.
    pub release_call_ns: u64,
    /// To commit a huge page again and to touch it first, zeroes included.
    pub take_huge_ns: u64,
    /// To commit a page of 4 KiB again and to touch it first.
    pub take_page_ns: u64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            release_huge_ns: 6_000,
            release_page_ns: 400,
            release_call_ns: 1_400,
            take_huge_ns: 350_000,
            take_page_ns: 1_800,
        }
    }
}

impl Prices {
    /// Returns what it costs to release `frames` pages of one huge page.
    #[must_use]
    pub fn release(&self, frames: u32) -> u64 {
        if frames >= FRAMES {
            return self.release_huge_ns;
        }
        let pages = self.release_page_ns.saturating_mul(u64::from(frames));
        pages.min(self.release_huge_ns)
    }

    /// Returns what it costs to take `frames` pages of one huge page back, for
    /// which `paid` was paid since any of it was released.
    #[must_use]
    pub fn take(&self, frames: u32, paid: u64) -> u64 {
        let pages = self.take_page_ns.saturating_mul(u64::from(frames));
        pages.min(self.take_huge_ns.saturating_sub(paid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_costs_no_more_than_the_whole() {
        let prices = Prices::default();
        assert_eq!(prices.release(1), 400);
        assert_eq!(prices.release(15), 6_000);
        assert_eq!(prices.release(16), 6_000);
        assert_eq!(prices.release(FRAMES), 6_000);
        assert_eq!(prices.take(10, 0), 18_000);
        assert_eq!(prices.take(FRAMES, 0), 350_000);
        assert_eq!(prices.take(FRAMES, 349_000), 1_000);
        assert_eq!(prices.take(1, 400_000), 0);
    }
}
