//! The project's own: a [`Scavenger`], with each of the policies that come with it.
//!
//! It is told what releasing and taking back a huge page cost, as whoever uses it
//! should tell it, and nothing else.

use spanheap::{Budget, Costs, Policy as Numbers, Reclaim, Release, Scavenger, Stats};

use super::{Policy, Scene};

/// A policy that comes with the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// [`EAGER`](spanheap::Policy::EAGER).
    Eager,
    /// [`BALANCED`](spanheap::Policy::BALANCED).
    Balanced,
    /// [`KEEP`](spanheap::Policy::KEEP).
    Keep,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Eager, Self::Balanced, Self::Keep];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Balanced => "balanced",
            Self::Keep => "keep",
        }
    }

    const fn numbers(self) -> Numbers {
        match self {
            Self::Eager => Numbers::EAGER,
            Self::Balanced => Numbers::BALANCED,
            Self::Keep => Numbers::KEEP,
        }
    }
}

/// A scavenger.
#[derive(Debug)]
pub(super) struct Ours(Scavenger);

impl Ours {
    pub(super) const fn new(preset: Preset, costs: Costs) -> Self {
        Self(Scavenger::new(Numbers {
            costs,
            ..preset.numbers()
        }))
    }
}

impl Policy for Ours {
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64> {
        Some(self.0.poll(&mut Any(scene.heap), now_ns))
    }

    fn floor_bytes(&self) -> u64 {
        self.0.policy().minimum
    }
}

/// Any heap, as one with a size.
struct Any<'a>(&'a mut dyn Reclaim);

impl Reclaim for Any<'_> {
    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn tick(&mut self, ms: u32) {
        self.0.tick(ms);
    }

    fn release(&mut self, budget: Budget) -> Release {
        self.0.release(budget)
    }

    fn gather(&mut self) {
        self.0.gather();
    }

    fn release_inside(&mut self, budget: Budget) -> Release {
        self.0.release_inside(budget)
    }

    fn set_limit(&mut self, bytes: u64) {
        self.0.set_limit(bytes);
    }
}
