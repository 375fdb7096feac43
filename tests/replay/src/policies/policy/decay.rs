//! Decay, as jemalloc has it: ten seconds, by a smooth step.
//!
//! Time goes in 200 steps of 50 ms. At the end of each it is noted how many pages
//! there are more than were left a step before, idle and resident: they became
//! dirty in that step. Of those of the last step all may stay, of those of the
//! step two hundred back nearly none, and in between as many as the curve
//! 6x⁵ − 15x⁴ + 10x³ says. What is dirty above the sum of it is given back.
//!
//! Whole huge pages go first here, from the top down, and then pieces and single
//! pages, those inside of huge pages that are in part in use, too: jemalloc
//! prefers no huge pages, and what has been dirty for longest goes first. Its
//! deadlines, which vary by chance, so that arenas do not fall together, are
//! the steps' ends.

use spanheap::Budget;

use super::{MS, Policy, Scene};

/// How many steps there are, and how long one is.
const STEPS: usize = 200;
const STEP_NS: u64 = 50 * MS;

/// jemalloc's decay.
#[derive(Debug)]
pub(super) struct Decay {
    /// Bytes that became dirty in each step, the oldest first.
    dirtied: [u64; STEPS],
    /// How many were left, or could have been, at the end of the last step.
    left: u64,
    next_ns: u64,
}

impl Default for Decay {
    fn default() -> Self {
        Self {
            dirtied: [0; STEPS],
            left: 0,
            next_ns: STEP_NS,
        }
    }
}

/// How much of what became dirty in a step may stay, by the step's place.
fn part(step: usize) -> f64 {
    let x = (step + 1) as f64 / STEPS as f64;
    x.powi(3) * (x * (x * 6.0 - 15.0) + 10.0)
}

impl Decay {
    /// Ends a step with `dirty` bytes, and returns how many of them may stay.
    fn step(&mut self, dirty: u64) -> u64 {
        self.dirtied.rotate_left(1);
        self.dirtied[STEPS - 1] = dirty.saturating_sub(self.left);
        let parts = self.dirtied.iter().enumerate();
        let limit = parts.map(|(step, &bytes)| bytes as f64 * part(step)).sum();
        let limit: f64 = limit;
        let limit = limit as u64;
        self.left = dirty.max(limit);
        limit
    }
}

impl Policy for Decay {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        if now_ns < self.next_ns {
            return Some(self.next_ns);
        }
        self.next_ns = now_ns + STEP_NS;
        let dirty = scene.idle_bytes();
        let excess = dirty.saturating_sub(self.step(dirty));
        if excess > 0 {
            let before = scene.resident_bytes();
            let _ = scene.heap.release(Budget::bytes(excess));
            let gone = before.saturating_sub(scene.resident_bytes());
            if excess > gone {
                let _ = scene.heap.release_inside(Budget::bytes(excess - gone));
            }
        }
        Some(self.next_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_from_nothing_to_all_and_is_half_in_the_middle() {
        assert!(part(0) < 1e-5);
        assert!((part(STEPS / 2 - 1) - 0.5).abs() < 1e-9);
        assert!((part(STEPS - 1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_became_dirty_at_once_is_gone_after_two_hundred_steps() {
        let mut decay = Decay::default();
        let mut dirty = 1_000_000;
        let limits: Vec<_> = (0..=STEPS)
            .map(|_| {
                dirty = dirty.min(decay.step(dirty));
                dirty
            })
            .collect();
        assert_eq!(limits[0], 1_000_000);
        // Half of the way, and a step.
        assert_eq!(limits[STEPS / 2], 500_000);
        assert_eq!(limits[STEPS], 0);
        assert!(limits.is_sorted_by(|earlier, later| earlier >= later));
    }
}
