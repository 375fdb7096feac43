//! Who gives memory back meanwhile: a scavenger, by a clock that runs, stands still
//! and jumps.

use spanheap::{Policy, Pressure, Reclaim, Scavenger};

use crate::random::Random;
use crate::setup::PAGE;

const MS: u64 = 1_000_000;

pub(crate) struct Keeper {
    scavenger: Scavenger,
    now: u64,
    random: Random,
}

impl Keeper {
    pub(crate) const fn new(random: Random) -> Self {
        // Much faster than a system: a poll is some milliseconds after the last.
        let policy = Policy {
            young_ns: 10 * MS,
            deadline_ns: 400 * MS,
            price_ns: 10_000_000_000,
            share: 1_000_000,
            ..Policy::BALANCED
        };
        Self {
            scavenger: Scavenger::new(policy),
            now: 0,
            random,
        }
    }

    /// Polls; or now and then more is demanded.
    pub(crate) fn poll(&mut self, heap: &mut impl Reclaim) {
        self.now += match self.random.below(64) {
            0 => 2_000 * MS,
            1..=7 => 0,
            _ => u64::from(self.random.below(20)) * MS,
        };
        let (scavenger, now) = (&mut self.scavenger, self.now);
        match self.random.below(512) {
            0 => drop(scavenger.pressure(heap, now, Pressure::Severe)),
            1 => drop(scavenger.pressure(heap, now, Pressure::Moderate)),
            2 => drop(scavenger.idle(heap, now)),
            3..=9 => drop(scavenger.reclaim(heap, now, 64 * PAGE)),
            _ => drop(scavenger.poll(heap, now)),
        }
    }
}
