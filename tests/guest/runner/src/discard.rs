//! The host's ceiling: what discarding memory costs without a guest.
//!
//! The same pieces that a guest gives back, in a mapping of the runner's own,
//! discarded by the same call that QEMU makes. Only every other piece of the
//! mapping is touched, as only every other one of the guest's is released, so
//! that neither side can join them.

use std::io;
use std::ptr;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A huge page of the host.
const HUGE: usize = 2 << 20;
/// The smallest page there is.
const PAGE: usize = 4096;

/// Touches and discards `pieces` pieces of `bytes` each, and returns how long
/// the second took.
pub(crate) fn discard(pieces: usize, bytes: usize) -> io::Result<Duration> {
    let whole = bytes.checked_mul(2).and_then(|two| two.checked_mul(pieces));
    let length = whole.and_then(|whole| whole.checked_add(HUGE));
    let length = length.ok_or(io::ErrorKind::InvalidInput)?;
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping, wherever there is room.
    let base = unsafe { mmap_anonymous(ptr::null_mut(), length, access, flags) }?;
    let first = base.wrapping_byte_add(base.align_offset(HUGE));
    let places = (0..pieces).map(|piece| first.wrapping_byte_add(piece * 2 * bytes));

    // Refused where there are no huge pages, which is no failure.
    // SAFETY: a hint for the mapping that was just made.
    let _ = unsafe { madvise(base, length, Advice::LinuxHugepage) };
    for place in places.clone() {
        for offset in (0..bytes).step_by(PAGE) {
            // SAFETY: inside of the mapping, and a multiple of a page.
            unsafe { place.cast::<u8>().wrapping_add(offset).write_volatile(1) };
        }
    }
    let start = Instant::now();
    let done = places.clone().try_for_each(|place| {
        // SAFETY: inside of the mapping, to which there are no references.
        unsafe { madvise(place, bytes, Advice::LinuxDontNeed) }
    });
    let took = start.elapsed();
    // SAFETY: all of the mapping, which nothing uses any more.
    unsafe { munmap(base, length) }?;
    done?;
    Ok(took)
}
