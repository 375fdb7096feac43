//! Amounts of memory, and of anything: small sums that do not overflow.

use crate::heap::{Release, Stats};
use crate::page::PageCount;

/// Returns the bytes in whole huge pages that are idle and resident; all idle and
/// resident bytes, if there are no huge pages.
pub(super) fn idle_huge(stats: &Stats) -> u64 {
    match stats.geometry.huge_pages() {
        Some(pages) => u64::from(stats.huge_resident) * stats.bytes(pages),
        None => idle_resident(stats),
    }
}

/// Returns the bytes that are idle and resident.
pub(super) fn idle_resident(stats: &Stats) -> u64 {
    stats.bytes(stats.idle) - stats.bytes(stats.released)
}

/// Returns what two releases, one after the other, come to.
pub(super) const fn plus(first: Release, then: Release) -> Release {
    Release {
        pages: PageCount::new(first.pages.get().saturating_add(then.pages.get())),
        calls: first.calls.saturating_add(then.calls),
        end: then.end,
    }
}

/// Returns `bytes`, rounded up to a multiple of `unit`, a power of two.
pub(super) const fn round_up(bytes: u64, unit: u64) -> u64 {
    bytes.saturating_add(unit - 1) & !(unit - 1)
}

/// Rounds bytes down to whole huge pages, if there are any.
pub(super) fn round_down(stats: &Stats, bytes: u64) -> u64 {
    match stats.geometry.huge_pages() {
        Some(pages) => bytes & !(stats.bytes(pages) - 1),
        None => bytes,
    }
}

/// Returns `of` times `by` through `through`, or through one.
pub(super) fn scale(of: u64, by: u64, through: u64) -> u64 {
    let scaled = u128::from(of) * u128::from(by) / u128::from(through.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
