//! A balloon as a backing, and an account of its own of what is released.
//!
//! One bit for each physical page, kept by what the heap asks for and the balloon
//! answers. So the counters of both can be compared with a third, and whatever is
//! released twice is found at once.
//!
//! Invariant: a bit is set while its page is released.

use core::sync::atomic::{AtomicU64, Ordering};

use spanheap::{Backing, Growth, PageCount, PageRange, Refused, Window};
use spanheap_guest::balloon::Device;

/// Enough for 1 GiB in pages of 4 KiB.
const WORDS: usize = (1 << 30 >> 12) / 64;

static RELEASED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// A balloon that is watched.
pub(crate) struct Watched {
    pub(crate) balloon: Device,
    window: Window,
    /// Relaxed throughout, as the counters are: whoever has a page changes its bit,
    /// and the heap orders those who have it.
    released: &'static [AtomicU64],
    gone: AtomicU64,
    back: AtomicU64,
}

impl Watched {
    /// To be called once.
    pub(crate) fn new(window: Window, balloon: Device) -> Self {
        assert!(window.pages().get() as usize <= WORDS * 64, "too much");
        Self {
            balloon,
            window,
            released: &RELEASED,
            gone: AtomicU64::new(0),
            back: AtomicU64::new(0),
        }
    }

    /// Returns how many pages ever were released.
    pub(crate) fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// Returns how many of them were committed again.
    pub(crate) fn back(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }

    /// Counts the pages that are released.
    pub(crate) fn released(&self) -> u64 {
        let ones = |word: &AtomicU64| u64::from(word.load(Ordering::Relaxed).count_ones());
        self.released.iter().map(ones).sum::<u64>() * u64::from(self.unit())
    }

    fn unit(&self) -> u32 {
        self.window.geometry().physical_pages().get()
    }

    /// Returns the word and the bit of each physical page that a range touches.
    fn bits(&self, range: PageRange) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let unit = self.unit();
        let first = range.start().number() / unit;
        (first..range.end().number().div_ceil(unit))
            .map(|bit| (&self.released[bit as usize / 64], 1 << (bit % 64)))
    }
}

// SAFETY: the balloon's own, which is asked for all of it.
unsafe impl Backing for Watched {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        self.balloon.sys_used(range)?;
        let was = |(word, bit): (&AtomicU64, u64)| word.fetch_and(!bit, Ordering::Relaxed) & bit;
        let back = self.bits(range).filter(|it| was(*it) != 0).count() as u64;
        let pages = back * u64::from(self.unit());
        self.back.fetch_add(pages, Ordering::Relaxed);
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let done = self.balloon.sys_unused(ranges);
        for &range in &ranges[..done] {
            for (word, bit) in self.bits(range) {
                let before = word.fetch_or(bit, Ordering::Relaxed);
                assert_eq!(before & bit, 0, "some of {range:?} is released twice");
            }
            let pages = u64::from(range.count().get());
            self.gone.fetch_add(pages, Ordering::Relaxed);
        }
        done
    }

    fn zero(&self, range: PageRange) {
        self.balloon.zero(range);
    }

    fn zeroes_released(&self) -> bool {
        self.balloon.zeroes_released()
    }

    fn grow(&self, pages: PageCount) -> Option<Growth> {
        self.balloon.grow(pages)
    }
}
