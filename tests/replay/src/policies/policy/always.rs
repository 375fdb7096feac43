//! Always: all that is idle goes at once. Little memory, and all of the cost.
//!
//! After each millisecond in which something was freed, everything is released
//! that the heap calls idle: whole huge pages, and pieces of huge pages between
//! blocks. Free pages of a shared heap's chunks that are in part in use stay,
//! as they do under [`release_all`](spanheap::SharedHeap::release_all).

use spanheap::Budget;

use super::{MS, Policy, Scene};

/// Gives everything back at once.
#[derive(Debug)]
pub(super) struct Always;

impl Policy for Always {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        if scene.since.frees > 0 {
            let _ = scene.heap.release(Budget::ALL);
        }
        Some(now_ns + MS)
    }
}
