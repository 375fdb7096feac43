//! A fixed delay: a whole free huge page goes once it has been idle for so long.
//!
//! What an operator gets by turning one knob, for all values of the knob; what a
//! policy that adapts has to beat.
//!
//! The heap does not tell ages. If at every poll of the last `delay` at least so
//! many huge pages lay idle, then so many are released.

use std::collections::VecDeque;

use spanheap::Budget;

use super::super::account::HUGE_BYTES;
use super::{MS, Policy, Scene};

/// Gives back what has been idle for a time.
#[derive(Debug)]
pub(super) struct Fixed {
    delay_ns: u64,
    /// When how many huge pages were idle: later ones are more, so that the
    /// first is the least of the last `delay`.
    least: VecDeque<(u64, u64)>,
}

impl Fixed {
    pub(super) const fn new(ms: u64) -> Self {
        Self {
            delay_ns: ms * MS,
            least: VecDeque::new(),
        }
    }

    fn note(&mut self, now_ns: u64, idle: u64) {
        while self.least.back().is_some_and(|&(_, more)| more >= idle) {
            self.least.pop_back();
        }
        self.least.push_back((now_ns, idle));
    }
}

impl Policy for Fixed {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        self.note(now_ns, scene.idle_huge());
        let Some(begin) = now_ns.checked_sub(self.delay_ns) else {
            return Some(now_ns + MS);
        };
        while self.least.front().is_some_and(|&(at, _)| at < begin) {
            self.least.pop_front();
        }
        let least = self.least.front().map_or(0, |&(_, least)| least);
        if least > 0 {
            let budget = Budget::bytes(least * HUGE_BYTES);
            let _ = scene.heap.release(budget);
            for (_, idle) in &mut self.least {
                *idle -= least;
            }
        }
        Some(now_ns + MS)
    }
}
