//! The backing of the long run: a few bits for each page, and no log.
//!
//! It knows whether there is memory behind a page, whether that may hold anything
//! but zeroes, and whose the page is. It panics on whatever a heap must never do:
//! release what is released or in use, cut a physical page, leave its regions, or
//! hand out what has an owner or no memory.
//!
//! Every access is Relaxed: it is the heap that must order two owners of a page,
//! and these must not do it for it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use spanheap::{Backing, PageRange, Refused};

use crate::random::mix;
use crate::setup::{REGIONS, WINDOW};

/// One call of a hook in so many is refused.
const REFUSED: u64 = 61;

/// And one in so many takes longer.
const YIELDS: u64 = 8;

/// A bit for each page of the window.
struct Bits(Vec<AtomicU64>);

impl Bits {
    fn new() -> Self {
        Self(
            (0..WINDOW.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        )
    }

    /// The words of a range, and which of their bits are in it.
    fn words(&self, range: PageRange) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let (start, end) = (range.start().number(), range.end().number());
        (start / 64..=(end - 1) / 64).map(move |word| {
            let low = u64::MAX << start.saturating_sub(word * 64);
            let above = ((word + 1) * 64).saturating_sub(end);
            (&self.0[word as usize], low & (u64::MAX >> above))
        })
    }

    fn set(&self, range: PageRange) {
        for (word, mask) in self.words(range) {
            word.fetch_or(mask, Relaxed);
        }
    }

    /// Clears the bits of a range, and returns whether all were set.
    fn clear(&self, range: PageRange) -> bool {
        let words = self.words(range);
        words.fold(true, |all, (word, mask)| {
            all & (word.fetch_and(!mask, Relaxed) & mask == mask)
        })
    }

    fn all(&self, range: PageRange) -> bool {
        let mut words = self.words(range);
        words.all(|(word, mask)| word.load(Relaxed) & mask == mask)
    }

    fn any(&self, range: PageRange) -> bool {
        let mut words = self.words(range);
        words.any(|(word, mask)| word.load(Relaxed) & mask != 0)
    }

    fn count(&self) -> u32 {
        let words = self.0.iter();
        words.map(|word| word.load(Relaxed).count_ones()).sum()
    }
}

/// What is behind the pages of one heap, and whose they are.
pub(crate) struct CheckedBacking {
    /// Pages of a physical page.
    physical: u32,
    /// Whether released memory comes back as zeroes, or scribbled over.
    zeroes: bool,
    resident: Bits,
    /// What may hold anything but zeroes.
    soiled: Bits,
    /// The stamp of what each page was handed out with; 0: it is nobody's.
    owners: Vec<AtomicU32>,
    calls: AtomicU64,
    refuses: AtomicBool,
}

impl CheckedBacking {
    /// All of it resident, and soiled.
    pub(crate) fn new(physical: u32, zeroes: bool) -> Self {
        let backing = Self {
            physical,
            zeroes,
            resident: Bits::new(),
            soiled: Bits::new(),
            owners: (0..WINDOW).map(|_| AtomicU32::new(0)).collect(),
            calls: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
        };
        for region in REGIONS {
            backing.resident.set(region);
            backing.soiled.set(region);
        }
        backing
    }

    /// Notes that pages were handed out, and that their owner wrote to them.
    pub(crate) fn claim(&self, range: PageRange, stamp: u32) {
        assert!(self.resident.all(range), "{range:?} is handed out unbacked");
        for page in range.pages() {
            let before = self.owners[page.number() as usize].swap(stamp, Relaxed);
            assert_eq!(before, 0, "{page:?} is handed out to {stamp:#x} too");
        }
        self.soiled.set(range);
    }

    /// Notes that pages are about to be freed: they are still their owner's.
    pub(crate) fn give_up(&self, range: PageRange, stamp: u32) {
        assert!(self.resident.all(range), "{range:?} lost its memory");
        for page in range.pages() {
            let before = self.owners[page.number() as usize].swap(0, Relaxed);
            assert_eq!(before, stamp, "{page:?} is another's");
        }
    }

    /// Fails if pages do not read as zero.
    pub(crate) fn assert_zero(&self, range: PageRange) {
        assert!(!self.soiled.any(range), "{range:?} is not zero");
    }

    /// How many pages have an owner.
    pub(crate) fn owned(&self) -> u32 {
        let owned = self.owners.iter().filter(|owner| owner.load(Relaxed) != 0);
        owned.count() as u32
    }

    /// How many pages have memory behind them.
    pub(crate) fn resident(&self) -> u32 {
        self.resident.count()
    }

    /// How many hooks were called.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Whether some calls are refused from now on.
    pub(crate) fn set_refuses(&self, refuses: bool) {
        self.refuses.store(refuses, Relaxed);
    }

    /// Counts a call, and returns a number by which it is refused, if it is. Some of
    /// them let others go on in the middle of a verb.
    fn next_call(&self) -> Option<u64> {
        let lot = mix(self.calls.fetch_add(1, Relaxed));
        if lot.is_multiple_of(YIELDS) {
            std::thread::yield_now();
        }
        (self.refuses.load(Relaxed) && lot.is_multiple_of(REFUSED)).then_some(lot / REFUSED)
    }

    /// Fails unless the heap was given all of these pages, in one region.
    fn assert_managed(range: PageRange) {
        let managed = REGIONS.iter().any(|region| region.covers(range));
        assert!(managed, "{range:?} is not the heap's");
    }
}

// SAFETY: nobody touches memory here: pages are bits.
unsafe impl Backing for &CheckedBacking {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        CheckedBacking::assert_managed(range);
        if self.next_call().is_some() {
            return Err(Refused { code: 12 });
        }
        // Outward: regions are whole physical pages.
        let start = range.start().number() / self.physical * self.physical;
        let end = range.end().number().next_multiple_of(self.physical);
        self.resident.set(crate::setup::range(start, end));
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        let refused = self.next_call();
        let done = refused.map_or(ranges.len(), |lot| lot as usize % ranges.len());
        for &range in &ranges[..done] {
            CheckedBacking::assert_managed(range);
            let whole = |page: spanheap::Page| page.number().is_multiple_of(self.physical);
            assert!(
                whole(range.start()) && whole(range.end()),
                "{range:?} cuts a physical page"
            );
            for page in range.pages() {
                let owner = self.owners[page.number() as usize].load(Relaxed);
                assert_eq!(owner, 0, "{page:?} is released while it is used");
            }
            if self.zeroes {
                self.soiled.clear(range);
            } else {
                self.soiled.set(range);
            }
            assert!(self.resident.clear(range), "{range:?} is released twice");
        }
        done
    }

    fn zero(&self, range: PageRange) {
        self.calls.fetch_add(1, Relaxed);
        assert!(self.resident.all(range), "{range:?} is zeroed unbacked");
        self.soiled.clear(range);
    }

    fn zeroes_released(&self) -> bool {
        self.zeroes
    }
}
