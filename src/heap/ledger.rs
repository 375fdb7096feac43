//! The books: whose every page is, and the few steps by which that changes.
//!
//! A [`Ledger`] is a page heap without a backing. Its verbs (in the files
//! beside this one) are made of a few steps on spans:
//!
//! ```text
//!            carve            mark_in_use
//!   free ────────────► loose ────────────► in use
//!        ◄────────────  │  ▲ ◄────────────
//!            settle     │  │      retire
//!                detach │  │ loosen
//!                       ▼  │
//!                      detached
//! ```
//!
//! *Loose* lasts within a step: in the list, in no tree and not counted. What a
//! backing works on with the books unlocked is *detached*: idle, counted so,
//! and in no tree, so that nothing merges with it.
//!
//! Invariants, whenever no verb is running:
//!
//! * the list holds every span in address order, the treap exactly the free
//!   ones, and the map names the first to start in each grain;
//! * no two free neighbours of a region have the same residency; where they
//!   differ, the lower one is marked `SEAM`, and the border lies on a physical
//!   page;
//! * a free, released span holds a whole physical page; where one of its ends lies
//!   inside a physical page, that page is backed, for what is beside it;
//! * the tally is the sum over all free and detached spans.

use crate::backing::Corruption;
use crate::page::{PageCount, PageRange, Window};
use crate::span::{Ages, Kinds, Marks, Metadata, MetadataError, PageMap, Pool, SlotId, Span};
use crate::treap::Treap;
use core::sync::atomic::{AtomicU32, Ordering};

/// What is counted of idle spans, in pages and in huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) released: u32,
    pub(super) huge_resident: u32,
    pub(super) huge_released: u32,
}

/// How often each hook was called.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    pub(super) used: u64,
    /// Pages that `used` calls committed.
    pub(super) used_pages: u64,
    pub(super) unused: u64,
    pub(super) zero: u64,
}

/// A page heap's books.
#[derive(Debug)]
pub(crate) struct Ledger<'m> {
    pub(super) window: Window,
    pub(super) pool: Pool<'m>,
    pub(super) map: PageMap<'m>,
    pub(super) treap: Treap,
    pub(super) ages: Ages<'m>,
    pub(super) sys: u32,
    pub(super) in_use: u32,
    pub(super) tally: Tally,
    pub(super) calls: Calls,
    /// Pages that a backing is committing.
    pub(super) committing: u32,
    /// The most pages that may be resident.
    pub(super) limit: u32,
    /// Which heap this is; 0 before it is set up.
    pub(super) heap: u32,
    /// Whether released memory comes back zeroed.
    pub(super) zeroes_released: bool,
    /// Whether others work on the books while a hook runs.
    pub(super) shared: bool,
}

/// The number of the heap made last. Alone: it orders nothing else.
static HEAPS: AtomicU32 = AtomicU32::new(0);

impl<'m> Ledger<'m> {
    /// The books of nothing: every request is refused.
    pub(crate) const fn empty(corrupted: fn(Corruption) -> !) -> Self {
        Self {
            window: Window::EMPTY,
            pool: Pool::new(&mut [], corrupted),
            map: PageMap::empty(&mut []),
            treap: Treap::new(0),
            ages: Ages::none(),
            sys: 0,
            in_use: 0,
            tally: Tally {
                released: 0,
                huge_resident: 0,
                huge_released: 0,
            },
            calls: Calls {
                used: 0,
                used_pages: 0,
                unused: 0,
                zero: 0,
            },
            committing: 0,
            limit: u32::MAX,
            heap: 0,
            zeroes_released: false,
            shared: false,
        }
    }

    /// Makes the books of a heap without regions.
    pub(crate) fn new(
        window: Window,
        metadata: Metadata<'m>,
        zeroes_released: bool,
        corrupted: fn(Corruption) -> !,
    ) -> Result<Self, MetadataError> {
        let slots = metadata.slots;
        if slots.is_empty() {
            return Err(MetadataError::NoSlots);
        }
        if slots.len() >= u32::MAX as usize {
            return Err(MetadataError::TooManySlots);
        }
        let Some(map) = PageMap::new(metadata.map, window.pages().get()) else {
            return Err(MetadataError::MapTooSmall);
        };
        // Ordering alone: only that each number is given once matters.
        let heap = HEAPS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Ok(Self {
            window,
            pool: Pool::new(slots, corrupted),
            map,
            ages: Ages::new(metadata.ages, window.geometry()),
            heap,
            zeroes_released,
            ..Self::empty(corrupted)
        })
    }

