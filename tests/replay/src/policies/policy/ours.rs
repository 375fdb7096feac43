//! The project's own: a [`Scavenger`], with each of the policies that come with it.
//!
//! It is told what releasing and taking back a huge page cost, as whoever uses it
//! should tell it, and nothing else.

use clap::ValueEnum;
use spanheap::{Costs, Policy as Numbers, Scavenger};

use super::{Policy, Scene};

/// A policy that comes with the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

    /// Returns what it is made of.
    #[must_use]
    pub const fn numbers(self) -> Numbers {
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
        Some(self.0.poll(scene.heap, now_ns))
    }

    fn floor_bytes(&self) -> u64 {
        self.0.policy().minimum
    }
}
