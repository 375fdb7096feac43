//! The memory a heap keeps its books in: given by the caller, known in advance.
//!
//! Three slices: slots for span records, entries of the page map, and, for whom
//! it matters how long huge pages lie idle, a record for each of them. They come
//! from a `static` ([`StaticMetadata`]), or from anything the caller can see as
//! slices; [`metadata_size`] says how much. Zeroed memory is valid for all.

use core::fmt;

use crate::page::Window;
use crate::span::age::{self, HugeAge};
use crate::span::slot::{Link, Slot};

/// The coarsest grain of the page map, in pages.
pub(crate) const MAX_GRAIN: u32 = 64;

/// An entry of the page map. All zeroes: empty.
///
/// Opaque outside of the crate; public so that a caller can hand memory over.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct MapEntry(pub(crate) Link);

impl MapEntry {
    /// An entry that names no span.
    pub const EMPTY: Self = Self(None);
}

const _: () = assert!(size_of::<MapEntry>() == 4);

/// Why memory cannot hold a heap's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// There is no slot.
    NoSlots,
    /// There are more slots than can be numbered.
    TooManySlots,
    /// The page map has less than one entry for 64 pages of the window.
    MapTooSmall,
    /// Raw memory is smaller than [`metadata_size`] says.
    TooSmall,
    /// Raw memory is not aligned as [`metadata_size`] says.
    Misaligned,
    /// The heap was set up before.
    AlreadySetUp,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlots => "the span pool has no slots",
            Self::TooManySlots => "the span pool has more slots than can be numbered",
            Self::MapTooSmall => "the page map has less than one entry for 64 pages",
            Self::TooSmall => "the memory is smaller than the metadata",
            Self::Misaligned => "the memory is not aligned for the metadata",
            Self::AlreadySetUp => "the heap was set up before",
        })
    }
}

impl core::error::Error for MetadataError {}

/// How much memory a heap's books take; see [`metadata_size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataSize {
    /// Slots of the span pool.
    pub slots: usize,
    /// Entries of the page map.
    pub map_entries: usize,
    /// Records of huge pages.
    pub ages: usize,
    /// Bytes of all together: the slots first, the records last.
    pub bytes: usize,
    /// The alignment of the whole, in bytes.
    pub align: usize,
}

/// Returns how much memory a heap over `window` needs for `slots` spans, with
/// a page map of one entry for `grain` pages (a power of two from 1 to 64;
/// others are rounded up to one).
///
/// A span in use takes one slot, and so does a free one: one slot for a page
/// makes [`AllocError::NoSlot`](crate::AllocError::NoSlot) impossible, one for
/// 64 pages does for most loads. The finer the grain, the faster is a free by
/// address; frees by handle do not read the map. `None` if the sizes overflow.
#[must_use]
pub const fn metadata_size(window: &Window, slots: u32, grain: u32) -> Option<MetadataSize> {
    let grain = if grain == 0 {
        1
    } else if grain > MAX_GRAIN {
        MAX_GRAIN
    } else {
        grain.next_power_of_two()
    };
    let entries = window.pages().get().div_ceil(grain) as usize;
    let slots = slots as usize;
    let Some(slot_bytes) = slots.checked_mul(size_of::<Slot>()) else {
        return None;
    };
    let Some(map_bytes) = entries.checked_mul(size_of::<MapEntry>()) else {
        return None;
    };
    let ages = age::entries(window);
    let Some(age_bytes) = ages.checked_mul(size_of::<HugeAge>()) else {
        return None;
    };
    let Some(bytes) = slot_bytes.checked_add(map_bytes) else {
        return None;
    };
    let Some(bytes) = bytes.checked_add(age_bytes) else {
        return None;
    };
    Some(MetadataSize {
        slots,
        map_entries: entries,
        ages,
        bytes,
        align: align_of::<Slot>(),
    })
}

/// The memory of one heap's books, borrowed.
pub struct Metadata<'m> {
    pub(crate) slots: &'m mut [Slot],
    pub(crate) map: &'m mut [MapEntry],
    pub(crate) ages: &'m mut [HugeAge],
}

impl fmt::Debug for Metadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("slots", &self.slots.len())
            .field("map_entries", &self.map.len())
            .field("ages", &self.ages.len())
            .finish()
    }
}

impl<'m> Metadata<'m> {
    /// Takes two slices, all [`Slot::VACANT`] and [`MapEntry::EMPTY`], which
    /// zero bytes are. A slot's old content does no harm; a map entry that
    /// names a slot of an earlier heap would.
    ///
    /// The map's length decides its grain: the finest power of two for which
    /// it covers the window.
    #[must_use]
    pub const fn new(slots: &'m mut [Slot], map: &'m mut [MapEntry]) -> Self {
        Self {
            slots,
            map,
            ages: &mut [],
        }
    }

    /// And memory for a record of each huge page of the window, from the first on,
    /// all [`HugeAge::UNKNOWN`], which zero bytes are. Without one, a huge page is
    /// never too young to be released.
    #[must_use]
    pub const fn with_ages(self, ages: &'m mut [HugeAge]) -> Self {
        Self { ages, ..self }
    }
}

/// The memory of one heap's books, in a `static`.
///
/// ```
/// use spanheap::StaticMetadata;
///
/// // 1,024 spans; a map for 65,536 pages in grains of 16; their 128 huge pages.
/// static METADATA: StaticMetadata<1024, 4096, 128> = StaticMetadata::new();
///
/// assert!(METADATA.take().is_some());
/// assert!(METADATA.take().is_none(), "a heap's books are its own");
/// ```
#[derive(Debug)]
pub struct StaticMetadata<const SLOTS: usize, const MAP: usize, const AGES: usize = 0> {
    memory: spin::Mutex<([Slot; SLOTS], [MapEntry; MAP], [HugeAge; AGES])>,
}

impl<const SLOTS: usize, const MAP: usize, const AGES: usize> StaticMetadata<SLOTS, MAP, AGES> {
    /// Makes the memory; all zeroes, so that a `static` takes no space in the
    /// image.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memory: spin::Mutex::new((
                [Slot::VACANT; SLOTS],
                [MapEntry::EMPTY; MAP],
                [HugeAge::UNKNOWN; AGES],
            )),
        }
    }

    /// Returns the memory, once.
    pub fn take(&'static self) -> Option<Metadata<'static>> {
        let (slots, map, ages) = spin::MutexGuard::leak(self.memory.try_lock()?);
        Some(Metadata::new(slots, map).with_ages(ages))
    }
}

impl<const SLOTS: usize, const MAP: usize, const AGES: usize> Default
    for StaticMetadata<SLOTS, MAP, AGES>
{
    fn default() -> Self {
        Self::new()
    }
}
