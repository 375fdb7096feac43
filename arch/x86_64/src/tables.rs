//! How page tables are reached: through the mappers of the `x86_64` crate.
//!
//! A `Mapper` maps and unmaps a page, and that is not enough here. To take 4 KiB
//! out of a mapping of 2 MiB with it, the whole mapping must first go, and for
//! a moment the neighbours, which others use, are not mapped. So a new table is
//! filled before it is put in place, by one store; and for that the entry must
//! be reached, not the page. [`Tables`] is what a mapper must tell for it: where
//! its highest table lies, and where a table's frame can be read and written.
//!
//! `RecursivePageTable` cannot be one: it sees a table only once it is in place.
//!
//! Entries are read and written as atomics, since the processor does the same.
//!
//! Invariant: a [`Table`] is made of nothing but what a [`Tables`] names, of
//! its root or of an entry that points to a table.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::structures::paging::mapper::{MappedPageTable, PageTableFrameMapping};
use x86_64::structures::paging::{OffsetPageTable, PageTable, PhysFrame};

use crate::entry::{ENTRIES, Entry};

/// A tree of page tables, of four levels.
///
/// # Safety
///
/// Every pointer returned can be read and written, for a whole table, as long
/// as `self` lives: [`root`](Self::root) is the highest table of the tree, and
/// [`table`](Self::table) the memory of the frame it is given, if that is a
/// table of this tree, or one that is to become one.
pub unsafe trait Tables {
    /// Returns the highest table.
    fn root(&mut self) -> NonNull<PageTable>;

    /// Returns where the table in `frame` can be read and written; `None` if
    /// it cannot be reached.
    fn table(&self, frame: PhysFrame) -> Option<NonNull<PageTable>>;
}

// SAFETY: whoever made the mapper promised that its highest table is that of
// the tree, and that all of physical memory lies at its offset.
unsafe impl Tables for OffsetPageTable<'_> {
    fn root(&mut self) -> NonNull<PageTable> {
        NonNull::from(self.level_4_table_mut())
    }

    fn table(&self, frame: PhysFrame) -> Option<NonNull<PageTable>> {
        let offset = self.phys_offset().as_u64();
        let address = offset.checked_add(frame.start_address().as_u64())?;
        NonNull::new(ptr::with_exposed_provenance_mut(address as usize))
    }
}

// SAFETY: whoever made the mapper promised that its highest table is that of
// the tree, and `PageTableFrameMapping` promises the pointer for every frame.
unsafe impl<P: PageTableFrameMapping> Tables for MappedPageTable<'_, P> {
    fn root(&mut self) -> NonNull<PageTable> {
        NonNull::from(self.level_4_table_mut())
    }

    fn table(&self, frame: PhysFrame) -> Option<NonNull<PageTable>> {
        NonNull::new(self.page_table_frame_mapping().frame_to_pointer(frame))
    }
}

/// A table that can be read and written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table(NonNull<PageTable>);

impl Table {
    /// Returns the highest table.
    pub(crate) fn root(tables: &mut impl Tables) -> Self {
        Self(tables.root())
    }

    /// Returns the table in `frame`, which is one of the tree or to become one.
    pub(crate) fn of(tables: &impl Tables, frame: PhysFrame) -> Option<Self> {
        Some(Self(tables.table(frame)?))
    }

    /// Returns an entry.
    pub(crate) fn get(self, index: usize) -> Entry {
        // Acquire: for the store below, on whatever CPU it was made.
        Entry(self.cell(index).load(Ordering::Acquire))
    }

    /// Writes an entry, by one store.
    pub(crate) fn set(self, index: usize, entry: Entry) {
        // Release: a table is filled before the entry that points to it is
        // seen, by the load above or by the processor's walk.
        self.cell(index).store(entry.0, Ordering::Release);
    }

    /// Returns all entries.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        (0..ENTRIES).map(move |index| self.get(index))
    }

    fn cell(&self, index: usize) -> &AtomicU64 {
        let first = self.0.cast::<AtomicU64>();
        // SAFETY: a table has this many entries, and `Tables` promised a whole
        // table; the index is reduced to one of them.
        let cell = unsafe { first.add(index % ENTRIES) };
        // SAFETY: `Tables` promised that it can be read and written; a table's
        // entries are aligned, and nobody writes them but by atomic stores or,
        // as the processor does, in a way that is as good as one.
        unsafe { cell.as_ref() }
    }
}
