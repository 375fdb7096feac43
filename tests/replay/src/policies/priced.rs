//! A backing with prices, and no memory.
//!
//! It is what the heap of a simulation stands on: page numbers, and an account
//! of which of them would have memory behind them, what that would have cost,
//! and whether the heap kept its word.

use std::cell::RefCell;

use spanheap::{Backing, Geometry, PageCount, PageRange, Refused};

use super::account::{Account, Charges, FRAME_BYTES};
use super::prices::Prices;

/// A backing that charges for what it is asked to do.
#[derive(Debug)]
pub struct Priced {
    /// Frames in a page.
    frames: u64,
    account: RefCell<Account>,
}

impl Priced {
    /// Prices for a window of `pages` pages, of 4 KiB or a multiple of that.
    #[must_use]
    pub fn new(prices: Prices, geometry: Geometry, pages: PageCount) -> Self {
        let frames = (geometry.page_bytes() / FRAME_BYTES).max(1);
        let account = Account::new(prices, u64::from(pages.get()) * frames);
        Self {
            frames,
            account: RefCell::new(account),
        }
    }

    /// Notes that pages were handed out.
    pub fn hand_out(&self, range: PageRange) {
        let (from, to) = self.frames_of(range);
        self.account.borrow_mut().hand_out(from, to);
    }

    /// Notes that pages are about to be freed.
    pub fn take_in(&self, range: PageRange) {
        let (from, to) = self.frames_of(range);
        self.account.borrow_mut().take_in(from, to);
    }

    /// Returns what was charged so far.
    #[must_use]
    pub fn charges(&self) -> Charges {
        self.account.borrow().charges
    }

    /// Returns the bytes that have memory behind them.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.account.borrow().resident_frames * FRAME_BYTES
    }

    /// Returns the most bytes that ever had memory behind them at once.
    #[must_use]
    pub fn most_resident_bytes(&self) -> u64 {
        self.account.borrow().most_frames * FRAME_BYTES
    }

    /// Returns the bytes that live.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.account.borrow().live_frames * FRAME_BYTES
    }

    /// Returns how often a huge page came to be free as a whole.
    #[must_use]
    pub fn emptied(&self) -> u64 {
        self.account.borrow().emptied
    }

    /// Returns how many huge pages are resident as a whole with nothing of them
    /// that lives; those that a CPU holds on to included.
    #[must_use]
    pub fn idle_huge(&self) -> u64 {
        self.account.borrow().idle_huge
    }

    /// Returns how many pages of 4 KiB were released while they lived, released
    /// twice, or handed out twice or without memory.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.account.borrow().wrong
    }

    fn frames_of(&self, range: PageRange) -> (u64, u64) {
        let frame = |page: u32| u64::from(page) * self.frames;
        (frame(range.start().number()), frame(range.end().number()))
    }
}

// SAFETY: no page of a heap over it is ever touched: a simulation keeps numbers
// only. So every promise about the contents of pages is empty.
unsafe impl Backing for &Priced {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        let (from, to) = self.frames_of(range);
        self.account.borrow_mut().commit(from, to);
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let mut account = self.account.borrow_mut();
        account.call();
        for &range in ranges {
            let (from, to) = self.frames_of(range);
            account.release(from, to);
        }
        ranges.len()
    }

    fn zero(&self, _: PageRange) {}

    fn zeroes_released(&self) -> bool {
        true
    }
}
