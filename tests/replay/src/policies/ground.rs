//! The heap of a simulation: a real one, on page numbers.
//!
//! It manages twice the pages that the load needs at its peak, none of which was
//! ever used, over a backing with prices. How many may be resident at once can be
//! limited.

use clap::ValueEnum;
use spanheap::{
    Backing, Budget, Cpu, Geometry, Page, PageCount, PageHeap, PageRange, Reclaim, Release,
    Residency, SharedHeap, Stats, Window,
};
use spanheap_hosted::Threads;

use super::account::{FRAME_BYTES, HUGE_BYTES};
use super::load::Load;
use super::play::{Outcome, Subject, cpus, play};
use super::policy::Kind;
use super::priced::Priced;
use super::prices::Prices;
use crate::adaptor::{ByHandle, OverHeap};
use crate::books::{self, Books};
use crate::error::Error;

/// Which heap the policies drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Driven {
    /// `PageHeap`, for one owner.
    Page,
    /// `SharedHeap`, for many CPUs.
    #[default]
    Shared,
}

impl<B: Backing, C: Cpu> Subject for &SharedHeap<'_, B, C> {
    fn count(&self) -> Stats {
        SharedHeap::stats(self)
    }
}

impl<B: Backing> Subject for ByHandle<PageHeap<'_, B>> {
    fn count(&self) -> Stats {
        self.heap().stats()
    }
}

impl<B: Backing> Reclaim for ByHandle<PageHeap<'_, B>> {
    fn treap_stats(&self) -> Stats {
        self.heap().stats()
    }

    fn tick(&mut self, now: u32, until: u32) {
        self.heap_mut().tick(now, until);
    }

    fn catch_up(&mut self, ms: u32) {
        self.heap_mut().catch_up(ms);
    }

    fn release(&mut self, budget: Budget) -> Release {
        self.heap_mut().release(budget)
    }

    fn set_limit(&mut self, bytes: u64) {
        self.heap_mut().set_limit(bytes);
    }
}

/// The size of a simulated heap.
#[derive(Debug)]
pub struct Ground {
    geometry: Geometry,
    window: Window,
    range: PageRange,
    slots: u32,
    cpus: usize,
    limit: Option<u64>,
}

impl Ground {
    /// Makes room for a load.
    ///
    /// # Errors
    ///
    /// If its pages are smaller than 4 KiB, or too many.
    pub fn new(load: &Load) -> Result<Self, Error> {
        let trace = &load.trace;
        let page_bytes = trace.page_bytes();
        if page_bytes < FRAME_BYTES {
            return Err(Error::SmallPages { bytes: page_bytes });
        }
        let peak = trace.header.peak_live_pages.max(1);
        let too_large = Error::Window { pages: peak };
        let unit = (HUGE_BYTES / page_bytes).max(1);
        let pages = peak.checked_mul(2);
        let pages = pages.and_then(|pages| pages.checked_next_multiple_of(unit));
        let pages = pages.and_then(|pages| u32::try_from(pages).ok());
        let ground = pages.filter(|&pages| pages < u32::MAX).and_then(|pages| {
            let geometry = books::geometry(page_bytes, FRAME_BYTES)?;
            let slots = trace.peak_pieces.saturating_mul(2);
            Some(Self {
                geometry,
                window: books::window(geometry, PageCount::new(pages))?,
                range: PageRange::new(Page::new(0), PageCount::new(pages))?,
                slots: slots.saturating_add(pages / 64 + 64).min(pages),
                cpus: cpus(trace),
                limit: None,
            })
        });
        ground.ok_or(too_large)
    }

    /// Allows no more than so many bytes to be resident; `None`, as at first: any.
    #[must_use]
    pub const fn limited(self, bytes: Option<u64>) -> Self {
        Self {
            limit: bytes,
            ..self
        }
    }

    /// Returns how many CPUs the heap knows.
    #[must_use]
    pub const fn cpus(&self) -> usize {
        self.cpus
    }

    /// Plays a load, which it was made for, under a policy.
    ///
    /// # Errors
    ///
    /// If the heap cannot be set up.
    pub fn play(
        &self,
        load: &Load,
        driven: Driven,
        prices: Prices,
        kind: Kind,
    ) -> Result<Outcome, Error> {
        let priced = Priced::new(prices, self.geometry, self.range.count());
        let mut policy = kind.policy(prices);
        let too_large = || Error::Window {
            pages: u64::from(self.range.count().get()),
        };
        let mut books = Books::new(&self.window, self.slots, 1).ok_or_else(too_large)?;
        Ok(match driven {
            Driven::Page => {
                let heap = PageHeap::new(self.window, books.lend_new(), &priced);
                let mut heap = heap.map_err(Error::Metadata)?;
                // SAFETY: numbers of no memory; nobody touches anything.
                unsafe { heap.add_region(self.range, Residency::Released) }
                    .map_err(Error::Region)?;
                play(load, ByHandle::new(heap), &priced, &mut *policy, self.limit)
            }
            Driven::Shared => {
                let books = books.shared(&self.window, self.cpus);
                let mut books = books.ok_or_else(too_large)?;
                let heap = SharedHeap::new(self.window, books.lend_shared(), &priced, Threads);
                let heap = heap.map_err(Error::Metadata)?;
                // SAFETY: numbers of no memory; nobody touches anything.
                unsafe { heap.add_region(self.range, Residency::Released) }
                    .map_err(Error::Region)?;
                play(load, &heap, &priced, &mut *policy, self.limit)
            }
        })
    }
}
