//! The guest's numbers as the host reads them: a tag and a value, 10 bytes
//! each, without padding.

use spanheap::Stats;

use crate::ring::STATS_BYTES;

/// Memory that nobody uses.
const FREE: u16 = 4;
/// All memory.
const TOTAL: u16 = 5;
/// What could be had without harm to what runs.
const AVAILABLE: u16 = 6;

/// Returns the heap's counters as the device takes them.
pub(crate) fn encode(stats: &Stats) -> [u8; STATS_BYTES] {
    let idle = stats.bytes(stats.idle);
    let entries = [
        (FREE, idle),
        (TOTAL, stats.bytes(stats.sys)),
        (AVAILABLE, idle),
    ];
    let mut bytes = [0; STATS_BYTES];
    for (to, (tag, value)) in bytes.chunks_exact_mut(10).zip(entries) {
        let (first, rest) = to.split_at_mut(2);
        first.copy_from_slice(&tag.to_le_bytes());
        rest.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}
