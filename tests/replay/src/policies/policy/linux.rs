//! Free page reporting, as Linux has it.
//!
//! Two seconds after a free that makes a free block of 2 MiB or more (order 9), a
//! pass begins. It reports at most a sixteenth of the free blocks of that order,
//! rounded up to a request of 32, those that were reported before counted among
//! them; if more is left, the next pass follows two seconds later. So an idle
//! guest is through in about half a minute.
//!
//! Here a block is a huge page, and a free one is one that the heap calls idle,
//! memory that was never used included, as it is on the kernel's lists. One that was
//! reported in part is not reported, as it is when a buddy that was merges with one
//! that was not; what of it is resident goes behind the others.

use spanheap::{Budget, ReleaseEnd};

use super::super::account::HUGE_BYTES;
use super::{MS, Policy, Scene};

/// From the free, or the last pass, to the next pass.
const DELAY_NS: u64 = 2000 * MS;
/// Blocks in a request.
const REQUEST: u64 = 32;
/// A pass reports one of so many free blocks.
const SHARE: u64 = 16;

/// Linux's free page reporting.
#[derive(Debug, Default)]
pub(super) struct Linux {
    /// When the next pass begins, if one was asked for.
    pass_ns: Option<u64>,
}

impl Policy for Linux {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        if scene.since.emptied > 0 {
            // It happened at some moment since the last poll.
            self.pass_ns
                .get_or_insert(now_ns - MS.min(now_ns) + DELAY_NS);
        }
        if self.pass_ns.is_some_and(|pass_ns| now_ns >= pass_ns) {
            // What was freed but is not yet where the heap releases from.
            let _ = scene.heap.release(Budget::bytes(0));
            let stats = scene.heap.treap_stats();
            let idle = u64::from(stats.huge_resident);
            let free = idle + u64::from(stats.huge_released);
            let most = free.div_ceil(SHARE * REQUEST) * REQUEST;
            let whole = most.min(idle);
            if whole > 0 {
                let _ = scene.heap.release(Budget::bytes(whole * HUGE_BYTES));
            }
            let rest = most - whole;
            let requests = rest.div_ceil(REQUEST) as u32;
            let rest = Budget::bytes(rest * HUGE_BYTES).leftovers().calls(requests);
            let end = scene.heap.release(rest).end;
            let more = idle > whole || end == ReleaseEnd::Budget;
            self.pass_ns = more.then_some(now_ns + DELAY_NS);
        }
        Some(now_ns + MS)
    }
}