    /// Makes these, the books of nothing, those of a heap that others work on while a
    /// hook runs. The seed and the limit stay as they were set.
    pub(crate) fn init(
        &mut self,
        window: Window,
        metadata: Metadata<'m>,
        zeroes_released: bool,
        corrupted: fn(Corruption) -> !,
    ) -> Result<(), MetadataError> {
        if self.is_set_up() {
            return Err(MetadataError::AlreadySetUp);
        }
        let new = Self::new(window, metadata, zeroes_released, corrupted)?;
        let limit = self.limit_bytes();
        let empty = core::mem::replace(self, new);
        self.treap = empty.treap;
        self.shared = true;
        self.set_limit(limit);
        Ok(())
    }

    /// Returns whether these are a heap's books, not those of nothing.
    pub(crate) const fn is_set_up(&self) -> bool {
        self.heap != 0
    }

    /// Starts the treap's priorities anew.
    pub(crate) const fn seed(&mut self, seed: u64) {
        self.treap.seed(seed);
    }

    /// Sets the clock by which huge pages age.
    pub(crate) const fn tick(&mut self, now: u32, until: u32) {
        self.ages.tick(now, until);
    }

    /// Sets the most bytes that may be resident.
    pub(crate) fn set_limit(&mut self, bytes: u64) {
        let pages = bytes >> self.window.geometry().page_bytes().trailing_zeros();
        self.limit = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    const fn limit_bytes(&self) -> u64 {
        match self.limit {
            u32::MAX => u64::MAX,
            pages => pages as u64 * self.window.geometry().page_bytes(),
        }
    }

    /// Returns the window.
    pub(crate) const fn window(&self) -> &Window {
        &self.window
    }

    /// Returns how many pages are backed, or will be.
    pub(super) const fn resident(&self) -> u32 {
        (self.sys - self.tally.released).saturating_add(self.committing)
    }

    /// Returns whether more is resident than may be: the limit was lowered.
    pub(crate) const fn is_beyond_limit(&self) -> bool {
        self.resident() > self.limit
    }

    /// Returns how many pages are idle and backed.
    pub(super) const fn idle_resident(&self) -> u32 {
        self.idle() - self.tally.released
    }

    /// Returns how many pages are idle.
    #[inline]
    pub(super) const fn idle(&self) -> u32 {
        self.sys - self.in_use
    }

    /// Returns the kind of a free span, seams aside.
    #[inline]
    pub(super) fn kinds(&self, start: u32, end: u32, released: bool) -> Kinds {
        let geometry = self.window.geometry();
        match (released, geometry.huge_inside(start, end).is_some()) {
            (true, true) => Kinds::RELEASED_HUGE,
            (true, false) => Kinds::RELEASED,
            (false, true) => Kinds::RESIDENT_HUGE,
            (false, false) => {
                let (from, to) = geometry.physical_inside(start, end);
                if from < to {
                    Kinds::RESIDENT
                } else {
                    Kinds::DUST
                }
            }
        }
    }

    /// Counts an idle span in.
    #[inline]
    pub(super) fn count_in(&mut self, start: u32, end: u32, released: bool) {
        let geometry = self.window.geometry();
        if released {
            let (from, to) = geometry.physical_inside(start, end);
            self.tally.released += to - from;
            self.tally.huge_released += geometry.huge_count(start, end);
        } else {
            self.tally.huge_resident += geometry.huge_count(start, end);
        }
    }

    /// Counts an idle span out.
    #[inline]
    pub(super) fn count_out(&mut self, start: u32, end: u32, released: bool) {
        let geometry = self.window.geometry();
        if released {
            let (from, to) = geometry.physical_inside(start, end);
            self.tally.released -= to - from;
            self.tally.huge_released -= geometry.huge_count(start, end);
        } else {
            self.tally.huge_resident -= geometry.huge_count(start, end);
        }
    }

    /// Changes the range of a free span where it is; its seam stays.
    pub(super) fn reshape(&mut self, id: SlotId, start: u32, end: u32) {
        let slot = self.pool.at(id);
        let (old_start, old_end, released) = (slot.start, slot.end(), slot.is_released());
        let moves = start != old_start;
        if moves {
            self.map.end(&self.pool, id);
        }
        // Nearly always a short, resident span that was and stays one: nothing
        // about it is counted.
        let longest = (end - start).max(old_end - old_start);
        let kinds = if released || self.window.geometry().may_count(longest) {
            self.count_out(old_start, old_end, released);
            self.count_in(start, end, released);
            self.kinds(start, end, released)
        } else {
            Kinds::RESIDENT
        };
        self.treap.mutate(&mut self.pool, id, |slot| {
            slot.start = start;
            slot.len = end - start;
            slot.kinds = kinds.union(slot.kinds.intersection(Kinds::SEAM));
        });
        if moves {
            self.map.begin(&self.pool, id);
        }
    }

    /// Sets or clears the mark that a free span's next is free, adjacent and of
    /// the other residency.
    pub(super) fn set_seam(&mut self, id: SlotId, seam: bool) {
        if self.pool.at(id).kinds.contains(Kinds::SEAM) != seam {
            self.treap.mutate(&mut self.pool, id, |slot| {
                slot.kinds.set(Kinds::SEAM, seam);
            });
        }
    }

    /// Makes a loose, resident span one in use, and returns its handle.
    pub(super) fn hand_out(&mut self, id: SlotId) -> Span {
        self.mark_in_use(id);
        self.handle(id)
    }

    /// Makes a loose, resident span one in use.
    #[inline]
    pub(super) fn mark_in_use(&mut self, id: SlotId) {
        let slot = self.pool.at_mut(id);
        slot.marks = slot
            .marks
            .intersection(Marks::REGION_START)
            .union(Marks::IN_USE.union(Marks::NEEDS_ZERO));
        self.in_use += slot.len;
    }

    /// Returns the handle to a span in use.
    #[inline]
    pub(super) fn handle(&self, id: SlotId) -> Span {
        let slot = self.pool.at(id);
        match PageRange::new(crate::page::Page::new(slot.start), PageCount::new(slot.len)) {
            Some(range) => Span {
                range,
                slot: id,
                generation: slot.generation,
                heap: self.heap,
            },
            None => self.pool.corrupted(id),
        }
    }

    /// Makes a span in use a loose one. Handles to it are stale from now on.
    #[inline]
    pub(super) fn retire(&mut self, id: SlotId) {
        let slot = self.pool.at_mut(id);
        slot.generation = slot.generation.wrapping_add(1);
        slot.marks.remove(Marks::IN_USE);
        self.in_use -= slot.len;
    }

    /// Makes a loose span a detached one.
    pub(super) fn detach(&mut self, id: SlotId) {
        let slot = self.pool.at_mut(id);
        slot.marks.insert(Marks::DETACHED);
        let (start, end, released) = (slot.start, slot.end(), slot.is_released());
        self.count_in(start, end, released);
    }

    /// Makes a detached span a loose one.
    pub(super) fn loosen(&mut self, id: SlotId) {
        let slot = self.pool.at_mut(id);
        slot.marks.remove(Marks::DETACHED);
        let (start, end, released) = (slot.start, slot.end(), slot.is_released());
        self.count_out(start, end, released);
    }

    /// Changes the range of a loose span.
    pub(super) fn resize(&mut self, id: SlotId, start: u32, end: u32) {
        let moves = self.pool.at(id).start != start;
        if moves {
            self.map.end(&self.pool, id);
        }
        let slot = self.pool.at_mut(id);
        slot.start = start;
        slot.len = end - start;
        if moves {
            self.map.begin(&self.pool, id);
        }
    }
}
