//! A fixed delay: a whole free huge page goes once it has been idle for so long, or
//! what of it is resident.
//!
//! What an operator gets by turning one knob, for all values of the knob; what a
//! policy that adapts has to beat. The heap is asked every millisecond, so that
//! each huge page goes when it is due, and not when a timer happens to fire.

use spanheap::{Budget, Hold};

use super::{MS, Policy, Scene};

/// Gives back what has been idle for a time.
#[derive(Debug)]
pub(super) struct Fixed {
    delay_ms: u32,
}

impl Fixed {
    pub(super) fn new(ms: u64) -> Self {
        Self {
            delay_ms: u32::try_from(ms).unwrap_or(u32::MAX),
        }
    }
}

impl Policy for Fixed {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        let now = (now_ns / MS) as u32;
        let hold = Hold::fixed(now, self.delay_ms);
        let _ = scene.heap.release(Budget::ALL.held(hold));
        let _ = scene.heap.release(Budget::ALL.leftovers().held(hold));
        // After the release, which finds what became free since the last poll.
        scene.heap.tick(now, now);
        Some(now_ns + MS)
    }
}
