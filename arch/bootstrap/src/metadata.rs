//! Raw bytes made into the slices of a heap's books.
//!
//! Every slot and every entry is written before it is seen as one, rather than
//! the bytes cleared and believed: nothing here rests on what a slot looks like
//! inside. As both are zeroes when they are vacant, that is the same loop.

use core::mem::MaybeUninit;
use core::slice;

use spanheap::{HugeAge, MapEntry, Metadata, MetadataError, Slot, Window, metadata_size};

/// Makes the books of a heap over `window` of `memory`: `slots` span records,
/// a page map of one entry for `grain` pages, and a record for each huge page; see
/// [`metadata_size`] for what to choose, and how many bytes that takes.
///
/// The slots come first, then the map, then the records; what is left of `memory` is not
/// used. Whatever the bytes hold is overwritten.
///
/// # Errors
///
/// In this order, and before a byte is written:
/// [`NoSlots`](MetadataError::NoSlots) if `slots` is 0,
/// [`TooManySlots`](MetadataError::TooManySlots) if no `usize` counts the bytes,
/// [`TooSmall`](MetadataError::TooSmall) and
/// [`Misaligned`](MetadataError::Misaligned) if `memory` is.
///
/// # Examples
///
/// ```
/// use core::mem::MaybeUninit;
/// use spanheap::{Geometry, MetadataError, PageCount, Window, metadata_size};
/// use spanheap_bootstrap::metadata_in;
///
/// let window = Window::new(Geometry::SMALL_PAGES, 0, PageCount::new(1 << 15))?;
/// let size = metadata_size(&window, 512, 16).ok_or(MetadataError::TooManySlots)?;
/// assert_eq!(size.bytes, 512 * 48 + (1 << 15) / 16 * 4 + 64 * 12);
///
/// // As much, and aligned so: here a vector, in a kernel a part of its image.
/// let mut memory = vec![0_u64; size.bytes / 8];
/// // SAFETY: numbers are bytes, and any byte is a `MaybeUninit` one.
/// let (_, bytes, _) = unsafe { memory.align_to_mut::<MaybeUninit<u8>>() };
/// let metadata = metadata_in(bytes, &window, 512, 16)?;
/// # let _ = metadata;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn metadata_in<'m>(
    memory: &'m mut [MaybeUninit<u8>],
    window: &Window,
    slots: u32,
    grain: u32,
) -> Result<Metadata<'m>, MetadataError> {
    if slots == 0 {
        return Err(MetadataError::NoSlots);
    }
    let size = metadata_size(window, slots, grain).ok_or(MetadataError::TooManySlots)?;
    let Some((memory, _)) = memory.split_at_mut_checked(size.bytes) else {
        return Err(MetadataError::TooSmall);
    };
    let Some((slots, map)) = memory.split_at_mut_checked(size.slots * size_of::<Slot>()) else {
        return Err(MetadataError::TooSmall);
    };
    let Some((map, ages)) = map.split_at_mut_checked(size.map_entries * size_of::<MapEntry>())
    else {
        return Err(MetadataError::TooSmall);
    };
    let (slots, map) = (filled(slots, Slot::VACANT)?, filled(map, MapEntry::EMPTY)?);
    Ok(Metadata::new(slots, map).with_ages(filled(ages, HugeAge::UNKNOWN)?))
}

/// Fills `memory` with as many copies of `value` as fit.
fn filled<T: Copy>(memory: &mut [MaybeUninit<u8>], value: T) -> Result<&mut [T], MetadataError> {
    let count = memory.len() / size_of::<T>();
    let first = memory.as_mut_ptr().cast::<MaybeUninit<T>>();
    if !first.is_aligned() {
        return Err(MetadataError::Misaligned);
    }
    // SAFETY: `memory` is borrowed exclusively for as long as the result, it
    // has `count` times the size, `first` is aligned, and any bytes are valid
    // for `MaybeUninit`.
    let copies = unsafe { slice::from_raw_parts_mut(first, count) };
    copies.fill(MaybeUninit::new(value));
    // SAFETY: the line above wrote every one of them.
    Ok(unsafe { copies.assume_init_mut() })
}
