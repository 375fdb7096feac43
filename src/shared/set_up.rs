//! How a shared heap comes to its books, and to its memory.
//!
//! All of it is done under the lock, or before anybody else knows of the heap.

use super::cpu::Cpu;
use super::front::Front;
use super::heap::{SharedHeap, Tier};
use super::metadata::SharedMetadata;
use crate::backing::{Backing, Residency};
use crate::heap::{Ledger, RegionError, verbs};
use crate::page::{PageCount, PageRange, Window};
use crate::region::MemoryMap;
use crate::span::MetadataError;

impl<'m, B: Backing, C: Cpu> SharedHeap<'m, B, C> {
    /// Makes a heap for a `static`: it refuses every request until
    /// [`init`](Self::init) gives it a window and memory for its books.
    #[must_use]
    pub const fn empty(backing: B, cpu: C) -> Self {
        Self {
            books: spin::Mutex::new(Ledger::empty(B::corrupted)),
            tier: spin::Once::new(),
            backing,
            cpu,
        }
    }

    /// Makes a heap without regions, which can manage pages of `window`.
    ///
    /// # Errors
    ///
    /// As for [`init`](Self::init).
    pub fn new(
        window: Window,
        metadata: SharedMetadata<'m>,
        backing: B,
        cpu: C,
    ) -> Result<Self, MetadataError> {
        let heap = Self::empty(backing, cpu);
        heap.init(window, metadata)?;
        Ok(heap)
    }

    /// Gives a heap made by [`empty`](Self::empty) its window and the memory
    /// for its books. Takes the same time for any window.
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::new`](crate::PageHeap::new); if there are less words
    /// than [`front_words`](crate::front_words) says, or no CPU; or if the heap
    /// was set up before.
    pub fn init(&self, window: Window, metadata: SharedMetadata<'m>) -> Result<(), MetadataError> {
        let zeroes = self.backing.zeroes_released();
        let SharedMetadata { heap, front, cpus } = metadata;
        let front = Front::new(front, window.pages().get(), cpus);
        let front = front.ok_or(MetadataError::TooSmall)?;
        self.locked(|ledger| ledger.init(window, heap, zeroes, B::corrupted))?;
        self.tier.call_once(|| Tier { front, window });
        Ok(())
    }

    /// Seeds the treap's priorities; see [`PageHeap::seed`](crate::PageHeap::seed).
    pub fn seed(&self, seed: u64) {
        self.locked(|ledger| ledger.seed(seed));
    }

    /// Sets the most bytes that may be resident; see
    /// [`PageHeap::set_limit`](crate::PageHeap::set_limit). A chunk counts as
    /// resident, whatever was released inside of it.
    ///
    /// A request that finds nothing at hand tries several ways, each of which may make
    /// room: with no other call in progress it makes at most six calls of the backing
    /// for that.
    pub fn set_limit(&self, bytes: u64) {
        self.locked(|ledger| ledger.set_limit(bytes));
    }

    /// Sets the clock by which huge pages age; see
    /// [`PageHeap::tick`](crate::PageHeap::tick).
    pub fn tick(&self, now: u32, until: u32) {
        self.locked(|ledger| ledger.tick(now, until));
    }

    /// Sets the same clock to a time later than expected; see
    /// [`PageHeap::catch_up`](crate::PageHeap::catch_up). The lock is free now and then.
    pub fn catch_up(&self, ms: u32) {
        verbs::catch_up(self, ms);
    }

    /// Adds a region; see [`PageHeap::add_region`](crate::PageHeap::add_region).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::add_region`](crate::PageHeap::add_region).
    ///
    /// # Safety
    ///
    /// As for [`PageHeap::add_region`](crate::PageHeap::add_region).
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_region(
        &self,
        range: PageRange,
        residency: Residency,
    ) -> Result<(), RegionError> {
        self.locked(|ledger| ledger.add_region(range, residency))
    }

    /// Adds a boot memory map; see [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    ///
    /// # Safety
    ///
    /// As for [`PageHeap::add_memory`](crate::PageHeap::add_memory).
    #[expect(
        unsafe_code,
        reason = "whoever is handed these pages relies on the caller's word"
    )]
    pub unsafe fn add_memory(
        &self,
        map: &MemoryMap<'_>,
        residency: Residency,
    ) -> Result<PageCount, RegionError> {
        self.locked(|ledger| ledger.add_memory(map, residency))
    }
}
