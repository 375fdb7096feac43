//! What the system's malloc has handed out, and how it keeps it.

use std::ffi::c_int;

/// Returns the bytes that malloc has handed out and not taken back, its own
/// headers included.
#[must_use]
pub fn allocated() -> u64 {
    // SAFETY: reads malloc's counters, under malloc's own locks.
    let counters = unsafe { libc::mallinfo2() };
    (counters.uordblks + counters.hblkhd) as u64
}

/// Lets malloc keep what it is given back, so that allocators that live on it
/// find memory that is warm, as a kernel's is, and do not pay for page faults.
pub fn keep() {
    // SAFETY: sets two of malloc's options, before there are other threads.
    let _ = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, c_int::MAX) };
}
